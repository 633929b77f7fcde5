//! Live events of an order.

use axum::response::Response;
use bistro_config::LiveStreams;
use bistro_core::Role;
use http::Request;
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
    bench.send(Request::builder().uri(events()), "").await.expect_problem(401, "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_askers_token() {
    let bench = Bench::paused(|_| {});
    *bench.orders.stays.lock() = true;
    // It is good for ten minutes.
    let token = bench.user(7, vec![Role::Customer]);
    let began = tokio::time::Instant::now();
    let request = Request::builder().uri(events()).header("authorization", token);
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
    assert_eq!(open(&bench), 1);
    bench.stopping.cancel();
    assert_eq!(next(&mut response).await, None);
    drop(response);
    assert_eq!(open(&bench), 0);
}

/// How many streams of orders are open, as the metrics say.
fn open(bench: &Bench) -> u32 {
    let text = prometheus::TextEncoder::new().encode_to_string(&bench.registry.gather()).unwrap();
    for kind in ["delivery", "position", "ticket"] {
        assert!(text.contains(&format!("bistro_gateway_live_streams{{event=\"{kind}\"}} 0\n")));
    }
    let beginning = "bistro_gateway_live_streams{event=\"order\"} ";
    text.lines().find_map(|line| line.strip_prefix(beginning)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_user_may_follow_so_much_at_once_and_the_operator_more() {
    let bench = Bench::with(|gateway| {
        gateway.live_streams = LiveStreams { per_user: 2, per_process: 4 };
    });
    *bench.orders.stays.lock() = true;
    let (ada, eve) = (bench.user(1, vec![Role::Customer]), bench.user(2, vec![Role::Customer]));
    let follow = |who: &str| Request::builder().uri(events()).header("authorization", who);
    let mut first = bench.open(follow(&ada)).await;
    next(&mut first).await.unwrap();
    let second = bench.open(follow(&ada)).await;
    let asked = bench.orders.seen.lock().len();
    let refused = bench.send(follow(&ada), "").await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(bench.orders.seen.lock().len(), asked, "orders is not asked for it");
    // Others follow what they like, until the process has enough.
    let _others = [bench.open(follow(&eve)).await, bench.open(bench.get(&events())).await];
    assert_eq!(open(&bench), 4);
    for who in [follow(&eve), bench.get(&events())] {
        let refused = bench.send(who, "").await;
        refused.expect_problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "10");
    }
    bench.send(follow(&ada), "").await.expect_problem(429, "rate_limited");
    // A stream that is left makes room, whether anything of it was read or not.
    drop(first);
    drop(second);
    assert_eq!(open(&bench), 2);
    let again = bench.open(follow(&ada)).await;
    assert_eq!((again.status(), open(&bench)), (http::StatusCode::OK, 3));
}

#[tokio::test]
async fn what_is_refused_or_ends_leaves_its_place() {
    let bench = Bench::with(|gateway| {
        gateway.live_streams = LiveStreams { per_user: 1, per_process: 1 };
    });
    bench.orders.told.lock().push(Ok(order("completed", 7)));
    let other = events().replace('4', "5");
    for _ in 0..3 {
        bench.send(bench.get(&other), "").await.expect_problem(404, "not_found");
        let mut response = bench.open(bench.get(&events())).await;
        while next(&mut response).await.is_some() {}
        // Its reader still holds the answer.
        assert_eq!(open(&bench), 0);
    }
}
