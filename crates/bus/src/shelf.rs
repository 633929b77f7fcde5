//! Where a broker that should not hold delays keeps parked and dead events: in the role's store.

use async_trait::async_trait;
use bistro_core::{Event, Timestamp};

use crate::BusError;

/// An event that is put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The queue it was delivered from.
    pub queue: String,
    /// The event.
    pub event: Event,
    /// The attempt that comes next.
    pub attempt: u32,
    /// Not before this.
    pub not_before: Timestamp,
    /// When it was first put off.
    pub since: Timestamp,
    /// Why it was put off last.
    pub cause: String,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it was delivered from.
    pub queue: String,
    /// The event.
    pub event: Event,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
    /// Why.
    pub cause: String,
}

impl DeadLetter {
    /// Its place in the list of its queue's dead letters.
    #[must_use]
    pub fn place(&self) -> DeadPlace {
        DeadPlace { at: self.at, event: self.event.id.clone() }
    }
}

/// A place in the list of a queue's dead letters. The letter that had it may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPlace {
    /// When the letter was given up.
    pub at: Timestamp,
    /// The id of its event, which orders those of one moment.
    pub event: String,
}

/// How much is on a shelf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShelfCounts {
    /// Parked events.
    pub parked: u64,
    /// When the oldest of them was first put off.
    pub oldest_parked: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
}

/// A durable place for parked and dead events, keyed by queue and event id.
///
/// Putting the same event twice keeps the later one. Every method may be repeated.
#[async_trait]
pub trait Shelf: Send + Sync + 'static {
    /// Keeps `parked` durably before the broker is told that it is handled.
    async fn park(&self, parked: Parked) -> Result<(), BusError>;
    /// Parked events of `queue` whose moment has come at `now`, at most `limit`; they stay.
    async fn due(&self, queue: &str, now: Timestamp, limit: u32) -> Result<Vec<Parked>, BusError>;
    /// Forgets a parked event.
    async fn unpark(&self, queue: &str, event: &str) -> Result<(), BusError>;
    /// Keeps `dead` durably, and forgets it as parked.
    async fn bury(&self, dead: DeadLetter) -> Result<(), BusError>;
    /// Dead letters of `queue`, oldest first, at most `limit`; only those after `after`, if given.
    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError>;
    /// The dead letter of this event, if it is one.
    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError>;
    /// Makes a dead letter a parked event that is due at `now`, as if it had been delivered once;
    /// false if there is none of that id, or not any more. It is on the shelf at every moment.
    async fn revive(&self, queue: &str, event: &str, now: Timestamp) -> Result<bool, BusError>;
    /// Forgets a dead letter; false if there is none of that id, or not any more.
    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError>;
    /// How much of `queue` is kept.
    async fn counts(&self, queue: &str) -> Result<ShelfCounts, BusError>;
}
