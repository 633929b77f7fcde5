//! Questions: an order's payment, and the ledger's balances.

use bistro_core::{Error, ErrorCode, Id, Money, Principal, StaffRole, kinds};
use bistro_proto::{
    orders::v1::{GetOrderRequest, orders_client::OrdersClient},
    payments::v1,
};
use bistro_runtime::{Asked, error_of};
use bistro_store::{Cursor, Query, StoreExt as _};

use crate::{
    commands::missing,
    documents::{BY_RESTAURANT, Entry, Payment},
    ledger::Balances,
    service::Payments,
    wire,
};

/// Ledger entries read at once.
const ENTRIES_PER_PAGE: u32 = 1000;

impl Payments {
    /// The order's payment, for whoever may see the order.
    pub(crate) async fn get_payment(
        &self,
        asked: &Asked,
        message: &v1::GetPaymentRequest,
    ) -> Result<v1::Payment, Error> {
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let found = self.payment(order).await?;
        let works_there = found.as_ref().is_some_and(|payment| may_see(&asked.principal, payment));
        if !works_there && asked.principal.require_workload().is_err() {
            self.ask_orders(order).await?;
        }
        let payment = found.ok_or_else(|| missing(order))?;
        Ok(wire::payment(&payment))
    }

    /// Passes whoever orders shows the order to: it is asked with the asker's own token.
    async fn ask_orders(&self, order: Id<kinds::Order>) -> Result<(), Error> {
        let mut orders = OrdersClient::new(self.peers.channel("orders")?);
        let request = GetOrderRequest { id: order.to_string() };
        match orders.get_order(request).await.map_err(|status| error_of(&status)) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == ErrorCode::NotFound => Err(missing(order)),
            Err(error) => Err(error),
        }
    }

    /// Sums of a restaurant's accounts, or of all. Reads every entry there is: balances are asked
    /// for now and then by people, and nothing is kept that could disagree with the entries.
    pub(crate) async fn get_balances(
        &self,
        asked: &Asked,
        message: &v1::GetBalancesRequest,
    ) -> Result<v1::GetBalancesResponse, Error> {
        let query = if message.restaurant_id.is_empty() {
            asked.principal.require_workload().or_else(|_| asked.principal.require_admin())?;
            Query::all::<Entry>()
        } else {
            let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
            if asked.principal.require_workload().is_err() {
                asked.principal.require_staff(restaurant, &[StaffRole::Manager])?;
            }
            Query::prefix::<Entry>(BY_RESTAURANT, &bistro_store::Key::new().id(restaurant))
        };
        let balances = self.sum(query).await?;
        let balance = |(currency, account): (_, crate::ledger::Account),
                       sum: crate::ledger::Sum| {
            v1::Balance {
                account: account.as_str().to_owned(),
                amount: Some(wire::money(Money::new(sum.minor, currency))),
                entries: sum.lines,
            }
        };
        Ok(v1::GetBalancesResponse {
            balances: balances.0.iter().map(|(key, sum)| balance(*key, *sum)).collect(),
            imbalance: (balances.imbalance().into_iter())
                .map(|(currency, minor)| wire::money(Money::new(minor, currency)))
                .collect(),
        })
    }

    async fn sum(&self, query: Query) -> Result<Balances, Error> {
        let mut query = query.limit(ENTRIES_PER_PAGE);
        let mut balances = Balances::default();
        loop {
            let page = self.engine.store().list::<Entry>(query.clone()).await?;
            for entry in &page.items {
                balances.add(entry);
            }
            let Some(next) = page.next else {
                return Ok(balances);
            };
            query.after = Some(Cursor::decode(&next)?);
        }
    }
}

/// Whether the asker may see the payment for what the asker is, whoever ordered.
fn may_see(principal: &Principal, payment: &Payment) -> bool {
    let staff = [StaffRole::Manager, StaffRole::Chef];
    let of_restaurant = |restaurant| principal.require_staff(restaurant, &staff).is_ok();
    principal.require_admin().is_ok()
        || payment.tender.as_ref().is_some_and(|tender| of_restaurant(tender.restaurant))
}
