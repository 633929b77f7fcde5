//! What was read a moment ago: a cache that is never older than it says, and never older than what
//! this process has committed.
//!
//! Why that holds: a value's age counts from the moment before its reading began. Whoever changes
//! what is read under a key holds a [`Changing`] from before the commit until it is acknowledged;
//! dropping it raises the key's generation. A value is given only if its reading began in the
//! present generation. So who asks after a change was acknowledged is given a value whose reading
//! began after the change was committed.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bistro_core::{Bounds, FadingMap};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How old a value may be.
const FRESH: Duration = Duration::from_secs(1);
/// Keys that are remembered.
const REMEMBERED: usize = 4096;
/// What nobody asks for is forgotten after this time, or after twice this time.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Values by key, each read by one asker for all.
pub(crate) struct Recent<K, V> {
    slots: Mutex<FadingMap<K, Arc<Slot<V>>>>,
    /// How many bytes a value takes, about.
    size: fn(&V) -> usize,
}

struct Slot<V> {
    generation: AtomicU64,
    /// Locked while the value is being read, so that others wait for it.
    value: tokio::sync::Mutex<Option<Value<V>>>,
}

struct Value<V> {
    content: V,
    generation: u64,
    began: Instant,
}

impl<K: Eq + Hash + Copy, V: Clone> Recent<K, V> {
    /// Remembers values that take `bytes` at most, each as many as `size` says.
    pub(crate) fn new(bytes: usize, size: fn(&V) -> usize) -> Self {
        let bounds = Bounds { entries: REMEMBERED, bytes, age: FORGOTTEN };
        // One that somebody holds must stay: its generation is the key's.
        let slots = FadingMap::new(bounds, |slot| Arc::strong_count(slot) > 1);
        Self { slots: Mutex::new(slots), size }
    }

    /// The value of `key`, read by `read` unless somebody has read it a moment ago.
    pub(crate) async fn get<E, F: Future<Output = Result<V, E>>>(
        &self,
        key: K,
        read: impl FnOnce() -> F,
    ) -> Result<V, E> {
        let slot = self.slot(key);
        let mut held = slot.value.lock().await;
        if let Some(value) = slot.fresh(held.as_ref()) {
            return Ok(value);
        }
        let generation = slot.generation.load(Ordering::SeqCst);
        let began = Instant::now();
        let value = read().await?;
        *held = Some(Value { content: value.clone(), generation, began });
        let bytes = (self.size)(&value);
        let forgotten = self.slots.lock().weigh(&key, bytes, began.into_std());
        drop(forgotten);
        Ok(value)
    }

    /// The value of `key`, if it is there and nobody is reading it just now.
    pub(crate) fn peek(&self, key: K) -> Option<V> {
        let slot = self.slots.lock().get(&key)?;
        let held = slot.value.try_lock().ok()?;
        slot.fresh(held.as_ref())
    }

    /// Says that what is read under `key` is being changed, until this is dropped.
    pub(crate) fn changing(&self, key: K) -> Changing<V> {
        Changing { slot: self.slot(key) }
    }

    fn slot(&self, key: K) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&key) {
            return slot;
        }
        let (generation, value) = (AtomicU64::new(0), tokio::sync::Mutex::new(None));
        let slot = Arc::new(Slot { generation, value });
        let forgotten = slots.insert(key, Arc::clone(&slot), Instant::now().into_std());
        drop(slots);
        drop(forgotten);
        slot
    }
}

impl<V: Clone> Slot<V> {
    fn fresh(&self, held: Option<&Value<V>>) -> Option<V> {
        let held = held?;
        let is_present = held.generation == self.generation.load(Ordering::SeqCst);
        (is_present && held.began.elapsed() < FRESH).then(|| held.content.clone())
    }
}

/// That something is being changed; dropped when the change is done, or was given up.
pub(crate) struct Changing<V> {
    slot: Arc<Slot<V>>,
}

impl<V> Drop for Changing<V> {
    fn drop(&mut self) {
        self.slot.generation.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::atomic::AtomicU32};

    use super::*;

    struct Bench {
        recent: Recent<u32, u32>,
        /// What is to be read.
        truth: AtomicU32,
        reads: AtomicU32,
    }

    impl Default for Bench {
        fn default() -> Self {
            let recent = Recent::new(10_000, |_| 100);
            Self { recent, truth: AtomicU32::new(0), reads: AtomicU32::new(0) }
        }
    }

    impl Bench {
        async fn get(&self, key: u32) -> u32 {
            let read = || async {
                self.reads.fetch_add(1, Ordering::SeqCst);
                let read = self.truth.load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(read)
            };
            self.recent.get(key, read).await.unwrap()
        }

        fn change(&self) {
            let _changing = self.recent.changing(7);
            self.truth.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_reads_for_all_until_it_is_old() {
        let bench = Bench::default();
        let all = futures::future::join_all((0..50).map(|_| bench.get(7))).await;
        assert_eq!((all, bench.reads.load(Ordering::SeqCst)), (vec![0; 50], 1));
        bench.truth.store(9, Ordering::SeqCst);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!((bench.get(7).await, bench.recent.peek(7)), (0, Some(0)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(bench.recent.peek(7), None);
        assert_eq!(bench.get(7).await, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_after_a_change_is_given_it() {
        let bench = Bench::default();
        // A reading is under way while the change is made: its value is not given to later askers.
        let reading = bench.get(7);
        let later = async {
            bench.change();
            bench.get(7).await
        };
        let (early, late) = tokio::join!(reading, later);
        assert_eq!((early, late), (0, 1));
        bench.change();
        assert_eq!(bench.get(7).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_cut_off_counts_as_one() {
        let bench = Bench::default();
        bench.get(7).await;
        let changing = bench.recent.changing(7);
        bench.truth.store(5, Ordering::SeqCst);
        drop(changing);
        assert_eq!(bench.get(7).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_reading_is_tried_by_the_next() {
        let bench = Bench::default();
        let failed = bench.recent.get(7, || async { Err::<u32, _>("away") }).await;
        assert_eq!(failed, Err("away"));
        assert_eq!(bench.get(7).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_changes_are_not_forgotten() {
        let bench = Bench::default();
        bench.get(7).await;
        let changing = bench.recent.changing(7);
        for key in 100..20_000 {
            bench.get(key).await;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let (entries, bytes) = {
            let slots = bench.recent.slots.lock();
            (slots.len(), slots.bytes())
        };
        assert!(entries <= 101 && bytes <= 10_100, "{entries} of {bytes} bytes");
        bench.truth.store(5, Ordering::SeqCst);
        drop(changing);
        assert_eq!(bench.get(7).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_forgotten_but_not_its_changes() {
        let bench = Bench::default();
        for key in 20..30 {
            bench.get(key).await;
        }
        let changing = bench.recent.changing(25);
        for _ in 0..4 {
            tokio::time::advance(FORGOTTEN).await;
            bench.get(7).await;
        }
        assert_eq!(bench.recent.slots.lock().len(), 2, "what is asked for, and what is changed");
        drop(changing);
        for _ in 0..2 {
            tokio::time::advance(FORGOTTEN).await;
            bench.get(7).await;
        }
        assert_eq!(bench.recent.slots.lock().len(), 1);
    }
}
