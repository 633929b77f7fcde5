//! What is stored of a person: given out whole to the person, and to nobody else; and erased.

use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    accounts::{my_id, refused_login, tokens, trade},
    people::{
        PASSWORD, Person, Restaurant, assigned, code, courier, delete, duty, get, in_state, paid,
        post, put, step, text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(a_person_is_given_all_and_only_their_own, a_person_is_erased);

/// Says that the person must not eat milk.
async fn avoid_milk(person: &Person) {
    let profile = json!({ "allergens": ["milk"], "mode": "warn" });
    put(&person.client, "/me/allergy-profile", Some(&json!(0)), &profile).await.expect("a profile");
}

/// Orders one Naan to `address`, with a note, and gives the order.
async fn order(restaurant: &Restaurant, who: &Person, address: &str, note: &str) -> Value {
    let lines = json!([{ "item_id": restaurant.items[0].1, "quantity": 1, "note": note }]);
    let body = json!({ "restaurant_id": restaurant.id, "fulfilment": "pick_up", "lines": lines });
    let quote = post(&who.client, "/quotes", &body).await.expect("a quote");
    let body = json!({
        "quote": text(&quote, "/token"), "payment_method": "card_ok", "address": address,
    });
    let placed = post(&who.client, "/orders", &body).await.expect("an order");
    in_state(&who.client, &placed, "confirmed").await
}

async fn a_person_is_given_all_and_only_their_own(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &["courier"]).await;
    let eve = Person::new(platform, "eve", &[]).await;
    avoid_milk(&ada).await;
    post(&ada.client, "/couriers", &json!({ "name": "Quick Ada" })).await.expect("a courier");
    let theirs = order(&restaurant, &eve, "2 Low Road", "for Eve alone").await;
    let done = order(&restaurant, &ada, "1 High Street", "ring twice").await;
    restaurant.cook(&done).await;
    in_state(&ada.client, &done, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&done, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.expect("handed over");
    in_state(&ada.client, &done, "completed").await;
    paid(&ada.client, &done, "captured").await;
    let opinion = json!({ "stars": 4, "comment": "Crisp" });
    let path = format!("/orders/{}/rating", text(&done, "/id"));
    post(&ada.client, &path, &opinion).await.expect("a rating");
    let open = order(&restaurant, &ada, "1 High Street", "no bell").await;
    let invited = json!({ "email": ada.email, "role": "chef" });
    let path = format!("/restaurants/{}/invitations", restaurant.id);
    post(&restaurant.owner.client, &path, &invited).await.expect("an invitation");

    let export = format!("/users/{}/export", my_id(&ada.client).await);
    let all = wait::until("the trail has caught up", SOON, async || {
        let all = get(&ada.client, &export).await.map_err(|error| error.to_string())?;
        let entries = all["activity"].as_array().map_or(0, Vec::len);
        if entries >= 5 { Ok(all) } else { Err(all.to_string()) }
    })
    .await;
    assert_eq!((&all["user"]["email"], &all["complete"]), (&json!(ada.email), &json!(true)));
    assert_eq!(all["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["invitations"][0]["email"], ada.email.as_str());
    assert_eq!(all["allergy_profile"]["allergens"], json!(["milk"]));
    assert_eq!(
        (&all["courier"]["name"], &all["orders_cursor"]),
        (&json!("Quick Ada"), &Value::Null)
    );
    assert_eq!(all["shifts"], json!([]));
    let orders = all["orders"].as_array().expect("orders");
    let ids: Vec<&Value> = orders.iter().map(|one| &one["order"]["id"]).collect();
    assert_eq!(ids, [&open["id"], &done["id"]], "newest first");
    assert_eq!(orders[1]["order"]["lines"][0]["note"], "ring twice");
    assert_eq!(orders[1]["payment"]["captured"]["amount_minor"], 250);
    assert_eq!(
        (&orders[1]["rating"]["comment"], &orders[0]["rating"]),
        (&json!("Crisp"), &Value::Null)
    );

    // Nothing of anybody else's is in it: neither another customer's nor the staff's names.
    let said = all.to_string();
    let eve_id = my_id(&eve.client).await;
    let (eves, owners) = (eve.email.as_str(), restaurant.owner.email.as_str());
    let theirs = text(&theirs, "/id");
    for other in [eves, owners, eve_id.as_str(), "2 Low Road", "for Eve", theirs] {
        assert!(!said.contains(other), "{other} is in {said}");
    }
    // It is for the person and administrators; for others there is nobody like that.
    for who in [&eve, &restaurant.owner] {
        assert_eq!(code(get(&who.client, &export).await), "not_found");
    }
    assert_eq!(code(get(&platform.anybody(), &export).await), "unauthenticated");
    let by_operator = get(&platform.operator(), &export).await.expect("the same");
    assert_eq!(by_operator["orders"], all["orders"]);
    assert_eq!(by_operator["courier"]["id"], all["courier"]["id"]);
}

async fn a_person_is_erased(topology: Topology) {
    // Of its own, so that nobody else's food is brought.
    let platform = &Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &["courier"]).await;
    avoid_milk(&ada).await;
    post(&ada.client, "/couriers", &json!({ "name": "Quick Ada" })).await.expect("a courier");
    duty(&ada, true).await;
    duty(&ada, false).await;
    let lost = order(&restaurant, &ada, "1 High Street", "ring for Ada").await;
    let cancel = format!("/orders/{}/cancel", text(&lost, "/id"));
    let reason = json!({ "reason": "Ada has moved" });
    post(&ada.client, &cancel, &reason).await.expect("cancelled");
    // One that somebody brought her.
    let cora = courier(platform, 1).await;
    let brought = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.cook(&brought).await;
    let delivery = assigned(&cora, &brought).await;
    let at = format!("/deliveries/{}", text(&delivery, "/id"));
    assert_eq!(get(&cora.client, &at).await.expect("where to")["address"], "1 High Street");
    step(&cora, &delivery, "pick-up").await;
    step(&cora, &delivery, "drop-off").await;
    in_state(&ada.client, &brought, "completed").await;
    paid(&ada.client, &brought, "captured").await;
    let invited = json!({ "email": ada.email, "role": "chef" });
    let invitations = format!("/restaurants/{}/invitations", restaurant.id);
    post(&restaurant.owner.client, &invitations, &invited).await.expect("an invitation");

    let here = tokens(platform, &ada.email, PASSWORD).await;
    let path = format!("/users/{}", my_id(&ada.client).await);
    let owner = format!("/users/{}", my_id(&restaurant.owner.client).await);
    assert_eq!(code(delete(&restaurant.owner.client, &owner).await), "wrong_state");
    assert_eq!(code(delete(&restaurant.owner.client, &path).await), "not_found");
    let export = format!("{path}/export");
    let before = get(&ada.client, &export).await.expect("all of it");
    assert_eq!(before["shifts"].as_array().map(Vec::len), Some(1));
    delete(&ada.client, &path).await.expect("erased");
    delete(&platform.operator(), &path).await.expect("and stays erased");
    assert_eq!(code(trade(platform, &here).await), "unauthenticated");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");

    // Nothing that names the person is left: of the user, in orders that have ended, with their
    // delivery, of the courier, in sessions, and of who is invited.
    let operator = platform.operator();
    let words = [ada.email.as_str(), "Ada", "High Street", "milk"];
    let of_order = |order: &Value, what: &str| format!("/orders/{}{what}", text(order, "/id"));
    for (who, what) in [
        (&operator, path.clone()),
        (&operator, export.clone()),
        (&operator, format!("{path}/sessions")),
        (&operator, invitations.clone()),
        (&restaurant.owner.client, of_order(&lost, "")),
        (&restaurant.owner.client, of_order(&brought, "")),
        (&restaurant.owner.client, of_order(&brought, "/delivery")),
        (&cora.client, at),
    ] {
        wait::until(&format!("nothing names Ada in {what}"), SOON, async || {
            let left = get(who, &what).await.map_err(|error| error.to_string())?;
            let said = left.to_string();
            if words.iter().any(|word| said.contains(word)) { Err(said) } else { Ok(()) }
        })
        .await;
    }
    let left = get(&operator, &export).await.expect("what is left");
    assert_eq!((&left["user"]["erased"], &left["user"]["email"]), (&json!(true), &json!("")));
    assert_eq!((&left["sessions"], &left["invitations"]), (&json!([]), &json!([])));
    assert_eq!((&left["courier"]["deleted"], &left["courier"]["name"]), (&json!(true), &json!("")));
    assert_eq!(get(&operator, &invitations).await.unwrap()["items"], json!([]));
    let back = json!({ "email": ada.email, "name": "Ada" });
    let written = put(&operator, &path, Some(&left["user"]["version"]), &back).await;
    assert_eq!(code(written), "wrong_state", "who is erased stays erased");
    // The orders and their money are.
    let kept = left["orders"].as_array().expect("orders");
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0]["order"]["total"]["amount_minor"], 250);
    assert_eq!(kept[0]["payment"]["captured"]["amount_minor"], 250);
    // The address may be used anew.
    let again = json!({ "email": ada.email, "password": PASSWORD, "name": "Ada" });
    post(&platform.anybody(), "/users", &again).await.expect("a new user");
}
