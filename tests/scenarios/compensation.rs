//! What is made good when a step of an order's life cannot be taken.

use bistro_client::Request;
use bistro_testkit::wait;
use serde_json::json;

use crate::{
    people::{Person, Restaurant, code, fresh, get, in_state, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    last_one_is_sold_once,
    declined_card,
    rejected_by_the_restaurant,
    cancelled_by_the_customer,
    cancelled_by_staff_while_cooking,
    provider_answers_late_or_not_at_all,
    provider_declines_late,
    cancelled_before_the_provider_answers,
    cancel_races_accept,
    closed_between_quote_and_placing,
    provider_fails_to_capture,
);

async fn last_one_is_sold_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Tiramisu", 500, Some(1))]).await;
    let buyers = [Person::new(platform, "ada", &[]).await, Person::new(platform, "bob", &[]).await];
    // Both are quoted while it is there.
    let mut requests = Vec::new();
    for buyer in &buyers {
        let quote = restaurant.quote(buyer, &[(0, 1)], "delivery").await.unwrap();
        let body = Restaurant::placing(&quote, "card_ok");
        requests.push(Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10));
    }
    let (first, second) =
        tokio::join!(buyers[0].client.send(&requests[0]), buyers[1].client.send(&requests[1]));
    let orders = [first.unwrap().body, second.unwrap().body];
    let mut states = orders.each_ref().map(|order| text(order, "/state").to_owned());
    states.sort();
    assert_eq!(states, ["confirmed", "rejected"]);
    let loser = orders.iter().find(|order| order["state"] == "rejected").unwrap();
    assert_eq!(loser["reason"], "sold_out");
    assert_eq!(restaurant.free(0).await, 0);
    let again = restaurant.quote(&buyers[0], &[(0, 1)], "delivery").await;
    assert_eq!(code(again), "invalid_argument");
    // Nobody asked the card provider for what there was none of.
    let path = format!("/orders/{}/payment", text(loser, "/id"));
    assert_eq!(code(get(&platform.operator(), &path).await), "not_found");
}

async fn declined_card(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 2)], "card_declined").await;
    assert_eq!(
        (text(&order, "/state"), text(&order, "/reason")),
        ("payment_failed", "card_declined")
    );
    stock_returns(&restaurant, 5).await;
}

async fn rejected_by_the_restaurant(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 2)], "card_ok").await;
    let path = format!("/orders/{}/reject", text(&order, "/id"));
    let reason = json!({ "reason": "the oven is cold" });
    assert_eq!(code(post(&customer.client, &path, &reason).await), "permission_denied");
    let rejected = post(&restaurant.owner.client, &path, &reason).await.unwrap();
    assert_eq!(
        (text(&rejected, "/state"), text(&rejected, "/reason")),
        ("rejected", "the oven is cold")
    );
    paid(&customer.client, &order, "voided").await;
    stock_returns(&restaurant, 5).await;
}

async fn cancelled_by_the_customer(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    let cancel = |order: &serde_json::Value| format!("/orders/{}/cancel", text(order, "/id"));
    let reason = json!({ "reason": "changed my mind" });
    let stranger = Person::new(platform, "eve", &[]).await;
    assert_eq!(code(post(&stranger.client, &cancel(&order), &reason).await), "not_found");
    let cancelled = post(&customer.client, &cancel(&order), &reason).await.unwrap();
    assert_eq!(cancelled["state"], "cancelled");
    paid(&customer.client, &order, "voided").await;
    stock_returns(&restaurant, 5).await;

    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    assert_eq!(code(post(&customer.client, &cancel(&order), &reason).await), "wrong_state");
}

async fn cancelled_by_staff_while_cooking(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let path = format!("/orders/{}/cancel", text(&order, "/id"));
    let body = json!({ "reason": "no more flour" });
    assert_eq!(post(&restaurant.owner.client, &path, &body).await.unwrap()["state"], "cancelled");
    paid(&customer.client, &order, "voided").await;
    let path = format!("/tickets/{}", text(&ticket, "/id"));
    wait::until("the ticket is cancelled", SOON, async || {
        let ticket =
            get(&restaurant.owner.client, &path).await.map_err(|error| error.to_string())?;
        if ticket["state"] == "cancelled" { Ok(()) } else { Err(ticket.to_string()) }
    })
    .await;
    let bump = post(&restaurant.owner.client, &format!("{path}/bump"), &json!({})).await;
    assert_eq!(code(bump), "wrong_state");
}

async fn provider_answers_late_or_not_at_all(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    for card in ["card_timeout", "card_late"] {
        let order = restaurant.order(&customer, &[(0, 1)], card).await;
        in_state(&customer.client, &order, "confirmed").await;
        paid(&customer.client, &order, "authorized").await;
    }
}

async fn provider_declines_late(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 2)], "card_late_declined").await;
    let order = in_state(&customer.client, &order, "payment_failed").await;
    assert_eq!(order["reason"], "card_declined");
    paid(&customer.client, &order, "failed").await;
    stock_returns(&restaurant, 5).await;
}

async fn cancelled_before_the_provider_answers(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let reason = json!({ "reason": "changed my mind" });
    // One of them never answers; the other approves when the order has ended long since.
    for card in ["card_silent", "card_late"] {
        let order = restaurant.place(&customer, &[(0, 1)], card).await;
        assert_eq!(order["state"], "placed");
        let path = format!("/orders/{}/cancel", text(&order, "/id"));
        let cancelled = post(&customer.client, &path, &reason).await.unwrap();
        assert_eq!(cancelled["state"], "cancelled");
        let payment = paid(&customer.client, &order, "voided").await;
        assert_eq!(payment["captured"]["amount_minor"], 0);
        stock_returns(&restaurant, 5).await;
        in_state(&customer.client, &order, "cancelled").await;
    }
}

async fn cancel_races_accept(topology: Topology) {
    const ROUNDS: i64 = 6;
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(ROUNDS))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let mut accepted_of_all = 0;
    for _ in 0..ROUNDS {
        let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
        let path = |verb: &str| format!("/orders/{}/{verb}", text(&order, "/id"));
        let (cancel, accept) = (path("cancel"), path("accept"));
        let (reason, minutes) = (json!({ "reason": "too slow" }), json!({ "minutes": 20 }));
        let (cancelled, accepted) = tokio::join!(
            post(&customer.client, &cancel, &reason),
            post(&restaurant.owner.client, &accept, &minutes),
        );
        // One of them was first, and the other was told so.
        let (state, money) = match (cancelled, accepted) {
            (Ok(_), refused) => {
                assert_eq!(code(refused), "wrong_state");
                ("cancelled", "voided")
            }
            (refused, Ok(_)) => {
                assert_eq!(code(refused), "wrong_state");
                accepted_of_all += 1;
                ("accepted", "authorized")
            }
            (cancelled, accepted) => panic!("both were refused: {cancelled:?} {accepted:?}"),
        };
        in_state(&customer.client, &order, state).await;
        paid(&customer.client, &order, money).await;
    }
    stock_returns(&restaurant, ROUNDS - accepted_of_all).await;
}

async fn closed_between_quote_and_placing(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&customer, &[(0, 1)], "delivery").await.unwrap();
    let path = format!("/restaurants/{}", restaurant.id);
    let now = get(&restaurant.owner.client, &path).await.unwrap();
    let close = Request::put(format!("/api/v1{path}/open"), &json!({ "open": false }));
    restaurant.owner.client.send(&close.if_match(&now["version"])).await.expect("it closes");
    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = customer.client.send(&request).await.unwrap().body;
    assert_eq!((text(&order, "/state"), text(&order, "/reason")), ("rejected", "closed"));
    assert_eq!(restaurant.free(0).await, 5);
    let again = restaurant.quote(&customer, &[(0, 1)], "delivery").await;
    assert_eq!(code(again), "restaurant_closed");
}

async fn provider_fails_to_capture(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&customer, &[(0, 1)], "dine_in").await.unwrap();
    let body = Restaurant::placing(&quote, "card_capture_fails");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = customer.client.send(&request).await.unwrap().body;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    let done = post(&restaurant.owner.client, &path, &json!({})).await.unwrap();
    assert_eq!(done["state"], "completed", "a failed capture does not undo a meal");
    let payment = paid(&customer.client, &order, "captured").await;
    assert_eq!(payment["captured"]["amount_minor"], 250);
}

/// Waits until `free` of the first item are free again.
pub(crate) async fn stock_returns(restaurant: &Restaurant, free: i64) {
    wait::until("the stock is free again", SOON, async || {
        let now = restaurant.free(0).await;
        if now == free { Ok(()) } else { Err(now) }
    })
    .await;
}
