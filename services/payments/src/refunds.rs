//! Refunds: the intent is committed first, then the provider is asked, then the money has moved.

use bistro_core::{Error, Id, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Cause, DueTimer, Mark, Versioned, Work};
use tracing::warn;

use crate::{
    commands::{missing, replace},
    documents::Payment,
    provider::Answer,
    retries::{self, REFUND},
    service::Payments,
    states::{self, tender},
    wire,
};

impl Payments {
    /// Refunds captured money. Answers when the provider has, or as soon as it is certain that it
    /// will be asked until it does.
    pub(crate) async fn refund(
        &self,
        asked: &Asked,
        message: &v1::RefundRequest,
    ) -> Result<v1::Payment, Error> {
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let found = self.payment(order).await?;
        may_refund(&asked.principal, found.as_ref())?;
        let command = asked.command("payments.refund", message)?;
        let decide = |mut work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            let (due_at, now) = (work.time + retries::RECOVERY, work.time);
            let after = states::refunding(&before, message.amount_minor, due_at, now)?;
            replace(&mut work, &before, &after)?;
            Ok(Decision::commit(work, wire::payment_at(&after, before.version + 1)))
        };
        let replay = |_: Mark| self.present(order);
        let mark_at = MarkAt::Document(Payment::reference(order));
        let answer = self.engine.request(&command, &mark_at, decide, replay).await?;
        if self.finish_refund(order).await { self.present(order).await } else { Ok(answer) }
    }

    /// Does an intended refund at once, as its timer would later; whether there was one.
    ///
    /// The Work consumes the intent's timer, so that of this and the timer one has an effect.
    /// When anything goes wrong here, the timer takes over.
    pub(crate) async fn finish_refund(&self, order: Id<kinds::Order>) -> bool {
        let Ok(Some(before)) = self.payment(order).await else {
            return false;
        };
        let (Some(_), Some(at)) = (&before.refund, before.due_at) else {
            return false;
        };
        let timer = DueTimer { document: Payment::reference(order), name: REFUND.to_owned(), at };
        let done = async {
            let work = self.engine.work(Cause::Timer(timer));
            if let Some(work) = self.try_refund(work, &before).await? {
                self.engine.commit(work).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = done.await {
            warn!(payment = %before.id, cause = error.chain(), "a refund is left to its timer");
        }
        true
    }

    /// Asks the provider for the intended refund, and fills `work` with what came of it.
    pub(crate) async fn try_refund(
        &self,
        mut work: Work,
        before: &Versioned<Payment>,
    ) -> Result<Option<Work>, Error> {
        let Some(intent) = &before.refund else {
            return Ok(None);
        };
        let now = work.time;
        match self.charges.refund(before, tender(before)?, intent).await {
            Answer::Approved(_) => {
                let (after, entry) = states::refunded(before, intent, now)?;
                replace(&mut work, before, &after)?;
                work.insert(&entry)?;
            }
            Answer::Declined(reason) => {
                warn!(payment = %before.id, reason, "the provider refused a refund");
                replace(&mut work, before, &states::refund_refused(before, reason, now))?;
            }
            Answer::Pending => {
                replace(&mut work, before, &retries::put_off(before, String::new(), now))?;
            }
            Answer::Unknown(reason) => {
                replace(&mut work, before, &retries::put_off(before, reason, now))?;
            }
        }
        Ok(Some(work))
    }
}

/// Passes other roles, administrators, the operator, and the restaurant's owners and managers.
fn may_refund(principal: &Principal, payment: Option<&Versioned<Payment>>) -> Result<(), Error> {
    if principal.require_workload().is_ok() {
        return Ok(());
    }
    match payment.and_then(|payment| payment.tender.as_ref()) {
        Some(tender) => principal.require_staff(tender.restaurant, &[StaffRole::Manager]),
        None => principal.require_admin(),
    }
}
