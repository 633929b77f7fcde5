//! Double-entry bookkeeping: the accounts, and the lines of each movement of money.
//!
//! A line's sign: debits are positive, credits negative; an entry's lines sum to 0.
//!
//! | movement | debit | credit |
//! |---|---|---|
//! | capture | `cards_receivable`: the provider owes us | `restaurant_payable`: we owe the restaurant; `tips_payable` for the part that is a tip |
//! | tip after the fact | `cards_receivable` | `tips_payable`: we owe the restaurant, for its people |
//! | refund | `refunds`: what the restaurant bears; `tips_payable` for the part that was a tip | `cards_receivable`: the provider owes us less |
//! | refund that came back | `cards_receivable` | `refunds`, `tips_payable`: a refund of as much, turned round |
//!
//! What a restaurant is to be paid is therefore `-(restaurant_payable + tips_payable + refunds)`.

use std::collections::BTreeMap;

use bistro_core::{Currency, Error, Id, IdSource, Timestamp, kinds};
use serde::{Deserialize, Serialize};

use crate::documents::{Entry, Payment, Purpose, Tender};

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Account {
    /// What the card provider owes the platform.
    CardsReceivable,
    /// What the platform owes restaurants for what was captured.
    RestaurantPayable,
    /// What the platform owes restaurants for tips that were captured and not given back.
    TipsPayable,
    /// What restaurants bear of what was given back, but for tips.
    Refunds,
}

impl Account {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CardsReceivable => "cards_receivable",
            Self::RestaurantPayable => "restaurant_payable",
            Self::TipsPayable => "tips_payable",
            Self::Refunds => "refunds",
        }
    }
}

/// What moved money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Authorized money was taken.
    Capture,
    /// A tip was taken after the fact.
    Tip,
    /// Captured money was given back; or, with the signs turned round, came back after all.
    Refund,
}

impl Kind {
    /// The word in audits.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Tip => "tip",
            Self::Refund => "refund",
        }
    }
}

/// One line of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) account: Account,
    /// Minor units; positive is a debit.
    pub(crate) minor: i64,
}

/// The entry of a tender's capture.
pub(crate) fn capture(payment: &Payment, tender: &Tender, at: Timestamp) -> Result<Entry, Error> {
    let (kind, tip) = match tender.purpose {
        Purpose::Order(_) => (Kind::Capture, tip_share(payment, tender)),
        Purpose::Tip => (Kind::Tip, tender.minor),
    };
    let id = capture_id(payment, tender.number);
    let mut lines = vec![Line { account: Account::CardsReceivable, minor: tender.minor }];
    // What is taken of nothing is a line all the same: the entry says that it was taken.
    if kind == Kind::Capture && (tip < tender.minor || tip == 0) {
        lines.push(Line { account: Account::RestaurantPayable, minor: tip - tender.minor });
    }
    if tip > 0 {
        lines.push(Line { account: Account::TipsPayable, minor: -tip });
    }
    entry(id, kind, payment, lines, at)
}

/// What of a tender's amount is a tip: the tip of its revision is paid by the last tenders.
fn tip_share(payment: &Payment, tender: &Tender) -> i64 {
    let Purpose::Order(revision) = tender.purpose else { return tender.minor };
    let mut tip = payment.revision(revision).map_or(0, |one| one.tip_minor);
    for other in payment.tenders.iter().rev().filter(|other| other.is_of(revision)) {
        let share = tip.min(other.minor);
        if other.number == tender.number {
            return share;
        }
        tip -= share;
    }
    0
}

/// What can still be given back of a tender before its tip is touched.
pub(crate) fn meal_left(payment: &Payment, tender: &Tender) -> i64 {
    (tender.refundable() - tip_share(payment, tender)).max(0)
}

/// The entry of what refund `number` gives back of a tender, as it was `before`: first what paid
/// the meal, then the tip.
pub(crate) fn refund(
    before: &Payment,
    tender: u32,
    number: u32,
    minor: i64,
    at: Timestamp,
) -> Result<Entry, Error> {
    let meal = minor.min(meal_left(before, before.tender(tender)?));
    let mut lines = Vec::new();
    if meal > 0 {
        lines.push(Line { account: Account::Refunds, minor: meal });
    }
    if meal < minor {
        lines.push(Line { account: Account::TipsPayable, minor: minor - meal });
    }
    lines.push(Line { account: Account::CardsReceivable, minor: -minor });
    entry(refund_id(before, tender, number), Kind::Refund, before, lines, at)
}

/// The entry of what refund `number` had given back of a tender and came back, `after` that: what a
/// refund of as much would be then, turned round. So tips are the first to be owed again, whatever
/// of several refunds came back, and the next refund begins with the meal as ever.
pub(crate) fn returned(
    after: &Payment,
    tender: u32,
    number: u32,
    minor: i64,
    at: Timestamp,
) -> Result<Entry, Error> {
    let given = refund(after, tender, number, minor, at)?;
    let lines = given.lines.iter().map(|line| Line { minor: -line.minor, ..*line }).collect();
    Ok(Entry { id: returned_id(after, tender, number), lines, ..given })
}

/// The ids of the payment's entries: what moved money says which there are.
pub(crate) fn ids(payment: &Payment) -> Vec<Id<kinds::LedgerEntry>> {
    let captured = payment.tenders.iter().filter(|tender| tender.captures > 0);
    let mut ids: Vec<_> = captured.map(|tender| capture_id(payment, tender.number)).collect();
    for intent in payment.every_refund() {
        for part in intent.parts.iter().filter(|part| part.done) {
            ids.push(refund_id(payment, part.tender, intent.number));
            if part.returned.is_some() {
                ids.push(returned_id(payment, part.tender, intent.number));
            }
        }
    }
    ids
}

/// The id of the entry of a tender's capture.
fn capture_id(payment: &Payment, tender: u32) -> Id<kinds::LedgerEntry> {
    match tender {
        // The order's sibling: a second capture would have the first one's id.
        1 => payment.id.sibling(),
        number => derived(payment, &format!("capture {number}")),
    }
}

/// The id of the entry of what refund `number` gives back of a tender.
fn refund_id(payment: &Payment, tender: u32, number: u32) -> Id<kinds::LedgerEntry> {
    match tender {
        1 => derived(payment, &format!("refund {number}")),
        other => derived(payment, &format!("refund {number} {other}")),
    }
}

/// The id of the entry of what refund `number` had given back of a tender and came back.
fn returned_id(payment: &Payment, tender: u32, number: u32) -> Id<kinds::LedgerEntry> {
    derived(payment, &format!("returned {number} {tender}"))
}

/// The id of the entry of `what` happened to the payment.
fn derived(payment: &Payment, what: &str) -> Id<kinds::LedgerEntry> {
    IdSource::from_cause(payment.id.time(), &format!("{} {what}", payment.id)).id("entry")
}

fn entry(
    id: Id<kinds::LedgerEntry>,
    kind: Kind,
    payment: &Payment,
    lines: Vec<Line>,
    at: Timestamp,
) -> Result<Entry, Error> {
    let bill = payment.bill()?;
    let (order, restaurant, currency) = (payment.order(), bill.restaurant, bill.currency);
    Ok(Entry { id, kind, order, restaurant, currency, lines, at })
}

/// The sum of an entry's lines, which is 0 for a sound one.
pub(crate) fn imbalance(entry: &Entry) -> i64 {
    entry.lines.iter().map(|line| line.minor).fold(0, i64::saturating_add)
}

/// What has been summed up of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Minor units.
    pub(crate) minor: i64,
    /// Lines summed.
    pub(crate) lines: u64,
}

/// Sums by currency and account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balances(pub(crate) BTreeMap<(Currency, Account), Sum>);

impl Balances {
    /// Adds an entry's lines.
    pub(crate) fn add(&mut self, entry: &Entry) {
        for line in &entry.lines {
            let sum = self.0.entry((entry.currency, line.account)).or_default();
            sum.minor = sum.minor.saturating_add(line.minor);
            sum.lines += 1;
        }
    }

    /// The sum over all accounts of each currency.
    pub(crate) fn imbalance(&self) -> BTreeMap<Currency, i64> {
        let mut sums: BTreeMap<Currency, i64> = BTreeMap::new();
        for ((currency, _), sum) in &self.0 {
            let total = sums.entry(*currency).or_default();
            *total = total.saturating_add(sum.minor);
        }
        sums
    }
}

/// What one day's entries come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) captures: u64,
    pub(crate) captured_minor: i64,
    /// Of what was captured.
    pub(crate) tips_minor: i64,
    pub(crate) refunds: u64,
    /// Less what came back that day.
    pub(crate) refunded_minor: i64,
    /// Of what was refunded.
    pub(crate) refunded_tips_minor: i64,
}

impl Day {
    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: &Entry) {
        let on = |account| {
            let lines = entry.lines.iter().filter(|line| line.account == account);
            lines.map(|line| line.minor).fold(0, i64::saturating_add)
        };
        match entry.kind {
            Kind::Capture | Kind::Tip => {
                self.captures += 1;
                let taken = on(Account::CardsReceivable);
                self.captured_minor = self.captured_minor.saturating_add(taken);
                self.tips_minor = self.tips_minor.saturating_sub(on(Account::TipsPayable));
            }
            Kind::Refund => {
                let given = on(Account::CardsReceivable);
                // Money that comes back is not given back once more.
                self.refunds += u64::from(given < 0);
                self.refunded_minor = self.refunded_minor.saturating_sub(given);
                let tips = on(Account::TipsPayable);
                self.refunded_tips_minor = self.refunded_tips_minor.saturating_add(tips);
            }
        }
    }
}
