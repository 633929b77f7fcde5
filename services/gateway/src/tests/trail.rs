//! The audit trail as the edge writes it: what, when, and what happens when it cannot.

use std::time::Duration;

use bistro_config::RateLimit;
use bistro_core::Role;
use bistro_proto::accounts::v1::Activity;
use http::{Method, Request, request::Builder};
use tokio::time::{Instant, sleep};

use super::{Bench, ORDER};

const BODY: &str = r#"{"quote":"q","payment_method":"tok_visa","address":"1 Station Road"}"#;

/// The entries once there are `count`.
async fn entries(bench: &Bench, count: usize) -> Vec<Activity> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let entries = bench.accounts.entries();
        if entries.len() >= count {
            return entries;
        }
        assert!(Instant::now() < until, "only {} entries: {entries:?}", entries.len());
        sleep(Duration::from_millis(10)).await;
    }
}

fn placing(bench: &Bench, who: &str) -> Builder {
    let key = bench.orders.seen.lock().len().to_string();
    Request::builder()
        .method(Method::POST)
        .uri("/api/v1/orders")
        .header("authorization", who)
        .header("idempotency-key", key)
        .header("content-type", "application/json")
}

#[tokio::test(start_paused = true)]
async fn an_entry_says_who_did_what_to_what_and_how_it_ended() {
    let bench = Bench::paused(|_| {});
    let ada = bench.user(1, vec![Role::Customer]);
    let placed = bench.send(placing(&bench, &ada).header("x-request-id", "mine"), BODY).await;
    assert_eq!(placed.status, 201);
    let declined = BODY.replace("tok_visa", "declined");
    bench.send(placing(&bench, &ada), declined).await.expect_problem(402, "card_declined");
    let accept = format!("/api/v1/orders/{ORDER}/accept");
    bench.send(bench.post(&accept), "{").await.expect_problem(400, "malformed_body");

    let entries = entries(&bench, 3).await;
    let placed = &entries[0];
    assert_eq!(placed.actor, bistro_core::Id::<bistro_core::kinds::User>::from_bits(1).to_string());
    assert_eq!(placed.action, "POST /api/v1/orders");
    assert_eq!((placed.subject.as_str(), placed.status), (ORDER, 201), "what was made");
    assert_eq!((placed.request_id.as_str(), placed.code.as_str()), ("mine", ""));
    assert_eq!((placed.address.as_str(), placed.privileged), ("192.0.2.0/24", false));
    assert_eq!(placed.at_ms, 1_700_000_000_000);
    assert!(placed.id.starts_with("act_"));
    assert_eq!((entries[1].status, entries[1].code.as_str()), (402, "card_declined"));
    let accepted = &entries[2];
    assert_eq!(accepted.action, "POST /api/v1/orders/{id}/accept");
    assert_eq!((accepted.subject.as_str(), accepted.status), (ORDER, 400));
    assert_eq!((accepted.actor.as_str(), accepted.privileged), ("operator", true));
    let all = format!("{entries:?}");
    assert!(!all.contains("Station") && !all.contains("tok_visa"), "never what was sent: {all}");
    assert_eq!(bench.accounts.recorded.lock().len(), 1, "written together");
}

#[tokio::test(start_paused = true)]
async fn reading_is_recorded_of_those_who_see_others() {
    let bench = Bench::paused(|_| {});
    let path = format!("/api/v1/orders/{ORDER}");
    let (ada, sue) = (bench.user(1, vec![Role::Customer]), bench.user(2, vec![Role::Support]));
    for who in [&ada, &sue] {
        let read = Request::builder().uri(&path).header("authorization", who);
        assert_eq!(bench.send(read, "").await.status, 200);
    }
    // Neither what is public, nor what is nowhere, nor who is told to log in.
    let public = Request::builder().uri("/api/v1/restaurants").header("authorization", &sue);
    bench.send(public, "").await;
    bench.send(bench.post("/api/v1/nowhere"), "").await.expect_problem(404, "not_found");
    let anonymous = Request::builder().method(Method::POST).uri("/api/v1/orders");
    bench.send(anonymous, "").await.expect_problem(401, "unauthenticated");
    sleep(Duration::from_secs(2)).await;
    let entries = entries(&bench, 1).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].action, "GET /api/v1/orders/{id}");
    assert_eq!((entries[0].subject.as_str(), entries[0].privileged), (ORDER, true));
}

#[tokio::test(start_paused = true)]
async fn an_asker_who_goes_away_is_recorded_all_the_same() {
    let bench = Bench::paused(|_| {});
    let slow = BODY.replace("tok_visa", "slow");
    let ada = bench.user(1, vec![Role::Customer]);
    let asking = bench.send(placing(&bench, &ada), slow);
    let gone = tokio::time::timeout(Duration::from_secs(1), asking).await;
    assert!(gone.is_err());
    let entries = entries(&bench, 1).await;
    assert_eq!((entries[0].status, entries[0].action.as_str()), (0, "POST /api/v1/orders"));
}

#[tokio::test(start_paused = true)]
async fn entries_wait_while_accounts_is_away_and_are_written_once() {
    let bench = Bench::paused(|_| {});
    *bench.accounts.failing.lock() = 5;
    let ada = bench.user(1, vec![Role::Customer]);
    for _ in 0..3 {
        assert_eq!(bench.send(placing(&bench, &ada), BODY).await.status, 201);
    }
    let entries = entries(&bench, 3).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.accounts.entries().len(), 3);
    let ids: std::collections::BTreeSet<&str> =
        entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn when_the_trail_is_full_the_privileged_wait_and_others_go_on() {
    let bench = Bench::paused(|gateway| {
        gateway.request_timeout = Duration::from_secs(3);
        gateway.user_rate_limit = RateLimit { per_second: 1_000_000, burst: 1_000_000 };
    });
    *bench.accounts.failing.lock() = u32::MAX;
    let ada = bench.user(1, vec![Role::Customer]);
    let lost = |bench: &Bench| {
        let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather());
        let text = text.unwrap();
        let line = text.lines().find(|line| line.contains(r#"result="lost""#)).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    while lost(&bench) == 0 {
        assert_eq!(bench.send(placing(&bench, &ada), BODY).await.status, 201);
    }
    let accept = format!("/api/v1/orders/{ORDER}/accept");
    let refused = bench.send(bench.post(&accept), "").await;
    refused.expect_problem(503, "unavailable");
    assert!(refused.body["detail"].as_str().unwrap().contains("unrecorded"), "{}", refused.body);
    // As soon as it can be written again, everybody is served.
    *bench.accounts.failing.lock() = 0;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.send(bench.post(&accept), "").await.status, 200);
}
