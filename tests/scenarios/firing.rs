//! Tickets of orders for later: held back until it is time to cook, and fired by themselves then.

use std::time::Duration;

use bistro_client::{Insistence, Request};
use bistro_core::{Clock as _, SystemClock};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, fresh, get, in_state, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    slots::say,
};

on_every_topology!(
    a_held_ticket_is_fired_when_its_moment_comes,
    what_is_cancelled_is_listed_after_what_is_to_be_cooked,
);

/// Milliseconds that one dish takes at a stove for one, of one minute, with the margin.
const A_DISH: i64 = 78_000;
/// How long before its moment an order has to be placed, so that it is accepted in time.
const MARGIN: i64 = 25_000;

/// Of the next slots one, and a number of dishes, so that cooking them has to begin soon.
fn soon(slots: &[Value], now: i64) -> (String, i64) {
    let fits = slots.iter().take(20).filter_map(|slot| {
        let from: jiff::Timestamp = text(slot, "/from").parse().expect("a time");
        let left = from.as_millisecond() - now - MARGIN;
        let dishes = left.div_euclid(A_DISH);
        (dishes > 0).then(|| (left.rem_euclid(A_DISH), text(slot, "/from").to_owned(), dishes))
    });
    let (_, from, dishes) = fits.min().expect("a slot");
    (from, dishes)
}

async fn a_held_ticket_is_fired_when_its_moment_comes(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let stove = json!({ "name": "Stove", "capacity": 1, "item_minutes": 1, "default": true });
    let stations = format!("/restaurants/{}/stations", restaurant.id);
    post(&restaurant.owner.client, &stations, &stove).await.expect("a station");
    let slots = json!({ "minutes": 5, "capacity": 4, "ahead_hours": 4 });
    say(&restaurant, &json!({ "slots": slots })).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let listed = get(&ada.client, &format!("/restaurants/{}/slots", restaurant.id)).await.unwrap();
    let listed = listed["items"].as_array().expect("slots");
    let (from, dishes) = soon(listed, SystemClock.now().as_millis());
    let basket = json!({
        "restaurant_id": restaurant.id, "fulfilment": "pick_up", "scheduled_for": from,
        "lines": [{ "item_id": restaurant.items[0].1, "quantity": dishes }],
    });
    let quote = post(&ada.client, "/quotes", &basket).await.expect("a quote");
    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(20);
    let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    assert_eq!(ticket["items"][0]["held"], true, "accepted too late: {ticket}");
    let fire_at: jiff::Timestamp = text(&ticket, "/fire_at").parse().expect("a time");

    let path = format!("/tickets/{}", text(&ticket, "/id"));
    let fired = wait::until("it is fired by itself", Duration::from_secs(120), async || {
        let now = get(&restaurant.owner.client, &path).await.map_err(|error| error.to_string())?;
        if now["items"][0]["held"] == false { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    assert!(SystemClock.now().as_millis() >= fire_at.as_millisecond(), "not before its moment");
    assert_eq!((text(&fired, "/state"), &fired["fire_at"]), ("queued", &Value::Null));
    restaurant.bump(&order).await;
    in_state(&ada.client, &order, "ready").await;
}

async fn what_is_cancelled_is_listed_after_what_is_to_be_cooked(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let mut tickets = Vec::new();
    for cancelled in [true, false] {
        let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
        restaurant.accept(&order).await;
        tickets.push(text(&restaurant.ticket(&order).await, "/id").to_owned());
        if cancelled {
            let path = format!("/orders/{}/cancel", text(&order, "/id"));
            let reason = json!({ "reason": "no more flour" });
            post(&restaurant.owner.client, &path, &reason).await.expect("it is cancelled");
        }
    }
    let path = format!("/restaurants/{}/tickets?limit=1", restaurant.id);
    let read = async |path: &str| {
        get(&restaurant.owner.client, path).await.map_err(|error| error.to_string())
    };
    let first = wait::until("the younger ticket is the first", SOON, async || {
        let page = read(&path).await?;
        let is_it = page["items"][0]["id"] == tickets[1].as_str();
        if is_it { Ok(page) } else { Err(page.to_string()) }
    })
    .await;
    let rest = read(&format!("{path}&cursor={}", text(&first, "/next_cursor"))).await.unwrap();
    let (id, state) = (text(&rest, "/items/0/id"), text(&rest, "/items/0/state"));
    assert_eq!((id, state), (tickets[0].as_str(), "cancelled"));
    assert_eq!(rest["next_cursor"], Value::Null, "{rest}");
}
