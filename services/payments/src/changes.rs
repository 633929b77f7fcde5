//! What commands make of a payment before the provider is asked: new totals, wishes and intents.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};

use crate::{
    documents::{Bill, Part, Payment, ProviderName, Purpose, RefundIntent, Revision, Tender, Wish},
    ledger,
    states::{self, State},
};

/// Totals that an order may have had.
pub(crate) const MAX_REVISIONS: usize = 50;
/// Tips that an order may be given after the fact.
pub(crate) const MAX_TIPS: usize = 20;
/// Refunds that a payment may have: each is kept, with its reason.
const MAX_REFUNDS: u32 = 100;
/// The reason of a tender of a total that another one took the place of.
pub(crate) const NOT_KEPT: &str = "not_kept";
/// For how long the provider is asked about a tip that it does not answer.
pub(crate) const TIP_PATIENCE: Duration = Duration::from_mins(15);
/// The reason of a tip that was given up.
pub(crate) const NOT_ANSWERED: &str = "not_answered";

/// A total to be authorized, and what pays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) bill: Bill,
    pub(crate) revision: Revision,
    /// Card tokens and minor units, in the order in which they are authorized.
    pub(crate) cards: Vec<(String, i64)>,
    pub(crate) provider: ProviderName,
}

/// What a void leaves that came before its authorization: it keeps the money from being taken.
pub(crate) fn tombstone(order: Id<kinds::Order>, reason: String, now: Timestamp) -> Payment {
    Payment { voided: Some(reason), ..nothing(order, None, now) }
}

fn nothing(order: Id<kinds::Order>, bill: Option<Bill>, now: Timestamp) -> Payment {
    Payment {
        id: order.sibling(),
        bill,
        revisions: Vec::new(),
        kept: 0,
        settled: None,
        voided: None,
        tenders: Vec::new(),
        refund: None,
        answered: Vec::new(),
        refunds: 0,
        attempts: 0,
        due_at: None,
        changed_at: now,
        erased: false,
    }
}

/// A new payment of `order`, before the provider has answered.
pub(crate) fn pending(order: Id<kinds::Order>, wanted: &Wanted, now: Timestamp) -> Payment {
    let payment = nothing(order, Some(wanted.bill.clone()), now);
    // Whoever asks may have asked before, and died before it was written down.
    let asked_at = payment.created_at();
    with_revision(Payment { kept: wanted.revision.number, ..payment }, wanted, asked_at, now)
}

/// The payment with another total to be authorized beside the one that is held.
pub(crate) fn revised(
    payment: &Payment,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Payment, Error> {
    let number = wanted.revision.number;
    let latest = payment.revisions.iter().map(|one| one.number).max();
    if latest.is_some_and(|latest| number < latest) {
        let message = "a later total of the order was asked for already";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    // Whoever is slow may ask for what was refused and given up before anybody else asked for it.
    if payment.settled.is_some_and(|settled| number <= settled) {
        let message = "this total of the order was given up already; propose a new one";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    let state = payment.state();
    if payment.voided.is_some() || state != State::Authorized {
        return Err(states::forbidden(state, "authorize another total"));
    }
    let bill = payment.bill()?;
    if (bill.restaurant, bill.currency) != (wanted.bill.restaurant, wanted.bill.currency) {
        let message = "the order is paid to another restaurant, or in another currency";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if payment.revisions.len() >= MAX_REVISIONS {
        let message = format!("an order has {MAX_REVISIONS} totals at most; place a new order");
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    Ok(with_revision(payment.clone(), wanted, now, now))
}

fn with_revision(
    mut payment: Payment,
    wanted: &Wanted,
    asked_at: Timestamp,
    now: Timestamp,
) -> Payment {
    payment.revisions.push(wanted.revision);
    for (method, minor) in &wanted.cards {
        let purpose = Purpose::Order(wanted.revision.number);
        push(&mut payment, purpose, (method, *minor), wanted.provider, asked_at);
    }
    payment.changed_at = now;
    payment
}

fn push(
    payment: &mut Payment,
    purpose: Purpose,
    (method, minor): (&str, i64),
    provider: ProviderName,
    asked_at: Timestamp,
) -> u32 {
    // A tip is given after the meal: it is taken as soon as it is set aside.
    let wish = if purpose == Purpose::Tip { Wish::Capture } else { Wish::Hold };
    let number = payment.tenders.iter().map(|tender| tender.number).max().unwrap_or(0) + 1;
    payment.tenders.push(Tender {
        number,
        purpose,
        minor,
        method: method.to_owned(),
        provider,
        state: State::Pending,
        wish,
        authorization: None,
        captured_minor: 0,
        refunded_minor: 0,
        authorizations: 0,
        captures: 0,
        reason: String::new(),
        asked_at: Some(asked_at),
        authorized_at: None,
        captured_at: None,
    });
    number
}

/// Whether the payment holds `wanted` as one of its totals already; an error if it holds another
/// one of that number.
pub(crate) fn knows(payment: &Payment, wanted: &Wanted) -> Result<bool, Error> {
    let number = wanted.revision.number;
    let (Some(revision), Some(bill)) = (payment.revision(number), &payment.bill) else {
        return Ok(false);
    };
    let tenders = payment.tenders.iter().filter(|tender| tender.is_of(number));
    let cards: Vec<_> = tenders.collect();
    // Which cards paid is forgotten with the person.
    let is_like = |tender: &Tender, (method, minor): &(String, i64)| {
        (payment.erased || tender.method == *method) && tender.minor == *minor
    };
    let same = *revision == wanted.revision
        && (bill.restaurant, bill.currency) == (wanted.bill.restaurant, wanted.bill.currency)
        && cards.len() == wanted.cards.len()
        && cards.iter().zip(&wanted.cards).all(|(tender, card)| is_like(tender, card));
    if same {
        return Ok(true);
    }
    let message = "the order has another payment already; an order is paid once";
    Err(Error::new(ErrorCode::WrongState, message))
}

/// The payment with `revision` kept: what is held for the others is to be given back, and what was
/// `proposed` and has not come is not asked for any more. None when nothing is left to choose.
pub(crate) fn kept(
    payment: &Payment,
    (revision, proposed): (u32, u32),
    now: Timestamp,
) -> Result<Option<Payment>, Error> {
    if payment.voided.is_some() || payment.state().is_taken() {
        return Ok(None);
    }
    if payment.revision(revision).is_none() {
        let message = format!("nothing was authorized for revision {revision} of the order");
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if matches!(payment.state_of(revision), State::Failed | State::Voided) {
        return Ok(None);
    }
    let settled = payment.settled.max(Some(revision.max(proposed)));
    Ok(Some(without_others(Payment { kept: revision, settled, ..payment.clone() }, now)))
}

/// The payment whose other totals than the kept one are to be given back.
fn without_others(mut payment: Payment, now: Timestamp) -> Payment {
    let kept = Purpose::Order(payment.kept);
    let others = payment
        .tenders
        .iter_mut()
        .filter(|tender| !matches!(tender.purpose, Purpose::Tip) && tender.purpose != kept);
    for tender in others {
        if tender.state.is_open() && tender.wish != Wish::Release {
            tender.wish = Wish::Release;
            NOT_KEPT.clone_into(&mut tender.reason);
            payment.changed_at = now;
        }
    }
    payment
}

/// The payment whose kept total is to be taken, and whose others are to be given back.
pub(crate) fn capturing(payment: &Payment, now: Timestamp) -> Result<Payment, Error> {
    let state = payment.state();
    if payment.voided.is_some() || !matches!(state, State::Authorized | State::CaptureFailed) {
        return Err(states::forbidden(state, "capture"));
    }
    let mut after = without_others(payment.clone(), now);
    let kept = after.kept;
    for tender in after.tenders.iter_mut().filter(|tender| tender.is_of(kept)) {
        if tender.wish == Wish::Hold && tender.state.is_open() {
            tender.wish = Wish::Capture;
        }
    }
    Ok(after)
}

/// The payment after the provider has voided all that was open.
pub(crate) fn voided(payment: &Payment, reason: &str, now: Timestamp) -> Result<Payment, Error> {
    let mut after = Payment {
        voided: Some(payment.voided.clone().unwrap_or_else(|| reason.to_owned())),
        changed_at: now,
        ..payment.clone()
    };
    for tender in after.tenders.iter_mut().filter(|tender| tender.state.is_open()) {
        tender.state = states::next(tender.state, states::Step::Void)?;
        if tender.wish != Wish::Release {
            reason.clone_into(&mut tender.reason);
        }
    }
    Ok(after)
}

/// The payment whose tips are given up that the provider has not answered for long: what it may
/// hold of them is to be given back.
pub(crate) fn without_silent_tips(mut payment: Payment, now: Timestamp) -> Payment {
    let created_at = payment.created_at();
    let tips = payment.tenders.iter_mut().filter(|tender| tender.purpose == Purpose::Tip);
    for tip in tips.filter(|tip| tip.state == State::Pending && tip.wish != Wish::Release) {
        if now >= tip.asked_at.unwrap_or(created_at) + TIP_PATIENCE {
            tip.wish = Wish::Release;
            NOT_ANSWERED.clone_into(&mut tip.reason);
            payment.changed_at = now;
        }
    }
    payment
}

/// The payment with the intent to give `minor` back, for `reason`; 0 means what is left. Of one
/// tender, or of all in turn, the last first: what was paid for the meal before any tip.
pub(crate) fn refunding(
    payment: &Payment,
    minor: i64,
    of: Option<u32>,
    reason: String,
    now: Timestamp,
) -> Result<Payment, Error> {
    if payment.refund.is_some() {
        let message = "another refund of this payment is under way; try again when it is done";
        return Err(Error::new(ErrorCode::Conflict, message));
    }
    if payment.refunds >= MAX_REFUNDS {
        let message = format!(
            "a payment has {MAX_REFUNDS} refunds at most; give back what is left in another way"
        );
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if let Some(number) = of
        && payment.tenders.iter().all(|tender| tender.number != number)
    {
        let message = format!("write the number of a tender: 1 to {}", payment.tenders.len());
        return Err(Error::field("tender", message));
    }
    let chosen = || payment.tenders.iter().filter(|one| of.is_none_or(|of| of == one.number));
    let left: i64 = chosen().map(Tender::refundable).sum();
    let state = payment.state();
    // Where a part of the total can never be taken, what was taken of the rest is given back all
    // the same.
    let is_over = payment.is_lost() && payment.waits_for().is_none();
    let in_part = is_over && payment.captured_minor() > 0;
    if !in_part && !matches!(state, State::Captured | State::PartiallyRefunded) {
        return Err(states::forbidden(state, "refund"));
    }
    let minor = if minor == 0 { left } else { minor };
    if left == 0 {
        let message = "nothing is left of it to be given back";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if minor < 1 || minor > left {
        let message = format!("write 1 to {left} minor units, or 0 for all that is left");
        return Err(Error::field("amount_minor", message));
    }
    let parts = parts(payment, minor, of);
    let number = payment.refunds + 1;
    let reason = if payment.erased { String::new() } else { reason };
    Ok(Payment {
        refund: Some(RefundIntent { number, minor, reason, parts, asked_at: Some(now) }),
        refunds: number,
        attempts: 0,
        changed_at: now,
        ..payment.clone()
    })
}

/// What a refund of `minor` takes of each tender: first of what was paid for the meal, then of
/// tips; each time of the last tender first.
fn parts(payment: &Payment, minor: i64, of: Option<u32>) -> Vec<Part> {
    let chosen = || payment.tenders.iter().rev().filter(|one| of.is_none_or(|of| of == one.number));
    let mut rest = minor;
    let mut take = |left: i64| {
        let share = rest.min(left);
        rest -= share;
        share
    };
    let meals: Vec<i64> = chosen().map(|one| take(ledger::meal_left(payment, one))).collect();
    let mut parts = Vec::new();
    for (tender, meal) in chosen().zip(meals) {
        let tip = take(tender.refundable() - ledger::meal_left(payment, tender));
        if meal + tip > 0 {
            parts.push(Part::of(tender.number, meal + tip));
        }
    }
    // Cards that were asked for a tip only are asked last.
    parts.sort_by_key(|part| {
        payment.tender(part.tender).is_ok_and(|one| one.purpose == Purpose::Tip)
    });
    parts
}

/// The payment with a tip to be authorized and taken, and the number of its tender.
pub(crate) fn tipping(
    payment: &Payment,
    minor: i64,
    method: Option<&str>,
    provider: ProviderName,
    now: Timestamp,
) -> Result<(Payment, u32), Error> {
    let state = payment.state();
    if payment.voided.is_some() || !matches!(state, State::Captured | State::PartiallyRefunded) {
        return Err(states::forbidden(state, "tip"));
    }
    let tips = || payment.tenders.iter().filter(|tender| tender.purpose == Purpose::Tip);
    if tips().count() >= MAX_TIPS {
        let message = format!("an order is given {MAX_TIPS} tips at most");
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    let most = payment.revision(payment.kept).map_or(0, |one| one.minor);
    let given =
        tips().filter(|tip| tip.state != State::Failed && !tip.is_given_up() && !tip.is_lost());
    let left = most - given.map(|tip| tip.minor).sum::<i64>();
    if left < 1 {
        let message = "the tips of an order come to its total at most";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if minor < 1 || minor > left {
        let message =
            format!("write 1 to {left} minor units: tips come to the order's total at most");
        return Err(Error::field("amount_minor", message));
    }
    let first = payment.tenders.iter().find(|tender| tender.is_of(payment.kept));
    let paid_with = first.map(|tender| tender.method.as_str()).filter(|one| !one.is_empty());
    let Some(method) = method.or(paid_with) else {
        return Err(Error::field("payment_method", "say what the tip is paid with"));
    };
    let mut after = Payment { changed_at: now, attempts: 0, ..payment.clone() };
    let number = push(&mut after, Purpose::Tip, (method, minor), provider, now);
    Ok((after, number))
}
