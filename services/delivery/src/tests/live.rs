//! The live streams.

use std::time::Duration;

use bistro_core::{ErrorCode, Id, Principal, kinds};
use bistro_proto::delivery::v1::{
    CourierPosition, DeliveryChange, WatchCourierRequest, WatchDeliveriesRequest,
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::bench::{Bench, customer, manager, refusal, rider, staff, support};
use crate::tracking::message;

/// How long anything may take that should come.
const SOON: Duration = Duration::from_secs(20);
/// How long nothing has to come for it to count as nothing.
const QUIET: Duration = Duration::from_millis(1_500);

async fn next<T>(stream: &mut (impl Stream<Item = Result<T, Status>> + Unpin)) -> T {
    let next = tokio::time::timeout(SOON, stream.next()).await.expect("it comes in time");
    next.expect("the stream goes on").unwrap()
}

async fn end<T: std::fmt::Debug>(stream: &mut (impl Stream<Item = Result<T, Status>> + Unpin)) {
    let end = tokio::time::timeout(SOON, stream.next()).await.expect("it ends in time");
    assert!(end.is_none(), "{end:?}");
}

async fn watch(bench: &Bench, who: &Principal, after: &str) -> crate::feed::Changes {
    let request = WatchDeliveriesRequest { after: after.to_owned() };
    bench.service.watch_deliveries(who, &request).await.unwrap()
}

/// What a change says: the order, its state, and whether it is the watcher's.
fn said(change: &DeliveryChange) -> (u128, &str, bool) {
    let delivery = change.delivery.as_ref().unwrap();
    let order: Id<kinds::Order> = delivery.order_id.parse().unwrap();
    (order.bits(), &delivery.state, !delivery.courier_id.is_empty())
}

#[tokio::test]
async fn a_courier_is_told_what_there_is_and_what_becomes_of_it() {
    let bench = Bench::new();
    let cora = bench.courier(1, 3).await;
    bench.ready(100, Some(300)).await;
    let mut changes = watch(&bench, &cora, "").await;
    let mut second = watch(&bench, &cora, "").await;
    let first = next(&mut changes).await;
    assert_eq!(said(&first), (100, "assigned", true));
    let shown = first.delivery.unwrap();
    assert!(shown.address.is_empty() && shown.to.is_none() && shown.code.is_empty());
    bench.clock.advance(Duration::from_secs(1));
    bench.ready(101, Some(300)).await;
    let second_change = next(&mut changes).await;
    assert_eq!(said(&second_change), (101, "assigned", true));
    assert_eq!(second_change.delivery.unwrap().with.len(), 1);
    bench.step(&cora, 100, "pick-up").await.unwrap();
    assert_eq!(said(&next(&mut changes).await), (100, "picked_up", true));
    bench.step(&cora, 101, "decline").await.unwrap();
    assert_eq!(said(&next(&mut changes).await), (101, "pending", false));
    bench.step(&cora, 100, "drop-off").await.unwrap();
    assert_eq!(said(&next(&mut changes).await), (100, "delivered", true));
    let quiet = tokio::time::timeout(QUIET, changes.next()).await;
    assert!(quiet.is_err(), "each once: {quiet:?}");
    // A slow watcher is told the last of each.
    let mut last = std::collections::HashMap::new();
    while let Ok(Some(change)) = tokio::time::timeout(QUIET, second.next()).await {
        let change = change.unwrap();
        let (order, state, _) = said(&change);
        last.insert(order, state.to_owned());
    }
    assert_eq!((last[&100].as_str(), last[&101].as_str()), ("delivered", "pending"));
    bench.stop();
    end(&mut changes).await;
    end(&mut second).await;
}

#[tokio::test]
async fn who_comes_back_is_told_what_happened_meanwhile() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 4).await, bench.courier(2, 4).await);
    bench.stands(&cora, 10).await;
    bench.ready(103, Some(300)).await;
    // So long before the others that it is not told again.
    bench.clock.advance(Duration::from_mins(1));
    for order in [100, 101, 102] {
        bench.ready(order, Some(300)).await;
    }
    let mut changes = watch(&bench, &cora, "").await;
    let mut cursor = String::new();
    for _ in 0..4 {
        cursor = next(&mut changes).await.cursor;
    }
    drop(changes);
    bench.clock.advance(Duration::from_secs(1));
    bench.step(&cora, 100, "pick-up").await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.step(&cora, 100, "drop-off").await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.step(&cora, 101, "decline").await.unwrap();
    bench.assign().await;
    assert_eq!(bench.has(&bob).await, [101]);
    bench.clock.advance(Duration::from_secs(1));
    bench.ended(102).await;
    let mut changes = watch(&bench, &cora, &cursor).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let change = next(&mut changes).await;
        let (order, state, is_mine) = said(&change);
        told.push((order, state.to_owned(), is_mine));
    }
    let wanted = [(100, "delivered", true), (101, "assigned", false), (102, "cancelled", true)];
    let wanted = wanted.map(|(order, state, is_mine)| (order, state.to_owned(), is_mine));
    assert_eq!(told, wanted, "what did not change is not told again");
    // And it goes on from there.
    bench.step(&cora, 103, "pick-up").await.unwrap();
    assert_eq!(said(&next(&mut changes).await), (103, "picked_up", true));

    let bad = WatchDeliveriesRequest { after: "yesterday".to_owned() };
    let refused = bench.service.watch_deliveries(&cora, &bad).await;
    assert_eq!(refusal(refused), ErrorCode::InvalidArgument);
    let nobody = WatchDeliveriesRequest::default();
    let refused = bench.service.watch_deliveries(&rider(9), &nobody).await;
    assert_eq!(refusal(refused), ErrorCode::NotFound);
    let refused = bench.service.watch_deliveries(&Principal::Anonymous, &nobody).await;
    assert_eq!(refusal(refused), ErrorCode::Unauthenticated);
}

async fn follow(
    bench: &Bench,
    who: &Principal,
) -> Result<crate::tracking::Moves, bistro_core::Error> {
    let order_id = Id::<kinds::Order>::from_bits(100).to_string();
    bench.service.watch_courier(who, &WatchCourierRequest { order_id }).await
}

fn at(metres: i32) -> impl Fn(&CourierPosition) -> bool {
    move |told| told.position == Some(message(super::bench::away(metres)))
}

#[tokio::test]
async fn the_customer_sees_the_courier_come_until_the_food_is_there() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    assert_eq!(refusal(follow(&bench, &customer()).await), ErrorCode::NotFound, "not ready yet");
    bench.stands(&cora, 700).await;
    bench.ready(100, Some(300)).await;
    let elsewhere = staff(bistro_core::StaffRole::Owner, Id::from_bits(8));
    for stranger in [rider(2), elsewhere] {
        assert_eq!(refusal(follow(&bench, &stranger).await), ErrorCode::NotFound);
    }
    let mut theirs = follow(&bench, &customer()).await.unwrap();
    let mut watchers =
        vec![follow(&bench, &manager()).await.unwrap(), follow(&bench, &support()).await.unwrap()];
    assert!(at(700)(&next(&mut theirs).await), "what is known comes first");
    for (second, metres) in (1..).zip([400, 100]) {
        bench.clock.advance(Duration::from_secs(second));
        bench.stands(&cora, metres).await;
        assert!(at(metres)(&next(&mut theirs).await));
    }
    bench.step(&cora, 100, "pick-up").await.unwrap();
    bench.step(&cora, 100, "drop-off").await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.stands(&cora, 9_000).await;
    while let Some(told) = tokio::time::timeout(SOON, theirs.next()).await.expect("it ends") {
        assert!(!at(9_000)(&told.unwrap()), "where the courier goes next is not theirs to know");
    }
    let last = watchers.pop().unwrap();
    drop(last);
    bench.stop();
    let mut other = watchers.pop().unwrap();
    while let Some(told) = tokio::time::timeout(SOON, other.next()).await.expect("it ends") {
        told.unwrap();
    }
    assert!(
        tokio::time::timeout(SOON, follow(&bench, &customer()).await.unwrap().next())
            .await
            .expect("it ends")
            .is_none()
    );
}

#[tokio::test]
async fn what_others_hear_is_heard_and_a_declined_order_shows_nobody() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 1).await, bench.courier(2, 1).await);
    bench.duty(&bob, false).await.unwrap();
    bench.ready(100, Some(300)).await;
    let listening = bench.service.tracker.clone();
    let listener = tokio::spawn(async move { listening.listen().await });
    let mut theirs = follow(&bench, &customer()).await.unwrap();
    // As another process of the role broadcasts it; until this one listens nothing is heard.
    let told = bistro_proto::delivery::v1::CourierMoved {
        courier_id: Id::<kinds::Courier>::from_bits(1).to_string(),
        position: Some(message(super::bench::away(50))),
        at_ms: bench.service.engine.now().as_millis(),
    };
    let payload = prost::Message::encode_to_vec(&told);
    let heard = async {
        loop {
            bench.service.engine.bus().broadcast("delivery.positions", &payload).await.unwrap();
            bench.service.engine.bus().broadcast("delivery.positions", b"rubbish").await.unwrap();
            tokio::task::yield_now().await;
            if let Ok(told) = tokio::time::timeout(Duration::from_millis(50), theirs.next()).await {
                return told.unwrap().unwrap();
            }
        }
    };
    let first = tokio::time::timeout(SOON, heard).await.expect("it is heard");
    assert!(at(50)(&first));
    bench.step(&cora, 100, "decline").await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.duty(&bob, true).await.unwrap();
    bench.stands(&bob, 900).await;
    bench.assign().await;
    // The next one that is shown is who has it now.
    let mut position = next(&mut theirs).await;
    while at(50)(&position) {
        position = next(&mut theirs).await;
    }
    assert!(at(900)(&position));
    bench.stop();
    listener.await.unwrap().unwrap();
}

#[tokio::test]
async fn of_many_positions_in_a_moment_the_last_is_told() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ready(100, Some(300)).await;
    let mut theirs = follow(&bench, &customer()).await.unwrap();
    for metres in 1..=20 {
        bench.stands(&cora, metres).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    let mut told = vec![next(&mut theirs).await];
    while !at(20)(told.last().unwrap()) {
        told.push(next(&mut theirs).await);
    }
    assert!(told.len() <= 2, "{told:?}");
}
