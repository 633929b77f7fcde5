//! The payment's state machine: what may follow what, and what each step does to the money.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use serde::{Deserialize, Serialize};

use crate::{
    documents::{Entry, Payment, Refund, RefundIntent, Tender},
    ledger,
};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The provider has not said yes or no.
    Pending,
    /// The money is set aside on the card.
    Authorized,
    /// The provider did not take authorized money, or has not said so; it is asked again.
    CaptureFailed,
    /// The money is taken.
    Captured,
    /// Part of it is given back.
    PartiallyRefunded,
    /// All of it is given back.
    Refunded,
    /// The card was declined.
    Failed,
    /// Nothing is or will be taken.
    Voided,
}

use State::{
    Authorized, CaptureFailed, Captured, Failed, PartiallyRefunded, Pending, Refunded, Voided,
};

impl State {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Authorized => "authorized",
            CaptureFailed => "capture_failed",
            Captured => "captured",
            PartiallyRefunded => "partially_refunded",
            Refunded => "refunded",
            Failed => "failed",
            Voided => "voided",
        }
    }
}

/// What can happen to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The provider approved a pending authorization.
    Authorize,
    /// The provider declined a pending authorization.
    Decline,
    /// The authorization was given back.
    Void,
    /// The money was taken.
    Capture,
    /// The money was not taken.
    FailCapture,
    /// Some of what was taken was given back.
    RefundPart,
    /// The rest of what was taken was given back.
    RefundRest,
}

/// All that may happen. Anything else is refused.
const TABLE: &[(State, Step, State)] = &[
    (Pending, Step::Authorize, Authorized),
    (Pending, Step::Decline, Failed),
    (Pending, Step::Void, Voided),
    (Authorized, Step::Capture, Captured),
    (Authorized, Step::FailCapture, CaptureFailed),
    (Authorized, Step::Void, Voided),
    (CaptureFailed, Step::Capture, Captured),
    (CaptureFailed, Step::FailCapture, CaptureFailed),
    (CaptureFailed, Step::Void, Voided),
    (Captured, Step::RefundPart, PartiallyRefunded),
    (Captured, Step::RefundRest, Refunded),
    (PartiallyRefunded, Step::RefundPart, PartiallyRefunded),
    (PartiallyRefunded, Step::RefundRest, Refunded),
];

/// The state after `step`, or the error that says it cannot be.
pub(crate) fn next(state: State, step: Step) -> Result<State, Error> {
    let row = TABLE.iter().find(|(from, by, _)| *from == state && *by == step);
    row.map(|(_, _, to)| *to).ok_or_else(|| {
        let (what, state) = (format!("{step:?}").to_lowercase(), state.as_str());
        let message = format!("a payment that is {state} does not allow this ({what})");
        Error::new(ErrorCode::WrongState, message)
    })
}

/// A new payment of `order`, before the provider has answered.
pub(crate) fn pending(order: Id<kinds::Order>, tender: Tender, now: Timestamp) -> Payment {
    Payment { tender: Some(tender), state: Pending, ..tombstone(order, String::new(), now) }
}

/// What a void leaves that came before its authorization: it keeps the money from being taken.
pub(crate) fn tombstone(order: Id<kinds::Order>, reason: String, now: Timestamp) -> Payment {
    Payment {
        id: order.sibling(),
        tender: None,
        state: Voided,
        authorization: None,
        captured_minor: 0,
        refunded_minor: 0,
        refund: None,
        answered: Vec::new(),
        refunds: 0,
        authorizations: 0,
        captures: 0,
        reason,
        attempts: 0,
        due_at: None,
        changed_at: now,
    }
}

/// The payment after a step, waiting for nothing.
fn stepped(payment: &Payment, step: Step, now: Timestamp) -> Result<Payment, Error> {
    Ok(Payment {
        state: next(payment.state, step)?,
        reason: String::new(),
        attempts: 0,
        due_at: None,
        changed_at: now,
        ..payment.clone()
    })
}

/// Approved by the provider, which calls it `authorization`.
pub(crate) fn authorized(
    payment: &Payment,
    authorization: String,
    now: Timestamp,
) -> Result<Payment, Error> {
    let after = stepped(payment, Step::Authorize, now)?;
    let authorizations = payment.authorizations + 1;
    Ok(Payment { authorization: Some(authorization), authorizations, ..after })
}

/// Declined by the provider.
pub(crate) fn declined(
    payment: &Payment,
    reason: String,
    now: Timestamp,
) -> Result<Payment, Error> {
    Ok(Payment { reason, ..stepped(payment, Step::Decline, now)? })
}

/// The authorization is given back.
pub(crate) fn voided(payment: &Payment, reason: String, now: Timestamp) -> Result<Payment, Error> {
    Ok(Payment { reason, ..stepped(payment, Step::Void, now)? })
}

/// All of the money is taken, with the entry that says so.
pub(crate) fn captured(payment: &Payment, now: Timestamp) -> Result<(Payment, Entry), Error> {
    let tender = tender(payment)?;
    let minor = tender.amount.amount_minor;
    let after = Payment {
        captured_minor: minor,
        captures: payment.captures + 1,
        ..stepped(payment, Step::Capture, now)?
    };
    let entry = ledger::capture(payment, tender, minor, now);
    Ok((after, entry))
}

/// The money could not be taken now; it is tried again at `due_at`.
pub(crate) fn capture_failed(
    payment: &Payment,
    reason: String,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Payment, Error> {
    let after = stepped(payment, Step::FailCapture, now)?;
    // It has failed since the first time.
    let since = if payment.state == after.state { payment.changed_at } else { now };
    let attempts = payment.attempts;
    Ok(put_off(&Payment { attempts, changed_at: since, ..after }, reason, due_at))
}

/// The provider was asked in vain; it is asked again at `due_at`.
pub(crate) fn put_off(payment: &Payment, reason: String, due_at: Timestamp) -> Payment {
    Payment { reason, attempts: payment.attempts + 1, due_at: Some(due_at), ..payment.clone() }
}

/// The payment with the intent to give `minor` back, for `reason`; 0 means what is left.
pub(crate) fn refunding(
    payment: &Payment,
    minor: i64,
    reason: String,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Payment, Error> {
    let left = payment.refundable();
    let minor = if minor == 0 { left } else { minor };
    if payment.refund.is_some() {
        let message = "another refund of this payment is under way; try again when it is done";
        return Err(Error::new(ErrorCode::Conflict, message));
    }
    next(payment.state, refund_step(minor, left))?;
    if minor < 1 || minor > left {
        let message = format!("write 1 to {left} minor units, or 0 for all that is left");
        return Err(Error::field("amount_minor", message));
    }
    let number = payment.refunds + 1;
    Ok(Payment {
        refund: Some(RefundIntent { number, minor, reason }),
        refunds: number,
        reason: String::new(),
        attempts: 0,
        due_at: Some(due_at),
        changed_at: now,
        ..payment.clone()
    })
}

/// The intended refund is done, with the entry that says so.
pub(crate) fn refunded(
    payment: &Payment,
    intent: &RefundIntent,
    now: Timestamp,
) -> Result<(Payment, Entry), Error> {
    let tender = tender(payment)?;
    let step = refund_step(intent.minor, payment.refundable());
    let after = Payment {
        refunded_minor: payment.refunded_minor + intent.minor,
        refund: None,
        answered: answered(payment, intent, None, now),
        ..stepped(payment, step, now)?
    };
    let entry = ledger::refund(payment, tender, intent.number, intent.minor, now);
    Ok((after, entry))
}

/// The provider refused the intended refund: the money stays where it is.
pub(crate) fn refund_refused(
    payment: &Payment,
    intent: &RefundIntent,
    reason: String,
    now: Timestamp,
) -> Payment {
    Payment {
        refund: None,
        answered: answered(payment, intent, Some(reason.clone()), now),
        reason,
        attempts: 0,
        due_at: None,
        changed_at: now,
        ..payment.clone()
    }
}

/// The payment's answered refunds, and `intent` as one more.
fn answered(
    payment: &Payment,
    intent: &RefundIntent,
    refused: Option<String>,
    at: Timestamp,
) -> Vec<Refund> {
    let one = Refund { intent: intent.clone(), refused, at };
    payment.answered.iter().cloned().chain([one]).collect()
}

const fn refund_step(minor: i64, left: i64) -> Step {
    if minor < left { Step::RefundPart } else { Step::RefundRest }
}

/// What is to be paid.
pub(crate) fn tender(payment: &Payment) -> Result<&Tender, Error> {
    payment.tender.as_ref().ok_or_else(|| {
        let message = "the payment was voided before it was authorized";
        Error::new(ErrorCode::WrongState, message)
    })
}

#[cfg(test)]
mod tests {
    use bistro_core::{Currency, Money};
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Account, Balances, imbalance};

    const NOW: Timestamp = Timestamp::from_millis(7);
    const STATES: [State; 8] =
        [Pending, Authorized, CaptureFailed, Captured, PartiallyRefunded, Refunded, Failed, Voided];

    fn new_payment(minor: i64) -> Payment {
        let amount = Money::new(minor, Currency::GBP);
        let method = "card_ok".to_owned();
        let tender = Tender { restaurant: Id::from_bits(3), amount, method };
        pending(Id::from_bits(1), tender, NOW)
    }

    fn refund(payment: &Payment, minor: i64) -> Result<Payment, Error> {
        refunding(payment, minor, "cold".to_owned(), NOW, NOW)
    }

    #[test]
    fn the_ends_are_ends() {
        let steps = [
            Step::Authorize,
            Step::Decline,
            Step::Void,
            Step::Capture,
            Step::FailCapture,
            Step::RefundPart,
            Step::RefundRest,
        ];
        for end in [Refunded, Failed, Voided] {
            assert!(steps.iter().all(|step| next(end, *step).is_err()), "{end:?}");
        }
    }

    #[test]
    fn money_is_taken_from_what_is_authorized_only() {
        for state in STATES {
            let allowed = next(state, Step::Capture).is_ok();
            assert_eq!(allowed, matches!(state, Authorized | CaptureFailed), "{state:?}");
        }
    }

    #[test]
    fn a_tombstone_allows_nothing() {
        let stone = tombstone(Id::from_bits(1), String::new(), NOW);
        assert!(authorized(&stone, "a".to_owned(), NOW).is_err());
        assert!(captured(&stone, NOW).is_err());
        assert!(refund(&stone, 0).is_err());
    }

    #[test]
    fn too_large_a_refund_and_a_second_at_once_are_refused() {
        let payment = authorized(&new_payment(1000), "a".to_owned(), NOW).unwrap();
        let (payment, _) = captured(&payment, NOW).unwrap();
        assert!(refund(&payment, 1001).is_err());
        assert!(refund(&payment, -1).is_err());
        let under_way = refund(&payment, 400).unwrap();
        assert_eq!(refund(&under_way, 1).unwrap_err().code(), ErrorCode::Conflict);
    }

    #[derive(Clone, Copy, Debug)]
    enum Happening {
        Authorize,
        Decline,
        Void,
        Capture,
        FailCapture,
        Intend(i64),
        RefundDone,
        RefundRefused,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            3 => Just(Happening::Authorize),
            1 => Just(Happening::Decline),
            1 => Just(Happening::Void),
            3 => Just(Happening::Capture),
            2 => Just(Happening::FailCapture),
            4 => (-5_i64..600).prop_map(Happening::Intend),
            4 => Just(Happening::RefundDone),
            1 => Just(Happening::RefundRefused),
        ]
    }

    /// What happens, or the payment unchanged when it may not.
    fn happen(payment: &Payment, what: Happening) -> Result<(Payment, Option<Entry>), Error> {
        let with = |(payment, entry)| (payment, Some(entry));
        Ok(match what {
            Happening::Authorize => (authorized(payment, "a".to_owned(), NOW)?, None),
            Happening::Decline => (declined(payment, "no".to_owned(), NOW)?, None),
            Happening::Void => (voided(payment, "no".to_owned(), NOW)?, None),
            Happening::Capture => with(captured(payment, NOW)?),
            Happening::FailCapture => (capture_failed(payment, "no".to_owned(), NOW, NOW)?, None),
            Happening::Intend(minor) => (refund(payment, minor)?, None),
            Happening::RefundDone => match &payment.refund {
                Some(intent) => with(refunded(payment, intent, NOW)?),
                None => (payment.clone(), None),
            },
            Happening::RefundRefused => match &payment.refund {
                Some(intent) => (refund_refused(payment, intent, "no".to_owned(), NOW), None),
                None => (payment.clone(), None),
            },
        })
    }

    proptest! {
        /// Whatever is tried in whatever order: every change follows the table, money is neither
        /// made nor lost, the ledger sums to 0 and says what the payment says.
        #[test]
        fn money_is_conserved(
            minor in 0_i64..1000, happenings in prop::collection::vec(happening(), 0..40),
        ) {
            let mut payment = new_payment(minor);
            let mut entries: Vec<Entry> = Vec::new();
            for what in happenings {
                let Ok((after, entry)) = happen(&payment, what) else { continue };
                let follows = TABLE.iter().any(|(from, _, to)| (*from, *to) == (payment.state, after.state));
                prop_assert!(follows || payment.state == after.state);
                entries.extend(entry);
                payment = after;
                prop_assert!((0..=payment.captured_minor).contains(&payment.refunded_minor));
                prop_assert!(payment.captured_minor == 0 || payment.captured_minor == minor);
                prop_assert!(payment.captures <= 1 && payment.authorizations <= 1);
                let rest = payment.refundable() == 0 && payment.refunds > 0 && payment.refund.is_none();
                if payment.state == Refunded { prop_assert!(rest); }
                let pending = u32::from(payment.refund.is_some());
                prop_assert_eq!(payment.answered.len(), (payment.refunds - pending) as usize);
                let given = payment.answered.iter().filter(|one| one.refused.is_none());
                prop_assert_eq!(given.map(|one| one.intent.minor).sum::<i64>(), payment.refunded_minor);
            }
            let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), entries.len());
            let mut balances = Balances::default();
            for entry in &entries {
                prop_assert_eq!(imbalance(entry), 0);
                balances.add(entry);
            }
            let of = |account| balances.0.get(&(Currency::GBP, account)).map_or(0, |sum| sum.minor);
            prop_assert_eq!(of(Account::CardsReceivable), payment.refundable());
            prop_assert_eq!(of(Account::RestaurantPayable), -payment.captured_minor);
            prop_assert_eq!(of(Account::Refunds), payment.refunded_minor);
            prop_assert!(balances.imbalance().values().all(|sum| *sum == 0));
        }
    }
}
