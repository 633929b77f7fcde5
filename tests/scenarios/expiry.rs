//! Live streams end with the token of who follows them, and are gone on with under a new one.

use bistro_client::{Client, Event, Events, Request};
use tokio::time::timeout;

use crate::{
    people::{Person, Restaurant, code, courier, get, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(a_stream_ends_when_the_token_expires);

/// Opens the stream at `path` with a fresh token of `who`.
async fn follow(platform: &Platform, who: &mut Person, path: &str) -> Events {
    who.log_in(platform).await;
    who.client.events(&Request::get(format!("/api/v1{path}"))).await.expect("events")
}

/// Reads to the end of a stream, which has to be that of the token; gives the last event.
async fn ended(client: &Client, events: &mut Events) -> Option<Event> {
    let mut last = None;
    while let Some(event) =
        timeout(SOON, events.next()).await.expect("it ends in time").expect("whole events")
    {
        last = Some(event);
    }
    // It was good until now.
    assert_eq!(code(get(client, "/me").await), "unauthenticated");
    last
}

async fn a_stream_ends_when_the_token_expires(topology: Topology) {
    let platform = Platform::start(topology, &[("BISTRO__AUTH__ACCESS_TOKEN_TTL", "15s")]).await;
    let mut restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let mut ada = Person::new(&platform, "ada", &[]).await;
    let mut cora = courier(&platform, 1).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    let order_id = text(&order, "/id");

    let orders = format!("/orders/{order_id}/events");
    let mut order_events = follow(&platform, &mut ada, &orders).await;
    let kitchen = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let mut kitchen_events = follow(&platform, &mut restaurant.owner, &kitchen).await;
    let mut courier_events = follow(&platform, &mut cora, "/couriers/me/events").await;

    let seen = ended(&ada.client, &mut order_events).await.expect("the order as it was");
    assert_eq!(seen.data["state"], "confirmed", "{seen:?}");
    ended(&restaurant.owner.client, &mut kitchen_events).await;
    ended(&cora.client, &mut courier_events).await;

    // What happened meanwhile is told to who comes back, and nothing else is.
    restaurant.owner.log_in(&platform).await;
    restaurant.accept(&order).await;
    ada.log_in(&platform).await;
    let seen: i64 = seen.id.parse().expect("a sequence");
    let mut events = ada.client.order_events_after(order_id, seen).await.expect("events");
    let next = timeout(SOON, events.next()).await.expect("in time").expect("an event");
    let next = next.expect("the stream goes on");
    assert_eq!(next["state"], "accepted", "{next}");
    assert!(next["sequence"].as_i64() > Some(seen), "{next}");
}
