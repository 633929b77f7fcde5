//! A queue's handle, on which the embedded bus stands: take, give back, settle, look.

use std::{sync::Arc, time::Duration};

use bistro_bus::{DeadLetter, DeadPlace, Depth};
use bistro_core::Event;
use bistro_store::StoreError;

use crate::{
    Embedded, Message,
    engine::Engine,
    failure::closed,
    messages,
    queues::{Effect, QueueState, Taken},
};

/// The longest sleep until a message that is put off; the clock may be moved meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

impl Embedded {
    /// Makes sure that each queue exists and is bound to exactly its kinds. Other queues stay.
    pub async fn declare(&self, queues: &[bistro_bus::Queue]) -> Result<(), StoreError> {
        let queues = queues.to_vec();
        self.engine
            .write(move |tx| {
                for queue in &queues {
                    messages::bind(tx.conn, queue.name, queue.kinds)?;
                }
                tx.effects.push(Effect::Declared);
                Ok(())
            })
            .await
    }

    /// Puts all of `events` into the queues bound to their kinds, or none of them.
    pub async fn publish(&self, events: Vec<Event>) -> Result<(), StoreError> {
        self.engine
            .write(move |tx| events.iter().try_for_each(|event| messages::fan_out(tx, event)))
            .await
    }

    /// The declared queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueueHandle> {
        let state = self.engine.queues.get(name)?;
        Some(QueueHandle { engine: Arc::clone(&self.engine), state })
    }
}

/// One queue. Clones share it: a message that one of them takes, no other takes, until it is given
/// back or due again.
#[derive(Clone)]
pub struct QueueHandle {
    engine: Arc<Engine>,
    state: Arc<QueueState>,
}

impl QueueHandle {
    /// Waits for the next message and takes it. Cancel-safe: a message is taken only when the
    /// future is done. Fails when the file cannot be read or the engine is closed.
    pub async fn next(&self) -> Result<Message, StoreError> {
        loop {
            let now = self.engine.clock.now();
            let mut taken = None;
            self.engine.readers.with(|conn| {
                taken = Some(self.state.take(conn, now)?);
                Ok(())
            })?;
            let due = match taken {
                Some(Taken::Message(message)) => return Ok(message),
                Some(Taken::Nothing(due)) => due,
                None => return Err(closed()),
            };
            let woken = self.state.ready.notified();
            match due {
                None => woken.await,
                Some(due) => {
                    let sleep = due.since(now).clamp(Duration::from_millis(1), LONGEST_SLEEP);
                    // Either way the queue is looked at again.
                    let _ = tokio::time::timeout(sleep, woken).await;
                }
            }
            if self.engine.is_closed() {
                // The next waiting consumer is to see it too.
                self.state.ready.notify_one();
                return Err(closed());
            }
        }
    }

    /// Gives a taken message back: it is delivered again at once, unless it was settled.
    pub fn give_back(&self, seq: i64) {
        self.state.give_back(seq);
    }

    /// The message is handled. Costs no write when the commit of the Work it caused removed it.
    pub async fn ack(&self, seq: i64) -> Result<(), StoreError> {
        if !self.state.is_settled(seq) {
            let state = Arc::clone(&self.state);
            self.engine.write(move |tx| messages::remove(tx, &state, seq)).await?;
        }
        self.state.forget(seq);
        Ok(())
    }

    /// Puts the message off for `after`.
    pub async fn retry(&self, seq: i64, after: Duration, cause: &str) -> Result<(), StoreError> {
        let state = Arc::clone(&self.state);
        let (now, cause) = (self.engine.clock.now(), cause.to_owned());
        let was_there = self
            .engine
            .write(move |tx| messages::park(tx, &state, seq, now, after, &cause))
            .await?;
        // Another consumer may hold it already when it was there.
        if !was_there {
            self.state.forget(seq);
        }
        Ok(())
    }

    /// Gives the message up.
    pub async fn dead_letter(&self, seq: i64, cause: &str) -> Result<(), StoreError> {
        let state = Arc::clone(&self.state);
        let (now, cause) = (self.engine.clock.now(), cause.to_owned());
        self.engine.write(move |tx| messages::bury(tx, &state, seq, now, &cause)).await?;
        self.state.forget(seq);
        Ok(())
    }

    /// Gives a dead letter another go from its first attempt; false if there is none of that id.
    pub async fn revive(&self, event: &str) -> Result<bool, StoreError> {
        let state = Arc::clone(&self.state);
        let event = event.to_owned();
        self.engine.write(move |tx| messages::revive(tx, &state, &event)).await
    }

    /// The dead letters, oldest first, at most `limit`; only those after `after`, if given.
    pub fn dead_letters(
        &self,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.engine.readers.with(|conn| messages::dead_letters(conn, &self.state, after, limit))
    }

    /// The dead letter of this event, if it is one.
    pub fn find_dead_letter(&self, event: &str) -> Result<Option<DeadLetter>, StoreError> {
        self.engine.readers.with(|conn| messages::dead_letter(conn, &self.state, event))
    }

    /// Forgets a dead letter; false if there is none of that id.
    pub async fn discard(&self, event: &str) -> Result<bool, StoreError> {
        let state = Arc::clone(&self.state);
        let event = event.to_owned();
        self.engine.write(move |tx| messages::discard(tx, &state, &event)).await
    }

    /// What is in the queue.
    pub async fn depth(&self) -> Result<Depth, StoreError> {
        let (engine, state) = (Arc::clone(&self.engine), Arc::clone(&self.state));
        // It counts rows: after a long outage that takes long enough to be out of the way.
        let counted = tokio::task::spawn_blocking(move || {
            let now = engine.clock.now();
            let readers = &engine.readers;
            readers.with(|conn| messages::depth(conn, state.number, now))
        });
        counted
            .await
            .unwrap_or_else(|error| Err(StoreError::not_done("the queue was not counted", error)))
    }
}
