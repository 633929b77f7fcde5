//! One order's whole life, as it should go and with the turns it may take.

use bistro_client::Request;
use serde_json::{Value, json};

use crate::{
    people::{
        Person, Restaurant, assigned, code, courier, fresh, get, in_state, paid, post, step, text,
    },
    platform::{Platform, Topology, on_every_topology},
};

on_every_topology!(
    whole_life,
    picked_up_at_the_counter,
    recalled_while_ready,
    declined_by_a_courier,
    cooked_item_by_item,
);

async fn whole_life(topology: Topology) {
    // Couriers are the platform's: this scenario needs to know who else is on duty.
    let platform = Platform::start(topology, &[]).await;
    let restaurant =
        Restaurant::open(&platform, &[("Naan", 250, Some(10)), ("Dal", 595, None)]).await;
    let (customer, courier) =
        (Person::new(&platform, "ada", &[]).await, courier(&platform, 1).await);

    let order = restaurant.order(&customer, &[(0, 2), (1, 1), (0, 1)], "card_ok").await;
    assert_eq!(order["state"], "confirmed", "{order}");
    assert_eq!(order["total"], json!({ "amount_minor": 1345, "currency": "GBP" }));
    assert_eq!(restaurant.free(0).await, 7);
    let mut events = customer.client.order_events(text(&order, "/id")).await.expect("events");

    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let delivery = assigned(&courier, &order).await;
    let path = format!("/deliveries/{}", text(&delivery, "/id"));
    assert_eq!(get(&courier.client, &path).await.unwrap()["address"], "1 High Street");
    // The delivery tells nobody else; the restaurant reads it in the order.
    assert_eq!(get(&restaurant.owner.client, &path).await.unwrap()["address"], Value::Null);
    step(&courier, &delivery, "pick-up").await;
    in_state(&customer.client, &order, "in_delivery").await;
    assert_eq!(get(&courier.client, &path).await.unwrap()["address"], "1 High Street");
    step(&courier, &delivery, "drop-off").await;
    assert_eq!(get(&courier.client, &path).await.unwrap()["address"], Value::Null);
    let done = in_state(&customer.client, &order, "completed").await;
    assert_eq!(
        states(&done),
        ["placed", "confirmed", "accepted", "preparing", "ready", "in_delivery", "completed"]
    );
    let payment = paid(&customer.client, &order, "captured").await;
    assert_eq!(payment["captured"]["amount_minor"], 1345);
    let balances =
        get(&restaurant.owner.client, &format!("/ledger/balances?restaurant_id={}", restaurant.id))
            .await
            .unwrap();
    assert_eq!(balances["imbalance"], json!([{ "amount_minor": 0, "currency": "GBP" }]));

    let mut last = Value::Null;
    while let Some(event) = events.next().await.expect("an event") {
        assert!(last["sequence"].as_i64() < event["sequence"].as_i64(), "{last} then {event}");
        last = event;
    }
    assert_eq!(last["state"], "completed", "the stream ends with the life");
}

async fn picked_up_at_the_counter(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&customer, &[(0, 1)], "pick_up").await.unwrap();
    let body = json!({ "quote": text(&quote, "/token"), "payment_method": "card_ok" });
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = customer.client.send(&request).await.unwrap().body;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    assert_eq!(code(post(&customer.client, &path, &json!({})).await), "permission_denied");
    let done = post(&restaurant.owner.client, &path, &json!({})).await.unwrap();
    assert_eq!(done["state"], "completed");
    paid(&customer.client, &order, "captured").await;
}

async fn recalled_while_ready(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let ticket = restaurant.ticket(&order).await;
    let recall = format!("/tickets/{}/items/0/recall", text(&ticket, "/id"));
    let recalled = post(&restaurant.owner.client, &recall, &json!({})).await.unwrap();
    assert_eq!(recalled["state"], "in_preparation");
    in_state(&customer.client, &order, "preparing").await;
    restaurant.bump(&order).await;
    in_state(&customer.client, &order, "ready").await;
}

async fn declined_by_a_courier(topology: Topology) {
    // Couriers are the platform's: this scenario needs to know who else is on duty.
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let first = courier(&platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let delivery = assigned(&first, &order).await;
    let declined = step(&first, &delivery, "decline").await;
    assert_eq!(declined["state"], "pending", "nobody else is there");
    let second = courier(&platform, 1).await;
    let delivery = assigned(&second, &order).await;
    let path = format!("/deliveries/{}/pick-up", text(&delivery, "/id"));
    assert_eq!(code(post(&first.client, &path, &json!({})).await), "not_found");
    step(&second, &delivery, "pick-up").await;
    step(&second, &delivery, "drop-off").await;
    in_state(&customer.client, &order, "completed").await;
}

async fn cooked_item_by_item(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None), ("Dal", 595, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1), (1, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let act = async |line: u32, action: &str| {
        let path = format!("/tickets/{}/items/{line}/{action}", text(&ticket, "/id"));
        post(&restaurant.owner.client, &path, &json!({})).await
    };
    assert_eq!(act(0, "start").await.unwrap()["state"], "in_preparation");
    in_state(&customer.client, &order, "preparing").await;
    assert_eq!(code(act(0, "start").await), "wrong_state");
    assert_eq!(code(act(7, "bump").await), "invalid_argument");
    assert_eq!(act(0, "bump").await.unwrap()["state"], "in_preparation");
    assert_eq!(act(1, "bump").await.unwrap()["state"], "ready");
    in_state(&customer.client, &order, "ready").await;
}

/// The states of an order's timeline.
fn states(order: &Value) -> Vec<&str> {
    let timeline = order["timeline"].as_array().expect("a timeline");
    timeline.iter().map(|entry| text(entry, "/state")).collect()
}
