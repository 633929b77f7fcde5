//! API keys at the edge: what roles see of them, what they are refused for, and what they cost.

use std::time::Duration;

use bistro_config::RateLimit;
use bistro_core::{ApiKeyText, Id, Role, kinds};
use http::{Method, Request, request::Builder};

use super::{Answered, Bench, ORDER, RESTAURANT};
use crate::edge::rules;

/// The text of key `number`.
fn text(number: u8) -> String {
    ApiKeyText { id: Id::from_bits(number.into()), proof: [number; ApiKeyText::PROOF] }.expose()
}

/// A key of user 1, who has `roles`.
fn given(bench: &Bench, number: u8, roles: Vec<Role>) -> String {
    let token = bench.user(1, roles).replace("Bearer ", "");
    bench.accounts.keys.lock().insert(text(number), token);
    text(number)
}

fn asked(method: &Method, path: &str, key: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("idempotency-key", "key-1")
        .header("if-match", "\"1\"")
        .header("content-type", "application/json")
}

async fn orders(bench: &Bench, key: &str) -> Answered {
    bench.send(asked(&Method::GET, "/api/v1/orders", key), "").await
}

#[tokio::test]
async fn roles_see_an_ordinary_token_of_the_keys_user() {
    let bench = Bench::new();
    let key = given(&bench, 1, vec![Role::Customer]);
    for _ in 0..3 {
        let path = format!("/api/v1/orders/{ORDER}");
        assert_eq!(bench.send(asked(&Method::GET, &path, &key), "").await.status, 200);
    }
    assert_eq!(*bench.accounts.exchanges.lock(), 1, "traded once, then remembered");
    let seen = bench.orders.seen.lock().clone();
    let user = bench.user(1, vec![Role::Customer]);
    assert!(seen.iter().all(|seen| seen.authorization.as_deref() == Some(user.as_str())));
}

#[tokio::test]
async fn wrong_keys_are_refused_and_bounded_by_address() {
    let bench = Bench::with(|gateway| {
        gateway.rate_limit = RateLimit { per_second: 1, burst: 4 };
    });
    // Mistyped: nobody is asked.
    let mistyped = text(1).replace("bistro_key_0", "bistro_key_1");
    let answer = orders(&bench, &mistyped).await;
    answer.expect_problem(401, "unauthenticated");
    assert!(!answer.body.to_string().contains(&mistyped), "{}", answer.body);
    assert_eq!(*bench.accounts.exchanges.lock(), 0);
    // Never given: asked once, and the refusal is remembered.
    for _ in 0..2 {
        orders(&bench, &text(2)).await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(*bench.accounts.exchanges.lock(), 1);
    orders(&bench, &text(3)).await.expect_problem(401, "unauthenticated");
    let refused = orders(&bench, &text(4)).await;
    refused.expect_problem(429, "rate_limited");
    // However many are made up, accounts is asked no more often than an address may ask.
    for number in 5..50 {
        orders(&bench, &text(number)).await.expect_problem(429, "rate_limited");
    }
    assert_eq!(*bench.accounts.exchanges.lock(), 4);
    bench.clock.advance(Duration::from_secs(4));
    let key = given(&bench, 100, vec![Role::Customer]);
    assert_eq!(orders(&bench, &key).await.status, 200);
}

#[tokio::test]
async fn what_decides_who_gets_in_refuses_keys() {
    let bench = Bench::new();
    let key = given(&bench, 1, vec![Role::Customer, Role::Admin]);
    let (user, id) = (Id::<kinds::User>::from_bits(1), Id::<kinds::ApiKey>::from_bits(1));
    let invitation = Id::<kinds::Invitation>::from_bits(1);
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let refused = [
        (&post, "/api/v1/users".to_owned()),
        (&post, "/api/v1/sessions".to_owned()),
        (&post, "/api/v1/sessions/refresh".to_owned()),
        (&get, "/api/v1/sessions".to_owned()),
        (&delete, "/api/v1/sessions".to_owned()),
        (&delete, "/api/v1/sessions/current".to_owned()),
        (&post, "/api/v1/password-resets".to_owned()),
        (&put, "/api/v1/password-resets".to_owned()),
        (&put, "/api/v1/me/password".to_owned()),
        (&post, "/api/v1/me/api-keys".to_owned()),
        (&get, "/api/v1/me/api-keys".to_owned()),
        (&get, format!("/api/v1/api-keys/{id}")),
        (&put, format!("/api/v1/api-keys/{id}")),
        (&delete, format!("/api/v1/api-keys/{id}")),
        (&get, format!("/api/v1/users/{user}/api-keys")),
        (&get, format!("/api/v1/users/{user}/sessions")),
        (&get, format!("/api/v1/users/{user}/export")),
        (&post, format!("/api/v1/users/{user}/password-reset")),
        (&put, format!("/api/v1/users/{user}")),
        (&delete, format!("/api/v1/users/{user}")),
        (&put, format!("/api/v1/restaurants/{RESTAURANT}/members/{user}")),
        (&post, format!("/api/v1/restaurants/{RESTAURANT}/invitations")),
        (&put, format!("/api/v1/invitations/{invitation}")),
        (&delete, format!("/api/v1/invitations/{invitation}")),
        (&post, "/api/v1/invitations/accept".to_owned()),
    ];
    for (method, path) in &refused {
        let answer = bench.send(asked(method, path, &key), "{}").await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
        answer.expect_problem(403, "permission_denied");
    }
    for (method, path) in [
        (&get, "/api/v1/me".to_owned()),
        (&get, format!("/api/v1/users/{user}")),
        (&get, format!("/api/v1/restaurants/{RESTAURANT}/members")),
        (&post, "/api/v1/orders".to_owned()),
        (&get, "/api/v1/restaurants".to_owned()),
    ] {
        let answer = bench.send(asked(method, &path, &key), "{}").await;
        assert_ne!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    // What is not there is not there for keys either.
    bench.send(asked(&get, "/api/v1/nothing", &key), "").await.expect_problem(404, "not_found");
    assert!(!rules::refuses_keys(&post, "/api/v1/orders"));
}

#[tokio::test(start_paused = true)]
async fn the_trail_says_which_key_it_was() {
    let bench = Bench::paused(|_| {});
    let key = given(&bench, 1, vec![Role::Customer]);
    let accept = format!("/api/v1/orders/{ORDER}/accept");
    bench
        .send(asked(&Method::POST, &accept, &key), "{")
        .await
        .expect_problem(400, "malformed_body");
    let password = asked(&Method::PUT, "/api/v1/me/password", &key);
    bench.send(password, "{}").await.expect_problem(403, "permission_denied");
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while bench.accounts.entries().len() < 2 {
        assert!(tokio::time::Instant::now() < until, "{:?}", bench.accounts.entries());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = bench.accounts.entries();
    let id = Id::<kinds::ApiKey>::from_bits(1).to_string();
    assert_eq!(
        (entries[0].subject.as_str(), entries[0].also.as_slice()),
        (ORDER, &[id.clone()][..])
    );
    assert_eq!((entries[1].status, entries[1].also.as_slice()), (403, &[id][..]));
    assert!(!format!("{entries:?}").contains(&key));
}
