//! Asking the provider again: timers of payments that wait for it, and what each answer causes.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_eventing::Backoff;
use bistro_proto::payments::v1;
use bistro_store::{DueTimer, StoreExt as _, Versioned, Work};
use prost::{Message, Name};
use tracing::warn;

use crate::{
    commands::{VOIDED, replace},
    documents::Payment,
    provider::Answer,
    service::Payments,
    states::{self, State, tender},
    wire,
};

/// When an intent is taken up by its timer, if whoever committed it has not done it by then.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// The least time between two asks.
const LEAST: Duration = Duration::from_millis(500);
/// How the time between asks grows.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(1) };

/// Asks what became of a pending authorization.
const AUTHORIZE: &str = "authorize";
/// Tries a capture again.
const CAPTURE: &str = "capture";
/// Does an intended refund.
pub(crate) const REFUND: &str = "refund";

/// The timer of a payment that waits for the provider.
pub(crate) const fn timer_of(payment: &Payment) -> Option<&'static str> {
    match (payment.state, &payment.refund) {
        (State::Pending, _) => Some(AUTHORIZE),
        (State::CaptureFailed, _) => Some(CAPTURE),
        (_, Some(_)) => Some(REFUND),
        (_, None) => None,
    }
}

/// Sets the timer of what the payment waits for.
pub(crate) fn set_timer(work: &mut Work, payment: &Payment) {
    if let (Some(timer), Some(at)) = (timer_of(payment), payment.due_at) {
        work.timer::<Payment>(payment.id, timer, at);
    }
}

/// When a payment that was asked for in vain is asked for again.
fn again(payment: &Payment, now: Timestamp) -> Timestamp {
    now + LEAST + BACKOFF.delay(&payment.id.to_string(), payment.attempts + 1)
}

/// The payment, to be asked for again later.
pub(crate) fn put_off(payment: &Payment, reason: String, now: Timestamp) -> Payment {
    states::put_off(payment, reason, again(payment, now))
}

impl Payments {
    /// A payment's timer fired.
    pub(crate) async fn on_timer(
        &self,
        work: Work,
        timer: &DueTimer,
    ) -> Result<Option<Work>, Error> {
        let found = self.engine.store().load::<Payment>(&timer.document.id).await?;
        let Some(before) = found else { return Ok(None) };
        if timer_of(&before) != Some(timer.name.as_str()) {
            return Ok(None);
        }
        match timer.name.as_str() {
            AUTHORIZE => Ok(Some(self.follow_up(work, &before).await?)),
            CAPTURE => Ok(Some(self.try_capture(work, &before).await?.0)),
            REFUND => self.try_refund(work, &before).await,
            other => {
                let message = format!("payments sets no timer named {other}");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    /// Fills `work` with what became of a pending authorization.
    async fn follow_up(&self, mut work: Work, before: &Versioned<Payment>) -> Result<Work, Error> {
        let now = work.time;
        let after = match self.charges.follow_up(before.id, tender(before)?).await {
            Answer::Approved(name) => {
                tell(
                    &mut work,
                    before,
                    &v1::PaymentAuthorized {
                        payment_id: before.id.to_string(),
                        order_id: before.order().to_string(),
                    },
                );
                states::authorized(before, name, now)?
            }
            Answer::Declined(reason) => {
                tell_failed(&mut work, before, &reason);
                states::declined(before, reason, now)?
            }
            // Whoever had it voided died before it could write that down.
            Answer::Voided => {
                tell_failed(&mut work, before, VOIDED);
                states::voided(before, VOIDED.to_owned(), now)?
            }
            Answer::Pending => put_off(before, String::new(), now),
            Answer::Unknown(reason) => put_off(before, reason, now),
        };
        replace(&mut work, before, &after)?;
        Ok(work)
    }

    /// Asks the provider to take the money, and fills `work` with what came of it.
    pub(crate) async fn try_capture(
        &self,
        mut work: Work,
        before: &Versioned<Payment>,
    ) -> Result<(Work, Payment), Error> {
        let (tender, now) = (tender(before)?, work.time);
        let reason = match self.charges.capture(before, tender).await {
            Answer::Approved(_) => {
                let (after, entry) = states::captured(before, now)?;
                replace(&mut work, before, &after)?;
                work.insert(&entry)?;
                tell(
                    &mut work,
                    before,
                    &v1::PaymentCaptured {
                        payment_id: before.id.to_string(),
                        order_id: before.order().to_string(),
                        restaurant_id: tender.restaurant.to_string(),
                        amount: Some(wire::money(tender.amount)),
                    },
                );
                return Ok((work, after));
            }
            Answer::Declined(reason) | Answer::Unknown(reason) => reason,
            Answer::Voided => VOIDED.to_owned(),
            Answer::Pending => "pending".to_owned(),
        };
        warn!(payment = %before.id, reason, attempts = before.attempts, "a capture failed");
        if before.state != State::CaptureFailed {
            tell(
                &mut work,
                before,
                &v1::PaymentCaptureFailed {
                    payment_id: before.id.to_string(),
                    order_id: before.order().to_string(),
                    reason: wire::code(&reason).to_owned(),
                },
            );
        }
        let after = states::capture_failed(before, reason, again(before, now), now)?;
        replace(&mut work, before, &after)?;
        Ok((work, after))
    }
}

/// Tells that the payment is not going to be authorized.
fn tell_failed(work: &mut Work, before: &Versioned<Payment>, reason: &str) {
    let failed = v1::PaymentFailed {
        payment_id: before.id.to_string(),
        order_id: before.order().to_string(),
        reason: wire::code(reason).to_owned(),
    };
    tell(work, before, &failed);
}

/// Tells that `event` happened to the payment by the change that `work` makes.
fn tell<M: Message + Name>(work: &mut Work, before: &Versioned<Payment>, event: &M) {
    work.event(&M::full_name(), before.id, before.version + 1, event.encode_to_vec());
}
