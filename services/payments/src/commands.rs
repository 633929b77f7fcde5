//! The commands of an order's life: authorize, capture and void, each one Work.

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Mark, StoreError, StoreExt as _, Versioned, Work};

use crate::{
    documents::{Payment, Tender},
    provider::Answer,
    refunds, retries,
    service::Payments,
    states::{self, State},
    wire,
};

/// The reason of a payment that the provider had voided before anything else was written down.
pub(crate) const VOIDED: &str = "voided";

/// The answer of a command whose refusal may be committed with its Work.
type Answered = Result<v1::Payment, Error>;

impl Payments {
    /// Authorizes an order's total. What the payment says is the answer, however often it is
    /// asked: marks only tell that nothing is left to be done.
    pub(crate) async fn authorize(
        &self,
        asked: &Asked,
        message: &v1::AuthorizeRequest,
    ) -> Result<v1::Payment, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let tender = &wire::tender(message)?;
        let command = asked.command("payments.authorize", message)?;
        let decide = |mut work: Work| async move {
            if let Some(present) = self.payment(order).await? {
                return Ok(Decision::Answer(self.authorized_already(&present, tender).await?));
            }
            let payment = states::pending(order, tender.clone(), work.time);
            let after = match self.charges.authorize(payment.id, tender).await {
                Answer::Approved(name) => states::authorized(&payment, name, work.time)?,
                Answer::Declined(reason) => states::declined(&payment, reason, work.time)?,
                Answer::Voided => states::voided(&payment, VOIDED.to_owned(), work.time)?,
                Answer::Pending => retries::put_off(&payment, String::new(), work.time),
                Answer::Unknown(reason) => retries::put_off(&payment, reason, work.time),
            };
            work.insert(&after)?;
            retries::set_timer(&mut work, &after);
            Ok(Decision::commit(work, standing(&after, 1)))
        };
        let replay = |_: Mark| async move {
            let present = self.payment(order).await?.ok_or_else(|| missing(order))?;
            Ok(standing(&present, present.version))
        };
        let mark_at = MarkAt::Document(Payment::reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await?
    }

    /// The answer to an authorization that finds the order's payment.
    async fn authorized_already(
        &self,
        present: &Versioned<Payment>,
        asked: &Tender,
    ) -> Result<Answered, Error> {
        let Some(tender) = &present.tender else {
            // The void came first. Whoever asked for this authorization may have had the provider
            // approve it and then died before it could say so.
            self.void_at_provider(present.id).await?;
            return Ok(standing(present, present.version));
        };
        if tender != asked {
            let message = "the order has another payment already; an order is paid once";
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        Ok(standing(present, present.version))
    }

    /// Takes the authorized money. When the provider does not, it is tried again until it does.
    pub(crate) async fn capture(
        &self,
        asked: &Asked,
        message: &v1::CaptureRequest,
    ) -> Result<v1::Payment, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let command = asked.command("payments.capture", message)?;
        let decide = |work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            if matches!(before.state, State::Captured | State::PartiallyRefunded | State::Refunded)
            {
                return Ok(Decision::Answer(wire::payment(&before)));
            }
            states::next(before.state, states::Step::Capture)?;
            let (work, after) = self.try_capture(work, &before).await?;
            Ok(Decision::commit(work, wire::payment_at(&after, before.version + 1)))
        };
        let replay = |_: Mark| self.present(order);
        let mark_at = MarkAt::Document(Payment::reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Gives the authorization back, or all that was taken and not refunded yet.
    pub(crate) async fn void(
        &self,
        asked: &Asked,
        message: &v1::VoidRequest,
    ) -> Result<v1::Payment, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let reason = wire::code(&message.reason);
        let command = asked.command("payments.void", message)?;
        let decide = |mut work: Work| async move {
            let Some(before) = self.payment(order).await? else {
                // The provider may have approved an authorization whose Work was never
                // committed, because whoever asked for it died: it is nowhere but there.
                self.void_at_provider(order.sibling()).await?;
                let stone = states::tombstone(order, reason.to_owned(), work.time);
                work.insert(&stone)?;
                return Ok(Decision::commit(work, None));
            };
            let after = match before.state {
                State::Pending | State::Authorized | State::CaptureFailed => {
                    self.void_at_provider(before.id).await?;
                    states::voided(&before, reason.to_owned(), work.time)?
                }
                State::Captured | State::PartiallyRefunded if before.refundable() > 0 => {
                    let due_at = work.time + retries::RECOVERY;
                    let after =
                        states::refunding(&before, 0, reason.to_owned(), due_at, work.time)?;
                    work.reply(refunds::named(after.refunds));
                    after
                }
                _ => return Ok(Decision::Answer(None)),
            };
            replace(&mut work, &before, &after)?;
            Ok(Decision::commit(work, after.refund.map(|intent| intent.number)))
        };
        let replay = |mark: Mark| async move { refunds::number(&mark) };
        let mark_at = MarkAt::Document(Payment::reference(order));
        let refund = self.engine.request(&command, &mark_at, decide, replay).await?;
        match refund {
            Some(number) => self.finish(order, number).await,
            None => self.present(order).await,
        }
    }

    /// Has the provider void whatever it authorized; an error unless it is known to be done.
    async fn void_at_provider(&self, payment: Id<kinds::Payment>) -> Result<(), Error> {
        let why = match self.charges.void(payment).await {
            Answer::Approved(_) | Answer::Voided => return Ok(()),
            Answer::Declined(reason) | Answer::Unknown(reason) => reason,
            Answer::Pending => "it is pending".to_owned(),
        };
        let message =
            format!("the card provider has not voided the authorization: {why}; ask again");
        Err(Error::new(ErrorCode::Unavailable, message))
    }

    /// The order's payment, if it has one.
    pub(crate) async fn payment(
        &self,
        order: Id<kinds::Order>,
    ) -> Result<Option<Versioned<Payment>>, StoreError> {
        self.engine.store().load(&Payment::reference(order).id).await
    }

    /// The order's payment as it is now.
    pub(crate) async fn present(&self, order: Id<kinds::Order>) -> Result<v1::Payment, Error> {
        let present = self.payment(order).await?.ok_or_else(|| missing(order))?;
        Ok(wire::payment(&present))
    }
}

/// Replaces the payment and keeps its timer in step with what it waits for.
pub(crate) fn replace(
    work: &mut Work,
    before: &Versioned<Payment>,
    after: &Payment,
) -> Result<(), StoreError> {
    work.replace(before, after)?;
    if let Some(timer) = retries::timer_of(before)
        && retries::timer_of(after) != Some(timer)
    {
        work.cancel_timer::<Payment>(before.id, timer);
    }
    retries::set_timer(work, after);
    Ok(())
}

/// What a payment answers to whoever wants it authorized.
fn standing(payment: &Payment, version: i64) -> Answered {
    match payment.state {
        State::Failed => Err(wire::card_declined(&payment.reason)),
        State::Voided => {
            let message = "the order's payment was voided; place a new order";
            Err(Error::new(ErrorCode::WrongState, message))
        }
        _ => Ok(wire::payment_at(payment, version)),
    }
}

/// The error of an order that has no payment.
pub(crate) fn missing(order: Id<kinds::Order>) -> Error {
    Error::not_found(format_args!("payment of the order {order}"))
}
