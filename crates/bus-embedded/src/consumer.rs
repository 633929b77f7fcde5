//! One consumer of a queue: a bounded number of messages in its hands, given back when it is lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_bus::{BusError, Consumer, Delivery, Settle};
use bistro_store::StoreError;
use bistro_store_embedded::QueueHandle;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failed;

/// How long a message that could not be settled is kept from others. What kept it from being
/// settled, such as a full disk, would also keep it from being handled: given back at once, it
/// would come and fail as fast as the machine can.
const PAUSE: Duration = Duration::from_millis(500);

/// A consumer's end of a queue.
pub(crate) struct QueueConsumer {
    queue: QueueHandle,
    room: Arc<Semaphore>,
    /// What it has been given and has not settled.
    held: Arc<Mutex<HashSet<i64>>>,
}

impl QueueConsumer {
    pub(crate) fn new(queue: QueueHandle, prefetch: u16) -> Self {
        Self {
            queue,
            // A consumer that may hold nothing would wait for ever.
            room: Arc::new(Semaphore::new(usize::from(prefetch.max(1)))),
            held: Arc::default(),
        }
    }
}

#[async_trait]
impl Consumer for QueueConsumer {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let permit = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|closed| BusError::not_done("the consumer is closed", closed))?;
        let message = self.queue.next().await.map_err(failed)?;
        self.held.lock().insert(message.seq);
        let settle = SettleMessage {
            queue: self.queue.clone(),
            seq: message.seq,
            held: Arc::clone(&self.held),
            _permit: permit,
        };
        Ok(Delivery::new(message.event, message.attempt, Box::new(settle)))
    }
}

/// A lost consumer's messages are delivered to others at once, even if somebody still holds the
/// deliveries; settling one of those is then no more than a duplicate's.
impl Drop for QueueConsumer {
    fn drop(&mut self) {
        for seq in self.held.lock().drain() {
            self.queue.give_back(seq);
        }
    }
}

/// Settles one message; dropping it gives the message back.
struct SettleMessage {
    queue: QueueHandle,
    seq: i64,
    held: Arc<Mutex<HashSet<i64>>>,
    _permit: OwnedSemaphorePermit,
}

impl SettleMessage {
    /// When it is settled there is nothing to give back.
    async fn done(self, settled: Result<(), StoreError>) -> Result<(), BusError> {
        if let Err(error) = settled {
            tokio::time::sleep(PAUSE).await;
            return Err(failed(error));
        }
        self.held.lock().remove(&self.seq);
        Ok(())
    }
}

#[async_trait]
impl Settle for SettleMessage {
    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        let settled = self.queue.ack(self.seq).await;
        self.done(settled).await
    }

    async fn retry(self: Box<Self>, after: Duration, cause: &str) -> Result<(), BusError> {
        let settled = self.queue.retry(self.seq, after, cause).await;
        self.done(settled).await
    }

    async fn dead_letter(self: Box<Self>, cause: &str) -> Result<(), BusError> {
        let settled = self.queue.dead_letter(self.seq, cause).await;
        self.done(settled).await
    }
}

impl Drop for SettleMessage {
    fn drop(&mut self) {
        // Not held any more: settled, or given back with its consumer.
        if self.held.lock().remove(&self.seq) {
            self.queue.give_back(self.seq);
        }
    }
}
