//! A bus that takes no events until it is told to, as a broker that is away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bistro_bus::{Bus, BusError, Consumer, DeadLetter, DeadPlace, Depth, Listener, Queue};
use bistro_core::Event;

/// A bus in front of another one; only publishing is touched.
pub(crate) struct Deaf {
    inner: Arc<dyn Bus>,
    hears: AtomicBool,
}

impl Deaf {
    /// Takes no events.
    pub(crate) fn new(inner: Arc<dyn Bus>) -> Self {
        Self { inner, hears: AtomicBool::new(false) }
    }

    /// Takes events from now on.
    pub(crate) fn hear(&self) {
        self.hears.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for Deaf {
    async fn declare(&self, queues: &[Queue]) -> Result<(), BusError> {
        self.inner.declare(queues).await
    }

    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>> {
        if self.hears.load(Ordering::SeqCst) {
            return self.inner.publish(events).await;
        }
        let away = || BusError::NotDone { message: "nobody hears".to_owned(), source: None };
        events.iter().map(|_| Err(away())).collect()
    }

    async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        self.inner.subscribe(queue, prefetch).await
    }

    async fn broadcast(&self, topic: &str, payload: &[u8]) -> Result<(), BusError> {
        self.inner.broadcast(topic, payload).await
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        self.inner.listen(topic).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BusError> {
        self.inner.depth(queue).await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.inner.dead_letters(queue, after, limit).await
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        self.inner.dead_letter(queue, event).await
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        self.inner.discard(queue, event).await
    }

    async fn revive(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        self.inner.revive(queue, event).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.inner.ping().await
    }
}
