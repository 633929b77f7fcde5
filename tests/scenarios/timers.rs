//! What happens when time runs out: each on a platform that gives nobody much of it.

use bistro_client::{Insistence, Request};
use bistro_core::{Clock as _, SystemClock, Timestamp};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    compensation::stock_returns,
    people::{
        Person, Restaurant, assigned, code, courier, duty, fresh, get, in_state, paid, post, step,
        text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    a_quoted_price_expires,
    expired_without_an_answer,
    provider_is_silent_for_ever,
    a_reservation_follows_its_order,
    an_offer_times_out_and_a_delivery_fails,
);

async fn a_quoted_price_expires(topology: Topology) {
    let platform = Platform::hasty(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(3))]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&ada, &[(0, 1)], "pick_up").await.expect("a quote");
    let body = Restaurant::placing(&quote, "card_ok");
    let in_time = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = ada.client.insist(&in_time, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    let expires: Timestamp = text(&quote, "/expires_at").parse().expect("a time");
    wait::until("the price holds no longer", SOON, async || {
        if SystemClock.now() >= expires { Ok(()) } else { Err(expires) }
    })
    .await;
    // Nothing of it is taken: only the first order ever held a portion, and that has expired too.
    for _ in 0..2 {
        assert_eq!(code(post(&ada.client, "/orders", &body).await), "quote_expired");
    }
    in_state(&ada.client, &order, "expired").await;
    stock_returns(&restaurant, 3).await;
    // Who ordered in time, and asks again because the answer was lost, is answered.
    let again = ada.client.insist(&in_time, &mut Insistence::lasting(SOON)).await;
    assert_eq!(again.expect("the same order").body["id"], order["id"]);
    // At today's price it can be had.
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    assert_eq!(order["total"]["amount_minor"], 250);
}

async fn expired_without_an_answer(topology: Topology) {
    let platform = Platform::hasty(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(3))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    in_state(&customer.client, &order, "expired").await;
    paid(&customer.client, &order, "voided").await;
    stock_returns(&restaurant, 3).await;
    let path = format!("/orders/{}/accept", text(&order, "/id"));
    assert_eq!(code(post(&restaurant.owner.client, &path, &json!({})).await), "wrong_state");
}

async fn provider_is_silent_for_ever(topology: Topology) {
    let platform = Platform::hasty(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(3))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.place(&customer, &[(0, 1)], "card_silent").await;
    let order = in_state(&customer.client, &order, "failed").await;
    assert_eq!(order["reason"], "not_confirmed_in_time");
    paid(&customer.client, &order, "voided").await;
    stock_returns(&restaurant, 3).await;
}

async fn a_reservation_follows_its_order(topology: Topology) {
    let platform = Platform::hasty(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(3))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    assert_eq!(reservation(platform, &order).await["state"], "held");
    // When its time is over it is asked what became of the order: somebody is cooking it.
    wait::until("the reservation is permanent", SOON, async || {
        let reservation = reservation(platform, &order).await;
        if reservation["state"] == "committed" { Ok(()) } else { Err(reservation) }
    })
    .await;
    assert_eq!(restaurant.free(0).await, 2);
}

async fn an_offer_times_out_and_a_delivery_fails(topology: Topology) {
    // Nobody else has couriers on this platform.
    let platform = Platform::hasty(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let first = courier(platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let offered = assigned(&first, &order).await;
    let path = format!("/deliveries/{}", text(&offered, "/id"));
    wait::until("who let it pass is offered it again, having nobody else", SOON, async || {
        let now = get(&restaurant.owner.client, &path).await.map_err(|error| error.to_string())?;
        let again = now["state"] == "assigned"
            && now["version"].as_i64() > offered["version"].as_i64()
            && now["courier_id"] == offered["courier_id"];
        if again { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    duty(&first, false).await;
    let second = courier(platform, 1).await;
    wait::until("the second courier has the food", SOON, async || {
        // It takes the offer of the first to time out, and perhaps one of the second's own.
        post(&second.client, &format!("{path}/pick-up"), &json!({})).await
    })
    .await;
    in_state(&customer.client, &order, "in_delivery").await;
    let reason = json!({ "reason": "nobody is at home" });
    let stolen = post(&first.client, &format!("{path}/fail"), &reason).await;
    assert_eq!(code(stolen), "not_found");
    let failed = post(&second.client, &format!("{path}/fail"), &reason).await.unwrap();
    assert_eq!(
        (text(&failed, "/state"), text(&failed, "/reason")),
        ("failed", "nobody is at home")
    );
    in_state(&customer.client, &order, "failed").await;
    paid(&customer.client, &order, "voided").await;

    // The courier is free for the next one.
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let delivery = assigned(&second, &order).await;
    assert_eq!(step(&second, &delivery, "pick-up").await["state"], "picked_up");
    assert_eq!(step(&second, &delivery, "drop-off").await["state"], "delivered");
    duty(&second, false).await;
}

/// The order's reservation, as catalog's records have it.
async fn reservation(platform: &Platform, order: &Value) -> Value {
    let operator = platform.operator();
    let mut path = "/audit/catalog?limit=200".to_owned();
    loop {
        let page = get(&operator, &path).await.expect("an audit");
        let found = page["items"].as_array().and_then(|rows| {
            rows.iter().find(|row| row["kind"] == "reservation" && row["order_id"] == order["id"])
        });
        if let Some(found) = found {
            return found.clone();
        }
        path = format!("/audit/catalog?limit=200&cursor={}", text(&page, "/next_cursor"));
    }
}
