//! Tips after the fact: a tender of its own, authorized and taken at once.

use bistro_core::{Error, ErrorCode, Id, Principal, check_card_token, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::{
    orders::v1::{GetOrderRequest, orders_client::OrdersClient},
    payments::v1,
};
use bistro_runtime::{Asked, error_of};
use bistro_store::{Mark, Versioned, Work};
use prost::Message as _;

use crate::{
    authorizing::shown,
    changes,
    commands::missing,
    documents::Payment,
    service::Payments,
    settling::{intended, replace},
    states::State,
    wire,
};

impl Payments {
    /// Takes a tip of the customer's. What the provider refused is answered as an error; while it
    /// does not answer, the payment says that the tender is pending.
    pub(crate) async fn add_tip(
        &self,
        asked: &Asked,
        message: &v1::AddTipRequest,
    ) -> Result<v1::Payment, Error> {
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let found = self.payment(order).await?.ok_or_else(|| missing(order))?;
        self.only_its_customer(&asked.principal, &found).await?;
        let method = match message.payment_method.as_str() {
            "" => None,
            method => {
                check_card_token(method).map_err(|why| Error::field("payment_method", why))?;
                Some(method)
            }
        };
        let command = asked.command("payments.add_tip", message)?;
        let decide = |mut work: Work| async move {
            let before = self.payment(order).await?.ok_or_else(|| missing(order))?;
            let (minor, chosen) = (message.amount_minor, self.charges.chosen());
            let (after, number) = changes::tipping(&before, minor, method, chosen, work.time)?;
            let after = intended(after, work.time);
            replace(&mut work, &before, &after)?;
            work.reply(v1::Tender { number, ..v1::Tender::default() }.encode_to_vec());
            Ok(Decision::commit(work, number))
        };
        let replay = |mark: Mark| async move {
            let named = v1::Tender::decode(mark.reply.as_slice()).map_err(Error::internal)?;
            Ok(named.number)
        };
        let mark_at = MarkAt::Document(Payment::reference(order));
        let number = self.engine.request(&command, &mark_at, decide, replay).await?;
        self.settle_now(order, None).await;
        let payment = self.payment(order).await?.ok_or_else(|| missing(order))?;
        let tender = payment.tender(number)?;
        if matches!(tender.state, State::Failed | State::Voided) || tender.is_lost() {
            return Err(wire::card_declined(&tender.reason));
        }
        Ok(shown(&payment))
    }

    /// Passes the user who pays the order; to others it does not exist. Payments that were made
    /// before they said who pays them are asked about at orders, with the asker's own token.
    async fn only_its_customer(
        &self,
        principal: &Principal,
        payment: &Versioned<Payment>,
    ) -> Result<(), Error> {
        let order = payment.order();
        let user = principal.require_user()?;
        let customer = match payment.bill.as_ref().and_then(|bill| bill.customer) {
            Some(customer) => customer,
            None => self.customer_of(order).await?,
        };
        if customer == user { Ok(()) } else { Err(missing(order)) }
    }

    async fn customer_of(&self, order: Id<kinds::Order>) -> Result<Id<kinds::User>, Error> {
        let mut orders = OrdersClient::new(self.peers.channel("orders")?);
        let request = GetOrderRequest { id: order.to_string() };
        match orders.get_order(request).await.map_err(|status| error_of(&status)) {
            Ok(found) => wire::id("customer_id", &found.into_inner().customer_id),
            Err(error) if error.code() == ErrorCode::NotFound => Err(missing(order)),
            Err(error) => Err(error),
        }
    }
}
