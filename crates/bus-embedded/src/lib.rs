//! The messaging contract on the queues of the embedded store.
//!
//! A message is a row of the store's file. The Work it causes removes it in its own commit, so
//! that an `ack` after that commit writes nothing. Broadcasts stay in the process, since the data
//! directory has no other.

mod broadcasts;
mod consumer;

use std::sync::Arc;

use async_trait::async_trait;
use bistro_bus::{
    Bus, BusError, Consumer, DeadLetter, DeadPlace, Depth, Listener, MAX_EVENT_BYTES, Queue,
};
use bistro_core::Event;
use bistro_store::{Store as _, StoreError};
use bistro_store_embedded::{Embedded, QueueHandle};

use crate::{broadcasts::Broadcasts, consumer::QueueConsumer};

/// The bus of one embedded engine. Clones are handles to the same one.
///
/// Two buses made from clones of one [`Embedded`] share its queues, but not broadcasts.
#[derive(Clone)]
pub struct EmbeddedBus {
    engine: Embedded,
    broadcasts: Arc<Broadcasts>,
}

impl EmbeddedBus {
    /// The bus whose queues are in `engine`'s file.
    #[must_use]
    pub fn new(engine: Embedded) -> Self {
        Self { engine, broadcasts: Arc::default() }
    }

    fn queue(&self, name: &str) -> Result<QueueHandle, BusError> {
        self.engine.queue(name).ok_or_else(|| BusError::NoQueue(name.to_owned()))
    }
}

/// What a failed store means to whoever uses the bus.
fn failed(error: StoreError) -> BusError {
    match error {
        StoreError::Unknown { message, source } => BusError::Unknown { message, source },
        StoreError::NotDone { message, source } => BusError::NotDone { message, source },
        other => BusError::not_done("the embedded store refused it", other),
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn declare(&self, queues: &[Queue]) -> Result<(), BusError> {
        self.engine.declare(queues).await.map_err(failed)
    }

    /// Events of one call are published together: one commit for all of them.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>> {
        let mut results: Vec<Result<(), BusError>> = events.iter().map(check_size).collect();
        let accepted: Vec<Event> = events
            .into_iter()
            .zip(&results)
            .filter_map(|(event, result)| result.is_ok().then_some(event))
            .collect();
        if accepted.is_empty() {
            return results;
        }
        if let Err(error) = self.engine.publish(accepted).await {
            let cause = Arc::new(error);
            for result in &mut results {
                if result.is_ok() {
                    *result = Err(failed_with_others(&cause));
                }
            }
        }
        results
    }

    async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        let queue = self.queue(queue)?;
        Ok(Box::new(QueueConsumer::new(queue, prefetch)))
    }

    async fn broadcast(&self, topic: &str, payload: &[u8]) -> Result<(), BusError> {
        self.broadcasts.send(topic, payload);
        Ok(())
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        Ok(Box::new(self.broadcasts.listen(topic)))
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BusError> {
        self.queue(queue)?.depth().await.map_err(failed)
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.queue(queue)?.dead_letters(after, limit).map_err(failed)
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        self.queue(queue)?.find_dead_letter(event).map_err(failed)
    }

    async fn revive(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        self.queue(queue)?.revive(event).await.map_err(failed)
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        self.queue(queue)?.discard(event).await.map_err(failed)
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.engine.ping().await.map_err(failed)
    }
}

fn check_size(event: &Event) -> Result<(), BusError> {
    if event.data.len() > MAX_EVENT_BYTES {
        return Err(BusError::TooLarge {
            id: event.id.clone(),
            bytes: event.data.len(),
            limit: MAX_EVENT_BYTES,
        });
    }
    Ok(())
}

/// One failure that is the cause for each event of a call.
fn failed_with_others(cause: &Arc<StoreError>) -> BusError {
    let message = "the events of one call are published together".to_owned();
    let source: Option<Box<dyn std::error::Error + Send + Sync>> =
        Some(Box::new(Arc::clone(cause)));
    match **cause {
        StoreError::Unknown { .. } => BusError::Unknown { message, source },
        _ => BusError::NotDone { message, source },
    }
}
