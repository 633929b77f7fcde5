//! Orders for later: slots that are listed, that hold, and that are given back.

use bistro_client::{ClientError, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(slots_are_listed_and_checked, no_race_overfills_a_slot, places_are_given_back);

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

async fn quote(restaurant: &Restaurant, who: &Person, from: &str) -> Result<Value, ClientError> {
    let body = json!({
        "restaurant_id": restaurant.id, "fulfilment": "pick_up", "scheduled_for": from,
        "lines": [{ "item_id": restaurant.items[0].1, "quantity": 1 }],
    });
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
