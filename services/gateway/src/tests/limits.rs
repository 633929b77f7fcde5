//! Limits by address, for whoever has no token.

use std::time::Duration;

use bistro_config::RateLimit;
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
async fn guessing_tokens_is_limited_too() {
    let bench = tight();
    let guess = || Request::builder().uri("/api/v1/me").header("authorization", "Bearer guess");
    for _ in 0..2 {
        bench.send(guess(), "").await.expect_problem(401, "unauthenticated");
    }
    bench.send(guess(), "").await.expect_problem(429, "rate_limited");
}
