//! What this process knows of one queue: its parked events in hand, and its unsettled deliveries.
//!
//! Parked events stay on the shelf until they are settled, so every process that consumes the
//! queue sees them. The process that put one off fetches it at its moment; the others leave it
//! alone for [`GRACE`] after that, so that normally one process delivers it, and any process does
//! when that one is gone. Within a process an event is held by at most one delivery.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bistro_bus::{BusError, DeadLetter, Parked, Queue, Shelf};
use bistro_core::{Clock, Event, Timestamp};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::warn;

/// How long an event is left to the process that put it off.
const GRACE: Duration = Duration::from_secs(1);
/// The most due events fetched at once beyond those in hand.
const BATCH: u32 = 64;
/// The shortest pause between two looks at the shelf.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// How long the shelf may take to answer.
const SHELF_PATIENCE: Duration = Duration::from_secs(10);

/// One consumed queue in this process.
pub(crate) struct Lane {
    pub(crate) queue: Queue,
    pub(crate) shelf: Arc<dyn Shelf>,
    pub(crate) clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something is ready for a consumer.
    arrived: Notify,
    /// The poller should look again.
    changed: Arc<Notify>,
    unsettled: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Due and not taken by a consumer yet.
    ready: VecDeque<Parked>,
    /// The ids of those that are ready or in a consumer's hands.
    held: HashSet<String>,
    /// Those this process put off, with their moments.
    own: HashMap<String, Timestamp>,
    /// Settled since the poller asked the shelf: its answer may be older than that.
    settled: HashSet<String>,
    /// The shelf had more than was asked for.
    more: bool,
}

impl Lane {
    /// A lane whose shelf is polled for as long as somebody holds it.
    pub(crate) fn start(
        queue: Queue,
        shelf: Arc<dyn Shelf>,
        clock: Arc<dyn Clock>,
        interval: Duration,
        seed: u64,
    ) -> Arc<Self> {
        let lane = Arc::new(Self {
            queue,
            shelf,
            clock,
            state: Mutex::default(),
            arrived: Notify::new(),
            changed: Arc::new(Notify::new()),
            unsettled: AtomicU64::new(0),
        });
        tokio::spawn(poll(Arc::downgrade(&lane), interval, seed));
        lane
    }

    /// Waits for a parked event that is due. Cancel-safe.
    pub(crate) async fn next(&self) -> Parked {
        loop {
            let arrived = self.arrived.notified();
            if let Some(parked) = self.take() {
                return parked;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Parked> {
        let mut state = self.state.lock();
        let parked = state.ready.pop_front()?;
        if state.more && state.ready.is_empty() {
            self.changed.notify_one();
        }
        Some(parked)
    }

    /// Puts a delivery of the broker's off for the first time.
    pub(crate) async fn park(
        &self,
        event: &Event,
        attempt: u32,
        after: Duration,
        cause: &str,
    ) -> Result<(), BusError> {
        let now = self.clock.now();
        self.keep(Parked {
            queue: self.queue.name.to_owned(),
            event: event.clone(),
            attempt: attempt.saturating_add(1),
            not_before: now + after,
            since: now,
            cause: cause.to_owned(),
        })
        .await
    }

    /// Puts a parked event off again.
    pub(crate) async fn park_again(
        &self,
        parked: &Parked,
        after: Duration,
        cause: &str,
    ) -> Result<(), BusError> {
        self.keep(Parked {
            attempt: parked.attempt.saturating_add(1),
            not_before: self.clock.now() + after,
            cause: cause.to_owned(),
            ..parked.clone()
        })
        .await
    }

    async fn keep(&self, parked: Parked) -> Result<(), BusError> {
        let (id, not_before) = (parked.event.id.clone(), parked.not_before);
        self.shelf.park(parked).await?;
        self.state.lock().own.insert(id, not_before);
        self.changed.notify_one();
        Ok(())
    }

    /// Gives an event up.
    pub(crate) async fn bury(
        &self,
        event: &Event,
        attempts: u32,
        cause: &str,
    ) -> Result<(), BusError> {
        self.shelf
            .bury(DeadLetter {
                queue: self.queue.name.to_owned(),
                event: event.clone(),
                attempts,
                at: self.clock.now(),
                cause: cause.to_owned(),
            })
            .await
    }

    /// An event that was taken from [`Lane::next`] is settled on the shelf.
    pub(crate) fn settled(&self, id: &str) {
        let mut state = self.state.lock();
        state.held.remove(id);
        state.settled.insert(id.to_owned());
    }

    /// An event that was taken from [`Lane::next`] was let go; it is still on the shelf and due.
    pub(crate) fn let_go(&self, id: &str) {
        let mut state = self.state.lock();
        state.held.remove(id);
        state.own.insert(id.to_owned(), self.clock.now());
        drop(state);
        self.changed.notify_one();
    }

    /// An event was put on the shelf past this lane, due now.
    pub(crate) fn revived(&self, id: &str) {
        self.state.lock().own.insert(id.to_owned(), self.clock.now());
        self.changed.notify_one();
    }

    /// Messages that the broker delivered to this process and that are not settled.
    pub(crate) fn unsettled(&self) -> u64 {
        self.unsettled.load(Ordering::Acquire)
    }

    /// Looks at the shelf once; says how long to wait before the next look.
    async fn look(&self, interval: Duration) -> Duration {
        let now = self.clock.now();
        let limit = {
            let mut state = self.state.lock();
            if !state.ready.is_empty() {
                return interval;
            }
            state.settled.clear();
            BATCH.saturating_add(u32::try_from(state.held.len()).unwrap_or(u32::MAX))
        };
        let due = match timeout(SHELF_PATIENCE, self.shelf.due(self.queue.name, now, limit)).await {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                warn!(queue = self.queue.name, %error, "cannot fetch parked events");
                return interval;
            }
            Err(_) => {
                warn!(queue = self.queue.name, "the shelf does not answer");
                return interval;
            }
        };
        let full = due.len() >= limit as usize;
        let mut state = self.state.lock();
        let wait = state.sort_in(due, full, now, interval);
        let arrived = !state.ready.is_empty();
        drop(state);
        if arrived {
            self.arrived.notify_waiters();
        }
        wait
    }
}

impl State {
    /// Takes up what is due and free to be delivered here; says how long to wait before the next
    /// look.
    fn sort_in(
        &mut self,
        due: Vec<Parked>,
        full: bool,
        now: Timestamp,
        interval: Duration,
    ) -> Duration {
        let mut seen = HashSet::with_capacity(due.len());
        for parked in due {
            let id = parked.event.id.clone();
            let free = self.own.contains_key(&id) || now >= parked.not_before + GRACE;
            if free && !self.held.contains(&id) && !self.settled.contains(&id) {
                self.own.remove(&id);
                self.held.insert(id.clone());
                self.ready.push_back(parked);
            }
            seen.insert(id);
        }
        self.more = full;
        if !full {
            // What should have been due and is not on the shelf was settled by another process.
            self.own.retain(|id, not_before| *not_before > now || seen.contains(id));
        }
        if full {
            // Either consumers take what is ready, which makes for another look, or all of it is
            // in its grace.
            return interval.min(GRACE / 4);
        }
        let next = self.own.values().min().map(|moment| moment.since(now));
        next.map_or(interval, |next| next.min(interval)).max(SHORTEST_PAUSE)
    }
}

async fn poll(lane: Weak<Lane>, interval: Duration, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    while let Some(held) = lane.upgrade() {
        let pause = held.look(interval.mul_f64(rng.random_range(0.8..1.2))).await;
        let changed = held.changed.clone();
        drop(held);
        // Woken by a change, look when the change is due and not more often than the shortest
        // pause, so that many changes are one look.
        let woken = tokio::select! {
            () = sleep(pause) => false,
            () = changed.notified() => true,
        };
        if woken {
            sleep(SHORTEST_PAUSE).await;
        }
    }
}

/// Counts one message of the broker's as unsettled for as long as it lives.
pub(crate) struct Unsettled(Arc<Lane>);

impl Unsettled {
    pub(crate) fn new(lane: Arc<Lane>) -> Self {
        lane.unsettled.fetch_add(1, Ordering::AcqRel);
        Self(lane)
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.0
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.0.unsettled.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn parked(id: &str, not_before: i64) -> Parked {
        Parked {
            queue: "q".into(),
            event: Event {
                id: id.into(),
                source: String::new(),
                kind: String::new(),
                subject: String::new(),
                time: at(0),
                sequence: 0,
                traceparent: None,
                data: vec![],
            },
            attempt: 2,
            not_before: at(not_before),
            since: at(0),
            cause: String::new(),
        }
    }

    fn ready(state: &State) -> Vec<&str> {
        state.ready.iter().map(|p| p.event.id.as_str()).collect()
    }

    #[test]
    fn own_events_are_taken_at_once_and_foreign_ones_after_the_grace() {
        let mut state = State::default();
        state.own.insert("own".into(), at(100));
        let due = vec![parked("own", 100), parked("foreign", 100)];
        state.sort_in(due.clone(), false, at(100), INTERVAL);
        assert_eq!(ready(&state), ["own"]);
        state.sort_in(due, false, at(1100), INTERVAL);
        assert_eq!(ready(&state), ["own", "foreign"]);
    }

    #[test]
    fn what_was_settled_while_the_shelf_was_asked_is_not_delivered_again() {
        let mut state = State::default();
        state.own.insert("a".into(), at(0));
        state.settled.insert("a".into());
        state.sort_in(vec![parked("a", 0)], false, at(5000), INTERVAL);
        assert!(state.ready.is_empty());
    }

    #[test]
    fn the_next_look_is_at_the_next_own_moment() {
        let mut state = State::default();
        state.own.insert("a".into(), at(300));
        assert_eq!(state.sort_in(vec![], false, at(0), INTERVAL), Duration::from_millis(300));
        // Another process settled it: it is forgotten, and does not keep the poller busy.
        assert_eq!(state.sort_in(vec![], false, at(400), INTERVAL), INTERVAL);
        assert!(state.own.is_empty());
    }
}
