//! The messaging contract: durable queues of events, and broadcasts that wake.
//!
//! Every engine keeps what the docs of [`Bus`] promise, and `bistro-testkit`'s suite holds each
//! of them to it.

mod delivery;
mod error;
mod shelf;

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Event, Timestamp};

pub use delivery::{Delivery, Settle};
pub use error::BusError;
pub use shelf::{DeadLetter, DeadPlace, Parked, Shelf, ShelfCounts};

/// The most bytes of data an event may carry.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// A durable queue: one consumer group's share of the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Unique on the platform: `<role>.<what for>`.
    pub name: &'static str,
    /// The role whose Works the events cause.
    pub role: &'static str,
    /// The kinds of event it gets, as [`Event::kind`] has them.
    pub kinds: &'static [&'static str],
}

/// What is in a queue, for metrics and `bistro verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Deliverable now or delivered and not settled.
    pub ready: u64,
    /// Put off by [`Delivery::retry`].
    pub parked: u64,
    /// When the oldest parked one was first put off.
    pub oldest_parked: Option<Timestamp>,
    /// Given up by [`Delivery::dead_letter`].
    pub dead: u64,
}

/// An engine that carries events.
///
/// # Guarantees
/// * **At least once.** When `publish` reports success for an event, every declared queue bound to
///   its kind will deliver it until a delivery is settled, whatever process or engine is lost.
///   The same event may be delivered more than once, also to two consumers at once.
/// * **No order** is promised, not even within a subject.
/// * **A delivery ends** in `ack` (never again), `retry(after)` (again, not sooner than `after`,
///   with [`Delivery::attempt`] one higher) or `dead_letter` (kept with its cause, not delivered
///   again). A delivery dropped unsettled, or whose consumer is lost, is delivered again.
/// * **Bounded.** A consumer holds at most `prefetch` unsettled deliveries.
/// * **Loss is an error.** `next` returns an error when the engine is lost, never an empty answer.
///   After one, the consumer is of no more use: subscribe again.
/// * **Every event has a place.** Publishing a kind that no declared queue is bound to succeeds
///   and delivers nothing; a kind that should have a queue whose queue is missing is an error.
/// * **Size.** An event with more than [`MAX_EVENT_BYTES`] of data is refused with a sentence, and
///   nothing of it is published.
/// * **Broadcasts** are ephemeral wake-ups: they reach every listener that is connected, or are
///   lost. Whoever is woken reads the truth elsewhere.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Makes sure that every queue of the platform exists and is bound. Each process declares all
    /// of them, so that no event is published before its queue is there.
    async fn declare(&self, queues: &[Queue]) -> Result<(), BusError>;

    /// Publishes each event; the results are in the order of the events.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>>;

    /// Begins to consume a declared queue. Several consumers share its events.
    async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BusError>;

    /// Wakes every listener of `topic`, in this process and others.
    async fn broadcast(&self, topic: &str, payload: &[u8]) -> Result<(), BusError>;

    /// Listens to `topic` from now on.
    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError>;

    /// What is in `queue`.
    async fn depth(&self, queue: &str) -> Result<Depth, BusError>;

    /// The dead letters of `queue`, oldest first, at most `limit`; only those after `after`, if
    /// given.
    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError>;

    /// The dead letter of this event, if it is one.
    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError>;

    /// Gives a dead letter another go from its first attempt; false if there is none of that id.
    async fn revive(&self, queue: &str, event: &str) -> Result<bool, BusError>;

    /// Forgets a dead letter for good; false if there is none of that id.
    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError>;

    /// Whether the engine answers and would take an event now.
    async fn ping(&self) -> Result<(), BusError>;
}

/// One consumer's end of a queue.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for the next delivery. Cancel-safe: dropping the future loses nothing.
    async fn next(&mut self) -> Result<Delivery, BusError>;
}

/// One listener's end of a broadcast.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next wake-up. [`BusError::Lagged`] says that some were missed: read the truth
    /// again and go on listening.
    async fn next(&mut self) -> Result<Vec<u8>, BusError>;
}

/// The longest that [`Delivery::retry`] may put an event off.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
