//! Orders, tickets and menus of somebody else: what nobody but its people may know of is not there
//! (404), and what everybody may see is not everybody's to change (403).

use http::Method;

use crate::{
    people::{Person, Restaurant, get, text},
    platform::{Platform, Topology, on_every_topology},
    rude::{Refusals, Rude},
};

on_every_topology!(an_order_of_another_customer, a_chef_of_another_restaurant);

const HIDDEN: Refusals<'static> = &[(404, "not_found")];
const DENIED: Refusals<'static> = &[(403, "permission_denied")];
const WHY: &str = r#"{"reason":"mine"}"#;

async fn an_order_of_another_customer(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    let order = format!("/api/v1/orders/{}", text(&order, "/id"));
    let eve = Rude::logged_in(platform, &Person::new(platform, "eve", &[]).await).await;
    for path in ["", "/payment", "/events", "/rating", "/ledger"] {
        eve.read(&format!("{order}{path}")).await.is_problem(HIDDEN, path);
    }
    let stars = r#"{"stars":1}"#;
    for (method, path, body) in [
        (Method::POST, "/cancel", WHY),
        (Method::POST, "/reject", WHY),
        (Method::POST, "/refunds", WHY),
        (Method::POST, "/accept", r#"{"minutes":5}"#),
        (Method::POST, "/delay", r#"{"minutes":5,"reason":"mine"}"#),
        (Method::POST, "/hand-over", ""),
        (Method::POST, "/tips", r#"{"amount_minor":1}"#),
        (Method::POST, "/reorder", "{}"),
        (Method::POST, "/rating", stars),
        (Method::PUT, "/rating", stars),
        (Method::DELETE, "/rating", ""),
        (Method::PUT, "", r#"{"quote":"mine"}"#),
    ] {
        let reply = eve.json(method.clone(), &format!("{order}{path}"), body).await;
        reply.is_problem(HIDDEN, &format!("{method} {path}"));
    }
    let me = get(&ada.client, "/me").await.expect("Ada");
    let path = format!("/api/v1/users/{}", text(&me, "/id"));
    eve.read(&path).await.is_problem(HIDDEN, "Eve reads Ada");
    // Whose order it is may know that it is there, but not refund it.
    let customer = Rude::logged_in(platform, &ada).await;
    let reply = customer.json(Method::POST, &format!("{order}/refunds"), WHY).await;
    reply.is_problem(DENIED, "Ada refunds herself");
    assert_eq!(customer.read(&order).await.body()["state"], "confirmed", "nobody moved it");
}

async fn a_chef_of_another_restaurant(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let other = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let mut chef = Person::new(platform, "chef", &[]).await;
    other.hire(platform, &mut chef, "chef").await;
    let chef = Rude::logged_in(platform, &chef).await;

    // A foreign order and its ticket are as they are to anybody.
    let order = format!("/api/v1/orders/{}", text(&order, "/id"));
    let ticket = format!("/api/v1/tickets/{}", text(&ticket, "/id"));
    for path in [&order, &ticket] {
        chef.read(path).await.is_problem(HIDDEN, path);
    }
    for step in ["reject", "cancel", "refunds"] {
        let reply = chef.json(Method::POST, &format!("{order}/{step}"), WHY).await;
        reply.is_problem(HIDDEN, step);
    }
    for step in
        ["start", "bump", "recall", "hold", "fire", "acknowledge", "items/0/start", "items/0/bump"]
    {
        let reply = chef.json(Method::POST, &format!("{ticket}/{step}"), "").await;
        reply.is_problem(HIDDEN, step);
    }
    // Everybody knows the restaurant and what it sells: these are there, and not the chef's.
    let tickets = format!("/api/v1/restaurants/{}/tickets", restaurant.id);
    chef.read(&tickets).await.is_problem(DENIED, "a foreign kitchen");
    let item = format!("/api/v1/items/{}", restaurant.items[0].1);
    let body = r#"{"name":"Naan","price_minor":1,"available":true}"#;
    chef.json(Method::PUT, &item, body).await.is_problem(DENIED, "a foreign menu");
    let gone = r#"{"available":false}"#;
    let reply = chef.json(Method::PUT, &format!("{item}/availability"), gone).await;
    reply.is_problem(DENIED, "a foreign dish is sold out");
    for path in ["/api/v1/audit-trail", "/api/v1/audit/orders", "/api/v1/users"] {
        chef.read(path).await.is_problem(DENIED, path);
    }

    let owner = Rude::logged_in(platform, &restaurant.owner).await;
    assert_eq!(owner.read(&order).await.body()["state"], "accepted", "nobody moved it");
    assert_eq!(owner.read(&ticket).await.body()["state"], "queued", "nor that");
    assert_eq!(owner.read(&item).await.body()["price"]["amount_minor"], 250, "nor this");
}
