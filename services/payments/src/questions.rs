//! Questions: an order's payment, a restaurant's payments, and the ledger's balances.

use bistro_core::{Error, ErrorCode, Id, Money, Principal, StaffRole, kinds};
use bistro_proto::{
    orders::v1::{GetOrderRequest, orders_client::OrdersClient},
    payments::v1,
};
use bistro_runtime::{Asked, error_of};
use bistro_store::{Cursor, Key, Query, StoreExt as _};

use crate::{
    authorizing::shown,
    books::Book,
    commands::missing,
    documents::{BY_RESTAURANT, BY_STATE, Entry, Payment},
    ledger::{self, Balances},
    refunds::may_see_to,
    service::Payments,
    states::State,
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
        Ok(shown(&payment))
    }

    /// The payments of a restaurant, newest first; in one state, if it is named.
    pub(crate) async fn list_payments(
        &self,
        asked: &Asked,
        message: &v1::ListPaymentsRequest,
    ) -> Result<v1::ListPaymentsResponse, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        let principal = &asked.principal;
        if principal.require_workload().is_err() && principal.require_support().is_err() {
            principal.require_staff(restaurant, &[StaffRole::Manager])?;
        }
        let of_restaurant = Key::new().id(restaurant);
        let query = if message.state.is_empty() {
            Query::prefix::<Payment>(BY_RESTAURANT, &of_restaurant)
        } else {
            let state = State::parse(&message.state).ok_or_else(|| {
                let words = State::ALL.map(State::as_str).join(", ");
                Error::field("state", format!("write one of {words}, or leave it out"))
            })?;
            Query::prefix::<Payment>(BY_STATE, &of_restaurant.text(state.as_str()))
        };
        let query = query.descending().page(&wire::page(message.page.as_ref()))?;
        let page = self.engine.store().list::<Payment>(query).await?;
        Ok(v1::ListPaymentsResponse {
            payments: page.items.iter().map(shown).collect(),
            next_cursor: page.next.unwrap_or_default(),
        })
    }

    /// What the ledger says of an order, oldest first. The payment names its entries, so that
    /// nothing is searched; there are as many as it has captures, and one or two for each part of a
    /// refund.
    pub(crate) async fn list_entries(
        &self,
        asked: &Asked,
        message: &v1::ListEntriesRequest,
    ) -> Result<v1::ListEntriesResponse, Error> {
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let found = self.payment(order).await?;
        may_see_to(&asked.principal, order, found.as_ref())?;
        let payment = found.ok_or_else(|| missing(order))?;
        let ids: Vec<String> = ledger::ids(&payment).iter().map(ToString::to_string).collect();
        let mut entries = self.engine.store().load_many::<Entry>(&ids).await?;
        entries.sort_by_key(|entry| (entry.at, entry.id));
        let entries = entries.iter().map(|entry| wire::entry(entry)).collect();
        Ok(v1::ListEntriesResponse { entries })
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

    /// Sums of a restaurant's accounts, or of all: of a book, and of the entries since, which are
    /// those of the last hour or so. See `books`.
    ///
    /// Sums that the Work which inserts an entry adjusted would be one more command in the
    /// transaction of every capture, on the one document that every other capture wants at that
    /// moment.
    pub(crate) async fn get_balances(
        &self,
        asked: &Asked,
        message: &v1::GetBalancesRequest,
    ) -> Result<v1::GetBalancesResponse, Error> {
        let whose = if message.restaurant_id.is_empty() {
            asked.principal.require_workload().or_else(|_| asked.principal.require_admin())?;
            None
        } else {
            let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
            if asked.principal.require_workload().is_err() {
                asked.principal.require_staff(restaurant, &[StaffRole::Manager])?;
            }
            Some(restaurant)
        };
        let balances = self.balances(whose).await?;
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

    /// The sums of the accounts of a restaurant, or of all.
    pub(crate) async fn balances(
        &self,
        whose: Option<Id<kinds::Restaurant>>,
    ) -> Result<Balances, Error> {
        let book = Book::read(&self.engine, whose).await?;
        let mut query = book.rest().limit(ENTRIES_PER_PAGE);
        let mut balances = book.balances();
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
    principal.require_support().is_ok()
        || payment.bill.as_ref().is_some_and(|bill| of_restaurant(bill.restaurant))
}
