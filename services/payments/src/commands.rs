//! The commands that end what was set aside: capture and void, each one Work.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Mark, StoreError, StoreExt as _, Versioned, Work};

use crate::{
    authorizing::shown,
    changes,
    documents::{Payment, Tender},
    provider::Answer,
    refunds,
    service::Payments,
    settling::{Run, intended, replace},
    wire,
};

impl Payments {
    /// Takes the authorized money. When the provider does not, it is tried again until it does, or
    /// until the provider says that it holds none of it any more.
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
            // What is lost is asked for no more, whoever asks.
            let is_over = before.is_lost() && before.waits_for().is_none();
            if before.state().is_taken() || is_over {
                return Ok(Decision::Answer(shown(&before)));
            }
            let wanted = changes::capturing(&before, work.time)?;
            let (work, after) =
                self.settle_stored(work, &before, wanted, Run::AtOnce(None)).await?;
            let answer = wire::payment_of(&after, before.version + 1, after.kept);
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| self.present(order);
        let mark_at = MarkAt::Document(Payment::reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Gives every authorization back, and all that was taken and not refunded yet.
    pub(crate) async fn void(
        &self,
        asked: &Asked,
        message: &v1::VoidRequest,
    ) -> Result<v1::Payment, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let reason = wire::code(&message.reason);
        let command = asked.command("payments.void", message)?;
        let decide = |work: Work| self.decide_void(work, order, reason);
        let replay = |mark: Mark| async move { refunds::number(&mark) };
        let mark_at = MarkAt::Document(Payment::reference(order));
        let refund = self.engine.request(&command, &mark_at, decide, replay).await?;
        match refund {
            Some(number) => self.finish(order, number).await,
            None => self.present(order).await,
        }
    }

    /// Gives the number of the refund that the void intends, if there is money to be refunded.
    async fn decide_void(
        &self,
        mut work: Work,
        order: Id<kinds::Order>,
        reason: &str,
    ) -> Result<Decision<Option<u32>>, Error> {
        let Some(before) = self.payment(order).await? else {
            // The provider may have approved an authorization whose Work was never committed,
            // because whoever asked for it died: it is nowhere but there.
            self.void_everywhere(order, work.time).await?;
            let stone = changes::tombstone(order, reason.to_owned(), work.time);
            work.insert(&stone)?;
            return Ok(Decision::commit(work, None));
        };
        let open = || before.tenders.iter().filter(|tender| tender.state.is_open());
        let state = before.state();
        let refundable = state.is_taken() && before.refundable() > 0;
        if open().next().is_none() && !refundable {
            return Ok(Decision::Answer(None));
        }
        for tender in open() {
            self.void_at_provider(&before, tender, work.time).await?;
        }
        let mut after = changes::voided(&before, reason, work.time)?;
        // Of tenders that pay one order, some may be taken although others could not be.
        if after.refundable() > 0 {
            after = changes::refunding(&after, 0, None, reason.to_owned(), work.time)?;
            work.reply(refunds::named(after.refunds));
        }
        let number = after.refund.as_ref().map(|intent| intent.number);
        let after = intended(after, work.time);
        replace(&mut work, &before, &after)?;
        Ok(Decision::commit(work, number))
    }

    /// Has the provider void what it authorized for the tender; an error unless it is known to be
    /// done.
    pub(crate) async fn void_at_provider(
        &self,
        payment: &Payment,
        tender: &Tender,
        now: Timestamp,
    ) -> Result<(), Error> {
        is_voided(self.charges.void(payment, tender, now).await?)
    }

    /// Has every provider void what it may have authorized for an order of whose payment nothing
    /// is written down; an error unless it is known to be done.
    pub(crate) async fn void_everywhere(
        &self,
        order: Id<kinds::Order>,
        now: Timestamp,
    ) -> Result<(), Error> {
        is_voided(self.charges.void_unknown(order.sibling(), now).await)
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
        Ok(shown(&present))
    }
}

fn is_voided(answer: Answer) -> Result<(), Error> {
    let why = match answer {
        Answer::Approved(_) | Answer::Voided => return Ok(()),
        Answer::Declined(reason) | Answer::Unknown(reason) => reason,
        Answer::Pending(_) => "it is pending".to_owned(),
    };
    let message = format!("the card provider has not voided the authorization: {why}; ask again");
    Err(Error::new(ErrorCode::Unavailable, message))
}

/// The error of an order that has no payment.
pub(crate) fn missing(order: Id<kinds::Order>) -> Error {
    Error::not_found(format_args!("payment of the order {order}"))
}
