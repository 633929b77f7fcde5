//! Keys, versions and preferences: what makes requests safe to repeat and edits safe to make.

use http::{Method, Request};

use super::{Bench, ORDER, RESTAURANT};

const BODY: &str = r#"{"quote":"q","payment_method":"tok_visa","address":"1 Station Road"}"#;

#[tokio::test]
async fn an_order_needs_a_key_which_reaches_the_role() {
    let bench = Bench::new();
    let without =
        || bench.request(Method::POST, "/api/v1/orders").header("content-type", "application/json");
    bench.send(without(), BODY).await.expect_problem(428, "precondition_required");
    let long = "x".repeat(256);
    for bad in ["", long.as_str(), "caf\u{e9}"] {
        let request = without().header("idempotency-key", bad);
        bench.send(request, BODY).await.expect_field("Idempotency-Key");
    }
    assert!(bench.orders.seen.lock().is_empty());

    let answer = bench.send(without().header("idempotency-key", "key 7"), BODY).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{ORDER}"));
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("preference-applied"), "");
    assert_eq!(answer.body["total"]["amount_minor"], 1295);
    assert_eq!(answer.body["lines"][0]["unit_price"]["currency"], "GBP");
    assert_eq!(answer.body["placed_at"], "2023-11-14T22:13:20.000Z");
    assert!(answer.body["accept_by"].is_null());
    let seen = bench.orders.seen.lock().clone();
    assert_eq!(seen[0].key.as_deref(), Some("key 7"));
    assert_eq!(seen[0].authorization.as_deref(), Some(bench.token.as_str()));
    assert_eq!(seen[0].wait_ms, 0);
}

#[tokio::test]
async fn a_quote_needs_no_key() {
    let bench = Bench::new();
    let body = format!(
        r#"{{"restaurant_id":"{RESTAURANT}","fulfilment":"dine_in","lines":[{{"item_id":"{}","quantity":1}}]}}"#,
        RESTAURANT.replace("rst", "itm")
    );
    let request =
        bench.request(Method::POST, "/api/v1/quotes").header("content-type", "application/json");
    let answer = bench.send(request, body).await;
    assert_eq!((answer.status, &answer.body["token"]), (200, &"quote-1".into()));
}

#[tokio::test]
async fn a_preferred_wait_is_passed_on_and_said_back() {
    let bench = Bench::new();
    for (prefer, wait_ms, applied) in
        [("wait=5", 5000, "wait=5"), ("wait=300", 30_000, "wait=30"), ("return=minimal", 0, "")]
    {
        let request = bench.post("/api/v1/orders").header("prefer", prefer);
        let answer = bench.send(request, BODY).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (201, applied));
        assert_eq!(bench.orders.seen.lock().last().unwrap().wait_ms, wait_ms);
    }
}

#[tokio::test]
async fn accepting_needs_no_body() {
    let bench = Bench::new();
    let path = format!("/api/v1/orders/{ORDER}/accept");
    for body in ["", "{}", r#"{"minutes":25}"#] {
        let answer = bench.send(bench.post(&path), body).await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""), "{body}");
    }
}

#[tokio::test]
async fn an_edit_needs_the_version_that_was_read() {
    let bench = Bench::new();
    let path = format!("/api/v1/restaurants/{RESTAURANT}/open");
    let put = || bench.request(Method::PUT, &path).header("content-type", "application/json");
    let body = r#"{"open":true}"#;
    bench.send(put(), body).await.expect_problem(428, "precondition_required");
    for old in ["\"2\"", "W/\"3\"", "\"abc\""] {
        let request = put().header("if-match", old);
        bench.send(request, body).await.expect_problem(412, "version_mismatch");
    }
    for unreadable in ["3", "*", "\"3\", \"4\""] {
        bench.send(put().header("if-match", unreadable), body).await.expect_field("If-Match");
    }
    // No key was sent: the edge makes one.
    let answer = bench.send(put().header("if-match", "\"3\""), body).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"4\""));
    assert_eq!(answer.body["open"], true);
}

#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    let bench = Bench::new();
    let path = format!("/api/v1/restaurants/{RESTAURANT}");
    let answer = bench.send(Request::builder().uri(&path), "").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""));
    let known = Request::builder().uri(&path).header("if-none-match", "\"3\"");
    let answer = bench.send(known, "").await;
    assert_eq!((answer.status, answer.header("etag")), (304, "\"3\""));
    assert!(answer.body.is_null());
}

#[tokio::test]
async fn pages_are_gone_on_with_by_cursor() {
    let bench = Bench::new();
    let answer = bench.send(bench.get("/api/v1/orders?state=placed&limit=1"), "").await;
    assert_eq!(answer.body["items"][0]["id"], ORDER);
    assert_eq!(answer.body["next_cursor"], "next");
    let answer = bench.send(bench.get("/api/v1/orders?cursor=next"), "").await;
    assert!(answer.body["next_cursor"].is_null());
    assert_eq!(bench.orders.seen.lock()[0].key, None, "reading needs no key");
}
