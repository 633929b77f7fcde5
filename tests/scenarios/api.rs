//! What every client of the public API relies on: keys, preconditions, problems, identities.

use bistro_client::{ClientError, Request};
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, post, text},
    platform::{Platform, Topology, on_every_topology, plain},
};

on_every_topology!(
    repeated_placing_is_one_order,
    keys_and_versions_are_required,
    strangers_see_nothing,
    lists_go_on_where_they_stopped,
    sessions_are_refreshed_and_ended,
    a_stolen_refresh_token_ends_the_session,
);

async fn repeated_placing_is_one_order(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(50))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&customer, &[(0, 1)], "delivery").await.unwrap();
    let (key, body) = (fresh("order"), Restaurant::placing(&quote, "card_ok"));
    let request = Request::post("/api/v1/orders", key.clone(), &body).prefer_wait(10);

    let mut placing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, request) = (customer.client.clone(), request.clone());
        placing.spawn(async move { client.send(&request).await });
    }
    let mut ids: Vec<String> = placing
        .join_all()
        .await
        .into_iter()
        .map(|answer| text(&answer.expect("an order").body, "/id").to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(restaurant.free(0).await, 49);
    let mine = get(&customer.client, "/orders").await.unwrap();
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(1));

    let mut other = body.clone();
    other["address"] = json!("2 Low Street");
    let reused = customer.client.send(&Request::post("/api/v1/orders", key, &other)).await;
    assert_eq!(code(reused), "idempotency_key_reused");
}

async fn keys_and_versions_are_required(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner.client;
    let (_, item, version) = &restaurant.items[0];
    let path = format!("/api/v1/items/{item}");
    let body = json!({ "name": "Naan", "price_minor": 300, "available": true });
    assert_eq!(code(owner.send(&Request::put(&path, &body)).await), "precondition_required");
    let stale = Request::put(&path, &body).if_match(version + 7);
    assert_eq!(code(owner.send(&stale).await), "version_mismatch");
    let right = owner.send(&Request::put(&path, &body).if_match(version)).await.unwrap();
    assert_eq!(right.body["price"]["amount_minor"], 300);
    assert_ne!(right.etag.as_deref(), Some(version.to_string().as_str()));
    let unknown = json!({ "name": "Naan", "price_minor": 300, "available": true, "colour": "red" });
    let refused = owner.send(&Request::put(&path, &unknown).if_match(version)).await;
    assert!(["invalid_argument", "malformed_body"].contains(&code(refused).as_str()));
}

async fn strangers_see_nothing(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let stranger = Person::new(platform, "eve", &["restaurateur", "chef", "courier"]).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    let path = format!("/orders/{}", text(&order, "/id"));
    assert_eq!(code(get(&stranger.client, &path).await), "not_found");
    assert_eq!(code(get(&platform.anybody(), &path).await), "unauthenticated");
    let forged = platform.anybody().with_token("eyJhbGciOiJub25lIn0.e30.").unwrap();
    assert_eq!(code(get(&forged, &path).await), "unauthenticated");
    let of_restaurant = format!("/orders?restaurant_id={}", restaurant.id);
    assert_eq!(code(get(&stranger.client, &of_restaurant).await), "permission_denied");
    assert_eq!(code(get(&stranger.client, "/audit/orders").await), "permission_denied");
    let accept = post(&stranger.client, &format!("{path}/accept"), &json!({})).await;
    assert!(["not_found", "permission_denied"].contains(&code(accept).as_str()));
}

async fn lists_go_on_where_they_stopped(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
        placed.insert(0, text(&order, "/id").to_owned());
    }
    let path = "/orders?limit=2".to_owned();
    let (mut listed, mut next, mut pages) = (Vec::new(), Some(path), Vec::new());
    while let Some(path) = next {
        let page = get(&customer.client, &path).await.unwrap();
        let items = page["items"].as_array().expect("items");
        pages.push(items.len());
        listed.extend(items.iter().map(|order| text(order, "/id").to_owned()));
        next =
            page["next_cursor"].as_str().map(|cursor| format!("/orders?limit=2&cursor={cursor}"));
    }
    assert_eq!(pages, [2, 2, 1]);
    assert_eq!(listed, placed, "newest first, none missing, none twice");
    let rubbish = get(&customer.client, "/orders?limit=2&cursor=rubbish").await;
    assert_eq!(code(rubbish), "invalid_argument");
}

/// Somebody new, who can log in with what is given.
async fn registered(platform: &Platform) -> Value {
    let email = format!("{}@example.org", fresh("ada"));
    let who = json!({ "email": email, "password": "correct horse battery", "name": "Ada" });
    post(&platform.anybody(), "/users", &who).await.expect("a user");
    assert_eq!(code(post(&platform.anybody(), "/users", &who).await), "already_exists");
    json!({ "email": email, "password": "correct horse battery" })
}

/// Trades the refresh token of `tokens`.
async fn refresh(platform: &Platform, tokens: &Value) -> Result<Value, ClientError> {
    let body = json!({ "refresh_token": text(tokens, "/refresh_token") });
    post(&platform.anybody(), "/sessions/refresh", &body).await
}

async fn sessions_are_refreshed_and_ended(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let right = registered(platform).await;
    let mut wrong = right.clone();
    wrong["password"] = json!("wrong horse battery");
    let refused = post(&platform.anybody(), "/sessions", &wrong).await;
    assert_eq!(code(refused), "wrong_credentials");

    let first = post(&platform.anybody(), "/sessions", &right).await.expect("tokens");
    let other = post(&platform.anybody(), "/sessions", &right).await.expect("another session");
    let second = refresh(platform, &first).await.expect("new tokens");
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    // The answer may have been lost: the same token is good for some seconds more.
    refresh(platform, &first).await.expect("new tokens again");
    let rubbish = refresh(platform, &json!({ "refresh_token": "rubbish" })).await;
    assert_eq!(code(rubbish), "unauthenticated");

    let uri = format!("{}/api/v1/sessions/current", platform.url());
    let log_out = http::Request::delete(uri)
        .header("authorization", format!("Bearer {}", text(&second, "/access_token")))
        .body(http_body_util::Empty::new())
        .expect("a request");
    let answer = plain().request(log_out).await.expect("an answer");
    assert_eq!(answer.status(), 204);
    assert_eq!(code(refresh(platform, &second).await), "unauthenticated");
    refresh(platform, &other).await.expect("the other session goes on");
}

async fn a_stolen_refresh_token_ends_the_session(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let who = registered(platform).await;
    let first = post(&platform.anybody(), "/sessions", &who).await.expect("tokens");
    let second = refresh(platform, &first).await.expect("new tokens");
    let third = refresh(platform, &second).await.expect("new tokens");
    // Whoever shows a token that was traded twice over has kept a copy: nobody goes on.
    assert_eq!(code(refresh(platform, &first).await), "unauthenticated");
    assert_eq!(code(refresh(platform, &third).await), "unauthenticated");
}
