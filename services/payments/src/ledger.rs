//! Double-entry bookkeeping: the accounts, and the lines of each movement of money.
//!
//! A line's sign: debits are positive, credits negative; an entry's lines sum to 0.
//!
//! | movement | debit | credit |
//! |---|---|---|
//! | capture | `cards_receivable`: the provider owes us | `restaurant_payable`: we owe the restaurant |
//! | refund | `refunds`: what the restaurant bears | `cards_receivable`: the provider owes us less |
//!
//! What a restaurant is to be paid is therefore `-(restaurant_payable + refunds)`.

use std::collections::BTreeMap;

use bistro_core::{Currency, Id, IdSource, Timestamp, kinds};
use serde::{Deserialize, Serialize};

use crate::documents::{Entry, Payment, Tender};

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Account {
    /// What the card provider owes the platform.
    CardsReceivable,
    /// What the platform owes restaurants for what was captured.
    RestaurantPayable,
    /// What restaurants bear of what was given back.
    Refunds,
}

impl Account {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CardsReceivable => "cards_receivable",
            Self::RestaurantPayable => "restaurant_payable",
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
    /// Captured money was given back.
    Refund,
}

impl Kind {
    /// The word in audits.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
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

/// The entry of a payment's capture.
pub(crate) fn capture(payment: &Payment, tender: &Tender, minor: i64, at: Timestamp) -> Entry {
    let lines = lines(Account::CardsReceivable, Account::RestaurantPayable, minor);
    // The order's sibling: a second capture would have the first one's id.
    entry(payment.id.sibling(), Kind::Capture, payment, tender, lines, at)
}

/// The entry of a payment's refund `number`.
pub(crate) fn refund(
    payment: &Payment,
    tender: &Tender,
    number: u32,
    minor: i64,
    at: Timestamp,
) -> Entry {
    let lines = lines(Account::Refunds, Account::CardsReceivable, minor);
    let source =
        IdSource::from_cause(payment.id.time(), &format!("{} refund {number}", payment.id));
    entry(source.id("entry"), Kind::Refund, payment, tender, lines, at)
}

fn lines(debit: Account, credit: Account, minor: i64) -> Vec<Line> {
    vec![Line { account: debit, minor }, Line { account: credit, minor: -minor }]
}

fn entry(
    id: Id<kinds::LedgerEntry>,
    kind: Kind,
    payment: &Payment,
    tender: &Tender,
    lines: Vec<Line>,
    at: Timestamp,
) -> Entry {
    Entry {
        id,
        kind,
        order: payment.order(),
        restaurant: tender.restaurant,
        currency: tender.amount.currency,
        lines,
        at,
    }
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
