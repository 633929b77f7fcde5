//! What is to be had, and when: what runs out and comes back by itself, hours of today, and stock.

use std::time::Duration;

use bistro_client::{ClientError, Insistence, Request};
use bistro_core::{Clock as _, SystemClock, Timestamp};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    slots::say,
};

on_every_topology!(
    what_is_gone_comes_back_by_itself,
    what_runs_out_after_the_quote_is_not_sold,
    split_hours_and_exceptions_hold_today,
    items_and_menus_have_hours_of_their_own,
    stock_is_set_counted_and_given_up,
);

const MENU: &[(&str, i64, Option<i64>)] = &[("Naan", 250, None), ("Dal", 600, None)];

/// Somebody who cooks there.
async fn chef(platform: &Platform, restaurant: &Restaurant) -> Person {
    let mut chef = Person::new(platform, "chef", &[]).await;
    let me = get(&chef.client, "/me").await.expect("the chef");
    let path = format!("/restaurants/{}/members/{}", restaurant.id, text(&me, "/id"));
    let member = put(&platform.operator(), &path, None, &json!({ "role": "chef" })).await;
    member.expect("a member");
    chef.log_in(platform).await;
    chef
}

/// A quote for `quantity` of an item with `choices`.
async fn quote(
    restaurant: &Restaurant,
    who: &Person,
    (item, quantity): (&str, i64),
    choices: &[&str],
) -> Result<Value, ClientError> {
    let lines = json!([{ "item_id": item, "quantity": quantity, "choice_ids": choices }]);
    let body = json!({ "restaurant_id": restaurant.id, "fulfilment": "pick_up", "lines": lines });
    post(&who.client, "/quotes", &body).await
}

/// The field that a refusal is about, and what it says of it.
fn refused(result: Result<Value, ClientError>) -> (String, String) {
    let refused = result.expect_err("a refusal");
    let ClientError::Problem { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!(problem.code, "invalid_argument", "{}", problem.detail);
    assert_eq!(problem.errors.len(), 1, "{}", problem.detail);
    (problem.errors[0].field.clone(), problem.errors[0].message.clone())
}

/// A choice, an ingredient or an item, as paths name it.
struct Thing {
    path: String,
    /// What is asked for to see whether it is there: an item, and choices of it.
    item: String,
    choices: Vec<String>,
    /// The field of a quote that says that it is not.
    field: &'static str,
}

impl Thing {
    async fn quote(&self, restaurant: &Restaurant, who: &Person) -> Result<Value, ClientError> {
        let choices: Vec<&str> = self.choices.iter().map(String::as_str).collect();
        quote(restaurant, who, (&self.item, 1), &choices).await
    }

    /// Marks it as gone until it is set back, and sets it back; then has it come back by itself.
    async fn goes_and_comes_back(&self, restaurant: &Restaurant, chef: &Person, who: &Person) {
        let path = &self.path;
        self.quote(restaurant, who).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        put(&chef.client, path, None, &json!({ "available": false })).await.expect("it is gone");
        let (field, _) = refused(self.quote(restaurant, who).await);
        assert_eq!(field, self.field, "{path}");
        put(&chef.client, path, None, &json!({ "available": true })).await.expect("it is back");
        self.quote(restaurant, who).await.unwrap_or_else(|error| panic!("{path}: {error}"));

        // On a busy machine a moment that is ahead may have passed when it is read.
        let back_at = wait::until("it is gone for a moment", SOON, async || {
            let back_at = SystemClock.now() + Duration::from_secs(2);
            let gone = json!({ "available": false, "back_at": back_at.to_string() });
            let marked = put(&chef.client, path, None, &gone).await;
            marked.map(|_| back_at).map_err(|error| error.to_string())
        })
        .await;
        wait::until("it comes back by itself", SOON, async || {
            self.quote(restaurant, who).await.map_err(|error| error.to_string())
        })
        .await;
        assert!(SystemClock.now() >= back_at, "{path} came back too early");
    }
}

async fn what_is_gone_comes_back_by_itself(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let owner = &restaurant.owner.client;
    let of = |what: &str| format!("/restaurants/{}/{what}", restaurant.id);
    let cheese = post(owner, &of("ingredients"), &json!({ "name": "Cheese" })).await.unwrap();
    let extras = json!({ "name": "Extras", "choices": [
        { "name": "More cheese", "ingredient_ids": [cheese["id"]] }, { "name": "Chilli" },
    ] });
    let extras = post(owner, &of("option-groups"), &extras).await.unwrap();
    let dish = |name: &str, ingredients: Value| {
        json!({ "name": name, "price_minor": 700, "option_group_ids": [extras["id"]],
                "ingredient_ids": ingredients })
    };
    let paneer = post(owner, &of("items"), &dish("Paneer", json!([cheese["id"]]))).await.unwrap();
    let rice = post(owner, &of("items"), &dish("Rice", json!([]))).await.unwrap();
    let chef = chef(platform, &restaurant).await;
    let ada = Person::new(platform, "ada", &[]).await;

    let path = |what: &str, thing: &Value| format!("/{what}/{}/availability", text(thing, "/id"));
    let plain = |item: &Value| (text(item, "/id").to_owned(), Vec::new());
    let with = |place: &str| {
        (
            text(&rice, "/id").to_owned(),
            vec![text(&extras, &format!("/choices/{place}/id")).to_owned()],
        )
    };
    let (item, choice) = ("lines[0].item_id", "lines[0].choice_ids");
    for (path, (wanted, choices), field) in [
        (path("items", &paneer), plain(&paneer), item),
        (path("choices", &extras["choices"][1]), with("1"), choice),
        (path("ingredients", &cheese), plain(&paneer), item),
        (path("ingredients", &cheese), with("0"), choice),
    ] {
        let thing = Thing { path, item: wanted, choices, field };
        thing.goes_and_comes_back(&restaurant, &chef, &ada).await;
    }

    // What is without it can be had while it is gone.
    let of_cheese = path("ingredients", &cheese);
    let gone = json!({ "available": false });
    put(&chef.client, &of_cheese, None, &gone).await.expect("it is gone");
    let (rice, chilli) = (text(&rice, "/id"), text(&extras, "/choices/1/id"));
    quote(&restaurant, &ada, (rice, 1), &[chilli]).await.expect("there is no cheese in it");

    let elsewhere = Restaurant::open(platform, MENU).await;
    let stranger = self::chef(platform, &elsewhere).await;
    for path in [of_cheese, path("items", &paneer), path("choices", &extras["choices"][1])] {
        let refused = put(&stranger.client, &path, None, &gone).await;
        assert_eq!(code(refused), "permission_denied", "{path}");
    }
}

/// A quote holds its price. Whether there is anything left of it is seen when it is ordered.
async fn what_runs_out_after_the_quote_is_not_sold(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let owner = &restaurant.owner.client;
    let of = |what: &str| format!("/restaurants/{}/{what}", restaurant.id);
    let cheese = json!({ "name": "Cheese" });
    let cheese = post(owner, &of("ingredients"), &cheese).await.expect("an ingredient");
    let extras = json!({ "name": "Extras", "choices": [
        { "name": "More cheese", "ingredient_ids": [cheese["id"]] }, { "name": "Chilli" },
    ] });
    let extras = post(owner, &of("option-groups"), &extras).await.expect("options");
    let paneer = json!({ "name": "Paneer", "price_minor": 700, "ingredient_ids": [cheese["id"]] });
    let paneer = post(owner, &of("items"), &paneer).await.expect("a dish");
    let rice = json!({ "name": "Rice", "price_minor": 300, "option_group_ids": [extras["id"]] });
    let rice = post(owner, &of("items"), &rice).await.expect("a dish");
    let chef = chef(platform, &restaurant).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = async |quote: &Value| {
        let body = Restaurant::placing(quote, "card_ok");
        let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
        let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
        order.expect("an order").body
    };

    let naan = restaurant.items[0].1.as_str();
    let (paneer, rice, cheese) = (text(&paneer, "/id"), text(&rice, "/id"), text(&cheese, "/id"));
    let [more_cheese, chilli] =
        ["/choices/0/id", "/choices/1/id"].map(|choice| text(&extras, choice));
    let basket: [(&str, &str, &str, &[&str]); 4] = [
        ("items", naan, naan, &[]),
        ("ingredients", cheese, paneer, &[]),
        ("choices", chilli, rice, &[chilli]),
        ("ingredients", cheese, rice, &[more_cheese]),
    ];
    for (what, id, item, choices) in basket {
        let quoted = quote(&restaurant, &ada, (item, 1), choices).await.expect("it is there");
        let path = format!("/{what}/{id}/availability");
        put(&chef.client, &path, None, &json!({ "available": false })).await.expect("it is gone");
        let lost = order(&quoted).await;
        assert_eq!((text(&lost, "/state"), text(&lost, "/reason")), ("rejected", "sold_out"));
        // Nobody asked the card provider for what there was none of.
        let payment = format!("/orders/{}/payment", text(&lost, "/id"));
        assert_eq!(code(get(&platform.operator(), &payment).await), "not_found", "{path}");
        put(&chef.client, &path, None, &json!({ "available": true })).await.expect("it is back");
        assert_eq!(order(&quoted).await["state"], "confirmed", "the same quote, after {path}");
    }
}

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// Parts of a day, told from `now` in minutes.
fn parts(now: Timestamp, parts: &[(i64, i64)]) -> Vec<String> {
    let clock = |minutes: i64| {
        let minutes = (now.as_millis() / 60_000 + minutes).rem_euclid(DAY);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    parts.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to))).collect()
}

/// The same on each of these dates, from yesterday to tomorrow: nobody knows when it is midnight.
fn around(now: Timestamp, spans: &[&str]) -> Value {
    let today = now.as_millis() / 60_000 / DAY;
    let date = |days: i64| {
        let midnight = Timestamp::from_millis((today + days) * DAY * 60_000).to_string();
        midnight[..10].to_owned()
    };
    Value::Object((-1..=1).map(|days| (date(days), json!(spans))).collect())
}

fn week(spans: &[String]) -> Value {
    json!(vec![spans; 7])
}

async fn split_hours_and_exceptions_hold_today(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let naan = restaurant.items[0].1.as_str();
    let path = format!("/restaurants/{}", restaurant.id);
    let now = SystemClock.now();
    let minute = now.as_millis() / 60_000;
    let at = |minutes: i64| json!(Timestamp::from_millis(minutes * 60_000).to_string());
    let opens = async |hours: Value| {
        say(&restaurant, &json!({ "time_zone": "UTC", "hours": hours })).await;
        let shown = get(&ada.client, &path).await.expect("the restaurant");
        let quoted = quote(&restaurant, &ada, (naan, 1), &[]).await;
        if shown["open_now"] == true {
            quoted.expect("it is open");
        } else {
            assert_eq!(code(quoted), "restaurant_closed");
        }
        (shown["open_now"] == true, shown["opens_at"].clone())
    };

    let between = week(&parts(now, &[(-180, -120), (120, 180)]));
    assert_eq!(opens(json!({ "weekly": between })).await, (false, at(minute + 120)));
    let within = week(&parts(now, &[(-60, 60), (120, 180)]));
    assert_eq!(opens(json!({ "weekly": within })).await, (true, Value::Null));

    let always = week(&["00:00-24:00".to_owned()]);
    let closed = json!({ "weekly": always, "exceptions": around(now, &[]) });
    let after = (minute / DAY + 2) * DAY;
    assert_eq!(opens(closed).await, (false, at(after)), "the day after tomorrow");
    let only = json!({ "weekly": week(&[]), "exceptions": around(now, &["00:00-24:00"]) });
    assert_eq!(opens(only).await, (true, Value::Null));
    let split = parts(now, &[(-180, -120), (120, 180)]);
    let split: Vec<&str> = split.iter().map(String::as_str).collect();
    let split = json!({ "weekly": always, "exceptions": around(now, &split) });
    assert_eq!(opens(split).await, (false, at(minute + 120)), "in place of the weekly hours");
    assert_eq!(opens(Value::Null).await, (true, Value::Null), "without hours");
}

async fn items_and_menus_have_hours_of_their_own(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let owner = &restaurant.owner.client;
    let ada = Person::new(platform, "ada", &[]).await;
    let (naan, dal) = (restaurant.items[0].1.as_str(), restaurant.items[1].1.as_str());
    say(&restaurant, &json!({ "time_zone": "UTC" })).await;
    let now = SystemClock.now();
    let earlier = json!({ "weekly": week(&parts(now, &[(-180, -120), (120, 180)])) });
    let now_too = json!({ "weekly": week(&parts(now, &[(-60, 60)])) });
    let path = format!("/items/{naan}");
    let says = async |more: Value| {
        let before = get(owner, &path).await.expect("the item");
        let mut body = json!({ "name": "Naan", "price_minor": 250, "available": true });
        for (name, field) in more.as_object().expect("fields") {
            body[name] = field.clone();
        }
        put(owner, &path, Some(&before["version"]), &body).await.expect("an item");
    };
    says(json!({ "hours": earlier })).await;
    let (field, why) = refused(quote(&restaurant, &ada, (naan, 1), &[]).await);
    assert_eq!(field, "lines[0].item_id");
    assert!(why.contains("not served at that time"), "{why}");
    quote(&restaurant, &ada, (dal, 1), &[]).await.expect("the other one is served");
    says(json!({ "hours": now_too })).await;
    quote(&restaurant, &ada, (naan, 1), &[]).await.expect("it is served now");

    let menus = format!("/restaurants/{}/menus", restaurant.id);
    let dinner = json!({ "name": "Dinner", "hours": earlier, "sections": [{ "name": "Breads" }] });
    let dinner = post(owner, &menus, &dinner).await.expect("a menu");
    says(json!({ "section_id": dinner["sections"][0]["id"] })).await;
    let (_, why) = refused(quote(&restaurant, &ada, (naan, 1), &[]).await);
    assert!(why.contains("not served at that time"), "{why}");
    let later = json!({ "name": "Dinner", "hours": now_too, "sections": dinner["sections"] });
    let path = format!("/menus/{}", text(&dinner, "/id"));
    put(owner, &path, Some(&dinner["version"]), &later).await.expect("other hours");
    quote(&restaurant, &ada, (naan, 1), &[]).await.expect("its menu is served now");
}

async fn stock_is_set_counted_and_given_up(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let owner = &restaurant.owner.client;
    let ada = Person::new(platform, "ada", &[]).await;
    let naan = restaurant.items[0].1.as_str();
    let path = format!("/items/{naan}");
    let stock = format!("{path}/stock");
    let free = |number: i64| json!({ "free": number });
    let before = get(owner, &path).await.expect("the item");
    assert_eq!(before["free"], Value::Null, "it is not counted");

    assert_eq!(code(put(owner, &stock, None, &free(5)).await), "precondition_required");
    let version = &before["version"];
    let five = put(owner, &stock, Some(version), &free(5)).await.expect("five of it");
    assert_eq!(five["free"], 5);
    assert_eq!(code(put(owner, &stock, Some(version), &free(6)).await), "version_mismatch");
    for wrong in [free(-1), free(i64::MAX), json!({}), json!({ "free": "many" })] {
        let refused = put(owner, &stock, Some(&five["version"]), &wrong).await;
        assert_eq!(code(refused), "invalid_argument", "{wrong}");
    }
    let cook = chef(platform, &restaurant).await;
    let stranger = Restaurant::open(platform, MENU).await.owner;
    for who in [&cook, &stranger, &ada] {
        let refused = put(&who.client, &stock, Some(&five["version"]), &free(9)).await;
        assert_eq!(code(refused), "permission_denied");
    }

    // What an order holds is not among what is free, and counts as no edit.
    let order = restaurant.order(&ada, &[(0, 2)], "card_ok").await;
    assert_eq!(restaurant.free(0).await, 3);
    let (field, why) = refused(quote(&restaurant, &ada, (naan, 4), &[]).await);
    assert_eq!(field, "lines[0].item_id");
    assert!(why.contains("3 left"), "{why}");
    let ten = put(owner, &stock, Some(&five["version"]), &free(10)).await.expect("more of it");
    assert_eq!(ten["free"], 10);

    let uncounted = json!({ "free": null });
    let many = put(owner, &stock, Some(&ten["version"]), &uncounted).await.expect("any number");
    assert_eq!(many["free"], Value::Null);
    quote(&restaurant, &ada, (naan, 50), &[]).await.expect("nobody counts");
    let one = put(owner, &stock, Some(&many["version"]), &free(1)).await.expect("one of it");
    assert_eq!(one["free"], 1);

    // What the order held comes back on top of what was counted meanwhile.
    let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
    let reason = json!({ "reason": "changed my mind" });
    post(&ada.client, &cancel, &reason).await.expect("it is cancelled");
    wait::until("its stock is free again", SOON, async || {
        let free = restaurant.free(0).await;
        if free == 3 { Ok(()) } else { Err(format!("{free} are free")) }
    })
    .await;
}
