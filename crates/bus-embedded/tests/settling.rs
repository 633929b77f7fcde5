//! What becomes of a message that cannot be settled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus as _, Queue};
use bistro_bus_embedded::EmbeddedBus;
use bistro_core::{Event, SystemClock, Timestamp};
use bistro_store_embedded::Embedded;
use tempfile::TempDir;
use tokio::time::Instant;

const QUEUE: Queue = Queue { name: "orders.events", role: "orders", kinds: &["happened"] };

fn event(number: u32) -> Event {
    Event {
        id: format!("work/{number}"),
        source: "/bistro/orders".into(),
        kind: "happened".into(),
        subject: "ord_1".into(),
        time: Timestamp::from_millis(0),
        sequence: 1,
        traceparent: None,
        data: Vec::new(),
    }
}

/// A file that takes no writes would otherwise be tried as fast as the machine can.
#[tokio::test]
async fn a_failed_settlement_is_reported_after_a_pause() {
    let data_dir = TempDir::new().unwrap();
    let engine = Embedded::open(data_dir.path(), &[], Arc::new(SystemClock)).unwrap();
    let bus = EmbeddedBus::new(engine.clone());
    bus.declare(&[QUEUE]).await.unwrap();
    for result in bus.publish((0..3).map(event).collect()).await {
        result.unwrap();
    }
    let mut consumer = bus.subscribe(QUEUE.name, 3).await.unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        deliveries.push(consumer.next().await.unwrap());
    }
    engine.close().await;
    let since = Instant::now();
    let last = deliveries.pop().unwrap();
    let (first, second) = (deliveries.remove(0), deliveries.remove(0));
    let results = tokio::join!(
        first.ack(),
        second.retry(Duration::ZERO, "the disk is full"),
        last.dead_letter("the disk is full"),
    );
    assert!(since.elapsed() >= Duration::from_millis(500), "{:?}", since.elapsed());
    results.0.unwrap_err();
    results.1.unwrap_err();
    results.2.unwrap_err();
}
