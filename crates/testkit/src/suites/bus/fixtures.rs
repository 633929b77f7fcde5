//! Queues and events of one run of one case, and short ways to publish and consume them.

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, Consumer, Delivery, Depth, Queue};
use bistro_core::{Clock as _, Event, SystemClock};

use super::BusFactory;
use crate::suites::{PATIENCE, eventually, nonce};

/// How long nothing has to come before a case believes that nothing comes.
const QUIET: Duration = Duration::from_millis(400);

/// A text that lives as long as the tests; queues have such names.
#[must_use]
pub fn leak(text: String) -> &'static str {
    text.leak()
}

/// Two handles that have declared the same queues.
#[derive(Clone)]
pub struct Scene {
    /// The handles.
    pub handles: [Arc<dyn Bus>; 2],
    /// The queues; each gets the kind in the same place.
    pub queues: Vec<Queue>,
    nonce: String,
}

impl Scene {
    /// One queue, bound to one kind.
    pub async fn new(factory: &impl BusFactory) -> Self {
        Self::with(factory, &[&[0]]).await
    }

    /// A queue for each entry of `bound`, which holds the numbers of the kinds it gets.
    pub async fn with(factory: &impl BusFactory, bound: &[&[usize]]) -> Self {
        let nonce = nonce();
        let queues: Vec<Queue> = bound
            .iter()
            .enumerate()
            .map(|(place, kinds)| Queue {
                name: leak(format!("suite.{nonce}-{place}")),
                role: "suite",
                kinds: kinds
                    .iter()
                    .map(|number| leak(kind(&nonce, *number)))
                    .collect::<Vec<_>>()
                    .leak(),
            })
            .collect();
        let handles = [factory.open().await, factory.open().await];
        for handle in &handles {
            handle.declare(&queues).await.unwrap();
        }
        Self { handles, queues, nonce }
    }

    /// Event `number`, of the first kind.
    #[must_use]
    pub fn event(&self, number: usize) -> Event {
        self.event_of(0, number)
    }

    /// Event `number`, of the kind of this number.
    #[must_use]
    pub fn event_of(&self, kind_number: usize, number: usize) -> Event {
        Event {
            id: format!("{}/{number}", self.nonce),
            source: "/bistro/suite".to_owned(),
            kind: kind(&self.nonce, kind_number),
            subject: format!("sub_{number}"),
            time: SystemClock.now(),
            sequence: 1,
            traceparent: None,
            data: number.to_be_bytes().to_vec(),
        }
    }

    /// Events 0 to `count`.
    #[must_use]
    pub fn events(&self, count: usize) -> Vec<Event> {
        (0..count).map(|number| self.event(number)).collect()
    }

    /// The name of the first queue.
    #[must_use]
    pub fn queue(&self) -> &'static str {
        self.queues[0].name
    }

    /// A topic of this run.
    #[must_use]
    pub fn topic(&self, what: &str) -> String {
        format!("suite.{}.{what}", self.nonce)
    }

    /// Consumes the first queue on the handle of this number.
    pub async fn consume(&self, handle: usize, prefetch: u16) -> Box<dyn Consumer> {
        self.handles[handle].subscribe(self.queue(), prefetch).await.unwrap()
    }

    /// Waits until the depth of the first queue is as `wanted`.
    pub async fn depth_is(&self, what: &str, wanted: impl Fn(&Depth) -> bool) -> Depth {
        let (bus, queue) = (&self.handles[1], self.queue());
        eventually(what, async || bus.depth(queue).await.unwrap(), wanted).await
    }

    /// Waits until nothing is left in the first queue but dead letters.
    pub async fn is_drained(&self) {
        self.depth_is("everything is settled", |depth| depth.ready == 0 && depth.parked == 0).await;
    }
}

fn kind(nonce: &str, number: usize) -> String {
    format!("bistro.suite.v1.K{}x{number}", nonce.replace('-', "x"))
}

/// Publishes events that all have to be taken.
pub(crate) async fn publish(bus: &Arc<dyn Bus>, events: Vec<Event>) {
    let count = events.len();
    let results = bus.publish(events).await;
    assert_eq!(results.len(), count);
    for result in results {
        result.unwrap();
    }
}

/// The next delivery, which has to come.
pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a delivery comes").unwrap()
}

/// The next `count` deliveries.
pub(crate) async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        taken.push(next(consumer).await);
    }
    taken
}

/// Nothing is delivered for a while.
pub(crate) async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(came) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!("{came:?} although nothing should come");
    }
}
