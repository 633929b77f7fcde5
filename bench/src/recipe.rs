//! The commits and the publish of placing one order, as plain data: what the bare loop does.
//!
//! Of the same number, size, indexes, marks, timers and calls as the roles make them; the budget
//! scenario counts that the roles make four.

use anyhow::Result;
use bistro_core::{Id, IdSource, Timestamp, kinds};
use bistro_store::{CallStep, Cause, Collection, DocumentRef, Key, TimerChange, Work, Write};

use crate::collections::{index, named};

/// How many dishes there are to order.
pub(crate) const DISHES: usize = 200;
/// Dishes of an order.
const LINES: usize = 3;
/// Bytes of protobuf of the calls' requests, and of the event.
const RESERVE_BYTES: usize = 170;
const AUTHORIZE_BYTES: usize = 95;
const EVENT_BYTES: usize = 115;
const CONFIRM_TIMER: &str = "confirm";
const ACCEPT_TIMER: &str = "accept";
const MINUTE: i64 = 60_000;

/// Makes Works.
pub(crate) struct Recipe {
    orders: &'static Collection,
    payments: &'static Collection,
    reservations: &'static Collection,
    items: &'static Collection,
    by_customer: &'static str,
    by_customer_and_restaurant: &'static str,
    by_restaurant: &'static str,
    open_by_restaurant: &'static str,
    by_state: &'static str,
    check: &'static str,
    item_name: &'static str,
    restaurant: Id<kinds::Restaurant>,
    dishes: Vec<Id<kinds::Item>>,
}

/// The Works of placing one order, in the order in which they are committed.
pub(crate) type Placing = [Work; 4];

impl Recipe {
    /// A recipe for orders of one restaurant; ids derive from `at`.
    pub(crate) fn new(at: Timestamp) -> Result<Self> {
        let source = IdSource::from_cause(at, "a restaurant");
        let (orders, reservations, items) = (
            named("orders", "orders")?,
            named("catalog", "reservations")?,
            named("catalog", "items")?,
        );
        Ok(Self {
            by_customer: index(orders, "by_customer")?,
            by_customer_and_restaurant: index(orders, "by_customer_and_restaurant")?,
            by_restaurant: index(orders, "by_restaurant")?,
            open_by_restaurant: index(orders, "open_by_restaurant")?,
            by_state: index(orders, "by_state")?,
            check: index(reservations, "check")?,
            item_name: index(items, "name")?,
            orders,
            payments: named("payments", "payments")?,
            reservations,
            items,
            restaurant: source.id("restaurant"),
            dishes: (0..DISHES).map(|number| source.id(&format!("dish {number}"))).collect(),
        })
    }

    /// The Works that put the dishes there.
    pub(crate) fn menu(&self, at: Timestamp) -> Vec<Work> {
        let work = |(number, dish): (usize, &Id<kinds::Item>)| {
            let name = format!("Dish of the house {number}");
            let mut work =
                Work::new("catalog", Cause::Tick { name: format!("menu/{dish}") }, at, None);
            let now = at.as_millis();
            let data = format!(
                r#"{{"id":"{dish}","restaurant":"{}","name":"{name}","price_minor":950,"currency":"GBP","available":true,"counted":true,"free":1000000000,"stocked":1000000000,"revision":1,"changed_at":{now}}}"#,
                self.restaurant
            );
            let keys = vec![(self.item_name, Key::new().id(self.restaurant).text(&name))];
            let document = DocumentRef { collection: self.items, id: dish.to_string() };
            work.writes.push(Write::Insert { document, data, keys, by_request: false });
            work
        };
        self.dishes.iter().enumerate().map(work).collect()
    }

    /// The Works of order `number`, placed at `at`.
    pub(crate) fn placing(&self, number: u64, at: Timestamp) -> Placing {
        let source = IdSource::from_cause(at, &format!("order {number}"));
        let order: Id<kinds::Order> = source.id("order");
        let customer: Id<kinds::User> =
            IdSource::from_cause(at, &format!("customer {}", number % 64)).id("user");
        let dishes = self.chosen(number);
        let document = DocumentRef { collection: self.orders, id: order.to_string() };

        let mut place = Work::new("orders", request("orders.place", number), at, None);
        place.writes.push(Write::Insert {
            document: document.clone(),
            data: self.order(order, customer, &dishes, at, "placed"),
            keys: self.order_keys(customer, at, "placed"),
            by_request: true,
        });
        place.timers.push(timer(&document, CONFIRM_TIMER, Some(at.as_millis() + 2 * MINUTE)));
        let step = |role: &str, method: &str, bytes| CallStep {
            role: role.to_owned(),
            method: method.to_owned(),
            request: vec![0x2a; bytes],
        };
        place.call(
            "place",
            vec![
                step("catalog", "/bistro.catalog.v1.Catalog/Reserve", RESERVE_BYTES),
                step("payments", "/bistro.payments.v1.Payments/Authorize", AUTHORIZE_BYTES),
            ],
        );
        let outcome =
            Cause::Outcome { document: document.clone(), call: place.calls[0].id.clone() };

        let mut confirm = Work::new("orders", outcome, at, None);
        confirm.writes.push(Write::Replace {
            document: document.clone(),
            version: 1,
            data: self.order(order, customer, &dishes, at, "confirmed"),
            keys: self.order_keys(customer, at, "confirmed"),
        });
        confirm.timers.push(timer(&document, CONFIRM_TIMER, None));
        confirm.timers.push(timer(&document, ACCEPT_TIMER, Some(at.as_millis() + 10 * MINUTE)));
        confirm.event("bistro.orders.v1.OrderConfirmed", order, 2, vec![0x2a; EVENT_BYTES]);
        [
            place,
            self.reserve(number, order, &dishes, at),
            self.authorize(number, order, at),
            confirm,
        ]
    }

    fn reserve(
        &self,
        number: u64,
        order: Id<kinds::Order>,
        dishes: &[Id<kinds::Item>],
        at: Timestamp,
    ) -> Work {
        let mut work = Work::new("catalog", request("catalog.reserve", number), at, None);
        let id = order.sibling::<kinds::Reservation>();
        let (now, expires) = (at.as_millis(), at.as_millis() + 15 * MINUTE);
        let taken: Vec<String> =
            dishes.iter().map(|dish| format!(r#"{{"item":"{dish}","quantity":2}}"#)).collect();
        let data = format!(
            r#"{{"id":"{id}","restaurant":"{}","state":"held","taken":[{}],"expires_at":{expires},"check_at":{expires},"changed_at":{now}}}"#,
            self.restaurant,
            taken.join(",")
        );
        let document = DocumentRef { collection: self.reservations, id: id.to_string() };
        let keys = vec![(self.check, Key::new().int(expires))];
        work.writes.push(Write::Insert { document, data, keys, by_request: false });
        work.writes.extend(dishes.iter().map(|dish| Write::Adjust {
            document: DocumentRef { collection: self.items, id: dish.to_string() },
            field: "free",
            by: -2,
            at_least: 0,
        }));
        work
    }

    fn authorize(&self, number: u64, order: Id<kinds::Order>, at: Timestamp) -> Work {
        let mut work = Work::new("payments", request("payments.authorize", number), at, None);
        let (id, restaurant) = (order.sibling::<kinds::Payment>(), self.restaurant);
        let now = at.as_millis();
        let data = format!(
            r#"{{"id":"{id}","bill":{{"restaurant":"{restaurant}","currency":"GBP"}},"revisions":[{{"number":0,"minor":5700,"tip_minor":0}}],"kept":0,"voided":null,"tenders":[{{"number":1,"purpose":{{"order":0}},"minor":5700,"method":"card_ok","provider":"sandbox","state":"authorized","wish":"hold","authorization":"sandbox:card_ok:{id}/authorize","captured_minor":0,"refunded_minor":0,"authorizations":1,"captures":0,"reason":""}}],"refund":null,"refunds":0,"attempts":0,"due_at":null,"changed_at":{now}}}"#
        );
        let of_restaurant = Key::new().text(&restaurant.to_string());
        let keys = vec![
            ("restaurant", of_restaurant.clone().int(now)),
            ("state", of_restaurant.text("authorized").int(now)),
        ];
        let document = DocumentRef { collection: self.payments, id: id.to_string() };
        work.writes.push(Write::Insert { document, data, keys, by_request: false });
        work
    }

    /// Different dishes, which follow from the order's number.
    fn chosen(&self, number: u64) -> Vec<Id<kinds::Item>> {
        let first = usize::try_from(number.wrapping_mul(7919) % DISHES as u64).unwrap_or(0);
        (0..LINES).map(|line| self.dishes[(first + line * 61) % DISHES]).collect()
    }

    fn order(
        &self,
        id: Id<kinds::Order>,
        customer: Id<kinds::User>,
        dishes: &[Id<kinds::Item>],
        at: Timestamp,
        state: &str,
    ) -> String {
        let now = at.as_millis();
        let lines: Vec<String> = dishes
            .iter()
            .map(|dish| format!(r#"{{"item":"{dish}","name":"Dish of the house 100","quantity":2,"unit_price_minor":950}}"#))
            .collect();
        let confirmed = match state {
            "placed" => String::new(),
            _ => format!(r#",{{"state":"{state}","at":{now},"by":"payments"}}"#),
        };
        format!(
            r#"{{"id":"{id}","customer":"{customer}","restaurant":"{}","lines":[{}],"total":{{"amount_minor":5700,"currency":"GBP"}},"fulfilment":"delivery","address":"1 High Street, London","state":"{state}","timeline":[{{"state":"placed","at":{now},"by":"{customer}"}}{confirmed}],"placed_at":{now},"accept_by":null,"ready_at":null,"placing":true,"stock_held":false,"paid":"not_yet","ticket_seen":0}}"#,
            self.restaurant,
            lines.join(",")
        )
    }

    fn order_keys(
        &self,
        customer: Id<kinds::User>,
        at: Timestamp,
        state: &str,
    ) -> Vec<(&'static str, Key)> {
        let both = Key::new().id(customer).id(self.restaurant);
        vec![
            (self.by_customer, Key::new().id(customer).time(at)),
            (self.by_customer_and_restaurant, both.time(at)),
            (self.by_restaurant, Key::new().id(self.restaurant).time(at)),
            (self.by_state, Key::new().text(state).time(at)),
            (self.open_by_restaurant, Key::new().id(self.restaurant).time(at)),
        ]
    }
}

fn request(operation: &str, number: u64) -> Cause {
    Cause::request(
        "usr_0123456789abcdefghjkmnpqrs",
        operation,
        &format!("bare-{number}"),
        &number.to_be_bytes(),
    )
}

fn timer(document: &DocumentRef, name: &'static str, at: Option<i64>) -> TimerChange {
    TimerChange { document: document.clone(), name, at: at.map(Timestamp::from_millis) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn recipe() -> Recipe {
        Recipe::new(Timestamp::from_millis(1_700_000_000_000)).unwrap()
    }

    #[test]
    fn every_work_keeps_the_contract_and_is_valid_json() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let works = recipe().placing(3, at).into_iter().chain(recipe().menu(at));
        for work in works {
            work.check().unwrap();
            for write in &work.writes {
                if let Write::Insert { data, .. } | Write::Replace { data, .. } = write {
                    serde_json::from_str::<serde_json::Value>(data).unwrap();
                }
            }
        }
    }

    #[test]
    fn orders_differ_and_their_dishes_too() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let recipe = recipe();
        let ids: HashSet<String> = (0..100)
            .map(|number| recipe.placing(number, at)[0].writes[0].document().id.clone())
            .collect();
        assert_eq!(ids.len(), 100);
        for number in 0..300 {
            let dishes: HashSet<_> = recipe.chosen(number).into_iter().collect();
            assert_eq!(dishes.len(), LINES);
        }
    }

    #[tokio::test]
    async fn an_engine_takes_all_of_them() {
        use bistro_store::{Committed, Store as _};
        let sandbox = bistro_testkit::Sandbox::new("recipe").unwrap();
        let clock = std::sync::Arc::new(bistro_core::SystemClock);
        let store = bistro_store_embedded::Embedded::open(
            sandbox.path().join("data"),
            &crate::collections::all(),
            clock,
        )
        .unwrap();
        let at = Timestamp::from_millis(1_700_000_000_123);
        let recipe = recipe();
        let works =
            recipe.menu(at).into_iter().chain(recipe.placing(1, at)).chain(recipe.placing(2, at));
        for work in works {
            assert_eq!(store.commit(work).await.unwrap(), Committed::Applied);
        }
        store.close().await;
    }
}
