//! Live events of an order.

use axum::response::Response;
use bistro_core::Role;
use http_body_util::BodyExt as _;
use tonic::Status;

use super::{Bench, ORDER, fakes::order};

fn events() -> String {
    format!("/api/v1/orders/{ORDER}/events")
}

/// The next piece of a stream; none at its end.
async fn next(response: &mut Response) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_stream_tells_each_change_until_the_end() {
    let bench = Bench::new();
    bench.orders.told.lock().extend([Ok(order("accepted", 3)), Ok(order("completed", 7))]);
    // The stream ends with the order, even if the role's does not.
    *bench.orders.stays.lock() = true;
    let mut response = bench.open(bench.get(&events())).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(next(&mut response).await.unwrap(), "retry: 1000\n\n");
    for (sequence, state) in [(3, "accepted"), (7, "completed")] {
        let event = next(&mut response).await.unwrap();
        let lines: Vec<&str> = event.split('\n').collect();
        assert_eq!(lines[0], format!("id: {sequence}"));
        assert_eq!(lines[1], "event: order");
        let data: serde_json::Value =
            serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["state"], &data["id"]), (&state.into(), &ORDER.into()));
        assert_eq!(lines[3..], ["", ""]);
    }
    assert_eq!(next(&mut response).await, None);
}

#[tokio::test]
async fn a_stream_is_resumed_after_the_last_event_that_was_seen() {
    let bench = Bench::new();
    bench.orders.told.lock().extend([
        Ok(order("accepted", 3)),
        Ok(order("preparing", 4)),
        Err(Status::unavailable("the role is moving")),
    ]);
    let mut response = bench.open(bench.get(&events()).header("last-event-id", "3")).await;
    assert_eq!(bench.orders.seen.lock().last().unwrap().after_sequence, 3);
    next(&mut response).await.unwrap();
    assert!(next(&mut response).await.unwrap().starts_with("id: 4\n"));
    // A stream that breaks off just ends: its reader comes back.
    assert_eq!(next(&mut response).await, None);

    let answer = bench.send(bench.get(&events()).header("last-event-id", "x"), "").await;
    answer.expect_field("Last-Event-ID");
}

#[tokio::test]
async fn who_has_seen_the_end_is_told_not_to_come_back() {
    let bench = Bench::new();
    bench.orders.told.lock().push(Ok(order("cancelled", 5)));
    let seen = bench.send(bench.get(&events()).header("last-event-id", "5"), "").await;
    assert_eq!(seen.status, 204);
    let mut response = bench.open(bench.get(&events()).header("last-event-id", "4")).await;
    next(&mut response).await.unwrap();
    assert!(next(&mut response).await.unwrap().starts_with("id: 5\n"));
}

#[tokio::test]
async fn what_may_not_be_followed_is_a_problem() {
    let bench = Bench::new();
    let other = events().replace('4', "5");
    bench.send(bench.get(&other), "").await.expect_problem(404, "not_found");
    bench
        .send(http::Request::builder().uri(events()), "")
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_askers_token() {
    let bench = Bench::paused(|_| {});
    *bench.orders.stays.lock() = true;
    // It is good for ten minutes.
    let token = bench.user(7, vec![Role::Customer]);
    let began = tokio::time::Instant::now();
    let request = http::Request::builder().uri(events()).header("authorization", token);
    let mut response = bench.open(request).await;
    let mut beats = 0;
    while let Some(piece) = next(&mut response).await {
        beats += u32::from(piece == ": alive\n\n");
    }
    assert_eq!(began.elapsed().as_secs(), 600);
    assert!((39..=40).contains(&beats), "{beats}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_lives_and_ends_with_the_process() {
    let bench = Bench::paused(|_| {});
    *bench.orders.stays.lock() = true;
    let mut response = bench.open(bench.get(&events())).await;
    next(&mut response).await.unwrap();
    let began = tokio::time::Instant::now();
    for beats in 1..=4 {
        assert_eq!(next(&mut response).await.unwrap(), ": alive\n\n");
        assert_eq!(began.elapsed().as_secs(), 15 * beats);
    }
    let open = |bench: &Bench| {
        let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather());
        text.unwrap().contains("bistro_gateway_live_streams 1")
    };
    assert!(open(&bench));
    bench.stopping.cancel();
    assert_eq!(next(&mut response).await, None);
    drop(response);
    assert!(!open(&bench));
}
