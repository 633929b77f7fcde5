//! A shelf in memory, for the tests of brokers that need one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bistro_bus::{BusError, DeadLetter, DeadPlace, Parked, Shelf, ShelfCounts};
use bistro_core::Timestamp;
use parking_lot::Mutex;

type ByEvent<T> = BTreeMap<(String, String), T>;

/// Keeps parked and dead events as long as the test lives. Share one between all handles.
#[derive(Debug, Default)]
pub struct MemoryShelf {
    parked: Mutex<ByEvent<Parked>>,
    dead: Mutex<ByEvent<DeadLetter>>,
}

fn key(queue: &str, event: &str) -> (String, String) {
    (queue.to_owned(), event.to_owned())
}

fn of_queue<T: Clone>(entries: &ByEvent<T>, queue: &str) -> Vec<T> {
    let matching = entries.iter().filter(|((name, _), _)| name == queue);
    matching.map(|(_, entry)| entry.clone()).collect()
}

#[async_trait]
impl Shelf for MemoryShelf {
    async fn park(&self, mut parked: Parked) -> Result<(), BusError> {
        let key = key(&parked.queue, &parked.event.id);
        let mut entries = self.parked.lock();
        if let Some(before) = entries.get(&key) {
            parked.since = parked.since.min(before.since);
        }
        entries.insert(key, parked);
        Ok(())
    }

    async fn due(&self, queue: &str, now: Timestamp, limit: u32) -> Result<Vec<Parked>, BusError> {
        let mut due = of_queue(&self.parked.lock(), queue);
        due.retain(|parked| parked.not_before <= now);
        due.sort_by_key(|parked| parked.not_before);
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn unpark(&self, queue: &str, event: &str) -> Result<(), BusError> {
        self.parked.lock().remove(&key(queue, event));
        Ok(())
    }

    async fn bury(&self, dead: DeadLetter) -> Result<(), BusError> {
        let key = key(&dead.queue, &dead.event.id);
        self.parked.lock().remove(&key);
        self.dead.lock().insert(key, dead);
        Ok(())
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let order = |place: &DeadPlace| (place.at, place.event.clone());
        let mut dead = of_queue(&self.dead.lock(), queue);
        dead.retain(|letter| after.is_none_or(|after| order(&letter.place()) > order(after)));
        dead.sort_by_key(|letter| order(&letter.place()));
        dead.truncate(limit as usize);
        Ok(dead)
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        Ok(self.dead.lock().get(&key(queue, event)).cloned())
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        Ok(self.dead.lock().remove(&key(queue, event)).is_some())
    }

    async fn revive(&self, queue: &str, event: &str, now: Timestamp) -> Result<bool, BusError> {
        let Some(letter) = self.dead.lock().remove(&key(queue, event)) else {
            return Ok(false);
        };
        let parked = Parked {
            queue: letter.queue,
            event: letter.event,
            attempt: 1,
            not_before: now,
            since: now,
            cause: letter.cause,
        };
        self.parked.lock().insert(key(queue, event), parked);
        Ok(true)
    }

    async fn counts(&self, queue: &str) -> Result<ShelfCounts, BusError> {
        let parked = of_queue(&self.parked.lock(), queue);
        Ok(ShelfCounts {
            parked: parked.len() as u64,
            oldest_parked: parked.iter().map(|parked| parked.since).min(),
            dead: of_queue(&self.dead.lock(), queue).len() as u64,
        })
    }
}
