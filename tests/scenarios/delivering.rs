//! Couriers at work: shifts, claims, codes, and what is shown live.

use std::collections::HashMap;

use bistro_client::{Client, ClientError, Event, Events, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    people::{
        Person, Restaurant, assigned, code, courier, delete, duty, fresh, get, in_state, post, put,
        step, text,
    },
    permissions::{made, member},
    platform::{Platform, SOON, Topology, on_every_topology},
    rude::nobody,
};

on_every_topology!(
    couriers_come_and_go,
    the_nearest_is_sent_and_neighbours_go_together,
    deliveries_are_claimed_and_looked_after,
    nobody_takes_what_is_still_cooking,
    a_courier_follows_the_work_live,
    the_customer_sees_the_courier_come,
    a_drop_off_is_proven_by_code,
    many_orders_and_few_couriers,
);

/// The path of the courier who asks, by id.
async fn path_of(who: &Person) -> String {
    let me = get(&who.client, "/couriers/me").await.expect("a courier");
    format!("/couriers/{}", text(&me, "/id"))
}

/// Checks that it was refused for these fields, and all of them were said.
#[track_caller]
fn refused_for(refused: Result<Value, ClientError>, fields: &[&str]) {
    let ClientError::Problem { problem, .. } = refused.expect_err("a refusal") else {
        panic!("no answer");
    };
    let named: Vec<_> = problem.errors.iter().map(|one| one.field.as_str()).collect();
    assert_eq!((problem.code.as_str(), named.as_slice()), ("invalid_argument", fields));
}

/// An order of `customer` that is cooked.
async fn cooked(restaurant: &Restaurant, customer: &Person) -> Value {
    let order = restaurant.order(customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    order
}

/// The order's delivery, once there is one.
async fn delivery_of(who: &Client, order: &Value) -> Value {
    let path = format!("/orders/{}/delivery", text(order, "/id"));
    wait::until("the order has a delivery", SOON, async || get(who, &path).await).await
}

async fn couriers_come_and_go(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let cora = courier(&platform, 2).await;
    let bob = Person::new(&platform, "bob", &["courier"]).await;
    assert_eq!(code(get(&bob.client, "/couriers/me").await), "not_found");
    let capacity = |capacity: i64| json!({ "name": "Bob", "capacity": capacity });
    refused_for(post(&bob.client, "/couriers", &capacity(51)).await, &["capacity"]);
    assert_eq!(code(post(&bob.client, "/couriers", &capacity(-1)).await), "invalid_argument");
    let customer = Person::new(&platform, "ada", &[]).await;
    let denied = post(&customer.client, "/couriers", &capacity(1)).await;
    assert_eq!(code(denied), "permission_denied");

    an_administrator_makes_a_courier(&platform, &bob, &customer).await;

    let me = get(&cora.client, "/couriers/me").await.expect("a courier");
    let new = json!({ "name": "Coralie", "capacity": 3 });
    let change = async |version: Option<&Value>, body: &Value| {
        put(&cora.client, "/couriers/me", version, body).await
    };
    assert_eq!(code(change(None, &new).await), "precondition_required");
    let changed = change(Some(&me["version"]), &new).await.expect("a change");
    assert_eq!((&changed["name"], &changed["capacity"]), (&json!("Coralie"), &json!(3)));
    assert_eq!(code(change(Some(&me["version"]), &new).await), "version_mismatch");
    let wrong = change(Some(&changed["version"]), &json!({ "name": "", "capacity": 0 })).await;
    refused_for(wrong, &["name", "capacity"]);

    let path = path_of(&cora).await;
    for stranger in [&bob, &customer] {
        assert_eq!(code(get(&stranger.client, &path).await), "not_found");
        assert_eq!(code(delete(&stranger.client, &path).await), "not_found");
        assert_eq!(code(get(&stranger.client, &format!("{path}/shifts")).await), "not_found");
        assert_eq!(code(get(&stranger.client, "/couriers").await), "permission_denied");
    }
    let operator = platform.operator();
    let listed = get(&operator, "/couriers?on_duty=true").await.expect("couriers");
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let by_admin = put(&operator, &path, Some(&changed["version"]), &capacity(2)).await;
    let by_admin = by_admin.expect("an administrator may");
    assert_eq!(by_admin["capacity"], 2);
    // More than the platform lets couriers say, who may keep what they were given.
    let roomy = put(&operator, &path, Some(&by_admin["version"]), &capacity(60)).await.unwrap();
    refused_for(change(Some(&roomy["version"]), &capacity(61)).await, &["capacity"]);
    let kept = change(Some(&roomy["version"]), &capacity(60)).await.expect("the same room");
    let too_much = put(&operator, &path, Some(&kept["version"]), &capacity(1_001)).await;
    refused_for(too_much, &["capacity"]);

    duty(&cora, false).await;
    let shifts = get(&cora.client, "/couriers/me/shifts").await.expect("shifts");
    assert_eq!(shifts["items"].as_array().map(Vec::len), Some(1));
    assert!(shifts["items"][0]["to"].is_string(), "{shifts}");
    duty(&cora, true).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let order = cooked(&restaurant, &customer).await;
    let delivery = assigned(&cora, &order).await;
    assert_eq!(code(delete(&cora.client, "/couriers/me").await), "wrong_state");
    step(&cora, &delivery, "pick-up").await;
    // Off duty with a delivery under way: it is brought all the same, and counted.
    duty(&cora, false).await;
    step(&cora, &delivery, "drop-off").await;
    let shifts = get(&operator, &format!("{path}/shifts")).await.expect("shifts");
    assert_eq!(shifts["items"][0]["deliveries"], 1, "{shifts}");
    delete(&cora.client, "/couriers/me").await.expect("gone");
    delete(&operator, &path).await.expect("and stays gone");
    assert_eq!(get(&operator, &path).await.expect("the record")["deleted"], true);
    let on_duty = json!({ "on_duty": true });
    assert_eq!(code(put(&cora.client, "/couriers/me/duty", None, &on_duty).await), "not_found");

    // Who is erased leaves no name.
    post(&bob.client, "/couriers", &capacity(1)).await.expect("a courier");
    let path = path_of(&bob).await;
    let me = get(&bob.client, "/me").await.expect("a user");
    delete(&bob.client, &format!("/users/{}", text(&me, "/id"))).await.expect("erased");
    let left = wait::until("the courier is erased", SOON, async || {
        let left = get(&operator, &path).await.map_err(|error| error.to_string())?;
        if left["deleted"] == true { Ok(left) } else { Err(left.to_string()) }
    });
    assert_eq!(left.await["name"], "");
}

/// An administrator makes a courier of somebody who has the role, and of nobody else; `other` has the
/// role too, and may not.
async fn an_administrator_makes_a_courier(platform: &Platform, other: &Person, customer: &Person) {
    let id = async |who: &Person| {
        text(&get(&who.client, "/me").await.expect("a user"), "/id").to_owned()
    };
    let of = |user: &str| json!({ "name": "Dora", "capacity": 60, "user_id": user });
    let operator = platform.operator();
    let dora = Person::new(platform, "dora", &["courier"]).await;
    let user = id(&dora).await;
    for denied in [other, customer] {
        let denied = post(&denied.client, "/couriers", &of(&user)).await;
        assert_eq!(code(denied), "permission_denied");
    }
    for wrong in [id(customer).await.as_str(), &nobody("usr"), &nobody("ord"), "me", ""] {
        refused_for(post(&operator, "/couriers", &of(wrong)).await, &["user_id"]);
    }
    let made = post(&operator, "/couriers", &of(&user)).await.expect("a courier");
    assert_eq!((&made["user_id"], &made["capacity"]), (&json!(user), &json!(60)));
    assert_eq!(code(post(&operator, "/couriers", &of(&user)).await), "already_exists");
    // Who was made one works as one.
    duty(&dora, true).await;
    assert_eq!(get(&dora.client, "/couriers/me").await.expect("a courier")["id"], made["id"]);
    let path = format!("/couriers/{}", text(&made, "/id"));
    delete(&operator, &path).await.expect("an administrator lets her go");
}

/// A cooked order of `customer`, to go so many thousandths of a degree north of the restaurant.
async fn cooked_for(restaurant: &Restaurant, customer: &Person, north: f64) -> Value {
    let drop_off = json!({ "latitude": 51.5 + north / 1000.0, "longitude": -0.12 });
    let body = json!({
        "restaurant_id": restaurant.id, "fulfilment": "delivery", "drop_off": drop_off,
        "lines": [{ "item_id": restaurant.items[0].1, "quantity": 1 }],
    });
    let quote = post(&customer.client, "/quotes", &body).await.expect("a quote");
    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let placed = customer.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = placed.expect("an order").body;
    restaurant.cook(&order).await;
    order
}

async fn the_nearest_is_sent_and_neighbours_go_together(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let path = format!("/restaurants/{}", restaurant.id);
    let now = get(&restaurant.owner.client, &path).await.expect("the restaurant");
    let place = json!({
        "name": now["name"], "time_zone": now["time_zone"],
        "location": { "latitude": 51.5, "longitude": -0.12 },
    });
    put(&restaurant.owner.client, &path, Some(&now["version"]), &place).await.expect("a place");
    let customer = Person::new(&platform, "ada", &[]).await;
    let (far, near) = (courier(&platform, 2).await, courier(&platform, 2).await);
    for (who, north) in [(&far, 9.0), (&near, 1.0)] {
        let here = json!({ "latitude": 51.5 + north / 1000.0, "longitude": -0.12 });
        put(&who.client, "/couriers/me/position", None, &here).await.expect("a position");
    }
    let first = cooked_for(&restaurant, &customer, 20.0).await;
    let given = assigned(&near, &first).await;
    assert_eq!(given["from"]["latitude"], 51.5);
    // A hundred metres from the first one, and ten kilometres from it.
    let second = cooked_for(&restaurant, &customer, 21.0).await;
    let neighbour = assigned(&near, &second).await;
    let elsewhere = cooked_for(&restaurant, &customer, 110.0).await;
    let other = assigned(&far, &elsewhere).await;
    let path = |delivery: &Value| format!("/deliveries/{}", text(delivery, "/id"));
    let shown = get(&near.client, &path(&given)).await.expect("the delivery");
    assert_eq!(shown["with"], json!([neighbour["id"]]));
    assert_eq!(shown["to"]["latitude"], 51.52);
    let shown = get(&far.client, &path(&other)).await.expect("the delivery");
    assert_eq!(shown["with"], json!([]));
}

async fn deliveries_are_claimed_and_looked_after(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let elsewhere = Restaurant::open(&platform, &[("Dal", 595, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let order = cooked(&restaurant, &customer).await;
    let delivery = delivery_of(&customer.client, &order).await;
    assert_eq!((&delivery["state"], &delivery["code"]), (&json!("pending"), &Value::Null));
    let path = format!("/deliveries/{}", text(&delivery, "/id"));

    let of_restaurant = format!("/restaurants/{}/deliveries", restaurant.id);
    let listed = get(&restaurant.owner.client, &of_restaurant).await.expect("deliveries");
    assert_eq!(listed["items"][0]["id"], delivery["id"]);
    let all = get(&platform.operator(), "/deliveries").await.expect("all deliveries");
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(code(get(&elsewhere.owner.client, &of_restaurant).await), "permission_denied");
    assert_eq!(code(get(&restaurant.owner.client, "/deliveries").await), "permission_denied");
    let stranger = Person::new(&platform, "eve", &[]).await;
    let of_order = format!("/orders/{}/delivery", text(&order, "/id"));
    for other in [&stranger, &elsewhere.owner] {
        assert_eq!(code(get(&other.client, &of_order).await), "not_found");
        assert_eq!(code(get(&other.client, &path).await), "not_found");
    }

    // Who declines is not offered it again, so nobody who is on duty can be given it.
    let first = courier(&platform, 1).await;
    let offered = assigned(&first, &order).await;
    assert_eq!(step(&first, &offered, "decline").await["state"], "pending");
    let second = Person::new(&platform, "bob", &["courier"]).await;
    let claim = format!("{path}/claim");
    assert_eq!(code(post(&second.client, &claim, &json!({})).await), "not_found");
    let new = json!({ "name": "Bob", "capacity": 1 });
    post(&second.client, "/couriers", &new).await.expect("a courier");
    let waiting = get(&second.client, "/couriers/me/deliveries?state=pending").await;
    assert_eq!(waiting.expect("what nobody has")["items"][0]["id"], delivery["id"]);
    assert_eq!(code(post(&second.client, &claim, &json!({})).await), "wrong_state", "off duty");
    // Who declined it thinks better of it.
    let claimed = post(&first.client, &claim, &json!({})).await.expect("a claim");
    let me = get(&first.client, "/couriers/me").await.expect("a courier");
    assert_eq!((&claimed["state"], &claimed["courier_id"]), (&json!("assigned"), &me["id"]));
    assert_eq!(me["load"], 1);
    assert_eq!(code(post(&first.client, &claim, &json!({})).await), "wrong_state", "theirs");
    assert_eq!(code(post(&second.client, &claim, &json!({})).await), "not_found");
    assert_eq!(step(&first, &claimed, "decline").await["state"], "pending");
    duty(&second, true).await;
    assert_eq!(assigned(&second, &order).await["id"], delivery["id"]);
    assert_eq!(code(post(&first.client, &claim, &json!({})).await), "not_found");
    // Who cannot bring what still lies in the restaurant does not end the order.
    let unable = json!({ "reason": "a flat tyre", "code": "courier_unable" });
    let left = post(&second.client, &format!("{path}/fail"), &unable).await.expect("declined");
    assert_eq!((&left["state"], &left["reason"]), (&json!("pending"), &Value::Null));
    assert_eq!(get(&customer.client, &of_order).await.expect("the delivery")["state"], "pending");
    post(&second.client, &claim, &json!({})).await.expect("the tyre is mended");
    let early = json!({ "reason": "where is it?" });
    let early = post(&restaurant.owner.client, &format!("{path}/fail"), &early).await;
    assert_eq!(code(early), "permission_denied", "nobody has picked it up");
    step(&second, &delivery, "pick-up").await;
    let reason = json!({ "reason": "", "code": "the dog" });
    let refused = post(&second.client, &format!("{path}/fail"), &reason).await;
    assert_eq!(code(refused), "invalid_argument");
    let reason = json!({ "reason": "nobody opened the door", "code": "customer_absent" });
    let failed = post(&second.client, &format!("{path}/fail"), &reason).await.expect("failed");
    assert_eq!(failed["reason_code"], "customer_absent");
    let told = get(&customer.client, &of_order).await.expect("the delivery");
    assert_eq!((&told["state"], &told["reason"]), (&json!("failed"), &Value::Null));
    in_state(&customer.client, &order, "failed").await;
    let listed = get(&restaurant.owner.client, &of_restaurant).await.expect("deliveries");
    assert_eq!(listed["items"], json!([]), "it has ended");
}

async fn nobody_takes_what_is_still_cooking(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 1).await;
    let order = cooked(&restaurant, &customer).await;
    let delivery = assigned(&cora, &order).await;
    let ticket = restaurant.ticket(&order).await;
    let recall = format!("/tickets/{}/items/0/recall", text(&ticket, "/id"));
    post(&restaurant.owner.client, &recall, &json!({})).await.expect("a recall");
    in_state(&customer.client, &order, "preparing").await;
    let pick_up = format!("/deliveries/{}/pick-up", text(&delivery, "/id"));
    let early = post(&cora.client, &pick_up, &json!({})).await.expect_err("it is cooking");
    assert_eq!(early.code(), Some("wrong_state"), "{early}");
    assert!(early.to_string().contains("cooking"), "{early}");
    let drop_off = format!("/deliveries/{}/drop-off", text(&delivery, "/id"));
    assert_eq!(code(post(&cora.client, &drop_off, &json!({})).await), "wrong_state");
    restaurant.bump(&order).await;
    in_state(&customer.client, &order, "ready").await;
    step(&cora, &delivery, "pick-up").await;
    step(&cora, &delivery, "drop-off").await;
    in_state(&customer.client, &order, "completed").await;
}

async fn next(events: &mut Events) -> Event {
    let event = timeout(SOON, events.next()).await.expect("an event in time");
    event.expect("an answer").expect("the stream goes on")
}

/// Reads until an event tells of `delivery` in `state`.
async fn until_in(events: &mut Events, delivery: &Value, state: &str) -> Event {
    loop {
        let event = next(events).await;
        assert_eq!(event.name, "delivery");
        if event.data["id"] == delivery["id"] && event.data["state"] == state {
            return event;
        }
    }
}

async fn a_courier_follows_the_work_live(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 3).await;
    let stream = Request::get("/api/v1/couriers/me/events");
    assert_eq!(code(customer.client.events(&stream).await.map(drop)), "not_found");
    let bad = stream.clone().last_event_id(-1);
    assert_eq!(code(cora.client.events(&bad).await.map(drop)), "invalid_argument");

    let mut events = cora.client.events(&stream).await.expect("events");
    let order = cooked(&restaurant, &customer).await;
    let delivery = delivery_of(&customer.client, &order).await;
    let given = until_in(&mut events, &delivery, "assigned").await;
    assert_eq!(given.data["address"], Value::Null, "the address is asked for");
    step(&cora, &delivery, "pick-up").await;
    let taken = until_in(&mut events, &delivery, "picked_up").await;
    assert!(!taken.id.is_empty());
    drop(events);
    step(&cora, &delivery, "drop-off").await;
    let second = cooked(&restaurant, &customer).await;
    let offered = assigned(&cora, &second).await;
    step(&cora, &offered, "decline").await;
    // Whoever was away is told what has ended and what was taken away meanwhile.
    let resumed = stream.clone().last_event_id(taken.id.parse().expect("a number"));
    let mut events = cora.client.events(&resumed).await.expect("events");
    let (mut ended, mut gone) = (false, false);
    while !(ended && gone) {
        let event = next(&mut events).await;
        ended |= event.data["id"] == delivery["id"] && event.data["state"] == "delivered";
        gone |= event.data["id"] == offered["id"] && event.data["courier_id"].is_null();
    }
    // Who begins anew is told only what is there.
    let mut anew = cora.client.events(&stream).await.expect("events");
    let third = cooked(&restaurant, &customer).await;
    let first = next(&mut anew).await;
    assert_eq!(first.data["order_id"], third["id"]);
}

async fn the_customer_sees_the_courier_come(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    let path = format!("/orders/{}/delivery/events", text(&order, "/id"));
    let stream = Request::get(format!("/api/v1{path}"));
    assert_eq!(code(customer.client.events(&stream).await.map(drop)), "not_found", "not ready");
    restaurant.cook(&order).await;
    let delivery = assigned(&cora, &order).await;
    let stranger = Person::new(&platform, "eve", &["courier"]).await;
    assert_eq!(code(stranger.client.events(&stream).await.map(drop)), "not_found");

    let stand = async |who: &Person, lat: f64, lon: f64| {
        let here = json!({ "latitude": lat, "longitude": lon });
        put(&who.client, "/couriers/me/position", None, &here).await
    };
    refused_for(stand(&cora, 90.1, -181.0).await, &["latitude", "longitude"]);
    let no_point = json!({ "latitude": "north", "longitude": 0 });
    let refused = put(&cora.client, "/couriers/me/position", None, &no_point).await;
    refused_for(refused, &["latitude"]);
    assert_eq!(code(stand(&stranger, 1.0, 1.0).await), "not_found");

    let mut watchers = Vec::new();
    for who in [&customer.client, &restaurant.owner.client, &platform.operator()] {
        watchers.push(who.events(&stream).await.expect("events"));
    }
    // A position is told once, to those who listen; the courier's app says it again and again.
    let lat = 51.500_729;
    let mut told = 0_i32;
    for events in &mut watchers {
        let seen = wait::until("the position is seen", SOON, async || {
            told += 1;
            stand(&cora, lat, f64::from(told) / 1000.0).await.map_err(|error| error.to_string())?;
            match timeout(std::time::Duration::from_millis(700), events.next()).await {
                Ok(Ok(Some(event))) => Ok(event),
                other => Err(format!("{other:?}")),
            }
        });
        let seen = seen.await;
        assert_eq!(
            (seen.name.as_str(), &seen.data["position"]["latitude"]),
            ("position", &json!(lat))
        );
    }
    let me = get(&cora.client, "/couriers/me").await.expect("the courier");
    assert_eq!(me["position"]["latitude"], lat);
    step(&cora, &delivery, "pick-up").await;
    step(&cora, &delivery, "drop-off").await;
    for mut events in watchers {
        let ended = async { while events.next().await.expect("an answer").is_some() {} };
        timeout(SOON, ended).await.expect("the stream ends with the delivery");
    }
    let mut over = customer.client.events(&stream).await.expect("204");
    assert_eq!(over.next().await.expect("an answer"), None);
}

async fn a_drop_off_is_proven_by_code(topology: Topology) {
    let settings = [("BISTRO__DELIVERY__PROOF_BY_CODE", "true")];
    let platform = Platform::start(topology, &settings).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let manager = member(&platform, &restaurant, "manager").await;
    let support = made(&platform, "support").await;
    let others = [&restaurant.owner, &manager, &support];
    let cora = courier(&platform, 1).await;
    // The courier says it with the right code; or, when the codes were wrong too often, each of the
    // others without one.
    for released_by in [None].into_iter().chain(others.map(Some)) {
        let order = cooked(&restaurant, &customer).await;
        let delivery = assigned(&cora, &order).await;
        assert_eq!((&delivery["code"], &delivery["code_needed"]), (&Value::Null, &json!(true)));
        step(&cora, &delivery, "pick-up").await;
        let theirs = delivery_of(&customer.client, &order).await;
        let right = text(&theirs, "/code").to_owned();
        let of_staff = delivery_of(&restaurant.owner.client, &order).await;
        assert_eq!(of_staff["code"], Value::Null);
        let path = format!("/deliveries/{}/drop-off", text(&delivery, "/id"));
        let give = async |who: &Person, code: Value| {
            let body = if code.is_null() { json!({}) } else { json!({ "code": code }) };
            post(&who.client, &path, &body).await
        };
        for rubbish in [Value::Null, json!("12"), json!("abcd")] {
            refused_for(give(&cora, rubbish).await, &["code"]);
        }
        assert_eq!(code(give(&cora, json!(4711)).await), "invalid_argument", "a number");
        let wrong = format!("{:04}", (right.parse::<u32>().expect("digits") + 1) % 10_000);
        for early in others {
            assert_eq!(code(give(early, Value::Null).await), "permission_denied");
        }
        for _ in 0..if released_by.is_some() { 5 } else { 4 } {
            refused_for(give(&cora, json!(wrong)).await, &["code"]);
        }
        if let Some(who) = released_by {
            assert_eq!(code(give(&cora, json!(right)).await), "wrong_state");
            let released = give(who, Value::Null).await.expect("somebody else says it");
            assert_eq!(released["state"], "delivered");
        } else {
            let done = give(&cora, json!(right)).await.expect("the right code");
            assert_eq!(done["state"], "delivered");
        }
        in_state(&customer.client, &order, "completed").await;
    }
    for who in others {
        given_up(&restaurant, &customer, &cora, who).await;
    }
}

/// Food that does not arrive is given up by `who`, once it is picked up and no sooner.
async fn given_up(restaurant: &Restaurant, customer: &Person, courier: &Person, who: &Person) {
    let order = cooked(restaurant, customer).await;
    let delivery = assigned(courier, &order).await;
    let path = format!("/deliveries/{}/fail", text(&delivery, "/id"));
    let reason = json!({ "reason": "nobody can reach the courier" });
    let early = post(&who.client, &path, &reason).await;
    assert_eq!(code(early), "permission_denied", "nobody has picked it up");
    step(courier, &delivery, "pick-up").await;
    let failed = post(&who.client, &path, &reason).await.expect("it is given up");
    assert_eq!(failed["state"], "failed");
    in_state(&customer.client, &order, "failed").await;
}

async fn many_orders_and_few_couriers(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let capacities = [1_u32, 2, 4];
    for capacity in capacities {
        courier(&platform, capacity).await;
    }
    let mut tickets = Vec::new();
    for _ in 0..32 {
        let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
        restaurant.accept(&order).await;
        tickets.push(restaurant.ticket(&order).await);
    }
    // All of them are ready at the same moment.
    let bumped: Vec<_> = tickets
        .into_iter()
        .map(|ticket| {
            let client = restaurant.owner.client.clone();
            let path = format!("/tickets/{}/bump", text(&ticket, "/id"));
            tokio::spawn(async move { post(&client, &path, &json!({})).await })
        })
        .collect();
    for one in bumped {
        one.await.expect("a bump").expect("it is ready");
    }
    let operator = platform.operator();
    let room: u64 = capacities.iter().map(|capacity| u64::from(*capacity)).sum();
    let deliveries = wait::until("whoever has room has something", SOON, async || {
        let all =
            get(&operator, "/deliveries?limit=200").await.map_err(|error| error.to_string())?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let given = all.iter().filter(|one| one["state"] == "assigned").count() as u64;
        if all.len() == 32 && given == room {
            Ok(all)
        } else {
            Err(format!("{given} of {}", all.len()))
        }
    })
    .await;
    let mut given: HashMap<&str, u64> = HashMap::new();
    for delivery in &deliveries {
        if let Some(courier) = delivery["courier_id"].as_str() {
            *given.entry(courier).or_default() += 1;
        }
    }
    let listed = get(&operator, "/couriers").await.expect("couriers");
    let listed = listed["items"].as_array().expect("couriers");
    assert_eq!(listed.len(), capacities.len());
    for courier in listed {
        assert_eq!(courier["load"], courier["capacity"], "{courier}");
        assert_eq!(given[text(courier, "/id")], courier["load"].as_u64().expect("a load"));
    }
}
