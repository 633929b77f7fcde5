//! Settles a payment: runs its errands at the provider, and fills a Work with what came of them.

use std::{collections::HashSet, time::Duration};

use bistro_core::{Error, Id, Timestamp, kinds};
use bistro_eventing::Backoff;
use bistro_proto::payments::v1;
use bistro_store::{Cause, DueTimer, StoreError, StoreExt as _, Versioned, Work};
use prost::{Message, Name};
use tracing::{error, warn};

use crate::{
    changes,
    documents::{Entry, Payment},
    errands::{self, AUTHORIZATION_VOIDED, Errand},
    provider::Answer,
    service::Payments,
    states::State,
    wire,
};

/// When an intent is taken up by its timer, if whoever committed it has not done it by then.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// The least time between two asks.
const LEAST: Duration = Duration::from_millis(500);
/// How the time between asks grows.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(1) };

/// Why errands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// A request has just intended them; it answers what becomes of this total, if it is about one.
    AtOnce(Option<u32>),
    /// They may have been run before.
    Again,
}

/// How the errands of a payment went.
pub(crate) struct Settled {
    /// The payment, with the moment of the next ask if it still waits.
    pub(crate) payment: Payment,
    /// The money that moved.
    pub(crate) entries: Vec<Entry>,
}

/// Sets the timer of what the payment waits for.
pub(crate) fn set_timer(work: &mut Work, payment: &Payment) {
    if let Some((timer, at)) = payment.timer() {
        work.timer::<Payment>(payment.id, timer, at);
    }
}

/// Replaces the payment and keeps its timer in step with what it waits for.
pub(crate) fn replace(
    work: &mut Work,
    before: &Versioned<Payment>,
    after: &Payment,
) -> Result<(), StoreError> {
    work.replace(before, after)?;
    let name = |payment: &Payment| payment.timer().map(|(name, _)| name);
    if let Some(timer) = name(before)
        && name(after) != Some(timer)
    {
        work.cancel_timer::<Payment>(before.id, timer);
    }
    set_timer(work, after);
    Ok(())
}

/// The payment as an intent: whoever commits it runs its errands at once; if they do not, its
/// timer does.
pub(crate) fn intended(payment: Payment, now: Timestamp) -> Payment {
    let due_at = payment.waits_for().map(|_| now + RECOVERY);
    Payment { due_at, ..payment }
}

/// When a payment that was asked for in vain is asked for again.
fn again(payment: &Payment, now: Timestamp) -> Timestamp {
    now + LEAST + BACKOFF.delay(&payment.id.to_string(), payment.attempts)
}

impl Payments {
    /// Runs every errand of the payment's, each once.
    pub(crate) async fn settle(
        &self,
        payment: Payment,
        now: Timestamp,
        run: Run,
    ) -> Result<Settled, Error> {
        let mut tried: HashSet<Errand> = HashSet::new();
        let payment = changes::without_silent_tips(payment, now);
        let mut settled = Settled { payment, entries: Vec::new() };
        while let Some(errand) =
            (errands::errands(&settled.payment).into_iter()).find(|errand| !tried.contains(errand))
        {
            tried.insert(errand);
            let payment = &settled.payment;
            let answer = self.charges.run(payment, errand, run == Run::Again, now).await?;
            if let Answer::Unknown(reason) = &answer {
                warn!(payment = %payment.id, ?errand, reason, "the card provider has not answered");
            }
            let (payment, entry) = errands::answered(payment, errand, answer, now)?;
            settled.payment = payment;
            settled.entries.extend(entry);
        }
        settled.payment = put_off(settled.payment, now);
        Ok(settled)
    }

    /// Fills `work` with what came of the errands of the payment that is stored.
    pub(crate) async fn settle_stored(
        &self,
        mut work: Work,
        before: &Versioned<Payment>,
        wanted: Payment,
        run: Run,
    ) -> Result<(Work, Payment), Error> {
        let Settled { payment, entries } = self.settle(wanted, work.time, run).await?;
        replace(&mut work, before, &payment)?;
        for entry in &entries {
            work.insert(entry)?;
        }
        tell_captures(&mut work, before, &payment);
        tell_authorizations(&mut work, before, &payment, run);
        Ok((work, payment))
    }

    /// A payment's timer fired.
    pub(crate) async fn on_timer(
        &self,
        work: Work,
        timer: &DueTimer,
    ) -> Result<Option<Work>, Error> {
        let found = self.engine.store().load::<Payment>(&timer.document.id).await?;
        let Some(before) = found else { return Ok(None) };
        if before.timer().is_none_or(|(name, _)| name != timer.name) {
            return Ok(None);
        }
        let payment = before.value.clone();
        Ok(Some(self.settle_stored(work, &before, payment, Run::Again).await?.0))
    }

    /// Runs the errands that the payment was committed with, as its timer would later, for a request
    /// that answers what becomes of a total, if it is about one.
    ///
    /// The Work consumes the timer, so that of this and the timer one has an effect. When anything
    /// goes wrong here, the timer takes over.
    pub(crate) async fn settle_now(&self, order: Id<kinds::Order>, answers: Option<u32>) {
        let Ok(Some(before)) = self.payment(order).await else {
            return;
        };
        let Some((name, at)) = before.timer() else {
            return;
        };
        let timer = DueTimer { document: Payment::reference(order), name: name.to_owned(), at };
        let done = async {
            let work = self.engine.work(Cause::Timer(timer));
            let payment = before.value.clone();
            let run = Run::AtOnce(answers);
            let (work, _) = self.settle_stored(work, &before, payment, run).await?;
            self.engine.commit(work).await?;
            Ok::<(), Error>(())
        };
        if let Err(error) = done.await {
            warn!(payment = %before.id, cause = error.chain(), "a payment is left to its timer");
        }
    }
}

/// The payment, to be asked for again later if it still waits.
fn put_off(payment: Payment, now: Timestamp) -> Payment {
    if payment.waits_for().is_none() {
        return Payment { attempts: 0, due_at: None, ..payment };
    }
    let payment = Payment { attempts: payment.attempts.saturating_add(1), ..payment };
    let due_at = Some(again(&payment, now));
    Payment { due_at, ..payment }
}

/// Tells that the money of the order was taken, or that it was not.
fn tell_captures(work: &mut Work, before: &Versioned<Payment>, after: &Payment) {
    let (was, is) = (before.state(), after.state());
    let (payment_id, order_id) = (before.id.to_string(), before.order().to_string());
    if !was.is_taken()
        && is.is_taken()
        && let Some(bill) = &after.bill
    {
        let captured = v1::PaymentCaptured {
            payment_id,
            order_id,
            restaurant_id: bill.restaurant.to_string(),
            amount: Some(wire::minor(after.captured_minor(), bill)),
        };
        tell(work, before, &captured);
        return;
    }
    let is_lost = after.is_lost() && !before.is_lost();
    if is == State::CaptureFailed && (was != State::CaptureFailed || is_lost) {
        let given_up = after.is_lost();
        let reason = if given_up { AUTHORIZATION_VOIDED } else { wire::code(after.reason()) };
        if given_up {
            error!(payment = %before.id, "the card provider had voided what was to be captured");
        } else {
            warn!(payment = %before.id, reason, "a capture failed");
        }
        let reason = reason.to_owned();
        let failed = v1::PaymentCaptureFailed { payment_id, order_id, reason, given_up };
        tell(work, before, &failed);
    }
}

/// Tells what became of totals that were pending, but for the one that is answered.
fn tell_authorizations(work: &mut Work, before: &Versioned<Payment>, after: &Payment, run: Run) {
    for revision in &before.revisions {
        let number = revision.number;
        if before.state_of(number) != State::Pending || run == Run::AtOnce(Some(number)) {
            continue;
        }
        let (payment_id, order_id) = (before.id.to_string(), before.order().to_string());
        match after.state_of(number) {
            State::Authorized => {
                let told = v1::PaymentAuthorized { payment_id, order_id, revision: number };
                tell(work, before, &told);
            }
            State::Failed | State::Voided => {
                let reason = wire::code(after.reason_of(number)).to_owned();
                let told = v1::PaymentFailed { payment_id, order_id, reason, revision: number };
                tell(work, before, &told);
            }
            _ => {}
        }
    }
}

/// Tells that `event` happened to the payment by the change that `work` makes.
pub(crate) fn tell<M: Message + Name>(work: &mut Work, before: &Versioned<Payment>, event: &M) {
    work.event(&M::full_name(), before.id, before.version + 1, event.encode_to_vec());
}
