//! Quotes of a restaurant that has something to say: hours, delivery terms, options, allergens and
//! taxes.

use bistro_client::{ClientError, Insistence, Request};
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    slots::say,
};

on_every_topology!(
    deliveries_have_terms,
    options_add_to_price_and_allergens,
    hours_close_a_restaurant,
    a_chef_sees_what_must_not_be_in_it,
);

const MENU: &[(&str, i64, Option<i64>)] = &[("Naan", 250, None), ("Dal", 600, None)];

/// A basket of one of the item at `place`, with `more` in the request.
fn basket(restaurant: &Restaurant, place: usize, more: &Value) -> Value {
    let mut body = json!({
        "restaurant_id": restaurant.id, "fulfilment": "pick_up",
        "lines": [{ "item_id": restaurant.items[place].1, "quantity": 1 }],
    });
    for (name, field) in more.as_object().expect("fields") {
        body[name] = field.clone();
    }
    body
}

async fn quote(who: &Person, body: &Value) -> Result<Value, ClientError> {
    post(&who.client, "/quotes", body).await
}

/// The fields that a refusal is about.
fn fields(result: Result<Value, ClientError>) -> Vec<String> {
    let refused = result.expect_err("a refusal");
    let ClientError::Problem { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!(problem.code, "invalid_argument", "{}", problem.detail);
    problem.errors.iter().map(|error| error.field.clone()).collect()
}

/// Has the item at `place` say `more` about itself.
async fn item_says(restaurant: &Restaurant, place: usize, more: &Value) {
    let path = format!("/items/{}", restaurant.items[place].1);
    let now = get(&restaurant.owner.client, &path).await.expect("the item");
    let mut body = json!({
        "name": now["name"], "price_minor": now["price"]["amount_minor"], "available": true,
    });
    for (name, field) in more.as_object().expect("fields") {
        body[name] = field.clone();
    }
    put(&restaurant.owner.client, &path, Some(&now["version"]), &body).await.expect("an item");
}

async fn deliveries_have_terms(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let terms =
        json!({ "radius_m": 3000, "fee_minor": 240, "free_from_minor": 600, "tax_rate": 2000 });
    let about = json!({
        "location": { "latitude": 51.5007, "longitude": -0.1246 }, "delivery": terms,
        "minimum_order_minor": 200, "fulfilments": ["delivery", "pick_up"],
        "prices_include_tax": true,
    });
    say(&restaurant, &about).await;
    let to = |latitude: f64| {
        json!({
            "fulfilment": "delivery", "drop_off": { "latitude": latitude, "longitude": -0.1246 },
        })
    };
    let nowhere = basket(&restaurant, 0, &json!({ "fulfilment": "delivery" }));
    assert_eq!(fields(quote(&ada, &nowhere).await), ["drop_off"]);
    assert_eq!(fields(quote(&ada, &basket(&restaurant, 0, &to(51.6))).await), ["drop_off"]);
    let pole = quote(&ada, &basket(&restaurant, 0, &to(91.0))).await;
    assert_eq!(fields(pole), ["drop_off.latitude"]);
    let near = quote(&ada, &basket(&restaurant, 0, &to(51.51))).await.expect("a quote");
    assert_eq!(near["amounts"]["delivery_fee"]["amount_minor"], 240);
    assert_eq!(
        (&near["total"]["amount_minor"], &near["amounts"]["tax"]["amount_minor"]),
        (&json!(490), &json!(40))
    );
    let dearer = quote(&ada, &basket(&restaurant, 1, &to(51.51))).await.expect("a quote");
    assert_eq!(dearer["amounts"]["delivery_fee"]["amount_minor"], 0, "it is free from 6.00 on");
    let inside = quote(&ada, &basket(&restaurant, 0, &json!({ "fulfilment": "dine_in" }))).await;
    assert_eq!(fields(inside), ["fulfilment"]);
    say(&restaurant, &json!({ "minimum_order_minor": 251 })).await;
    assert_eq!(fields(quote(&ada, &basket(&restaurant, 0, &json!({}))).await), ["lines"]);
}

async fn options_add_to_price_and_allergens(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let owner = &restaurant.owner.client;
    let group = json!({ "name": "Filling", "min": 1, "max": 2, "choices": [
        { "name": "Garlic" }, { "name": "Cheese", "price_minor": 120, "allergens": ["milk"] },
    ] });
    let path = format!("/restaurants/{}/option-groups", restaurant.id);
    let group = post(owner, &path, &group).await.expect("options");
    let more =
        json!({ "option_group_ids": [group["id"]], "allergens": ["gluten"], "tax_rate": 500 });
    item_says(&restaurant, 0, &more).await;
    let cheese = text(&group, "/choices/1/id");
    let with = |choices: &[&str]| {
        let lines = json!([{
            "item_id": restaurant.items[0].1, "quantity": 2, "choice_ids": choices,
        }]);
        basket(&restaurant, 0, &json!({ "lines": lines }))
    };
    assert_eq!(fields(quote(&ada, &with(&[])).await), ["lines[0].choice_ids"]);
    assert_eq!(fields(quote(&ada, &with(&[cheese; 3])).await), ["lines[0].choice_ids"]);
    let strange = cheese.replace("opt_", "opt_7");
    let strange = &strange[..cheese.len()];
    assert_eq!(fields(quote(&ada, &with(&[strange])).await), ["lines[0].choice_ids"]);
    let quoted = quote(&ada, &with(&[cheese])).await.expect("a quote");
    assert_eq!(quoted["total"]["amount_minor"], 740);
    assert_eq!(quoted["lines"][0]["allergens"], json!(["gluten", "milk"]));
    assert_eq!(quoted["lines"][0]["choices"][0]["name"], "Cheese");
    assert_eq!(quoted["amounts"]["taxes"][0]["rate"], 500);

    let profile = json!({ "allergens": ["milk"], "mode": "block" });
    put(&ada.client, "/me/allergy-profile", Some(&json!(0)), &profile).await.expect("a profile");
    assert_eq!(fields(quote(&ada, &with(&[cheese])).await), ["lines[0].item_id"]);
    let mut accepted = with(&[cheese]);
    accepted["allergens_accepted"] = json!(true);
    let quoted = quote(&ada, &accepted).await.expect("a quote");
    assert_eq!(quoted["warnings"], json!([{ "line": 0, "allergens": ["milk"] }]));
    let garlic = text(&group, "/choices/0/id");
    let quoted = quote(&ada, &with(&[garlic])).await.expect("a quote");
    assert_eq!(quoted["warnings"], json!([]));
}

async fn hours_close_a_restaurant(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let body = basket(&restaurant, 0, &json!({}));
    quote(&ada, &body).await.expect("it is always open");
    let never = json!({ "weekly": [[], [], [], [], [], [], []] });
    say(&restaurant, &json!({ "hours": never })).await;
    assert_eq!(code(quote(&ada, &body).await), "restaurant_closed");
    let mut wrong = body.clone();
    wrong["tip_minor"] = json!(1_000_000);
    assert_eq!(fields(quote(&ada, &wrong).await), ["restaurant_id", "tip_minor"]);
}

/// What must not be in a dish, and what the customer wrote, is on the ticket.
async fn a_chef_sees_what_must_not_be_in_it(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let profile = json!({ "allergens": ["nuts"], "mode": "warn" });
    put(&ada.client, "/me/allergy-profile", Some(&json!(0)), &profile).await.expect("a profile");
    let lines = json!([{
        "item_id": restaurant.items[0].1, "quantity": 1, "note": "well done, please",
    }]);
    let quoted = quote(&ada, &basket(&restaurant, 0, &json!({ "lines": lines }))).await;
    let body = Restaurant::placing(&quoted.expect("a quote"), "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await.to_string();
    assert!(ticket.contains("nuts") && ticket.contains("well done, please"), "{ticket}");
}
