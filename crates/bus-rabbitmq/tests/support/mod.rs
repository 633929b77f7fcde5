//! What the tests share: a shelf in memory, queues of their own, and a bus over a real server.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bistro_bus::{
    Bus, BusError, Consumer, DeadLetter, DeadPlace, Delivery, Parked, Queue, Shelf, ShelfCounts,
};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::{Clock, Event, SystemClock, Timestamp};
use bistro_testkit::suites::bus::MemoryShelf;
use parking_lot::Mutex;

/// Longer than anything should take on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The suites' shelf in memory, which a test can make fail.
#[derive(Clone, Default)]
pub(crate) struct TestShelf {
    kept: Arc<MemoryShelf>,
    away: Arc<AtomicBool>,
}

impl TestShelf {
    /// Makes every call fail from now on, or succeed again.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    fn kept(&self) -> Result<&MemoryShelf, BusError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(BusError::NotDone { message: "the shelf is away".into(), source: None });
        }
        Ok(&self.kept)
    }
}

#[async_trait]
impl Shelf for TestShelf {
    async fn park(&self, parked: Parked) -> Result<(), BusError> {
        self.kept()?.park(parked).await
    }

    async fn due(&self, queue: &str, now: Timestamp, limit: u32) -> Result<Vec<Parked>, BusError> {
        self.kept()?.due(queue, now, limit).await
    }

    async fn unpark(&self, queue: &str, event: &str) -> Result<(), BusError> {
        self.kept()?.unpark(queue, event).await
    }

    async fn bury(&self, dead: DeadLetter) -> Result<(), BusError> {
        self.kept()?.bury(dead).await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.kept()?.dead_letters(queue, after, limit).await
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        self.kept()?.dead_letter(queue, event).await
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        self.kept()?.discard(queue, event).await
    }

    async fn revive(&self, queue: &str, event: &str, now: Timestamp) -> Result<bool, BusError> {
        self.kept()?.revive(queue, event, now).await
    }

    async fn counts(&self, queue: &str) -> Result<ShelfCounts, BusError> {
        self.kept()?.counts(queue).await
    }
}

/// A number that no other call in this process gets.
pub(crate) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A queue of that role-like name and those kinds, both made unique to the process's test.
pub(crate) fn queue(name: &str, kinds: &[&str]) -> Queue {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    Queue {
        name: leak(format!("test{}.{name}", unique())),
        role: "orders",
        kinds: Box::leak(
            kinds
                .iter()
                .map(|kind| leak((*kind).to_owned()))
                .collect::<Vec<_>>()
                .into_boxed_slice(),
        ),
    }
}

/// A kind of event that no other test has.
pub(crate) fn kind() -> String {
    format!("bistro.test{}.v1.Happened", unique())
}

/// An event of `kind` with an id of its own.
pub(crate) fn event(kind: &str) -> Event {
    let n = unique();
    Event {
        id: format!("work-{n}/0"),
        source: "/bistro/orders".into(),
        kind: kind.into(),
        subject: format!("ord_{n}"),
        time: Timestamp::from_millis(1_700_000_000_000),
        sequence: 1,
        traceparent: None,
        data: n.to_be_bytes().to_vec(),
    }
}

/// The options most tests run with.
pub(crate) fn options(url: &str) -> RabbitOptions {
    RabbitOptions::new(url, "test", unique())
        .unwrap()
        .with_poll_interval(Duration::from_millis(200))
        .with_check_interval(Duration::from_mins(10))
        .with_settling(Duration::ZERO)
}

/// A bus with that shelf for every role.
pub(crate) fn bus(options: RabbitOptions, shelf: &TestShelf) -> RabbitBus {
    let shelf: Arc<dyn Shelf> = Arc::new(shelf.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    RabbitBus::start(options, Arc::new(move |_: &Queue| shelf.clone()), clock)
}

/// Publishes one event and expects success.
pub(crate) async fn publish(bus: &dyn Bus, event: &Event) {
    bus.publish(vec![event.clone()]).await.remove(0).unwrap();
}

/// The next delivery, within [`PATIENCE`].
pub(crate) async fn next(consumer: &mut dyn Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a delivery in time").unwrap()
}

/// Consumes until every id in `wanted` was acknowledged once, subscribing again after each loss.
pub(crate) async fn consume_all(bus: &dyn Bus, queue: &str, wanted: &Mutex<HashSet<String>>) {
    while !wanted.lock().is_empty() {
        let Ok(mut consumer) = bus.subscribe(queue, 64).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while let Ok(delivery) = consumer.next().await {
            let id = delivery.event.id.clone();
            if delivery.ack().await.is_ok() {
                let mut wanted = wanted.lock();
                wanted.remove(&id);
                if wanted.is_empty() {
                    return;
                }
            }
        }
    }
}
