//! Where couriers were last, as far as this process has heard: kept in memory for a few minutes
//! and stored nowhere.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::{GeoPoint, Id, Timestamp, kinds};
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a position says where a courier is.
pub(crate) const KEPT_FOR: Duration = Duration::from_mins(5);
/// The least time between two positions of one courier that are told.
pub(crate) const PACE: Duration = Duration::from_millis(500);
/// Couriers that are remembered at most.
const REMEMBERED: usize = 100_000;
/// Positions heard between two clearings.
const CLEARED_EVERY: u32 = 4_096;

/// Where a courier was, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) point: GeoPoint,
    pub(crate) at: Timestamp,
}

impl Position {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.at) < KEPT_FOR
    }
}

/// What is to be done with a position that a courier reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Tell it.
    Now,
    /// Tell the latest there is after this time.
    After(Duration),
    /// Somebody is about to tell the latest already.
    Merged,
}

/// What a courier of this process has reported lately.
#[derive(Clone, Copy, Debug)]
struct Reported {
    told_at: Timestamp,
    /// The latest that is still to be told.
    waiting: Option<Position>,
}

#[derive(Default)]
struct Inner {
    heard: HashMap<Id<kinds::Courier>, watch::Sender<Option<Position>>>,
    reported: HashMap<Id<kinds::Courier>, Reported>,
    since_cleared: u32,
}

/// The positions that this process knows. Clones are handles of the same ones.
#[derive(Clone, Default)]
pub(crate) struct Positions(Arc<Mutex<Inner>>);

impl Positions {
    /// Remembers `position` unless a later one is known. A clock that is ahead of this process's
    /// makes no position later than now.
    pub(crate) fn hear(&self, courier: Id<kinds::Courier>, position: Position, now: Timestamp) {
        let position = Position { at: position.at.min(now), ..position };
        let mut inner = self.0.lock();
        inner.clear_at_times(now);
        if inner.heard.len() >= REMEMBERED && !inner.heard.contains_key(&courier) {
            return;
        }
        let known = inner.heard.entry(courier).or_insert_with(|| watch::Sender::new(None));
        known.send_if_modified(|known| {
            let is_news = known.is_none_or(|before| before.at < position.at);
            if is_news {
                *known = Some(position);
            }
            is_news
        });
    }

    /// Where `courier` was last; none if that is long ago.
    pub(crate) fn last(&self, courier: Id<kinds::Courier>, now: Timestamp) -> Option<Position> {
        let inner = self.0.lock();
        let known = *inner.heard.get(&courier)?.borrow();
        known.filter(|position| position.is_fresh(now))
    }

    /// The position of `courier` as it changes.
    pub(crate) fn watch(&self, courier: Id<kinds::Courier>) -> watch::Receiver<Option<Position>> {
        let mut inner = self.0.lock();
        inner.heard.entry(courier).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// The `count` couriers nearest to `point`, with their distance in metres, nearest first.
    pub(crate) fn nearest(
        &self,
        point: GeoPoint,
        count: usize,
        now: Timestamp,
    ) -> Vec<(f64, Id<kinds::Courier>)> {
        let inner = self.0.lock();
        let mut all: Vec<_> = inner
            .heard
            .iter()
            .filter_map(|(courier, known)| {
                let position = known.borrow().filter(|position| position.is_fresh(now))?;
                Some((point.metres_to(position.point), *courier))
            })
            .collect();
        drop(inner);
        all.sort_by(|(one, a), (other, b)| one.total_cmp(other).then(a.cmp(b)));
        all.truncate(count);
        all
    }

    /// Takes up what a courier reports: at most one position each [`PACE`] is told, the latest.
    pub(crate) fn report(&self, courier: Id<kinds::Courier>, position: Position) -> Pace {
        let mut inner = self.0.lock();
        inner.clear_at_times(position.at);
        let now = position.at;
        let Some(reported) = inner.reported.get_mut(&courier) else {
            inner.reported.insert(courier, Reported { told_at: now, waiting: None });
            return Pace::Now;
        };
        if reported.waiting.is_some() {
            reported.waiting = Some(position);
            return Pace::Merged;
        }
        let since = now.since(reported.told_at);
        if since >= PACE {
            reported.told_at = now;
            return Pace::Now;
        }
        reported.waiting = Some(position);
        Pace::After(PACE.saturating_sub(since))
    }

    /// The position that waits to be told, which counts as told now.
    pub(crate) fn take_waiting(
        &self,
        courier: Id<kinds::Courier>,
        now: Timestamp,
    ) -> Option<Position> {
        let mut inner = self.0.lock();
        let reported = inner.reported.get_mut(&courier)?;
        reported.told_at = now;
        reported.waiting.take()
    }

    /// Whether `courier` has just been let through by [`Positions::report`], so that whoever asks
    /// again need not be looked up.
    pub(crate) fn reported_lately(&self, courier: Id<kinds::Courier>, now: Timestamp) -> bool {
        let inner = self.0.lock();
        inner.reported.get(&courier).is_some_and(|reported| now.since(reported.told_at) < PACE)
    }

    /// Forgets where a courier is who brings nothing any more.
    pub(crate) fn forget(&self, courier: Id<kinds::Courier>) {
        if let Some(known) = self.0.lock().heard.get(&courier) {
            known.send_replace(None);
        }
    }
}

impl Inner {
    /// Forgets what is old and nobody watches, every now and then.
    fn clear_at_times(&mut self, now: Timestamp) {
        self.since_cleared += 1;
        if self.since_cleared < CLEARED_EVERY {
            return;
        }
        self.since_cleared = 0;
        self.heard.retain(|_, known| {
            known.receiver_count() > 0 || known.borrow().is_some_and(|one| one.is_fresh(now))
        });
        self.reported.retain(|_, one| one.waiting.is_some() || now.since(one.told_at) < KEPT_FOR);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::choice::north_of;

    const HOME: GeoPoint = GeoPoint { lat_e6: 51_500_000, lon_e6: -120_000 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn here(metres: i32, millis: i64) -> Position {
        Position { point: north_of(HOME, metres), at: at(millis) }
    }

    fn who(bits: u128) -> Id<kinds::Courier> {
        Id::from_bits(bits)
    }

    #[test]
    fn the_latest_counts_whatever_comes_last_and_not_for_ever() {
        let positions = Positions::default();
        positions.hear(who(1), here(5, 2_000), at(2_000));
        positions.hear(who(1), here(9, 1_000), at(2_000));
        assert_eq!(positions.last(who(1), at(2_000)), Some(here(5, 2_000)));
        let ahead = here(7, 9_999_999);
        positions.hear(who(1), ahead, at(3_000));
        let known = positions.last(who(1), at(3_000)).unwrap();
        assert_eq!((known.point, known.at), (ahead.point, at(3_000)));
        assert_eq!(positions.last(who(1), at(3_000) + KEPT_FOR), None);
        assert!(positions.nearest(HOME, 9, at(3_000) + KEPT_FOR).is_empty());
        assert_eq!(positions.last(who(2), at(0)), None);
    }

    #[test]
    fn the_nearest_come_first() {
        let positions = Positions::default();
        for (bits, metres) in [(1, 800), (2, 50), (3, 300)] {
            positions.hear(who(bits), here(metres, 1_000), at(1_000));
        }
        let nearest = positions.nearest(HOME, 2, at(1_000));
        let ids: Vec<_> = nearest.iter().map(|(_, courier)| courier.bits()).collect();
        assert_eq!(ids, [2, 3]);
        assert!((nearest[0].0 - 50.0).abs() < 1.0);
        positions.forget(who(2));
        assert_eq!(positions.last(who(2), at(1_000)), None);
    }

    #[test]
    fn what_comes_too_fast_is_told_as_one() {
        let positions = Positions::default();
        assert_eq!(positions.report(who(1), here(1, 1_000)), Pace::Now);
        assert!(positions.reported_lately(who(1), at(1_499)));
        let wait = Pace::After(Duration::from_millis(400));
        assert_eq!(positions.report(who(1), here(2, 1_100)), wait);
        assert_eq!(positions.report(who(1), here(3, 1_200)), Pace::Merged);
        assert_eq!(positions.report(who(2), here(3, 1_200)), Pace::Now, "others do not wait");
        assert_eq!(positions.take_waiting(who(1), at(1_500)), Some(here(3, 1_200)));
        assert_eq!(positions.take_waiting(who(1), at(1_500)), None);
        assert_eq!(positions.report(who(1), here(4, 2_000)), Pace::Now);
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_is_watched() {
        let positions = Positions::default();
        let watching = positions.watch(who(1));
        for bits in 2..200 {
            positions.hear(who(bits), here(1, 1_000), at(1_000));
            positions.report(who(bits), here(1, 1_000));
        }
        let late = at(1_000) + KEPT_FOR;
        for millis in 0..i64::from(CLEARED_EVERY) {
            positions.hear(who(500), here(1, late.as_millis() + millis), late);
        }
        let inner = positions.0.lock();
        assert!(inner.heard.contains_key(&who(1)) && !inner.heard.contains_key(&who(2)));
        assert!(inner.reported.is_empty());
        drop(watching);
    }

    proptest! {
        /// However a courier's reports are spaced, no two are told within the pace, and the last
        /// one is told in the end.
        #[test]
        fn never_faster_than_the_pace(gaps in prop::collection::vec(0_i64..900, 1..80)) {
            let positions = Positions::default();
            let (mut now, mut told, mut due) = (10_000, Vec::new(), None::<i64>);
            for gap in gaps {
                now += gap;
                if let Some(moment) = due.filter(|moment| *moment <= now) {
                    let waiting = positions.take_waiting(who(1), at(moment)).unwrap();
                    told.push((moment, waiting.at));
                    due = None;
                }
                match positions.report(who(1), here(1, now)) {
                    Pace::Now => told.push((now, at(now))),
                    Pace::After(wait) => due = Some(now + i64::try_from(wait.as_millis()).unwrap()),
                    Pace::Merged => prop_assert!(due.is_some()),
                }
            }
            if let Some(moment) = due {
                told.push((moment, positions.take_waiting(who(1), at(moment)).unwrap().at));
            }
            prop_assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 500));
            prop_assert_eq!(told.last().unwrap().1, at(now));
        }
    }
}
