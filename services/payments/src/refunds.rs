//! Refunds: the intent is committed first, then the provider is asked, then the money has moved.

use bistro_core::{Error, ErrorCode, Id, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Cause, DueTimer, Mark, Versioned, Work};
use prost::Message as _;
use tracing::warn;

use crate::{
    commands::{VOIDED, missing, replace},
    documents::Payment,
    provider::Answer,
    retries::{self, REFUND},
    service::Payments,
    states::{self, tender},
    wire,
};

/// Refunds that a payment may have: each is kept, with its reason.
const MAX_REFUNDS: u32 = 100;

impl Payments {
    /// Refunds captured money. Answers when the provider has, or as soon as it is certain that it
    /// will be asked until it does; what the provider refused is answered as an error.
    pub(crate) async fn refund(
        &self,
        asked: &Asked,
        message: &v1::RefundRequest,
    ) -> Result<v1::Payment, Error> {
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let found = self.payment(order).await?;
        may_refund(&asked.principal, found.as_ref())?;
        let reason = &wire::reason(&message.reason)?;
        let command = asked.command("payments.refund", message)?;
        let decide = |mut work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            if before.refunds >= MAX_REFUNDS {
                let message = format!(
                    "a payment has {MAX_REFUNDS} refunds at most; give back what is left in another way"
                );
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            let (due_at, now) = (work.time + retries::RECOVERY, work.time);
            let (minor, reason) = (message.amount_minor, reason.clone());
            let after = states::refunding(&before, minor, reason, due_at, now)?;
            replace(&mut work, &before, &after)?;
            work.reply(named(after.refunds));
            Ok(Decision::commit(work, Some(after.refunds)))
        };
        let replay = |mark: Mark| async move { number(&mark) };
        let mark_at = MarkAt::Document(Payment::reference(order));
        match self.engine.request(&command, &mark_at, decide, replay).await? {
            Some(number) => self.finish(order, number).await,
            None => self.present(order).await,
        }
    }

    /// Does refund `number` at once, if it is not done yet, and says what became of it.
    pub(crate) async fn finish(
        &self,
        order: Id<kinds::Order>,
        number: u32,
    ) -> Result<v1::Payment, Error> {
        self.do_intended(order).await;
        let payment = self.payment(order).await?.ok_or_else(|| missing(order))?;
        let answered = payment.answered.iter().find(|refund| refund.intent.number == number);
        match answered.and_then(|refund| refund.refused.as_deref()) {
            Some(reason) => Err(wire::refund_refused(reason)),
            None => Ok(wire::payment(&payment)),
        }
    }

    /// Does an intended refund at once, as its timer would later.
    ///
    /// The Work consumes the intent's timer, so that of this and the timer one has an effect.
    /// When anything goes wrong here, the timer takes over.
    async fn do_intended(&self, order: Id<kinds::Order>) {
        let Ok(Some(before)) = self.payment(order).await else {
            return;
        };
        let (Some(_), Some(at)) = (&before.refund, before.due_at) else {
            return;
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
                replace(&mut work, before, &states::refund_refused(before, intent, reason, now))?;
            }
            Answer::Voided => {
                warn!(payment = %before.id, "the provider has voided what was to be refunded");
                let reason = VOIDED.to_owned();
                replace(&mut work, before, &states::refund_refused(before, intent, reason, now))?;
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

/// The reply of a request that intends refund `number`: repeated, it is answered with what became
/// of that one.
pub(crate) fn named(number: u32) -> Vec<u8> {
    v1::Refund { number, ..v1::Refund::default() }.encode_to_vec()
}

/// The refund that a request intended, as its mark says; none if it intended none.
pub(crate) fn number(mark: &Mark) -> Result<Option<u32>, Error> {
    let named = v1::Refund::decode(mark.reply.as_slice()).map_err(Error::internal)?;
    Ok((named.number > 0).then_some(named.number))
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
