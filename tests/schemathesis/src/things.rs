//! One of each kind of thing, so that whatever is asked for by its id is there; and a second one of
//! what may be deleted, so that the first stays.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bistro_client::{Client, Insistence, Request};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long the platform may take to answer, and to do what follows from an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands in the place of a path's parameters.
pub(crate) struct Named {
    /// Of which operations: a pattern of `METHOD /path`.
    pub(crate) operations: String,
    /// Names and values.
    pub(crate) parameters: Vec<(&'static str, Value)>,
}

/// Those who make things.
pub(crate) struct Makers<'a> {
    /// An administrator who is everything else as well, and owns the restaurants.
    pub(crate) admin: &'a Client,
    pub(crate) customer: &'a Client,
    /// Two couriers.
    pub(crate) couriers: [&'a Client; 2],
    /// Two users who may be changed, and erased.
    pub(crate) victims: [String; 2],
}

/// A restaurant, and one that may be closed.
pub(crate) async fn restaurants(admin: &Client) -> Result<[String; 2]> {
    let found = |name: &str| json!({"name": name, "currency": "GBP", "time_zone": "Europe/London"});
    let made = post(admin, "/restaurants", &found("Chez Ada")).await?;
    let restaurant = text(&made, "/id")?;
    if made["open"] == false {
        let path = format!("/api/v1/restaurants/{restaurant}/open");
        let open = Request::put(path, &json!({"open": true})).if_match(&made["version"]);
        admin.send(&open).await?;
    }
    let spare = text(&post(admin, "/restaurants", &found("Chez Bob")).await?, "/id")?;
    Ok([restaurant, spare])
}

/// Makes one of each. The first pattern that fits an operation counts.
pub(crate) async fn make(who: &Makers<'_>, restaurants: &[String; 2]) -> Result<Vec<Named>> {
    let Makers { admin, customer, couriers, victims } = who;
    let here = format!("/restaurants/{}", restaurants[0]);
    let two = async |path: &str, body: &dyn Fn(&str) -> Value| {
        let path = format!("{here}/{path}");
        let first = post(admin, &path, &body("First")).await?;
        let second = post(admin, &path, &body("Second")).await?;
        anyhow::Ok(([text(&first, "/id")?, text(&second, "/id")?], first))
    };
    let (menus, _) = two("menus", &|name| json!({"name": name})).await?;
    let dish = |name: &str| json!({"name": name, "price_minor": 1295});
    let (items, _) = two("items", &dish).await?;
    let choices = json!([{"name": "Mild", "price_minor": 0}]);
    let group = |name: &str| json!({"name": name, "min": 0, "max": 1, "choices": choices});
    let (groups, group) = two("option-groups", &group).await?;
    let (ingredients, _) = two("ingredients", &|name| json!({"name": name})).await?;
    let station = |name: &str| json!({"name": name, "capacity": 2, "item_minutes": 10});
    let (stations, _) = two("stations", &station).await?;
    let invited =
        |name: &str| json!({"email": format!("{name}@example.org").to_lowercase(), "role": "chef"});
    let (invitations, _) = two("invitations", &invited).await?;
    let key =
        async |name: &str| text(&post(admin, "/me/api-keys", &json!({"name": name})).await?, "/id");
    let keys = [key("First").await?, key("Second").await?];

    let mut riders = Vec::new();
    for courier in couriers {
        let made = post(courier, "/couriers", &json!({"name": "Cora", "capacity": 1})).await?;
        riders.push(text(&made, "/id")?);
    }
    post(admin, "/couriers", &json!({"name": "Ada", "capacity": 5})).await?;
    admin.send(&Request::put("/api/v1/couriers/me/duty", &json!({"on_duty": true}))).await?;

    let kitchen = Kitchen { admin, customer, here: &here, item: &items[0] };
    let order = kitchen.ordered("pick_up", 1).await?;
    let cooking = kitchen.ordered("pick_up", 2).await?;
    let ticket = kitchen.ticket(&cooking).await?;
    let eaten = kitchen.ordered("pick_up", 3).await?;
    kitchen.cooked(&eaten).await?;
    post(admin, &format!("/orders/{eaten}/hand-over"), &json!({})).await?;
    until(customer, &format!("/orders/{eaten}"), |order| is(order, "completed")).await?;
    post(customer, &format!("/orders/{eaten}/rating"), &json!({"stars": 4})).await?;
    let brought = kitchen.ordered("delivery", 4).await?;
    kitchen.cooked(&brought).await?;
    let delivery = until(admin, "/couriers/me/deliveries", |mine| {
        let mut rows = mine["items"].as_array()?.iter();
        text(rows.find(|one| one["order_id"] == brought)?, "/id").ok()
    })
    .await?;

    let sessions = admin.send(&Request::get("/api/v1/sessions")).await?.body;
    let mut sessions = sessions["items"].as_array().context("sessions")?.iter();
    let session = sessions.find(|one| one["current"] == false).context("another session")?;

    let mut named = Vec::new();
    let mut name = |operations: &str, parameters: &[(&'static str, Value)]| {
        named.push(Named { operations: operations.to_owned(), parameters: parameters.to_vec() });
    };
    let at = |id: &str| [("path.id", json!(id))];
    for (path, [first, second]) in [
        ("menus", &menus),
        ("items", &items),
        ("option-groups", &groups),
        ("ingredients", &ingredients),
        ("stations", &stations),
        ("invitations", &invitations),
        ("api-keys", &keys),
        ("users", victims),
    ] {
        name(&format!("^DELETE /api/v1/{path}/{{id}}$"), &at(second));
        name(&format!("^[A-Z]+ /api/v1/{path}/{{id}}"), &at(first));
    }
    name("^DELETE /api/v1/couriers/{id}$", &at(&riders[1]));
    name("^[A-Z]+ /api/v1/couriers/{id}", &at(&riders[0]));
    name("^[A-Z]+ /api/v1/choices/{id}", &at(&text(&group, "/choices/0/id")?));
    name("^[A-Z]+ /api/v1/sessions/{id}", &at(&text(session, "/id")?));
    name("^[A-Z]+ /api/v1/deliveries/{id}", &at(&delivery));
    name("^[A-Z]+ /api/v1/orders/{id}/delivery", &at(&brought));
    name("^[A-Z]+ /api/v1/orders/{id}/(rating|payment|refunds|tips)$", &at(&eaten));
    name("^[A-Z]+ /api/v1/orders/{id}", &at(&order));
    let [item, line] = [("path.id", json!(ticket)), ("path.line", json!(0))];
    name("^[A-Z]+ /api/v1/tickets/{id}/items/", &[item.clone(), line]);
    name("^[A-Z]+ /api/v1/tickets/{id}", &[item]);
    // Of the shape of one; there is none until something has gone wrong.
    let letter = "kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0";
    name("^[A-Z]+ /api/v1/dead-letters/{id}", &at(letter));
    name("^DELETE /api/v1/restaurants/{id}$", &at(&restaurants[1]));
    let [restaurant] = at(&restaurants[0]);
    let member = ("path.user_id", json!(victims[0]));
    name("^[A-Z]+ /api/v1/restaurants/{id}/members/", &[restaurant.clone(), member]);
    name("^[A-Z]+ /api/v1/restaurants/{id}", &[restaurant]);
    Ok(named)
}

/// Where orders come from, and where they go.
struct Kitchen<'a> {
    admin: &'a Client,
    customer: &'a Client,
    here: &'a str,
    item: &'a str,
}

impl Kitchen<'_> {
    /// A confirmed order of `many` dishes.
    async fn ordered(&self, fulfilment: &str, many: u32) -> Result<String> {
        let restaurant = self.here.trim_start_matches("/restaurants/");
        let basket = json!({
            "restaurant_id": restaurant, "fulfilment": fulfilment,
            "lines": [{"item_id": self.item, "quantity": many}],
        });
        let quote = post(self.customer, "/quotes", &basket).await?;
        let placing = json!({
            "quote": text(&quote, "/token")?, "payment_method": "card_ok",
            "address": "1 High Street",
        });
        let id = text(&post(self.customer, "/orders", &placing).await?, "/id")?;
        until(self.customer, &format!("/orders/{id}"), |order| is(order, "confirmed")).await?;
        Ok(id)
    }

    /// The ticket of an order that is accepted now.
    async fn ticket(&self, order: &str) -> Result<String> {
        post(self.admin, &format!("/orders/{order}/accept"), &json!({"minutes": 20})).await?;
        until(self.admin, &format!("{}/tickets", self.here), |tickets| {
            let mut rows = tickets["items"].as_array()?.iter();
            text(rows.find(|one| one["order_id"] == order)?, "/id").ok()
        })
        .await
    }

    /// Accepts the order and cooks it.
    async fn cooked(&self, order: &str) -> Result<()> {
        let ticket = self.ticket(order).await?;
        post(self.admin, &format!("/tickets/{ticket}/bump"), &json!({})).await?;
        until(self.admin, &format!("/orders/{order}"), |order| {
            matches!(order["state"].as_str()?, "ready" | "in_delivery").then_some(())
        })
        .await
    }
}

fn is(order: &Value, state: &str) -> Option<()> {
    (order["state"] == state).then_some(())
}

/// What `wanted` finds at `path`, once it is there.
async fn until<T>(client: &Client, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = client.send(&Request::get(format!("/api/v1{path}"))).await?.body;
        if let Some(found) = wanted(&seen) {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{path} does not become what it should: {seen}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Posts `body` under a key that follows from both.
pub(crate) async fn post(client: &Client, path: &str, body: &Value) -> Result<Value> {
    let mut hash = DefaultHasher::new();
    (path, body.to_string()).hash(&mut hash);
    let key = format!("{:016x}", hash.finish());
    let request = Request::post(format!("/api/v1{path}"), key, body);
    let answer = client.insist(&request, &mut Insistence::lasting(PATIENCE)).await;
    Ok(answer.with_context(|| format!("POST {path}"))?.body)
}

pub(crate) fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(ToOwned::to_owned).with_context(|| format!("no {pointer} in {value}"))
}
