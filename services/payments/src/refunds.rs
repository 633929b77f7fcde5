//! Refunds: the intent is committed first, then the provider is asked, then the money has moved.

use bistro_core::{Error, Id, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_runtime::Asked;
use bistro_store::{Mark, Versioned, Work};
use prost::Message as _;

use crate::{
    authorizing::shown,
    changes,
    commands::missing,
    documents::Payment,
    service::Payments,
    settling::{intended, replace},
    wire,
};

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
        may_see_to(&asked.principal, order, found.as_ref())?;
        let reason = &wire::reason(&message.reason)?;
        let command = asked.command("payments.refund", message)?;
        let of = (message.tender > 0).then_some(message.tender);
        let decide = |mut work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            let (minor, reason) = (message.amount_minor, reason.clone());
            let after = changes::refunding(&before, minor, of, reason, work.time)?;
            let after = intended(after, work.time);
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
        self.settle_now(order, None).await;
        let payment = self.payment(order).await?.ok_or_else(|| missing(order))?;
        let answered = payment.answered.iter().find(|refund| refund.intent.number == number);
        match answered {
            Some(refund) if refund.refused.is_some() => Err(wire::refund_refused(refund)),
            _ => Ok(shown(&payment)),
        }
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

/// Passes other roles, support, administrators, the operator, and the restaurant's owners and
/// managers. To who may not see the order, its payment does not exist.
pub(crate) fn may_see_to(
    principal: &Principal,
    order: Id<kinds::Order>,
    payment: Option<&Versioned<Payment>>,
) -> Result<(), Error> {
    if principal.require_workload().is_ok() || principal.require_support().is_ok() {
        return Ok(());
    }
    if *principal == Principal::Anonymous {
        return Err(Error::unauthenticated());
    }
    let Some(bill) = payment.and_then(|payment| payment.bill.as_ref()) else {
        return Err(missing(order));
    };
    let works_there = principal.require_staff(bill.restaurant, &[StaffRole::Chef]).is_ok();
    let is_customer = bill.customer.is_some() && bill.customer == principal.user();
    let manages = principal.require_staff(bill.restaurant, &[StaffRole::Manager]);
    manages.map_err(|denied| if works_there || is_customer { denied } else { missing(order) })
}
