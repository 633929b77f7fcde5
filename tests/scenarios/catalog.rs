//! Restaurants and their menus in full: what their people say, what customers see, what runs out,
//! and files that go in and out.

use bistro_client::{ClientError, Request};
use bistro_testkit::wait;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, delete, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology, plain},
};

on_every_topology!(
    a_restaurant_says_all_about_itself,
    a_restaurant_closes_for_good,
    menus_and_their_sections_are_edited,
    items_say_what_they_are,
    options_and_ingredients_are_kept_while_they_are_used,
    what_runs_out_is_not_to_be_had,
    hours_decide_when_it_is_open,
    the_menu_is_sent_once,
    a_table_goes_out_and_comes_back,
    a_document_goes_out_and_comes_back,
);

/// The paths of the fields that are wrong.
fn wrong_fields<T: std::fmt::Debug>(refused: Result<T, ClientError>) -> String {
    match refused.expect_err("a refusal") {
        ClientError::Problem { problem, .. } if problem.status == 422 => problem.detail,
        other => panic!("{other}"),
    }
}

fn profile(name: &str) -> Value {
    json!({
        "name": name, "time_zone": "Europe/London", "description": "Curries and more",
        "phone": "+44 20 7946 0000",
        "address": {"line1": "1 High Street", "city": "London", "postcode": "N1 1AA", "country": "GB"},
        "location": {"latitude": 51.5007, "longitude": -0.1246},
        "hours": {"weekly": [["00:00-24:00"], ["00:00-24:00"], ["00:00-24:00"], ["00:00-24:00"],
                             ["00:00-24:00"], ["00:00-24:00"], ["00:00-24:00"]],
                  "exceptions": {"2020-12-25": []}},
        "prep_minutes": 25, "minimum_order_minor": 100,
        "delivery": {"radius_m": 3000, "fee_minor": 250, "free_from_minor": 3000, "tax_rate": 2000},
        "fulfilments": ["delivery", "pick_up"], "prices_include_tax": true,
        "slots": {"minutes": 30, "capacity": 4, "ahead_hours": 48},
    })
}

async fn a_restaurant_says_all_about_itself(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let (owner, path) = (&restaurant.owner.client, format!("/restaurants/{}", restaurant.id));
    let before = get(owner, &path).await.unwrap();
    assert_eq!((&before["prep_minutes"], &before["hours"]), (&json!(20), &Value::Null));
    let (name, version) = (fresh("Zest"), &before["version"]);
    let said = profile(&name);
    assert_eq!(code(put(owner, &path, None, &said).await), "precondition_required");
    let after = put(owner, &path, Some(version), &said).await.unwrap();
    for field in ["name", "description", "phone", "location", "hours", "delivery", "slots"] {
        assert_eq!(after[field], said[field], "{field}");
    }
    assert_eq!((&after["address"]["city"], &after["open_now"]), (&json!("London"), &json!(true)));
    assert_eq!(code(put(owner, &path, Some(version), &said).await), "version_mismatch");

    let mut wrong = profile(" ");
    wrong["time_zone"] = json!("Europe/Atlantis");
    wrong["location"] = json!({"latitude": 91, "longitude": 0});
    wrong["hours"]["weekly"][0] = json!(["25:00-26:00"]);
    wrong["delivery"]["radius_m"] = json!(0);
    wrong["fulfilments"] = json!(["by_dove"]);
    let told = wrong_fields(put(owner, &path, Some(&after["version"]), &wrong).await);
    for field in [
        "name",
        "time_zone",
        "location",
        "hours.weekly[0][0]",
        "delivery.radius_m",
        "fulfilments[0]",
    ] {
        assert!(told.contains(&format!("{field}: ")), "{field} in {told}");
    }
    let stranger = Person::new(platform, "eve", &["restaurateur"]).await;
    let refused = put(&stranger.client, &path, Some(&after["version"]), &said).await;
    assert_eq!(code(refused), "permission_denied");
    let refused = put(&platform.anybody(), &path, Some(&after["version"]), &said).await;
    assert_eq!(code(refused), "unauthenticated");

    // It is found by how its name begins, in any case, and by anybody.
    let beginning = name[..name.len() - 1].to_lowercase();
    let found = get(&platform.anybody(), &format!("/restaurants?q={beginning}&limit=200")).await;
    let found = found.unwrap();
    let ids: Vec<_> = found["items"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert!(ids.contains(&&json!(restaurant.id)), "{found}");
    assert_eq!(code(get(owner, "/restaurants?q=a&cursor=rubbish").await), "invalid_argument");
    assert_eq!(code(get(owner, "/restaurants?limit=0").await), "invalid_argument");
}

async fn a_restaurant_closes_for_good(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let path = format!("/restaurants/{}", restaurant.id);
    let stranger = Person::new(platform, "eve", &["restaurateur"]).await;
    assert_eq!(code(delete(&stranger.client, &path).await), "permission_denied");
    let customer = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    let cheese = json!({ "name": "Cheese" });
    let owner = &restaurant.owner.client;
    let cheese = post(owner, &format!("{path}/ingredients"), &cheese).await.unwrap();
    let (item, cheese) = (
        format!("/items/{}", restaurant.items[0].1),
        format!("/ingredients/{}", text(&cheese, "/id")),
    );
    delete(&restaurant.owner.client, &path).await.expect("it closes");
    delete(&restaurant.owner.client, &path).await.expect("twice is once");
    assert_eq!(code(get(&platform.anybody(), &path).await), "not_found");
    for thing in [&item, &cheese] {
        assert_eq!(code(get(owner, thing).await), "not_found", "{thing}");
        let path = format!("{thing}/availability");
        let back = put(owner, &path, None, &json!({"available": true})).await;
        assert_eq!(code(back), "not_found", "{thing}");
    }
    assert_eq!(code(restaurant.quote(&customer, &[(0, 1)], "pick_up").await), "not_found");
    let order = get(&customer.client, &format!("/orders/{}", text(&order, "/id"))).await;
    assert_eq!(order.expect("its orders stay")["state"], "confirmed");
}

async fn menus_and_their_sections_are_edited(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let owner = &restaurant.owner.client;
    let menus = format!("/restaurants/{}/menus", restaurant.id);
    let body = json!({"name": "Dinner", "position": 1, "sections": [
        {"name": "Pizze"}, {"name": "Dolci", "description": "Made here"}
    ]});
    let menu = post(owner, &menus, &body).await.unwrap();
    assert_eq!(code(post(owner, &menus, &json!({"name": " dinner"})).await), "already_exists");
    let wrong =
        json!({"name": "", "sections": [{"name": "a"}, {"name": "A"}, {"id": "x", "name": ""}]});
    let told = wrong_fields(post(owner, &menus, &wrong).await);
    for field in ["name", "sections[1].name", "sections[2].id", "sections[2].name"] {
        assert!(told.contains(&format!("{field}: ")), "{field} in {told}");
    }
    let (path, pizze) = (format!("/menus/{}", text(&menu, "/id")), text(&menu, "/sections/0/id"));
    let item = json!({"name": "Margherita", "price_minor": 900, "section_id": pizze});
    let item = post(owner, &format!("/restaurants/{}/items", restaurant.id), &item).await.unwrap();
    let item_path = format!("/items/{}", text(&item, "/id"));
    assert_eq!(item["section_id"], pizze);

    // A section that is left out goes; its items stay.
    let turned = json!({"name": "Dinner", "sections": [{"id": text(&menu, "/sections/1/id"), "name": "Sweets"}]});
    let changed = put(owner, &path, Some(&menu["version"]), &turned).await.unwrap();
    assert_eq!(changed["sections"][0]["id"], menu["sections"][1]["id"]);
    assert_eq!(get(owner, &item_path).await.unwrap()["section_id"], Value::Null);
    assert_eq!(code(put(owner, &path, Some(&menu["version"]), &turned).await), "version_mismatch");
    assert_eq!(code(put(owner, &path, None, &turned).await), "precondition_required");

    let sweets = json!({"name": "Margherita", "price_minor": 900, "available": true,
                        "section_id": changed["sections"][0]["id"]});
    let moved = put(owner, &item_path, Some(&item["version"]), &sweets).await.unwrap();
    assert_eq!(moved["section_id"], changed["sections"][0]["id"]);
    let stranger = Person::new(platform, "eve", &["restaurateur"]).await;
    assert_eq!(code(delete(&stranger.client, &path).await), "permission_denied");
    delete(owner, &path).await.expect("it goes");
    delete(owner, &path).await.expect("twice is once");
    assert_eq!(code(get(owner, &path).await), "not_found");
    assert_eq!(get(owner, &item_path).await.unwrap()["section_id"], Value::Null);
    assert_eq!(get(owner, &menus).await.unwrap()["items"], json!([]));
}

async fn items_say_what_they_are(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner.client;
    let items = format!("/restaurants/{}/items", restaurant.id);
    let said = json!({
        "name": "Dal", "price_minor": 595, "description": "Black lentils",
        "image_url": "https://example.org/dal.jpg", "allergens": ["milk"], "diets": ["vegetarian"],
        "tax_rate": 2000, "hours": {"weekly": [], "exceptions": {"2020-01-01": []}},
        "station": "tandoor", "position": 3,
    });
    let item = post(owner, &items, &said).await.unwrap();
    for field in ["description", "image_url", "allergens", "diets", "tax_rate", "hours", "station"]
    {
        assert_eq!(item[field], said[field], "{field}");
    }
    assert_eq!(code(post(owner, &items, &said).await), "already_exists");
    let stranger = Person::new(platform, "eve", &["restaurateur"]).await;
    assert_eq!(code(post(&stranger.client, &items, &said).await), "permission_denied");
    let other = Restaurant::open(platform, &[]).await;
    let foreign = json!({"name": "x", "choices": [{"name": "y"}]});
    let path = format!("/restaurants/{}/option-groups", other.id);
    let foreign = post(&other.owner.client, &path, &foreign).await.unwrap();
    let wrong = json!({
        "name": "x".repeat(121), "price_minor": -1, "image_url": "here", "allergens": ["dust"],
        "diets": ["meat"], "tax_rate": 10_001, "option_group_ids": ["opg_x"],
    });
    let told = wrong_fields(post(owner, &items, &wrong).await);
    for field in [
        "name",
        "price_minor",
        "image_url",
        "allergens[0]",
        "diets[0]",
        "tax_rate",
        "option_group_ids[0]",
    ] {
        assert!(told.contains(&format!("{field}: ")), "{field} in {told}");
    }
    let lent = json!({"name": "Raita", "price_minor": 1, "option_group_ids": [foreign["id"]]});
    let told = wrong_fields(post(owner, &items, &lent).await);
    assert!(told.contains("option_group_ids[0]: "), "another restaurant's: {told}");

    // What is left out stays.
    let path = format!("/items/{}", text(&item, "/id"));
    let dearer = json!({"name": "Dal", "price_minor": 695, "available": true, "tax_rate": 0});
    let changed = put(owner, &path, Some(&item["version"]), &dearer).await.unwrap();
    assert_eq!((&changed["tax_rate"], &changed["allergens"]), (&json!(0), &json!(["milk"])));
    delete(owner, &path).await.expect("it goes");
    delete(owner, &path).await.expect("twice is once");
    assert_eq!(code(get(owner, &path).await), "not_found");
    let customer = Person::new(platform, "ada", &[]).await;
    let gone = json!({"restaurant_id": restaurant.id, "fulfilment": "pick_up",
                      "lines": [{"item_id": item["id"], "quantity": 1}]});
    post(&customer.client, "/quotes", &gone).await.expect_err("it cannot be ordered");
    post(owner, &items, &said).await.expect("its name is free again");
}

async fn options_and_ingredients_are_kept_while_they_are_used(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let owner = &restaurant.owner.client;
    let of = |what: &str| format!("/restaurants/{}/{what}", restaurant.id);
    let cheese = post(owner, &of("ingredients"), &json!({"name": "Cheese"})).await.unwrap();
    assert_eq!(
        code(post(owner, &of("ingredients"), &json!({"name": "CHEESE"})).await),
        "already_exists"
    );
    let size = json!({"name": "Size", "min": 1, "max": 1, "choices": [
        {"name": "Small"}, {"name": "Large", "price_minor": 200, "ingredient_ids": [cheese["id"]]}
    ]});
    let size = post(owner, &of("option-groups"), &size).await.unwrap();
    assert_eq!((&size["choices"][1]["available"], &size["max"]), (&json!(true), &json!(1)));
    let wrong = json!({"name": "Size 2", "min": 3, "max": 2, "choices": [
        {"name": "a", "allergens": ["dust"]}, {"name": "A", "price_minor": 2_000_000_000}
    ]});
    let told = wrong_fields(post(owner, &of("option-groups"), &wrong).await);
    for field in ["max", "choices[0].allergens[0]", "choices[1].price_minor", "choices[1].name"] {
        assert!(told.contains(&format!("{field}: ")), "{field} in {told}");
    }
    let pizza = json!({"name": "Pizza", "price_minor": 900, "option_group_ids": [size["id"]]});
    let pizza = post(owner, &of("items"), &pizza).await.unwrap();

    let (size_path, cheese_path) = (
        format!("/option-groups/{}", text(&size, "/id")),
        format!("/ingredients/{}", text(&cheese, "/id")),
    );
    assert_eq!(code(delete(owner, &size_path).await), "wrong_state");
    assert_eq!(code(delete(owner, &cheese_path).await), "wrong_state");
    // Its version is that of its edits; being used is none.
    let smaller = json!({"name": "Size", "min": 0, "max": null,
                         "choices": [{"id": size["choices"][0]["id"], "name": "Small"}]});
    let changed = put(owner, &size_path, Some(&size["version"]), &smaller).await.unwrap();
    assert_eq!(changed["choices"][0]["id"], size["choices"][0]["id"]);
    let renamed = json!({"name": "Mozzarella"});
    let cheese = put(owner, &cheese_path, Some(&cheese["version"]), &renamed).await.unwrap();
    assert_eq!(cheese["name"], "Mozzarella");
    delete(owner, &cheese_path).await.expect("nothing has it any more");
    delete(owner, &format!("/items/{}", text(&pizza, "/id"))).await.expect("the item goes");
    delete(owner, &size_path).await.expect("nothing has it any more");
    assert_eq!(code(get(owner, &size_path).await), "not_found");
    assert_eq!(get(owner, &of("ingredients")).await.unwrap()["items"], json!([]));
}

async fn what_runs_out_is_not_to_be_had(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner.client;
    let of = |what: &str| format!("/restaurants/{}/{what}", restaurant.id);
    let cheese = post(owner, &of("ingredients"), &json!({"name": "Cheese"})).await.unwrap();
    let extras = json!({"name": "Extras", "choices": [
        {"name": "More cheese", "ingredient_ids": [cheese["id"]]}, {"name": "Chilli"}
    ]});
    let extras = post(owner, &of("option-groups"), &extras).await.unwrap();
    let dish = json!({"name": "Paneer", "price_minor": 700, "ingredient_ids": [cheese["id"]]});
    let paneer = post(owner, &of("items"), &dish).await.unwrap();

    let customer = Person::new(platform, "ada", &[]).await;
    let order = async |item: &Value| {
        let body = json!({"restaurant_id": restaurant.id, "fulfilment": "pick_up",
                          "lines": [{"item_id": item["id"], "quantity": 1}]});
        post(&customer.client, "/quotes", &body).await
    };
    order(&paneer).await.expect("it can be had");
    let path = |what: &str, thing: &Value| format!("/{what}/{}/availability", text(thing, "/id"));
    let of_cheese = path("ingredients", &cheese);
    let out = json!({"available": false});
    assert_eq!(code(put(&customer.client, &of_cheese, None, &out).await), "permission_denied");
    let affected = put(owner, &of_cheese, None, &out).await.unwrap();
    assert_eq!(affected["affected"], 2, "a dish and a choice");
    order(&paneer).await.expect_err("it cannot be had");
    sold_out(platform, &restaurant.id, &[&paneer["id"], &extras["choices"][0]["id"]]).await;
    put(owner, &of_cheese, None, &json!({"available": true})).await.unwrap();
    order(&paneer).await.expect("it came back");
    sold_out(platform, &restaurant.id, &[]).await;

    // An item by itself, until a moment that has to be ahead.
    let of_item = path("items", &paneer);
    for (back_at, field) in [("2020-01-01T00:00:00Z", "back_at: "), ("soon", "back_at: ")] {
        let wrong = json!({"available": false, "back_at": back_at});
        let told = wrong_fields(put(owner, &of_item, None, &wrong).await);
        assert!(told.contains(field), "{told}");
    }
    let later = later();
    put(owner, &of_item, None, &json!({"available": false, "back_at": later})).await.unwrap();
    let shown = get(owner, &format!("/items/{}", text(&paneer, "/id"))).await.unwrap();
    assert_eq!((&shown["available"], &shown["back_at"]), (&json!(false), &json!(later)));
    order(&paneer).await.expect_err("it cannot be had");
    put(owner, &of_item, None, &json!({"available": true})).await.unwrap();
    order(&paneer).await.expect("it was set back");

    // And a choice.
    let of_choice = path("choices", &extras["choices"][1]);
    put(owner, &of_choice, None, &out).await.unwrap();
    sold_out(platform, &restaurant.id, &[&extras["choices"][1]["id"]]).await;
    let stranger = Restaurant::open(platform, &[]).await.owner;
    assert_eq!(code(put(&stranger.client, &of_choice, None, &out).await), "permission_denied");
    let unknown = "/choices/opt_00000000000000000000000001/availability";
    assert_eq!(code(put(owner, unknown, None, &out).await), "not_found");
}

/// Some moment that is ahead.
fn later() -> String {
    use bistro_core::Clock as _;
    (bistro_core::SystemClock.now() + std::time::Duration::from_hours(72)).to_string()
}

/// Waits until the menu shows exactly these items and choices as sold out.
async fn sold_out(platform: &Platform, restaurant: &str, ids: &[&Value]) {
    let mut wanted: Vec<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
    wanted.sort_unstable();
    wait::until("the menu says what is sold out", SOON, async || {
        let menu = get(&platform.anybody(), &format!("/restaurants/{restaurant}/menu")).await;
        let menu = menu.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        collect_sold_out(&menu, &mut found);
        found.sort_unstable();
        if found == wanted { Ok(()) } else { Err(menu.to_string()) }
    })
    .await;
}

fn collect_sold_out<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect_sold_out(one, found)),
        Value::Object(fields) => {
            if fields.get("sold_out") == Some(&Value::Bool(true)) {
                found.extend(fields.get("id").and_then(Value::as_str));
            }
            fields.values().for_each(|one| collect_sold_out(one, found));
        }
        _ => {}
    }
}

async fn hours_decide_when_it_is_open(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let (owner, path) = (&restaurant.owner.client, format!("/restaurants/{}", restaurant.id));
    let customer = Person::new(platform, "ada", &[]).await;
    let before = get(owner, &path).await.unwrap();
    let mut closed = json!({"name": before["name"], "time_zone": "Europe/London"});
    closed["hours"] = json!({"weekly": [[], [], [], [], [], [], []]});
    let after = put(owner, &path, Some(&before["version"]), &closed).await.unwrap();
    assert_eq!((&after["open"], &after["open_now"]), (&json!(true), &json!(false)));
    assert_eq!(after["opens_at"], Value::Null, "it never does");
    let refused = restaurant.quote(&customer, &[(0, 1)], "pick_up").await;
    assert_eq!(code(refused), "restaurant_closed");
    closed["hours"] = json!({"weekly": []});
    put(owner, &path, Some(&after["version"]), &closed).await.unwrap();
    restaurant.quote(&customer, &[(0, 1)], "pick_up").await.expect("it is always open");
}

async fn the_menu_is_sent_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(3))]).await;
    let url = format!("{}/api/v1/restaurants/{}/menu", platform.url(), restaurant.id);
    let ask = async |known: &str| {
        let request = http::Request::get(&url).header("if-none-match", known);
        let request = request.body(http_body_util::Empty::new()).expect("a request");
        let response = plain().request(request).await.expect("an answer");
        let header = |name: &str| {
            let value = response.headers().get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let (status, tag, cache) =
            (response.status().as_u16(), header("etag"), header("cache-control"));
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, tag, cache, body)
    };
    let (status, tag, cache, body) = ask("\"other\"").await;
    assert_eq!((status, cache.as_str()), (200, "public, max-age=1"));
    assert!(tag.len() == 34 && tag.starts_with('"'), "{tag}");
    let menu: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(menu["other_items"][0]["name"], "Naan");
    assert_eq!(menu["other_items"][0]["free"], 3);
    assert_eq!(menu["restaurant"]["id"], restaurant.id.as_str());
    for known in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let (status, same, _, body) = ask(known).await;
        assert_eq!((status, same.as_str(), body.len()), (304, tag.as_str(), 0), "{known}");
    }
    let (_, item, version) = &restaurant.items[0];
    let change = json!({"name": "Naan", "price_minor": 300, "available": true});
    let request = Request::put(format!("/api/v1/items/{item}"), &change).if_match(version);
    restaurant.owner.client.send(&request).await.expect("a change");
    wait::until("the menu has the new price", SOON, async || {
        let (status, other, _, body) = ask(&tag).await;
        let menu: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_new = status == 200 && other != tag && menu["other_items"][0]["price_minor"] == 300;
        if is_new { Ok(()) } else { Err(format!("{status} {other}")) }
    })
    .await;
    let unknown = "/restaurants/rst_00000000000000000000000001/menu";
    assert_eq!(code(get(&platform.anybody(), unknown).await), "not_found");
}

const TABLE: &str = "\
kind,item,price,stock,menu,section,position,description,image,allergens,diets,tax_rate,hours,station,options,ingredients,min,max
menu,,,,Dinner,,0,From five,,,,,Mo-Su 17:00-23:00,,,,,
section,,,,Dinner,Pizze,,From the oven,,,,,,,,,,
section,,,,Dinner,Dolci,,,,,,,,,,,,
choice,Large,2.50,,,,,,,,,,,,Size,,1,1
choice,Small,0.00,,,,,,,,,,,,Size,,1,1
item,Margherita,9.00,,Dinner,Pizze,0,\"Tomato, basil\",https://example.org/m.jpg,gluten | milk,vegetarian,20,,oven,Size,Mozzarella,,
item,Marinara,8.00,12,Dinner,Pizze,1,,,gluten,vegan,20,,oven,Size,,,
item,Tiramisu,6.50,,Dinner,Dolci,0,,,eggs | milk,,7.5,Fr-Sa 17:00-23:00,,,,,
item,Water,1.20,,,,0,,,,,0,,,,,,
";

async fn a_table_goes_out_and_comes_back(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let folder = platform.sandbox.path();
    let (name, copy) = (fresh("Table"), fresh("Copy"));
    let file = |name: &str, text: &str| {
        let path = folder.join(format!("{name}.csv"));
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let table = file(&name, TABLE);
    let said = platform.run(&["import", "menu", &table, "--new", &name]).await;
    assert!(said.contains("4 added, 0 changed, 0 unchanged, 0 rejected"), "{said}");
    let said = platform.run(&["import", "menu", &table, "--restaurant", &name]).await;
    assert!(said.contains("0 added, 0 changed, 4 unchanged, 0 rejected"), "{said}");
    let export = async |name: &str| platform.run(&["export", "menu", "--restaurant", name]).await;
    let out = export(&name).await;
    assert_eq!(out, TABLE);
    platform.run(&["import", "menu", &file(&copy, &out), "--new", &copy]).await;
    assert_eq!(export(&copy).await, TABLE);

    let bad = TABLE
        .replace("9.00", "cheap")
        .replace("gluten,vegan", "dust,vegan")
        .replace("Size,Mozzarella", "Sizes,Mozzarella")
        .replace("Fr-Sa 17:00-23:00", "Fr-Sa 17:00-99:00");
    let bad = file(&format!("{copy}-bad"), &bad);
    let (code, said, _) = platform.try_run(&["import", "menu", &bad, "--restaurant", &copy]).await;
    assert_eq!(code, 3, "{said}");
    for line in ["line 7: ", "line 8: allergens[0]: ", "line 9: hours.weekly[4][0]: "] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(said.contains("1 unchanged, 3 rejected"), "{said}");
}

async fn a_document_goes_out_and_comes_back(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let folder = platform.sandbox.path();
    let (name, copy) = (fresh("Document"), fresh("Twin"));
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let table = file(&format!("{name}.csv"), TABLE);
    platform.run(&["import", "menu", &table, "--new", &name]).await;
    let operator = platform.operator();
    let found = get(&operator, &format!("/restaurants?name={name}")).await.unwrap();
    let path = format!("/restaurants/{}", text(&found, "/items/0/id"));
    put(&operator, &path, Some(&found["items"][0]["version"]), &profile(&name)).await.unwrap();

    let words = ["export", "menu", "--format", "json-ld", "--restaurant"];
    let out = platform.run(&[&words[..], &[&name]].concat()).await;
    let document = file(&format!("{copy}.jsonld"), &out.replace(&name, &copy));
    let said = platform.run(&["import", "restaurant", &document]).await;
    assert!(said.contains("4 added, 0 changed, 0 unchanged, 0 rejected"), "{said}");
    let twin = platform.run(&[&words[..], &[&copy]].concat()).await;
    assert_eq!(twin, out.replace(&name, &copy));
    let table = platform.run(&["export", "menu", "--restaurant", &copy]).await;
    assert_eq!(table, TABLE);

    let mut bad: Value = serde_json::from_str(&twin).unwrap();
    bad["hasMenu"][0]["hasMenuSection"][0]["hasMenuItem"][0]["offers"]["price"] = json!("cheap");
    let bad = file(&format!("{copy}-bad.jsonld"), &bad.to_string());
    let words = ["import", "restaurant", &bad, "--restaurant", &copy];
    let (code, said, _) = platform.try_run(&words).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("/hasMenu/0/hasMenuSection/0/hasMenuItem/0: "), "{said}");
    assert!(said.contains("3 unchanged, 1 rejected"), "{said}");
    let (code, ..) = platform.try_run(&["import", "restaurant", &table_as_json(&file)]).await;
    assert_eq!(code, 2, "what is no JSON is a wrong file");
}

fn table_as_json(file: &impl Fn(&str, &str) -> String) -> String {
    file("table.jsonld", TABLE)
}
