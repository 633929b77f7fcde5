//! Whatever goes wrong is a problem with a code, a sentence and the request's id.

use std::time::Duration;

use axum::{Router, middleware::from_fn_with_state, routing::get};
use futures::{StreamExt as _, poll, stream::FuturesUnordered};
use http::{Method, Request};

use super::{Answered, Bench, CONCURRENT_REQUESTS, ORDER, RESTAURANT};
use crate::edge::serve;

#[tokio::test]
async fn a_path_or_method_that_is_not_there() {
    let bench = Bench::new();
    let answer = bench.send(Request::builder().uri("/api/v1/nothing"), "").await;
    answer.expect_problem(404, "not_found");

    let delete = Request::builder().method(Method::DELETE).uri("/api/v1/restaurants");
    let answer = bench.send(delete, "").await;
    answer.expect_problem(405, "method_not_allowed");
    let allowed = answer.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[tokio::test]
async fn a_token_that_is_missing_or_wrong() {
    let bench = Bench::new();
    let path = format!("/api/v1/orders/{ORDER}");
    let answer = bench.send(Request::builder().uri(&path), "").await;
    answer.expect_problem(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    // A wrong token is refused also where none is needed.
    for token in ["Bearer forged", "Basic YTpi", "Bearer \u{e9}"] {
        let request = Request::builder().uri("/api/v1/restaurants").header("authorization", token);
        bench.send(request, "").await.expect_problem(401, "unauthenticated");
    }
    let answer = bench.send(Request::builder().uri("/api/v1/restaurants"), "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_cannot_be_read() {
    let bench = Bench::new();
    let orders = || bench.post("/api/v1/orders");
    bench.send(orders(), "{\"quote\":").await.expect_problem(400, "malformed_body");
    let text = bench.request(Method::POST, "/api/v1/orders").header("idempotency-key", "k");
    bench.send(text, "{}").await.expect_problem(400, "malformed_body");

    let large = format!("{{\"quote\":\"{}\"}}", "x".repeat(5000));
    bench.send(orders(), large.clone()).await.expect_problem(413, "too_large");
    // The same when its length is not announced.
    let pieces: Vec<Result<String, std::io::Error>> = vec![Ok(large)];
    let unannounced = axum::body::Body::from_stream(tokio_stream::iter(pieces));
    bench.send(orders(), unannounced).await.expect_problem(413, "too_large");
    let broken: Vec<Result<String, std::io::Error>> =
        vec![Ok("{".to_owned()), Err(std::io::Error::other("gone"))];
    let broken = axum::body::Body::from_stream(tokio_stream::iter(broken));
    bench.send(orders(), broken).await.expect_problem(400, "malformed_body");
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let bench = Bench::new();
    let orders = || bench.post("/api/v1/orders");
    bench.send(orders(), "").await.expect_field("quote");
    bench.send(orders(), r#"{"quote":"q"}"#).await.expect_field("payment_method");
    let unknown = r#"{"quote":"q","payment_method":"p","tip":5}"#;
    bench.send(orders(), unknown).await.expect_field("tip");

    let basket = |lines: &str, fulfilment: &str| {
        format!(
            r#"{{"restaurant_id":"{RESTAURANT}","fulfilment":"{fulfilment}","lines":[{lines}]}}"#
        )
    };
    let quotes = || bench.post("/api/v1/quotes");
    let line = r#"{"item_id":"itm_1","quantity":1}"#;
    bench.send(quotes(), basket(line, "delivery")).await.expect_field("lines[0].item_id");
    bench.send(quotes(), basket("", "drone")).await.expect_field("fulfilment");
    // What the role says about a field arrives as it is.
    bench.send(quotes(), basket("", "pick_up")).await.expect_field("lines");

    bench.send(bench.get("/api/v1/orders/ord_1"), "").await.expect_field("id");
    bench.send(bench.get("/api/v1/orders?limit=201"), "").await.expect_field("limit");
    bench.send(bench.get("/api/v1/orders?stat=placed"), "").await.expect_field("stat");
    bench.send(bench.get("/api/v1/orders?state=lost"), "").await.expect_field("state");
    let line = "/api/v1/tickets/tkt_01jd3x8k4v9q2w7r5t6y8z0abc/items/first/start";
    bench.send(bench.post(line), "").await.expect_field("line");
    let refund = format!("/api/v1/orders/{ORDER}/refunds");
    let nothing = r#"{"amount_minor":0,"reason":"cold"}"#;
    bench.send(bench.post(&refund), nothing).await.expect_field("amount_minor");
}

#[tokio::test]
async fn what_a_role_refuses_keeps_its_code() {
    let bench = Bench::new();
    let pay = |method: &str| format!(r#"{{"quote":"q","payment_method":"{method}"}}"#);
    let orders = || bench.post("/api/v1/orders");
    bench.send(orders(), pay("declined")).await.expect_problem(402, "card_declined");
    bench.send(orders(), pay("broken")).await.expect_problem(500, "internal");
    bench.send(orders(), pay("dying")).await.expect_problem(500, "internal");
    let away = bench.send(orders(), pay("away")).await;
    away.expect_problem(503, "unavailable");
    assert_eq!(away.header("retry-after"), "1");

    let other = ORDER.replace('4', "5");
    bench
        .send(bench.get(&format!("/api/v1/orders/{other}")), "")
        .await
        .expect_problem(404, "not_found");
    // A role that has not started yet.
    let balances = bench.get("/api/v1/ledger/balances");
    bench.send(balances, "").await.expect_problem(503, "unavailable");
    bench.send(bench.get("/api/v1/audit/gateway"), "").await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_does_not_answer() {
    let bench = Bench::paused(|gateway| gateway.request_timeout = Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    let slow = r#"{"quote":"q","payment_method":"slow"}"#;
    let answer = bench.send(bench.post("/api/v1/orders"), slow).await;
    answer.expect_problem(504, "deadline_exceeded");
    assert_eq!(began.elapsed().as_secs(), 3);
    // Waiting for the outcome comes on top.
    let patient = bench.post("/api/v1/orders").header("prefer", "wait=20");
    bench.send(patient, slow).await.expect_problem(504, "deadline_exceeded");
    assert_eq!(began.elapsed().as_secs(), 3 + 23);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly() {
    let bench = Bench::paused(|_| {});
    let pieces = tokio_stream::iter([Ok::<_, std::io::Error>("{")]);
    let endless = tokio_stream::StreamExt::chain(pieces, tokio_stream::pending());
    let began = tokio::time::Instant::now();
    let slow = axum::body::Body::from_stream(endless);
    let answer = bench.send(bench.post("/api/v1/orders"), slow).await;
    answer.expect_problem(408, "request_timeout");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_body_that_is_far_too_large_is_read_to_its_end_or_not_at_all() {
    let bench = Bench::new();
    let large = vec![b'x'; 10 << 20];
    let announced = bench.post("/api/v1/orders").header("content-length", large.len());
    bench.send(announced, large).await.expect_problem(413, "too_large");
    // More than is worth reading: not a byte of it is.
    let endless = tokio_stream::pending::<Result<&str, std::io::Error>>();
    let announced = bench.post("/api/v1/orders").header("content-length", 1_u64 << 40);
    let endless = axum::body::Body::from_stream(endless);
    bench.send(announced, endless).await.expect_problem(413, "too_large");
    let told = bench.post("/api/v1/orders").header("content-length", 10 << 20);
    let told = told.header("expect", "100-continue");
    let endless = tokio_stream::pending::<Result<&str, std::io::Error>>();
    let endless = axum::body::Body::from_stream(endless);
    bench.send(told, endless).await.expect_problem(413, "too_large");
}

async fn panics() -> String {
    panic!("a mistake")
}

#[tokio::test]
async fn a_handler_that_panics() {
    let bench = Bench::new();
    let panics = Router::new()
        .route("/panics", get(panics))
        .layer(from_fn_with_state(bench.edge.clone(), serve));
    let request = Request::builder().uri("/panics").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(panics, request).await.unwrap();
    Answered::read(response).await.expect_problem(500, "internal");
}

#[tokio::test]
async fn more_requests_at_once_than_are_taken_on() {
    let bench = Bench::new();
    let slow = r#"{"quote":"q","payment_method":"slow"}"#;
    let mut under_way: FuturesUnordered<_> =
        (0..CONCURRENT_REQUESTS).map(|_| bench.send(bench.post("/api/v1/orders"), slow)).collect();
    assert!(poll!(under_way.next()).is_pending());
    let refused = bench.send(bench.get("/api/v1/orders"), "").await;
    refused.expect_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    // An asker that goes away makes room.
    drop(under_way);
    assert_eq!(bench.send(bench.get("/api/v1/orders"), "").await.status, 200);
}

#[tokio::test]
async fn the_request_id_is_the_askers_if_it_is_plain() {
    let bench = Bench::new();
    let ask = |id: &str| bench.get("/api/v1/orders").header("x-request-id", id);
    assert_eq!(bench.send(ask("mine-1"), "").await.header("x-request-id"), "mine-1");
    let made = bench.send(ask("not plain"), "").await;
    assert!(made.header("x-request-id").starts_with("req_"));
    let again = bench.send(bench.get("/api/v1/orders"), "").await;
    assert_ne!(made.header("x-request-id"), again.header("x-request-id"));
}

#[tokio::test]
async fn every_answer_is_counted_by_its_route() {
    let bench = Bench::new();
    bench.send(bench.get(&format!("/api/v1/orders/{ORDER}")), "").await;
    bench.send(bench.get("/api/v1/who/knows"), "").await;
    let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather()).unwrap();
    for labels in [
        r#"method="GET",route="/api/v1/orders/{id}",status="200""#,
        r#"method="GET",route="unmatched",status="404""#,
    ] {
        let line = format!("bistro_gateway_http_seconds_count{{{labels}}} 1");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(ORDER), "ids are no labels");
}
