//! The commands that set money aside: authorize a total, and keep one of several.

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Mark, Versioned, Work};

use crate::{
    changes::{self, Wanted},
    commands::missing,
    documents::Payment,
    service::Payments,
    settling::{Run, intended, replace, set_timer},
    states::State,
    wire,
};

/// The answer of a command whose refusal may be committed with its Work.
type Answered = Result<v1::Payment, Error>;

/// What an authorization decided: the answer; none when what is committed has to be asked for, and
/// the payment says the answer then.
type Decided = Option<Answered>;

impl Payments {
    /// Authorizes a total of an order's. What the payment says is the answer, however often it is
    /// asked: marks only tell that nothing is left to be done.
    pub(crate) async fn authorize(
        &self,
        asked: &Asked,
        message: &v1::AuthorizeRequest,
    ) -> Answered {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let wanted = &wire::wanted(message, self.charges.chosen())?;
        let revision = wanted.revision.number;
        let command = asked.command("payments.authorize", message)?;
        let decide = |work: Work| self.decide_authorize(work, order, wanted);
        let replay = |_: Mark| async move {
            let present = self.payment(order).await?.ok_or_else(|| missing(order))?;
            Ok(Some(standing(&present, present.version, revision)))
        };
        let mark_at = MarkAt::Document(Payment::reference(order));
        match self.engine.request(&command, &mark_at, decide, replay).await? {
            Some(answer) => answer,
            None => {
                self.settle_now(order, Some(revision)).await;
                let present = self.payment(order).await?.ok_or_else(|| missing(order))?;
                standing(&present, present.version, revision)
            }
        }
    }

    async fn decide_authorize(
        &self,
        mut work: Work,
        order: Id<kinds::Order>,
        wanted: &Wanted,
    ) -> Result<Decision<Decided>, Error> {
        let revision = wanted.revision.number;
        let now = work.time;
        let Some(present) = self.payment(order).await? else {
            let payment = changes::pending(order, wanted, now);
            // One card is asked for at once: the intent is the caller's call, and a void that
            // finds nothing written down knows its key. Of several, nobody could know how many
            // were asked for: they are written down first.
            let (after, decided) = if wanted.cards.len() == 1 {
                let after = self.settle(payment, now, Run::AtOnce(Some(revision))).await?.payment;
                let answer = standing(&after, 1, revision);
                (after, Some(answer))
            } else {
                (intended(payment, now), None)
            };
            work.insert(&after)?;
            set_timer(&mut work, &after);
            return Ok(Decision::commit(work, decided));
        };
        if present.bill.is_none() {
            // The void came first. Whoever asked for this authorization may have had the provider
            // approve it and then died before it could say so.
            let pending = changes::pending(order, wanted, now);
            if let [only] = pending.tenders.as_slice() {
                self.void_at_provider(&pending, only, now).await?;
                // By whom it was asked for is nowhere written down.
                self.void_everywhere(order, now).await?;
            }
            let answer = standing(&present, present.version, revision);
            return Ok(Decision::Answer(Some(answer)));
        }
        if changes::knows(&present, wanted)? {
            let answer = standing(&present, present.version, revision);
            return Ok(Decision::Answer(Some(answer)));
        }
        let after = intended(changes::revised(&present, wanted, now)?, now);
        replace(&mut work, &present, &after)?;
        Ok(Decision::commit(work, None))
    }

    /// Keeps the authorizations of one revision, and has those of the others given back.
    pub(crate) async fn keep(&self, asked: &Asked, message: &v1::KeepRequest) -> Answered {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let numbers = (message.revision, message.proposed);
        let command = asked.command("payments.keep", message)?;
        let decide = |mut work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            let Some(after) = changes::kept(&before, numbers, work.time)? else {
                return Ok(Decision::Answer(()));
            };
            // Committed even if nothing else changes: its mark keeps a copy that comes late from
            // giving up what was asked for since.
            let after = intended(after, work.time);
            replace(&mut work, &before, &after)?;
            Ok(Decision::commit(work, ()))
        };
        let replay = |_: Mark| async move { Ok(()) };
        let mark_at = MarkAt::Document(Payment::reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await?;
        self.settle_now(order, None).await;
        self.present(order).await
    }
}

/// What a payment answers to whoever wants this revision of it authorized.
fn standing(payment: &Payment, version: i64, revision: u32) -> Answered {
    if payment.voided.is_some() {
        let message = "the order's payment was voided; place a new order";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    match payment.state_of(revision) {
        State::Failed => Err(wire::card_declined(payment.reason_of(revision))),
        State::Voided => {
            let message = "this total of the order was given up, or its payment voided";
            Err(Error::new(ErrorCode::WrongState, message))
        }
        _ => Ok(wire::payment_of(payment, version, revision)),
    }
}

/// A payment as it is stored now.
pub(crate) fn shown(present: &Versioned<Payment>) -> v1::Payment {
    wire::payment_of(&present.value, present.version, present.kept)
}
