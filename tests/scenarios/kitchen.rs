//! A kitchen at work: stations, tickets that are held, fired, bumped and called off, how busy it
//! is, and its screens.

use std::time::Duration;

use bistro_client::{Client, ClientError, Insistence, Request};
use bistro_testkit::wait;
use futures::{StreamExt as _, stream::BoxStream};
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, Restaurant, code, delete, fresh, get, in_state, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    slots::say,
};

on_every_topology!(
    stations_are_managed,
    stations_and_nonsense,
    what_a_station_loses_goes_to_the_default,
    held_fired_and_bumped,
    what_people_wrote_is_on_the_ticket,
    scheduled_and_routed,
    two_chefs_bump_one_item,
    a_cancelled_ticket_is_acknowledged,
    how_busy_a_kitchen_is,
    screens_follow_the_kitchen,
    a_station_screen_loses_what_moves_away,
    screens_are_for_its_staff,
    screens_go_dark_when_the_platform_stops,
);

/// Somebody who cooks there.
async fn chef(platform: &Platform, restaurant: &Restaurant) -> Person {
    let mut chef = Person::new(platform, "chef", &[]).await;
    restaurant.hire(platform, &mut chef, "chef").await;
    chef
}

/// A restaurant that sells two dishes, and whoever cooks there.
pub(crate) async fn kitchen(platform: &Platform) -> (Restaurant, Person) {
    let menu = [("Naan", 250, None), ("Dal", 595, None)];
    let restaurant = Restaurant::open(platform, &menu).await;
    let chef = chef(platform, &restaurant).await;
    (restaurant, chef)
}

pub(crate) fn station(name: &str, default: bool) -> Value {
    json!({ "name": name, "capacity": 2, "item_minutes": 10, "default": default })
}

pub(crate) async fn add_station(
    restaurant: &Restaurant,
    body: &Value,
) -> Result<Value, ClientError> {
    let path = format!("/restaurants/{}/stations", restaurant.id);
    post(&restaurant.owner.client, &path, body).await
}

/// An accepted order of both dishes, and its ticket.
async fn cooking(platform: &Platform, restaurant: &Restaurant) -> (Value, Value) {
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1), (1, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    (order, ticket)
}

pub(crate) async fn act(who: &Person, ticket: &Value, what: &str) -> Result<Value, ClientError> {
    post(&who.client, &format!("/tickets/{}/{what}", text(ticket, "/id")), &json!({})).await
}

/// The ids of a restaurant's open tickets.
pub(crate) async fn open(who: &Client, restaurant: &Restaurant, filter: &str) -> Vec<String> {
    let path = format!("/restaurants/{}/tickets?limit=2{filter}", restaurant.id);
    let mut ids = Vec::new();
    let mut page = get(who, &path).await.expect("tickets");
    loop {
        let rows = page["items"].as_array().expect("rows");
        ids.extend(rows.iter().map(|ticket| text(ticket, "/id").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { return ids };
        page = get(who, &format!("{path}&cursor={cursor}")).await.expect("tickets");
    }
}

async fn stations_are_managed(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let owner = &restaurant.owner.client;
    let grill = add_station(&restaurant, &station("Grill", true)).await.unwrap();
    add_station(&restaurant, &station("Bar", false)).await.unwrap();
    let path = format!("/stations/{}", text(&grill, "/id"));
    assert_eq!(get(&chef.client, &path).await.unwrap(), grill);
    let all = format!("/restaurants/{}/stations", restaurant.id);
    let listed = get(&chef.client, &all).await.unwrap();
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| text(one, "/name")).collect();
    assert_eq!(names, ["Bar", "Grill"]);

    let oven = json!({ "name": "Oven", "capacity": 8, "item_minutes": 12 });
    let bare = put(owner, &path, None, &oven).await;
    assert_eq!(code(bare), "precondition_required");
    let changed = put(owner, &path, Some(&grill["version"]), &oven).await.unwrap();
    assert_eq!((&changed["name"], &changed["default"]), (&json!("Oven"), &json!(false)));
    let stale = put(owner, &path, Some(&grill["version"]), &station("Grill", true)).await;
    assert_eq!(code(stale), "version_mismatch");
    let by_chef = put(&chef.client, &path, Some(&changed["version"]), &oven).await;
    assert_eq!(code(by_chef), "permission_denied");
    assert_eq!(code(delete(&chef.client, &path).await), "permission_denied");
    for _ in 0..2 {
        delete(owner, &path).await.expect("deleting twice is deleting");
    }
    assert_eq!(code(get(owner, &path).await), "not_found");
}

async fn stations_and_nonsense(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let (other, _) = kitchen(platform).await;
    let all = format!("/restaurants/{}/stations", restaurant.id);
    for wrong in [
        json!({ "name": "", "capacity": 1, "item_minutes": 1 }),
        json!({ "name": "x".repeat(61), "capacity": 1, "item_minutes": 1 }),
        json!({ "name": "a\nb", "capacity": 1, "item_minutes": 1 }),
        json!({ "name": "Grill", "capacity": 0, "item_minutes": 1 }),
        json!({ "name": "Grill", "capacity": 101, "item_minutes": 1 }),
        json!({ "name": "Grill", "capacity": 1, "item_minutes": 241 }),
        json!({ "name": "Grill", "capacity": -1, "item_minutes": 1 }),
        json!({ "name": "Grill", "capacity": 1, "item_minutes": 1, "colour": "red" }),
        json!({ "name": 7, "capacity": 1, "item_minutes": 1 }),
        json!({}),
    ] {
        let refused = add_station(&restaurant, &wrong).await;
        assert_eq!(code(refused), "invalid_argument", "{wrong}");
    }
    let grill = add_station(&restaurant, &station("Grill", true)).await.unwrap();
    for taken in [station("GRILL ", false), station("Bar", true)] {
        assert_eq!(code(add_station(&restaurant, &taken).await), "already_exists");
    }
    // In another restaurant there may be one, but not for us.
    add_station(&other, &station("Grill", true)).await.unwrap();
    let by_chef = post(&chef.client, &all, &station("Bar", false)).await;
    assert_eq!(code(by_chef), "permission_denied");
    let stranger = &other.owner.client;
    assert_eq!(code(get(stranger, &all).await), "permission_denied");
    let path = format!("/stations/{}", text(&grill, "/id"));
    assert_eq!(code(get(stranger, &path).await), "not_found");
    assert_eq!(
        code(put(stranger, &path, Some(&json!(1)), &station("A", false)).await),
        "not_found"
    );
    assert_eq!(code(delete(stranger, &path).await), "not_found");
    assert_eq!(code(get(&chef.client, "/stations/tkt_1").await), "invalid_argument");
    let cursor = "/tickets?cursor=AAAA";
    let tickets = format!("/restaurants/{}{cursor}", restaurant.id);
    assert_eq!(code(get(&chef.client, &tickets).await), "invalid_argument");
}

async fn what_a_station_loses_goes_to_the_default(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let first = add_station(&restaurant, &station("First", true)).await.unwrap();
    let (_, ticket) = cooking(platform, &restaurant).await;
    assert_eq!(ticket["items"][1]["station_id"], first["id"]);
    let of = |station: &Value| format!("&station_id={}", text(station, "/id"));
    assert_eq!(open(&chef.client, &restaurant, &of(&first)).await, [text(&ticket, "/id")]);

    let path = format!("/stations/{}", text(&first, "/id"));
    let body = station("First", false);
    let owner = &restaurant.owner.client;
    put(owner, &path, Some(&first["version"]), &body).await.expect("it is ordinary now");
    let second = add_station(&restaurant, &station("Second", true)).await.unwrap();
    delete(owner, &path).await.expect("it is deleted");
    wait::until("the ticket is at the other station", SOON, async || {
        let now = get(&chef.client, &format!("/tickets/{}", text(&ticket, "/id"))).await;
        let now = now.map_err(|error| error.to_string())?;
        let moved = (0..2).all(|line| now["items"][line]["station_id"] == second["id"]);
        if moved { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    assert_eq!(open(&chef.client, &restaurant, &of(&second)).await.len(), 1);
}

async fn held_fired_and_bumped(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let (order, ticket) = cooking(platform, &restaurant).await;
    let held = act(&chef, &ticket, "items/1/hold").await.unwrap();
    assert_eq!(
        (&held["items"][0]["held"], &held["items"][1]["held"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(act(&chef, &ticket, "items/1/hold").await.unwrap()["version"], held["version"]);
    assert_eq!(code(act(&chef, &ticket, "items/1/start").await), "wrong_state");
    let begun = act(&chef, &ticket, "start").await.unwrap();
    assert_eq!(
        (text(&begun, "/items/0/state"), text(&begun, "/items/1/state")),
        ("in_preparation", "queued")
    );
    assert!(begun["started_at"].is_string() && begun["earliest_at"].is_string(), "{begun}");
    assert_eq!(code(act(&chef, &ticket, "items/0/hold").await), "wrong_state");
    assert_eq!(act(&chef, &ticket, "fire").await.unwrap()["items"][1]["held"], false);
    act(&chef, &ticket, "items/1/start").await.unwrap();
    let ready = act(&chef, &ticket, "bump").await.unwrap();
    assert_eq!(ready["state"], "ready");
    assert!(ready["done_at"].is_string() && ready["earliest_at"].is_null(), "{ready}");
    let customer = &restaurant.owner.client;
    in_state(customer, &order, "ready").await;
    let recalled = act(&chef, &ticket, "items/0/recall").await.unwrap();
    assert_eq!((text(&recalled, "/state"), &recalled["done_at"]), ("in_preparation", &Value::Null));
    in_state(customer, &order, "preparing").await;
    for (what, why) in [
        ("items/2/hold", "invalid_argument"),
        ("items/2/fire", "invalid_argument"),
        ("items/x/fire", "invalid_argument"),
        ("acknowledge", "wrong_state"),
    ] {
        assert_eq!(code(act(&chef, &ticket, what).await), why, "{what}");
    }
}

async fn what_people_wrote_is_on_the_ticket(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let profile = json!({ "allergens": ["nuts"], "mode": "warn" });
    put(&ada.client, "/me/allergy-profile", Some(&json!(0)), &profile).await.expect("a profile");
    let basket = json!({
        "restaurant_id": restaurant.id, "fulfilment": "delivery",
        "lines": [
            { "item_id": restaurant.items[0].1, "quantity": 1 },
            { "item_id": restaurant.items[1].1, "quantity": 2, "note": "no chilli, please" },
        ],
    });
    let order = place(&ada, &basket).await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let path = format!("/tickets/{}", text(&ticket, "/id"));
    let shown = wait::until("the notes are on the ticket", SOON, async || {
        let ticket = get(&chef.client, &path).await.map_err(|error| error.to_string())?;
        if ticket["notes_missing"] == false { Ok(ticket) } else { Err(ticket.to_string()) }
    })
    .await;
    assert_eq!((&shown["allergies"], text(&shown, "/fulfilment")), (&json!(["nuts"]), "delivery"));
    assert_eq!(
        (&shown["items"][0]["note"], &shown["items"][1]["note"]),
        (&Value::Null, &json!("no chilli, please"))
    );
    let events = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let mut screen = Screen::open(platform, &chef, &events, None).await.expect("a screen");
    let (_, live) = screen.shows(text(&ticket, "/id"), "queued").await;
    assert_eq!(live["allergies"], json!(["nuts"]));

    let delay = format!("/orders/{}/delay", text(&order, "/id"));
    let body = json!({ "minutes": 15, "reason": "the oven is full" });
    let delayed = post(&restaurant.owner.client, &delay, &body).await.expect("it is put off");
    loop {
        let (_, live) = screen.shows(text(&ticket, "/id"), "queued").await;
        if live["ready_at"] == delayed["ready_at"] {
            break;
        }
    }
}

async fn scheduled_and_routed(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let grill = add_station(&restaurant, &station("Grill", false)).await.unwrap();
    let pass = add_station(&restaurant, &station("Pass", true)).await.unwrap();
    let (_, dish, version) = &restaurant.items[1];
    let path = format!("/items/{dish}");
    let body = json!({ "name": "Dal", "price_minor": 595, "available": true, "station": "GRILL" });
    put(&restaurant.owner.client, &path, Some(&json!(version)), &body).await.expect("a station");
    let slots = json!({ "minutes": 15, "capacity": 4, "ahead_hours": 48 });
    say(&restaurant, &json!({ "slots": slots })).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let listed = get(&ada.client, &format!("/restaurants/{}/slots", restaurant.id)).await.unwrap();
    let chosen = text(&listed, "/items/20/from");
    let basket = json!({
        "restaurant_id": restaurant.id, "fulfilment": "pick_up", "scheduled_for": chosen,
        "lines": [
            { "item_id": restaurant.items[0].1, "quantity": 1 },
            { "item_id": dish, "quantity": 4 },
        ],
    });
    let order = place(&ada, &basket).await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let stations = [&ticket["items"][0]["station_id"], &ticket["items"][1]["station_id"]];
    assert_eq!(stations, [&pass["id"], &grill["id"]]);
    // Four at the grill, two at once, ten minutes each, and a margin.
    let at =
        |pointer: &Value| pointer.as_str().expect("a time").parse::<jiff::Timestamp>().unwrap();
    let prep = jiff::SignedDuration::from_mins(26);
    assert_eq!(at(&ticket["fire_at"]), at(&json!(chosen)) - prep, "{ticket}");
    assert_eq!(code(act(&chef, &ticket, "start").await), "wrong_state");
    let fired = act(&chef, &ticket, "fire").await.unwrap();
    assert_eq!((&fired["fire_at"], &fired["items"][1]["held"]), (&Value::Null, &json!(false)));
    assert_eq!(act(&chef, &ticket, "start").await.unwrap()["state"], "in_preparation");
}

/// Orders a basket, and waits until it is confirmed.
async fn place(who: &Person, basket: &Value) -> Value {
    let quote = post(&who.client, "/quotes", basket).await.expect("a quote");
    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(20);
    let order = who.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    assert_eq!(order["state"], "confirmed", "{order}");
    order
}

async fn two_chefs_bump_one_item(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, one) = kitchen(platform).await;
    let other = chef(platform, &restaurant).await;
    let (order, ticket) = cooking(platform, &restaurant).await;
    for line in 0..2 {
        let bump = format!("items/{line}/bump");
        let (first, second) = tokio::join!(act(&one, &ticket, &bump), act(&other, &ticket, &bump));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first["items"][line]["state"], "ready");
        assert_eq!(first["version"], second["version"], "it was bumped once");
    }
    in_state(&restaurant.owner.client, &order, "ready").await;
}

async fn a_cancelled_ticket_is_acknowledged(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let (order, ticket) = cooking(platform, &restaurant).await;
    let reason = json!({ "reason": "no more flour" });
    let path = format!("/orders/{}/cancel", text(&order, "/id"));
    post(&restaurant.owner.client, &path, &reason).await.expect("it is cancelled");
    let path = format!("/tickets/{}", text(&ticket, "/id"));
    wait::until("the kitchen knows", SOON, async || {
        let now = get(&chef.client, &path).await.map_err(|error| error.to_string())?;
        if now["state"] == "cancelled" { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    assert_eq!(open(&chef.client, &restaurant, "").await, [text(&ticket, "/id")]);
    for what in ["start", "bump", "recall", "hold", "fire", "items/0/bump"] {
        assert_eq!(code(act(&chef, &ticket, what).await), "wrong_state", "{what}");
    }
    let (other, _) = kitchen(platform).await;
    assert_eq!(code(act(&other.owner, &ticket, "acknowledge").await), "not_found");
    for _ in 0..2 {
        assert_eq!(act(&chef, &ticket, "acknowledge").await.unwrap()["acknowledged"], true);
    }
    assert!(open(&chef.client, &restaurant, "").await.is_empty());
}

async fn how_busy_a_kitchen_is(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let body = json!({ "name": "Grill", "capacity": 1, "item_minutes": 10, "default": true });
    let grill = add_station(&restaurant, &body).await.unwrap();
    let path = format!("/restaurants/{}/load", restaurant.id);
    let idle = wait::until("the station counts", SOON, async || {
        let load = get(&chef.client, &path).await.map_err(|error| error.to_string())?;
        if load["stations"][0]["name"] == "Grill" { Ok(load) } else { Err(load.to_string()) }
    })
    .await;
    assert_eq!((&idle["earliest_s"], &idle["latest_s"]), (&json!(480), &json!(780)));
    let (_, ticket) = cooking(platform, &restaurant).await;
    act(&chef, &ticket, "items/1/hold").await.unwrap();
    let busy = json!({
        "station_id": grill["id"], "name": "Grill",
        "queued": 1, "in_preparation": 0, "held": 1, "busy_s": 600,
    });
    wait::until("the grill is busy", SOON, async || {
        let load = get(&chef.client, &path).await.map_err(|error| error.to_string())?;
        if load["stations"] == json!([busy]) { Ok(()) } else { Err(load.to_string()) }
    })
    .await;
    // A customer learns how long it takes, and nothing else.
    let customer = Person::new(platform, "ada", &[]).await;
    let load = get(&customer.client, &path).await.unwrap();
    assert_eq!(load, json!({ "earliest_s": 960, "latest_s": 1560, "stations": [] }));
    assert_eq!(code(get(&platform.anybody(), &path).await), "unauthenticated");
}

/// The live side of a kitchen, as a screen reads it.
struct Screen {
    body: BoxStream<'static, Vec<u8>>,
    unread: String,
    /// The name of the event that was read last.
    event: String,
}

/// An event: its id, and the ticket.
type Shown = (String, Value);

impl Screen {
    /// Opens a stream as `who`; the status and the problem's code if it is refused.
    async fn open(
        platform: &Platform,
        who: &Person,
        path: &str,
        after: Option<&str>,
    ) -> Result<Self, (u16, Value)> {
        let login = json!({ "email": who.email, "password": PASSWORD });
        let tokens = post(&platform.anybody(), "/sessions", &login).await.expect("a session");
        let mut request = http::Request::get(format!("{}/api/v1{path}", platform.url()))
            .header("authorization", format!("Bearer {}", text(&tokens, "/access_token")));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request.body(Empty::new()).expect("a request");
        let response = crate::platform::plain().request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            assert_eq!(head.headers["content-type"], "text/event-stream");
            let body = body
                .into_data_stream()
                .filter_map(|piece| async { piece.ok().map(|bytes| bytes.to_vec()) });
            return Ok(Self { body: body.boxed(), unread: String::new(), event: String::new() });
        }
        let problem = body.collect().await.expect("a problem").to_bytes();
        Err((head.status.as_u16(), serde_json::from_slice(&problem).expect("JSON")))
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Shown> {
        tokio::time::timeout(SOON, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Shown> {
        loop {
            while let Some(end) = self.unread.find("\n\n") {
                let block: String = self.unread.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = block.lines();
                    lines.find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                };
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    self.event = field("event: ").expect("a name");
                    assert!(["ticket", "removed"].contains(&self.event.as_str()), "{block}");
                    return Some((id, serde_json::from_str(&data).expect("JSON")));
                }
            }
            let piece = self.body.next().await?;
            self.unread.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    /// Reads until the ticket is shown in `state`.
    async fn shows(&mut self, ticket: &str, state: &str) -> Shown {
        loop {
            let (id, shown) = self.next().await.expect("the stream goes on");
            if shown["id"] == ticket && shown["state"] == state {
                return (id, shown);
            }
        }
    }
}

async fn screens_follow_the_kitchen(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let path = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let (_, first) = cooking(platform, &restaurant).await;
    let first_id = text(&first, "/id");
    let mut screen = Screen::open(platform, &chef, &path, None).await.expect("a screen");
    screen.shows(first_id, "queued").await;
    act(&chef, &first, "start").await.unwrap();
    let (seen, shown) = screen.shows(first_id, "in_preparation").await;
    assert!(shown["latest_at"].is_string() && shown["version"] == 2, "{shown}");
    drop(screen);

    // While nobody looks, one is cooked and another comes and is called off.
    act(&chef, &first, "bump").await.unwrap();
    let (order, second) = cooking(platform, &restaurant).await;
    let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
    let reason = json!({ "reason": "closing" });
    post(&restaurant.owner.client, &cancel, &reason).await.expect("it is cancelled");
    let mut screen = Screen::open(platform, &chef, &path, Some(&seen)).await.expect("a screen");
    screen.shows(first_id, "ready").await;
    let (_, cancelled) = screen.shows(text(&second, "/id"), "cancelled").await;
    assert_eq!(cancelled["acknowledged"], false);
    act(&chef, &second, "acknowledge").await.unwrap();
    loop {
        let (_, shown) = screen.shows(text(&second, "/id"), "cancelled").await;
        if shown["acknowledged"] == true {
            break;
        }
        assert_eq!(screen.event, "ticket", "somebody has to see it first");
    }
    assert_eq!(screen.event, "removed");
    // A screen that begins anew shows what is open, and nothing that left.
    let mut anew = Screen::open(platform, &chef, &path, None).await.expect("a screen");
    let (_, shown) = anew.next().await.expect("an event");
    assert_eq!((text(&shown, "/id"), text(&shown, "/state")), (first_id, "ready"));
}

async fn a_station_screen_loses_what_moves_away(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let owner = &restaurant.owner.client;
    let first = add_station(&restaurant, &station("First", true)).await.unwrap();
    let events = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let of = |station: &Value| format!("{events}?station_id={}", text(station, "/id"));
    let (_, ticket) = cooking(platform, &restaurant).await;
    let id = text(&ticket, "/id");
    let mut left = Screen::open(platform, &chef, &of(&first), None).await.expect("a screen");
    let (seen, _) = left.shows(id, "queued").await;
    assert_eq!(left.event, "ticket");
    drop(left);
    let mut stays = Screen::open(platform, &chef, &of(&first), None).await.expect("a screen");
    stays.shows(id, "queued").await;
    // It was sent this ticket by an earlier stream only.
    let mut back = Screen::open(platform, &chef, &of(&first), Some(&seen)).await.expect("a screen");

    let path = format!("/stations/{}", text(&first, "/id"));
    put(owner, &path, Some(&first["version"]), &station("First", false)).await.expect("ordinary");
    let second = add_station(&restaurant, &station("Second", true)).await.unwrap();
    delete(owner, &path).await.expect("it is deleted");
    let mut late = None;
    for (screen, what) in [(&mut stays, "stays"), (&mut back, "comes back before")] {
        while screen.event != "removed" {
            let (_, shown) = screen.next().await.expect("the stream goes on");
            assert_eq!(shown["id"], id, "{what}");
            late = Some(shown);
        }
        let moved = late.take().expect("it is told");
        assert_eq!(moved["items"][0]["station_id"], second["id"], "{what}");
    }
    let mut after =
        Screen::open(platform, &chef, &of(&first), Some(&seen)).await.expect("a screen");
    after.shows(id, "queued").await;
    assert_eq!(after.event, "removed", "it moved while nobody looked");
    let mut other = Screen::open(platform, &chef, &of(&second), None).await.expect("a screen");
    other.shows(id, "queued").await;
    assert_eq!(other.event, "ticket");
}

async fn screens_are_for_its_staff(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let (other, stranger) = kitchen(platform).await;
    let path = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let refused = async |who: &Person, path: &str, after: Option<&str>| {
        let (status, problem) =
            Screen::open(platform, who, path, after).await.err().expect("a refusal");
        (status, text(&problem, "/code").to_owned(), problem["errors"][0]["field"].clone())
    };
    let denied = (403, "permission_denied".to_owned(), Value::Null);
    assert_eq!(refused(&stranger, &path, None).await, denied);
    let customer = Person::new(platform, "ada", &[]).await;
    assert_eq!(refused(&customer, &path, None).await, denied);
    let wrong = |field: &str| (422, "invalid_argument".to_owned(), json!(field));
    assert_eq!(refused(&chef, &path, Some("3")).await, wrong("Last-Event-ID"));
    let filtered = format!("{path}?station_id=grill");
    assert_eq!(refused(&chef, &filtered, None).await, wrong("station_id"));
    // A cursor of another kitchen's.
    let (_, ticket) = cooking(platform, &other).await;
    let theirs = format!("/restaurants/{}/kitchen/events", other.id);
    let mut screen = Screen::open(platform, &stranger, &theirs, None).await.expect("a screen");
    let (cursor, _) = screen.shows(text(&ticket, "/id"), "queued").await;
    assert_eq!(refused(&chef, &path, Some(&cursor)).await, wrong("Last-Event-ID"));
}

async fn screens_go_dark_when_the_platform_stops(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    let (restaurant, chef) = kitchen(&platform).await;
    let (_, ticket) = cooking(&platform, &restaurant).await;
    let path = format!("/restaurants/{}/kitchen/events", restaurant.id);
    let mut screen = Screen::open(&platform, &chef, &path, None).await.expect("a screen");
    screen.shows(text(&ticket, "/id"), "queued").await;
    let began = tokio::time::Instant::now();
    for serve in &mut platform.processes {
        let status = serve.process.stop(SOON).await.expect("it stops");
        assert!(status.success(), "{status}: {}", serve.process.last_words());
    }
    assert!(screen.next().await.is_none());
    assert!(began.elapsed() < Duration::from_secs(25), "a stream does not hold up the stop");
}
