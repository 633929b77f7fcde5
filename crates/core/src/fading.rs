//! A map that forgets: what nobody has asked for in a while, and the oldest when it holds too much.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    time::{Duration, Instant},
};

/// How much is remembered, beside what is needed, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries at most.
    pub entries: usize,
    /// Bytes at most, as they were weighed.
    pub bytes: usize,
    /// What nobody has asked for is forgotten after this time, or after twice this time.
    pub age: Duration,
}

/// Values that are remembered for a while.
///
/// What is put in or asked for is young. When the young ones are half of what may be remembered, or
/// when their time is over, they become the old ones, and those that were old are forgotten. So
/// nothing is ever searched for what has to go: finding a young value takes one look, and to forget
/// costs no more than it did to remember.
#[derive(Debug)]
pub struct FadingMap<K, V> {
    young: HashMap<K, Entry<V>>,
    old: HashMap<K, Entry<V>>,
    young_bytes: usize,
    old_bytes: usize,
    /// When the first of the young ones came.
    began: Option<Instant>,
    bounds: Bounds,
    /// Whether somebody still needs a value, which then stays.
    is_needed: fn(&V) -> bool,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
}

/// What was forgotten. To drop it may take a while: do it outside of locks.
#[must_use = "drop it outside of locks"]
#[derive(Debug)]
pub struct Forgotten<K, V>(Vec<HashMap<K, Entry<V>>>);

impl<K, V> Forgotten<K, V> {
    /// How many values were forgotten.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }
}

impl<K: Eq + Hash + Copy, V: Clone> FadingMap<K, V> {
    /// A map that remembers as much as `bounds` say, and whatever is needed according to
    /// `is_needed`.
    #[must_use]
    pub fn new(bounds: Bounds, is_needed: fn(&V) -> bool) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { young, old, young_bytes: 0, old_bytes: 0, began: None, bounds, is_needed }
    }

    /// The value of `key`, which is young from now on.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(young) = self.young.get(key) {
            return Some(young.value.clone());
        }
        let entry = self.old.remove(key)?;
        let value = entry.value.clone();
        self.old_bytes -= entry.bytes;
        self.young_bytes += entry.bytes;
        self.young.insert(*key, entry);
        Some(value)
    }

    /// Puts in the value of a key that has none, of no weight yet.
    pub fn insert(&mut self, key: K, value: V, now: Instant) -> Forgotten<K, V> {
        let is_full = (self.young.len() + 1) * 2 > self.bounds.entries
            || self.len() + 1 > self.bounds.entries;
        let forgotten = self.turn(is_full, now);
        self.began = self.began.or(Some(now));
        self.young.insert(key, Entry { value, bytes: 0 });
        forgotten
    }

    /// Says how much the value of `key` takes, if it is still there.
    pub fn weigh(&mut self, key: &K, bytes: usize, now: Instant) -> Forgotten<K, V> {
        if self.get(key).is_some()
            && let Some(entry) = self.young.get_mut(key)
        {
            self.young_bytes = self.young_bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
        let most = self.bounds.bytes;
        let is_full = self.young_bytes.saturating_mul(2) > most || self.bytes() > most;
        self.turn(is_full, now)
    }

    /// Forgets the value of `key`, if `is_idle` says so.
    pub fn remove_if(&mut self, key: &K, is_idle: impl Fn(&V) -> bool) {
        if self.get(key).is_some_and(|value| is_idle(&value))
            && let Some(entry) = self.young.remove(key)
        {
            self.young_bytes -= entry.bytes;
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are remembered, as they were weighed.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }

    /// Makes the young ones old if there is too much, or if they have been young for long enough.
    fn turn(&mut self, is_full: bool, now: Instant) -> Forgotten<K, V> {
        let is_over = |began| now.saturating_duration_since(began) >= self.bounds.age;
        if !is_full && !self.began.is_some_and(is_over) {
            return Forgotten(Vec::new());
        }
        self.began = Some(now);
        let mut forgotten = vec![self.age()];
        // Where all were young, nothing has gone yet.
        if self.old.len() >= self.bounds.entries || self.old_bytes > self.bounds.bytes {
            forgotten.push(self.age());
        }
        Forgotten(forgotten)
    }

    /// Makes the young ones old, and gives back those that were old and are not needed.
    fn age(&mut self) -> HashMap<K, Entry<V>> {
        let mut forgotten = mem::replace(&mut self.old, mem::take(&mut self.young));
        self.old_bytes = mem::take(&mut self.young_bytes);
        let is_needed = self.is_needed;
        for (key, entry) in forgotten.extract_if(|_, entry| is_needed(&entry.value)) {
            self.young_bytes += entry.bytes;
            self.young.insert(key, entry);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const AGE: Duration = Duration::from_secs(30);

    fn map(entries: usize, bytes: usize) -> FadingMap<u32, Arc<u32>> {
        FadingMap::new(Bounds { entries, bytes, age: AGE }, |value| Arc::strong_count(value) > 1)
    }

    #[expect(clippy::disallowed_methods, reason = "some moment to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes() {
        let (mut map, now) = (map(10, 1000), start());
        let _ = map.insert(0, Arc::new(0), now);
        for key in 1..100 {
            let _ = map.insert(key, Arc::new(key), now);
            assert_eq!(map.get(&0).as_deref(), Some(&0), "after {key}");
            assert!(map.len() <= 10, "{} of 10", map.len());
        }
        assert_eq!(map.get(&50), None);
        assert_eq!(map.get(&99).as_deref(), Some(&99));
    }

    #[test]
    fn what_takes_much_goes_sooner() {
        let (mut map, now) = (map(1000, 1000), start());
        for key in 0..100 {
            let _ = map.insert(key, Arc::new(key), now);
            let _ = map.weigh(&key, 100, now);
            assert!(map.bytes() <= 1000, "{} bytes", map.bytes());
        }
        assert!(map.len() >= 5);
    }

    #[test]
    fn what_is_weighed_again_takes_no_more() {
        let (mut map, now) = (map(1000, 1000), start());
        let _ = map.insert(1, Arc::new(1), now);
        for bytes in (1..100).rev() {
            assert_eq!(map.weigh(&1, bytes, now).count(), 0);
            assert_eq!((map.bytes(), map.len()), (bytes, 1));
        }
        map.remove_if(&1, |_| false);
        assert_eq!(map.len(), 1);
        map.remove_if(&1, |_| true);
        assert_eq!((map.bytes(), map.len()), (0, 0));
    }

    #[test]
    fn it_is_bounded_even_if_all_are_asked_for_all_the_time() {
        let (mut map, now) = (map(10, 100), start());
        for key in 0..1000 {
            let _ = map.insert(key, Arc::new(key), now);
            let _ = map.weigh(&key, 7, now);
            for key in 0..=key {
                let _ = map.get(&key);
            }
            assert!(map.len() <= 10 && map.bytes() <= 100, "{map:?}");
        }
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_with_time() {
        let (mut map, now) = (map(1000, 1000), start());
        let _ = map.insert(1, Arc::new(1), now);
        let _ = map.insert(2, Arc::new(2), now);
        let held = map.get(&2);
        assert_eq!(map.weigh(&3, 0, now + AGE).count(), 0, "they are old now");
        assert_eq!(map.len(), 2);
        assert_eq!(map.weigh(&3, 0, now + AGE * 2).count(), 1, "one is needed");
        assert_eq!((map.len(), map.get(&2)), (1, held));
        assert_eq!(map.weigh(&3, 0, now + AGE * 4).count(), 0);
        assert_eq!(map.weigh(&3, 0, now + AGE * 5).count(), 1);
        assert!(map.is_empty());
    }

    proptest! {
        /// Whatever is done: what is needed stays, and all else is bounded.
        #[test]
        fn needed_values_stay_and_the_others_are_bounded(
            steps in prop::collection::vec((0_u32..60, 0_usize..40, 0_u64..20), 1..200),
        ) {
            let (mut map, mut now) = (map(20, 400), start());
            let _ = map.insert(1000, Arc::new(1000), now);
            let held = map.get(&1000).unwrap();
            for (key, bytes, seconds) in steps {
                now += Duration::from_secs(seconds);
                if map.get(&key).is_none() {
                    let _ = map.insert(key, Arc::new(key), now);
                }
                let _ = map.weigh(&key, bytes, now);
                prop_assert!(map.len() <= 21 && map.bytes() <= 400, "{map:?}");
                let all = map.young.values().chain(map.old.values());
                prop_assert_eq!(map.bytes(), all.map(|entry| entry.bytes).sum::<usize>());
            }
            prop_assert_eq!(map.get(&1000), Some(held));
        }
    }
}
