//! Events that a role has given up: listed, shown, retried, dropped, over the API and by the
//! command.

use std::sync::Arc;

use bistro_bus::{DeadLetter, Shelf as _};
use bistro_client::Request;
use bistro_core::{Clock, Event, Id, SystemClock, Timestamp, kinds};
use bistro_eventing::{StoreShelf, shelf_collection};
use bistro_proto::orders::v1::{OrderAccepted, QuoteLine};
use bistro_store::Collection;
use bistro_store_embedded::Embedded;
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::wait;
use prost::{Message as _, Name as _};
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(retried_and_dropped, only_for_who_runs_the_platform, retried_all_at_once);

const QUEUE: &str = "kitchen.events";
const CAUSE: &str = "unavailable: the oven is away";
static SHELF: Collection = shelf_collection("kitchen");

/// That `restaurant` has accepted an order that nobody else knows of.
fn accepted(restaurant: &Restaurant, number: u32) -> Event {
    let now = SystemClock.now();
    let bits = (u128::try_from(now.as_millis()).unwrap() << 80) | u128::from(number);
    let order = Id::<kinds::Order>::from_bits(bits);
    let told = OrderAccepted {
        order_id: order.to_string(),
        restaurant_id: restaurant.id.clone(),
        lines: vec![QuoteLine {
            item_id: restaurant.items[0].1.clone(),
            name: restaurant.items[0].0.clone(),
            quantity: 2,
            ..QuoteLine::default()
        }],
        fulfilment: "pick_up".to_owned(),
        ..OrderAccepted::default()
    };
    event(&order.to_string(), now, told.encode_to_vec())
}

fn event(subject: &str, time: Timestamp, data: Vec<u8>) -> Event {
    Event {
        id: format!("{}/0", fresh("work")),
        source: "/bistro/orders".to_owned(),
        kind: OrderAccepted::full_name(),
        subject: subject.to_owned(),
        time,
        sequence: 3,
        traceparent: None,
        data,
    }
}

/// Has the kitchen give `events` up, on the engine that the platform stands on.
async fn bury(platform: &mut Platform, events: Vec<Event>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if platform.topology == Topology::Embedded {
        platform
            .interlude(0, async |data| {
                let engine = Embedded::open(data, &[&SHELF], clock).expect("the data");
                let count = events.len();
                engine.publish(events).await.expect("it is published");
                let queue = engine.queue(QUEUE).expect("the kitchen's queue");
                for _ in 0..count {
                    let message = queue.next().await.expect("a message");
                    queue.dead_letter(message.seq, CAUSE).await.expect("a dead letter");
                }
                drop(queue);
                engine.close().await;
            })
            .await;
        return;
    }
    let options = MongoOptions {
        database: platform.setting("BISTRO__STORE_OPTIONS__DATABASE").to_owned(),
        ..MongoOptions::new(platform.setting("BISTRO__STORE"))
    };
    let store = Arc::new(MongoStore::connect(options, &[&SHELF]).await.expect("MongoDB"));
    let shelf = StoreShelf::new(&SHELF, store, Arc::clone(&clock));
    for event in events {
        let letter = DeadLetter {
            queue: QUEUE.to_owned(),
            event,
            attempts: 12,
            at: clock.now(),
            cause: CAUSE.to_owned(),
        };
        shelf.bury(letter).await.expect("a dead letter");
    }
}

/// The dead letters that the command lists, as JSON.
async fn listed(platform: &Platform, words: &[&str]) -> Vec<Value> {
    let words = [&["dead-letters", "list", "--output", "json"], words].concat();
    serde_json::from_str(&platform.run(&words).await).expect("JSON")
}

/// Waits until the kitchen of `restaurant` has a ticket for `order`.
async fn ticket(restaurant: &Restaurant, order: &str) -> Value {
    restaurant.ticket(&json!({ "id": order })).await
}

async fn retried_and_dropped(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    assert_eq!(platform.run(&["dead-letters", "list"]).await, "no dead letters\n");
    let (good, bad) = (accepted(&restaurant, 1), event("ord_odd", SystemClock.now(), vec![0xff]));
    bury(&mut platform, vec![good.clone(), bad.clone()]).await;

    let letters = listed(&platform, &[]).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    let of = |event: &Event| {
        let letter = letters.iter().find(|one| one["event"]["id"] == event.id.as_str());
        text(letter.expect("a dead letter"), "/id").to_owned()
    };
    let (good_id, bad_id) = (of(&good), of(&bad));
    let table = platform.run(&["dead-letters", "list", "--role", "kitchen"]).await;
    assert!(table.contains(&good_id) && table.contains(CAUSE), "{table}");
    assert!(listed(&platform, &["--role", "orders"]).await.is_empty());

    // Shown with what it says, and what cannot be read without.
    let shown = platform.run(&["dead-letters", "show", &good_id, "--output", "json"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["event"]["data"]["restaurant_id"], restaurant.id.as_str(), "{shown}");
    assert_eq!(shown["event"]["data"]["lines"][0]["quantity"], 2);
    assert_eq!(shown["event"]["data"]["order_id"], good.subject.as_str());
    assert_eq!(shown["cause"], CAUSE);
    let shown = platform.run(&["dead-letters", "show", &bad_id]).await;
    assert!(shown.contains("or damaged") && shown.contains(CAUSE), "{shown}");

    // Retried, it is handled; once.
    let told = platform.run(&["dead-letters", "retry", &good_id]).await;
    assert!(told.contains("is tried again"), "{told}");
    ticket(&restaurant, &good.subject).await;
    let (code, _, complaint) = platform.try_run(&["dead-letters", "retry", &good_id]).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("there is no dead letter"), "{complaint}");

    // What still cannot be handled is given up again, with the new cause.
    platform.run(&["dead-letters", "retry", &bad_id]).await;
    wait::until("it is given up again", SOON, async || {
        let letters = listed(&platform, &[]).await;
        match letters.as_slice() {
            [again] if again["cause"] != CAUSE => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    let drop = ["dead-letters", "drop", &bad_id, "--reason"];
    let (code, _, complaint) = platform.try_run(&[&drop[..], &[" "]].concat()).await;
    assert_eq!(code, 2, "a reason is needed: {complaint}");
    platform.run(&[&drop[..], &["a test's"]].concat()).await;
    assert!(listed(&platform, &[]).await.is_empty());
    let (code, _, complaint) = platform.try_run(&[&drop[..], &["again"]].concat()).await;
    assert_eq!(code, 1, "{complaint}");
}

async fn retried_all_at_once(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let events: Vec<Event> = (0..5).map(|number| accepted(&restaurant, number)).collect();
    bury(&mut platform, events.clone()).await;
    let operator = platform.operator();

    // In pages, each once.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&operator, &format!("/dead-letters?limit=2{cursor}")).await.unwrap();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|one| text(one, "/event/subject").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort_unstable();
    let mut wanted: Vec<String> = events.iter().map(|event| event.subject.clone()).collect();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);

    let none = json!({ "role": "kitchen", "kind": "bistro.orders.v1.OrderEnded" });
    let retried = post(&operator, "/dead-letters/retry", &none).await.unwrap();
    assert_eq!((&retried["retried"], &retried["more"]), (&json!(0), &json!(false)));
    let before = json!({ "role": "kitchen", "given_up_until": "2015-01-01T00:00:00Z" });
    let retried = post(&operator, "/dead-letters/retry", &before).await.unwrap();
    assert_eq!(retried["retried"], 0, "all of them were given up later");

    let told = platform.run(&["dead-letters", "retry", "--all"]).await;
    assert!(told.contains("5 dead letters tried again"), "{told}");
    for event in &events {
        ticket(&restaurant, &event.subject).await;
    }
    assert!(listed(&platform, &[]).await.is_empty());
}

async fn only_for_who_runs_the_platform(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &["restaurateur"]).await.client;
    let operator = platform.operator();
    let letter = "/dead-letters/kitchen.events:2f9c:0";
    let anybody = platform.anybody();
    for (client, refused) in [(&ada, "permission_denied"), (&anybody, "unauthenticated")] {
        assert_eq!(code(get(client, "/dead-letters").await), refused);
        assert_eq!(code(get(client, letter).await), refused);
        assert_eq!(code(post(client, &format!("{letter}/retry"), &json!({})).await), refused);
        let body = json!({ "role": "kitchen" });
        assert_eq!(code(post(client, "/dead-letters/retry", &body).await), refused);
        let why = json!({ "reason": "a" });
        assert_eq!(code(post(client, &format!("{letter}/drop"), &why).await), refused);
    }
    assert_eq!(code(get(&operator, letter).await), "not_found");
    for (path, wanted) in [
        ("/dead-letters?role=cellar", "invalid_argument"),
        ("/dead-letters?limit=0", "invalid_argument"),
        ("/dead-letters?limit=201", "invalid_argument"),
        ("/dead-letters?cursor=nonsense", "invalid_argument"),
        ("/dead-letters?cursor=orders.nonsense", "invalid_argument"),
        ("/dead-letters?colour=red", "invalid_argument"),
        ("/dead-letters/kitchen", "invalid_argument"),
        ("/dead-letters/cellar.events:2f:0", "not_found"),
        ("/dead-letters/kitchen.other:2f:0", "not_found"),
        ("/dead-letters/kitchen.events:%FF%00", "invalid_argument"),
    ] {
        assert_eq!(code(get(&operator, path).await), wanted, "{path}");
    }
    let retried = post(&operator, &format!("{letter}/retry"), &json!({})).await.unwrap();
    assert_eq!(retried["retried"], false, "what is not there is not retried");
    for body in [
        json!({}),
        json!({ "role": "cellar" }),
        json!({ "role": "kitchen", "given_up_until": "soon" }),
    ] {
        let refused = post(&operator, "/dead-letters/retry", &body).await;
        assert_eq!(code(refused), "invalid_argument", "{body}");
    }
    let long = "x".repeat(201);
    let drop = format!("{letter}/drop");
    for why in [json!({}), json!({ "reason": "" }), json!({ "reason": long })] {
        assert_eq!(code(post(&operator, &drop, &why).await), "invalid_argument", "{why}");
    }
    let why = json!({ "reason": "gone" });
    let request = Request::post(format!("/api/v1{drop}"), fresh("key"), &why);
    assert_eq!(operator.send(&request).await.expect("nothing to drop").status.as_u16(), 204);
}
