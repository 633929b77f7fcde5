//! The people of a scenario, and what they do over the public API.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bistro_client::{Client, ClientError, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::platform::{Platform, SOON};

/// A text that no other call gives.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends a command under a key of its own, and insists on an answer.
pub(crate) async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, ClientError> {
    let request = Request::post(format!("/api/v1{path}"), fresh("key"), body);
    Ok(client.insist(&request, &mut Insistence::lasting(SOON)).await?.body)
}

/// Reads `path`.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Value, ClientError> {
    Ok(client.send(&Request::get(format!("/api/v1{path}"))).await?.body)
}

/// Puts `body` at `path`; at a version, if one is given.
pub(crate) async fn put(
    client: &Client,
    path: &str,
    version: Option<&Value>,
    body: &Value,
) -> Result<Value, ClientError> {
    let request = Request::put(format!("/api/v1{path}"), body);
    let request = match version {
        Some(version) => request.if_match(version),
        None => request,
    };
    Ok(client.insist(&request, &mut Insistence::lasting(SOON)).await?.body)
}

/// Removes what is at `path`.
pub(crate) async fn delete(client: &Client, path: &str) -> Result<Value, ClientError> {
    let request = Request::delete(format!("/api/v1{path}"));
    Ok(client.insist(&request, &mut Insistence::lasting(SOON)).await?.body)
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    result.expect_err("a refusal").code().unwrap_or("no answer").to_owned()
}

/// A field of an answer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) email: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery";

impl Person {
    /// Registers somebody new and logs them in.
    pub(crate) async fn new(platform: &Platform, name: &str, roles: &[&str]) -> Self {
        let email = format!("{}@example.org", fresh(name));
        let body = json!({ "email": email, "password": PASSWORD, "name": name, "roles": roles });
        post(&platform.anybody(), "/users", &body).await.expect("a user");
        let mut person = Self { client: platform.anybody(), email };
        person.log_in(platform).await;
        person
    }

    /// Logs in again: the new token says what the user may do by now.
    pub(crate) async fn log_in(&mut self, platform: &Platform) {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let tokens = post(&platform.anybody(), "/sessions", &body).await.expect("a session");
        let token = text(&tokens, "/access_token");
        self.client = platform.anybody().with_token(token).expect("a token");
    }
}

/// A restaurant with an owner, a menu and a courier of its own.
pub(crate) struct Restaurant {
    pub(crate) id: String,
    pub(crate) owner: Person,
    /// Name, id and version of each item.
    pub(crate) items: Vec<(String, String, i64)>,
}

impl Restaurant {
    /// Opens a restaurant that sells `menu`: names, prices in pence, and stock where it is counted.
    pub(crate) async fn open(platform: &Platform, menu: &[(&str, i64, Option<i64>)]) -> Self {
        let mut owner = Person::new(platform, "owner", &["restaurateur"]).await;
        let body =
            json!({ "name": fresh("Chez"), "currency": "GBP", "time_zone": "Europe/London" });
        let made = post(&owner.client, "/restaurants", &body).await.expect("a restaurant");
        let id = text(&made, "/id").to_owned();
        // That the maker owns it is told to accounts after the commit.
        wait::until("the owner is a member", SOON, async || {
            let me = get(&owner.client, "/me").await.map_err(|error| error.to_string())?;
            if me["memberships"][0]["restaurant_id"] == id.as_str() {
                Ok(())
            } else {
                Err(me.to_string())
            }
        })
        .await;
        owner.log_in(platform).await;
        if made["open"] == false {
            let path = format!("/api/v1/restaurants/{id}/open");
            let request = Request::put(path, &json!({ "open": true })).if_match(&made["version"]);
            owner.client.send(&request).await.expect("it opens");
        }
        let rows: Vec<Value> = menu
            .iter()
            .zip(1..)
            .map(|((name, price, stock), line)| {
                json!({ "line": line, "name": name, "price_minor": price, "stock": stock })
            })
            .collect();
        let imported = post(
            &owner.client,
            &format!("/restaurants/{id}/menu-import"),
            &json!({ "rows": rows }),
        )
        .await
        .expect("a menu");
        assert_eq!(imported["added"], menu.len(), "{imported}");
        let listed =
            get(&owner.client, &format!("/restaurants/{id}/items?limit=200")).await.unwrap();
        let items = menu
            .iter()
            .map(|(name, _, _)| {
                let item = listed["items"]
                    .as_array()
                    .and_then(|items| items.iter().find(|item| item["name"] == *name))
                    .expect("the item is on the menu");
                let version = item["version"].as_i64().expect("a version");
                ((*name).to_owned(), text(item, "/id").to_owned(), version)
            })
            .collect();
        Self { id, owner, items }
    }

    /// Makes `person` a member of its staff, as whoever operates the platform may, and logs them in
    /// anew.
    pub(crate) async fn hire(&self, platform: &Platform, person: &mut Person, role: &str) {
        let me = get(&person.client, "/me").await.expect("the person");
        let path = format!("/restaurants/{}/members/{}", self.id, text(&me, "/id"));
        let member = put(&platform.operator(), &path, None, &json!({ "role": role })).await;
        assert_eq!(member.expect("a member")["role"], role);
        person.log_in(platform).await;
    }

    /// How many of item `place` are free.
    pub(crate) async fn free(&self, place: usize) -> i64 {
        let item =
            get(&self.owner.client, &format!("/items/{}", self.items[place].1)).await.unwrap();
        item["free"].as_i64().expect("counted stock")
    }

    /// A signed quote for `lines` (place on the menu, quantity).
    pub(crate) async fn quote(
        &self,
        who: &Person,
        lines: &[(usize, u32)],
        fulfilment: &str,
    ) -> Result<Value, ClientError> {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(place, quantity)| {
                json!({ "item_id": self.items[*place].1, "quantity": quantity })
            })
            .collect();
        let body = json!({ "restaurant_id": self.id, "fulfilment": fulfilment, "lines": lines });
        post(&who.client, "/quotes", &body).await
    }

    /// What placing the quote asks for.
    pub(crate) fn placing(quote: &Value, card: &str) -> Value {
        json!({
            "quote": text(quote, "/token"), "payment_method": card, "address": "1 High Street",
        })
    }

    /// Orders `lines` for delivery with `card`, waiting for the outcome.
    pub(crate) async fn order(&self, who: &Person, lines: &[(usize, u32)], card: &str) -> Value {
        self.send(who, lines, card, |request| request.prefer_wait(10)).await
    }

    /// Orders `lines` for delivery with `card`, not waiting for the outcome.
    pub(crate) async fn place(&self, who: &Person, lines: &[(usize, u32)], card: &str) -> Value {
        self.send(who, lines, card, |request| request).await
    }

    async fn send(
        &self,
        who: &Person,
        lines: &[(usize, u32)],
        card: &str,
        prefer: impl FnOnce(Request) -> Request,
    ) -> Value {
        let quote = self.quote(who, lines, "delivery").await.expect("a quote");
        let body = Self::placing(&quote, card);
        let request = prefer(Request::post("/api/v1/orders", fresh("order"), &body));
        let placed = who.client.insist(&request, &mut Insistence::lasting(SOON)).await;
        placed.expect("an order").body
    }

    /// Accepts the order and cooks all of it.
    pub(crate) async fn cook(&self, order: &Value) {
        self.accept(order).await;
        self.bump(order).await;
    }

    pub(crate) async fn accept(&self, order: &Value) {
        let path = format!("/orders/{}/accept", text(order, "/id"));
        let accepted = post(&self.owner.client, &path, &json!({ "minutes": 20 })).await;
        assert_eq!(accepted.expect("acceptance")["state"], "accepted");
    }

    /// The ticket of the order, once the kitchen has it.
    pub(crate) async fn ticket(&self, order: &Value) -> Value {
        let path = format!("/restaurants/{}/tickets", self.id);
        wait::until("the kitchen has the ticket", SOON, async || {
            let tickets =
                get(&self.owner.client, &path).await.map_err(|error| error.to_string())?;
            let ticket = tickets["items"].as_array().and_then(|tickets| {
                tickets.iter().find(|ticket| ticket["order_id"] == order["id"])
            });
            ticket.cloned().ok_or_else(|| tickets.to_string())
        })
        .await
    }

    pub(crate) async fn bump(&self, order: &Value) {
        let ticket = self.ticket(order).await;
        let path = format!("/tickets/{}/bump", text(&ticket, "/id"));
        let bumped = post(&self.owner.client, &path, &json!({})).await.expect("a bump");
        assert_eq!(bumped["state"], "ready");
    }
}

/// A courier on duty.
pub(crate) async fn courier(platform: &Platform, capacity: u32) -> Person {
    let courier = Person::new(platform, "courier", &["courier"]).await;
    let body = json!({ "name": "Cora", "capacity": capacity });
    post(&courier.client, "/couriers", &body).await.expect("a courier");
    duty(&courier, true).await;
    courier
}

pub(crate) async fn duty(courier: &Person, on_duty: bool) {
    let request = Request::put("/api/v1/couriers/me/duty", &json!({ "on_duty": on_duty }));
    let done = courier.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    assert_eq!(done.expect("duty").body["on_duty"], on_duty);
}

/// The delivery of `order`, once it is assigned to `courier`.
pub(crate) async fn assigned(courier: &Person, order: &Value) -> Value {
    wait::until("the courier has the delivery", SOON, async || {
        let mine = get(&courier.client, "/couriers/me/deliveries").await;
        let mine = mine.map_err(|error| error.to_string())?;
        let delivery = mine["items"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["order_id"] == order["id"]));
        delivery.cloned().ok_or_else(|| mine.to_string())
    })
    .await
}

/// Takes a step with a delivery: `pick-up`, `drop-off`, `decline`.
pub(crate) async fn step(courier: &Person, delivery: &Value, step: &str) -> Value {
    let path = format!("/deliveries/{}/{step}", text(delivery, "/id"));
    post(&courier.client, &path, &json!({})).await.expect("a step")
}

/// Waits until the order is in `state`, and gives it.
pub(crate) async fn in_state(client: &Client, order: &Value, state: &str) -> Value {
    within(client, order, state, SOON).await
}

/// Waits at most `deadline` until the order is in `state`, and gives it.
pub(crate) async fn within(
    client: &Client,
    order: &Value,
    state: &str,
    deadline: Duration,
) -> Value {
    let path = format!("/orders/{}", text(order, "/id"));
    wait::until(&format!("the order is {state}"), deadline, async || {
        let order = get(client, &path).await.map_err(|error| error.to_string())?;
        if order["state"] == state { Ok(order) } else { Err(order.to_string()) }
    })
    .await
}

/// Waits until the order's payment is in `state`, and gives it.
pub(crate) async fn paid(client: &Client, order: &Value, state: &str) -> Value {
    let path = format!("/orders/{}/payment", text(order, "/id"));
    wait::until(&format!("the payment is {state}"), SOON, async || {
        let payment = get(client, &path).await.map_err(|error| error.to_string())?;
        if payment["state"] == state { Ok(payment) } else { Err(payment.to_string()) }
    })
    .await
}
