//! Limits by address, for whoever has no token, and by user.

use std::time::Duration;

use bistro_config::RateLimit;
use bistro_core::Role;
use http::Request;

use super::Bench;

fn tight() -> Bench {
    Bench::with(|gateway| {
        gateway.rate_limit = RateLimit { per_second: 1, burst: 2 };
        gateway.trusted_proxies = 1;
    })
}

#[tokio::test]
async fn without_a_token_an_address_has_its_share() {
    let bench = tight();
    let anybody = || Request::builder().uri("/api/v1/restaurants");
    for _ in 0..2 {
        assert_eq!(bench.send(anybody(), "").await.status, 200);
    }
    let refused = bench.send(anybody(), "").await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    // Another address, as the trusted proxy says, has its own share.
    let elsewhere = anybody().header("x-forwarded-for", "198.51.100.7");
    assert_eq!(bench.send(elsewhere, "").await.status, 200);
    // The operator has no limit.
    for _ in 0..5 {
        assert_eq!(bench.send(bench.get("/api/v1/restaurants"), "").await.status, 200);
    }
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.send(anybody(), "").await.status, 200);
}

#[tokio::test]
async fn a_user_has_a_share_wherever_the_user_is() {
    let bench = Bench::with(|gateway| {
        gateway.user_rate_limit = RateLimit { per_second: 1, burst: 3 };
        gateway.trusted_proxies = 1;
    });
    let (ada, eve) = (bench.user(1, vec![Role::Customer]), bench.user(2, vec![Role::Admin]));
    let ask = async |who: &str, address: &str| {
        let request = Request::builder().uri("/api/v1/orders").header("authorization", who);
        bench.send(request.header("x-forwarded-for", address), "").await
    };
    for left in [2, 1, 0] {
        let answer = ask(&ada, &format!("198.51.100.{left}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=3");
        assert_eq!(answer.header("ratelimit"), format!("\"user\";r={left};t={}", 3 - left));
    }
    let refused = ask(&ada, "198.51.100.9").await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"user\";r=0;t=3");
    // Another user, from the same address, has a share too; so does whoever has no token.
    assert_eq!(ask(&eve, "198.51.100.9").await.status, 200);
    let anybody = bench.send(Request::builder().uri("/api/v1/restaurants"), "").await;
    assert!(anybody.header("ratelimit").starts_with("\"address\";r=999"));
    assert_eq!(bench.send(bench.get("/api/v1/orders"), "").await.header("ratelimit"), "");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&ada, "198.51.100.9").await.status, 200);
}

#[tokio::test]
async fn guessing_tokens_is_limited_too() {
    let bench = tight();
    let guess = || Request::builder().uri("/api/v1/me").header("authorization", "Bearer guess");
    for _ in 0..2 {
        bench.send(guess(), "").await.expect_problem(401, "unauthenticated");
    }
    bench.send(guess(), "").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn guessing_passwords_is_limited_by_address_with_a_token_too() {
    let bench = tight();
    for user in 1..=3 {
        let token = bench.user(user, vec![Role::Customer]);
        let request = Request::builder().method("POST").uri("/api/v1/sessions");
        let request = request.header("authorization", token);
        let request = request.header("content-type", "application/json");
        let answer = bench.send(request, r#"{"email":"a@example.org","password":"x"}"#).await;
        assert_eq!(answer.status == 429, user == 3, "{}", answer.body);
        assert!(answer.header("ratelimit").starts_with("\"address\";"));
    }
}

#[tokio::test]
async fn a_provider_is_heard_however_often_it_calls_from_one_address() {
    let bench = tight();
    let webhook = |body: String| {
        let request = Request::builder().method("POST").uri("/api/v1/webhooks/stripe");
        bench.send(request.header("stripe-signature", "t=1,v1=00"), body)
    };
    for _ in 0..10 {
        let answer = webhook(r#"{"id":"evt_1"}"#.to_owned()).await;
        // It is passed on, to a role that is not there yet in these tests.
        answer.expect_problem(503, "unavailable");
        assert_eq!(answer.header("ratelimit"), "");
    }
    // Its size is bounded as before, and so is whoever else asks from there.
    webhook("x".repeat(5000)).await.expect_problem(413, "too_large");
    let anybody = || Request::builder().uri("/api/v1/restaurants");
    for _ in 0..2 {
        assert_eq!(bench.send(anybody(), "").await.status, 200);
    }
    bench.send(anybody(), "").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn accounts_is_told_where_a_login_comes_from() {
    let bench = Bench::with(|gateway| gateway.trusted_proxies = 1);
    let body = r#"{"email":"ada@example.org","password":"a guess"}"#;
    for from in ["198.51.100.7", "2001:db8::7", "2001:db8::8"] {
        let request = Request::post("/api/v1/sessions")
            .header("content-type", "application/json")
            .header("x-forwarded-for", from);
        bench.send(request, body).await.expect_problem(401, "wrong_credentials");
    }
    // Of IPv6, a whole network is one.
    assert_eq!(*bench.accounts.networks.lock(), ["198.51.100.7", "2001:db8::", "2001:db8::"]);
}
