//! Orders for later: slots that are listed, that hold, and that are given back.

use bistro_client::{ClientError, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    changes::{change, settled},
    people::{Person, Restaurant, code, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    slots_are_listed_and_checked,
    no_race_overfills_a_slot,
    places_are_given_back,
    an_order_moves_to_another_slot,
    a_slot_that_takes_fewer_is_not_overfilled,
);

/// Has the restaurant say what `more` says about it, beside what it says already.
pub(crate) async fn say(restaurant: &Restaurant, more: &Value) {
    let path = format!("/restaurants/{}", restaurant.id);
    let now = get(&restaurant.owner.client, &path).await.expect("the restaurant");
    let mut body = json!({ "name": now["name"], "time_zone": now["time_zone"] });
    for (name, field) in more.as_object().expect("fields") {
        body[name] = field.clone();
    }
    put(&restaurant.owner.client, &path, Some(&now["version"]), &body).await.expect("a profile");
}

/// A restaurant that is always open and takes `capacity` orders every quarter of an hour.
async fn with_slots(platform: &Platform, capacity: u32, stock: Option<i64>) -> Restaurant {
    let restaurant = Restaurant::open(platform, &[("Naan", 250, stock)]).await;
    let slots = json!({ "minutes": 15, "capacity": capacity, "ahead_hours": 48 });
    say(&restaurant, &json!({ "slots": slots })).await;
    restaurant
}

async fn slots(restaurant: &Restaurant, who: &Person) -> Vec<Value> {
    let path = format!("/restaurants/{}/slots", restaurant.id);
    let listed = get(&who.client, &path).await.expect("slots");
    listed["items"].as_array().expect("slots").clone()
}

/// How many orders still fit into the slot that begins at `from`.
async fn free(restaurant: &Restaurant, who: &Person, from: &str) -> i64 {
    let slots = slots(restaurant, who).await;
    let slot = slots.iter().find(|slot| slot["from"] == from).expect("the slot is listed");
    slot["free"].as_i64().expect("a number")
}

fn basket(restaurant: &Restaurant, from: &str) -> Value {
    json!({
        "restaurant_id": restaurant.id, "fulfilment": "pick_up", "scheduled_for": from,
        "lines": [{ "item_id": restaurant.items[0].1, "quantity": 1 }],
    })
}

async fn quote(restaurant: &Restaurant, who: &Person, from: &str) -> Result<Value, ClientError> {
    post(&who.client, "/quotes", &basket(restaurant, from)).await
}

/// The same, to change `order`.
async fn quote_change(
    restaurant: &Restaurant,
    who: &Person,
    (order, from): (&Value, &str),
) -> Result<Value, ClientError> {
    let mut body = basket(restaurant, from);
    body["changes"] = order["id"].clone();
    post(&who.client, "/quotes", &body).await
}

fn placing(quote: &Value) -> Request {
    let body = Restaurant::placing(quote, "card_ok");
    Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(20)
}

async fn slots_are_listed_and_checked(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let never = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    assert_eq!(slots(&never, &ada).await, [] as [Value; 0]);
    let restaurant = with_slots(platform, 2, None).await;
    let listed = slots(&restaurant, &ada).await;
    assert!((190..=192).contains(&listed.len()), "48 hours of quarters: {}", listed.len());
    let chosen = text(&listed[9], "/from");
    assert_eq!((&listed[9]["capacity"], &listed[9]["free"]), (&json!(2), &json!(2)));
    let quoted = quote(&restaurant, &ada, chosen).await.expect("a quote");
    assert_eq!(quoted["scheduled_for"], chosen);
    assert_eq!(code(quote(&never, &ada, chosen).await), "invalid_argument");
    let at: jiff::Timestamp = chosen.parse().expect("a time");
    let week = jiff::SignedDuration::from_hours(24 * 7);
    for wrong in [
        at + jiff::SignedDuration::from_secs(60),
        at + jiff::SignedDuration::from_millis(1),
        at + week,
        at - week,
    ] {
        let refused = quote(&restaurant, &ada, &wrong.to_string()).await;
        assert_eq!(code(refused), "invalid_argument", "{wrong}");
    }
    let path = format!("/restaurants/{}/slots?from={chosen}&to={chosen}", restaurant.id);
    assert_eq!(get(&ada.client, &path).await.expect("none")["items"], json!([]));
}

/// Sixty-four at a slot for five: five get in, and what the others held is free again.
async fn no_race_overfills_a_slot(topology: Topology) {
    const CLIENTS: usize = 64;
    let platform = Platform::shared(topology).await;
    let restaurant = with_slots(platform, 5, Some(100)).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let listed = slots(&restaurant, &ada).await;
    let chosen = text(&listed[20], "/from").to_owned();
    let mut requests = Vec::new();
    for _ in 0..CLIENTS {
        requests.push(placing(&quote(&restaurant, &ada, &chosen).await.expect("a quote")));
    }
    let mut placing = tokio::task::JoinSet::new();
    for request in &requests {
        let (client, request) = (ada.client.clone(), request.clone());
        placing.spawn(async move {
            client.insist(&request, &mut Insistence::lasting(SOON)).await.map(|done| done.body)
        });
    }
    let (mut placed, mut refused) = (Vec::new(), 0);
    for answer in placing.join_all().await {
        match answer {
            Ok(order) => placed.push(order),
            Err(error) => {
                assert_eq!(error.code(), Some("sold_out"), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((placed.len(), refused), (5, CLIENTS - 5));
    assert_eq!(free(&restaurant, &ada, &chosen).await, 0);
    for order in &placed {
        assert_eq!(
            (&order["state"], &order["scheduled_for"]),
            (&json!("confirmed"), &json!(chosen))
        );
    }
    assert_eq!(restaurant.free(0).await, 95);
    // Whoever asks now is told before there is an order; who asked before is told the same again.
    assert_eq!(code(quote(&restaurant, &ada, &chosen).await), "invalid_argument");
    for request in &requests {
        let again = ada.client.insist(request, &mut Insistence::lasting(SOON)).await;
        match again {
            Ok(again) => assert!(placed.iter().any(|order| order["id"] == again.body["id"])),
            Err(error) => assert_eq!(error.code(), Some("sold_out")),
        }
    }
}

async fn places_are_given_back(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = with_slots(platform, 1, None).await;
    let (ada, bob) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "bob", &[]).await);
    let listed = slots(&restaurant, &ada).await;
    let chosen = text(&listed[4], "/from");
    let (first, second) = (
        quote(&restaurant, &ada, chosen).await.expect("a quote"),
        quote(&restaurant, &bob, chosen).await.expect("a quote"),
    );
    let order = ada.client.send(&placing(&first)).await.expect("an order").body;
    // The slot was filled meanwhile.
    assert_eq!(code(bob.client.send(&placing(&second)).await), "sold_out");
    let reject = format!("/orders/{}/reject", text(&order, "/id"));
    let reason = json!({ "reason": "a private party" });
    post(&restaurant.owner.client, &reject, &reason).await.expect("rejected");
    assert_eq!(free(&restaurant, &ada, chosen).await, 1);
    let order = bob.client.send(&placing(&second)).await.expect("an order").body;
    assert_eq!(order["state"], "confirmed");

    // A card that is declined leaves no place taken either.
    let next = text(&listed[5], "/from");
    let body = Restaurant::placing(
        &quote(&restaurant, &ada, next).await.expect("a quote"),
        "card_declined",
    );
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(20);
    let lost = ada.client.send(&request).await.expect("an order").body;
    assert_eq!(lost["state"], "payment_failed");
    wait::until("the place is free", SOON, async || {
        let free = free(&restaurant, &ada, next).await;
        if free == 1 { Ok(()) } else { Err(free) }
    })
    .await;
}

/// The order holds the last portion, and the last place of its slot.
async fn an_order_moves_to_another_slot(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = with_slots(platform, 1, Some(2)).await;
    let (ada, bob) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "bob", &[]).await);
    let listed = slots(&restaurant, &ada).await;
    let [old, new, taken] = [20, 24, 28].map(|place: usize| text(&listed[place], "/from"));
    let order_for = async |who: &Person, from: &str| {
        let quote = quote(&restaurant, who, from).await.expect("a quote");
        let order = who.client.send(&placing(&quote)).await.expect("an order").body;
        assert_eq!(order["state"], "confirmed", "{order}");
        order
    };
    let order = order_for(&ada, old).await;
    // Quoted while the slot is free, and filled by somebody else before it is ordered.
    let too_late = quote_change(&restaurant, &ada, (&order, taken)).await.expect("a quote");
    order_for(&bob, taken).await;
    assert_eq!(restaurant.free(0).await, 0);
    let request = change(&order, &too_late).if_match(&order["sequence"]);
    assert_eq!(code(ada.client.send(&request).await), "sold_out");
    let full = quote_change(&restaurant, &ada, (&order, taken)).await;
    assert_eq!(code(full), "invalid_argument");

    // For anybody else there is nothing left. For its own order there is what that holds.
    assert_eq!(code(quote(&restaurant, &ada, old).await), "invalid_argument");
    assert_eq!(code(quote(&restaurant, &ada, new).await), "invalid_argument", "sold out");
    assert_eq!(code(quote_change(&restaurant, &bob, (&order, new)).await), "not_found");
    let stays = quote_change(&restaurant, &ada, (&order, old)).await.expect("a quote");
    let request = change(&order, &stays).if_match(&order["sequence"]);
    ada.client.send(&request).await.expect("a change");
    let order = settled(&ada, &order).await;
    assert_eq!((&order["revision"], &order["scheduled_for"]), (&json!(1), &json!(old)));
    let first_by: jiff::Timestamp = text(&order, "/accept_by").parse().expect("a time");

    let moves = quote_change(&restaurant, &ada, (&order, new)).await.expect("a quote");
    let request = change(&order, &moves).if_match(&order["sequence"]);
    ada.client.send(&request).await.expect("a change");
    let order = settled(&ada, &order).await;
    assert_eq!((&order["revision"], &order["scheduled_for"]), (&json!(2), &json!(new)));
    assert_eq!(order["change_refused"], Value::Null);
    assert_eq!(free(&restaurant, &ada, old).await, 1);
    assert_eq!(free(&restaurant, &ada, new).await, 0);
    assert_eq!(restaurant.free(0).await, 0);
    // The restaurant has as much longer to accept it as it is later.
    let then_by: jiff::Timestamp = text(&order, "/accept_by").parse().expect("a time");
    let [old_at, new_at]: [jiff::Timestamp; 2] = [old, new].map(|at| at.parse().expect("a time"));
    assert_eq!(then_by.duration_since(first_by), new_at.duration_since(old_at));

    let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
    post(&ada.client, &cancel, &json!({ "reason": "moved" })).await.expect("cancelled");
    assert_eq!(free(&restaurant, &ada, new).await, 1);
    crate::compensation::stock_returns(&restaurant, 1).await;
}

/// Who was quoted when the slot took more is told so, and leaves the place to who comes after.
async fn a_slot_that_takes_fewer_is_not_overfilled(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = with_slots(platform, 3, None).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let listed = slots(&restaurant, &ada).await;
    let chosen = text(&listed[8], "/from");
    let mut before = Vec::new();
    for _ in 0..3 {
        before.push(quote(&restaurant, &ada, chosen).await.expect("a quote"));
    }
    let terms = json!({ "minutes": 15, "capacity": 1, "ahead_hours": 48 });
    say(&restaurant, &json!({ "slots": terms })).await;
    wait::until("the slot takes one", SOON, async || {
        let free = free(&restaurant, &ada, chosen).await;
        if free == 1 { Ok(()) } else { Err(free) }
    })
    .await;
    let refused = async |quote: &Value| {
        let order = ada.client.send(&placing(quote)).await.expect("an order").body;
        assert_eq!((text(&order, "/state"), text(&order, "/reason")), ("rejected", "sold_out"));
    };
    refused(&before[0]).await;
    // What catalog says of a restaurant may be a moment old at a quote.
    let order = wait::until("it is quoted by the new terms", SOON, async || {
        let quote = quote(&restaurant, &ada, chosen).await.map_err(|error| error.to_string())?;
        let order = ada.client.send(&placing(&quote)).await.map_err(|error| error.to_string())?;
        if order.body["state"] == "confirmed" {
            Ok(order.body)
        } else {
            Err(order.body.to_string())
        }
    })
    .await;
    assert_eq!(order["scheduled_for"], chosen);
    for quote in &before[1..] {
        refused(quote).await;
    }
    assert_eq!(free(&restaurant, &ada, chosen).await, 0);
}
