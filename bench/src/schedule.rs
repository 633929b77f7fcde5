//! When the arrivals of an open loop are due.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Arrivals at a constant rate. Each is taken once, by whoever is free.
pub(crate) struct Schedule {
    start: Instant,
    per_second: u32,
    next: AtomicU64,
}

impl Schedule {
    /// Arrivals from `start` on, `per_second` of them each second.
    pub(crate) const fn new(start: Instant, per_second: u32) -> Self {
        Self { start, per_second, next: AtomicU64::new(0) }
    }

    /// The moment of the next arrival that nobody has taken.
    pub(crate) fn take(&self) -> Instant {
        self.start + after(self.per_second, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// How long after the first the arrival `number` is due. Computed from the number, and not from
/// the arrival before, so that no rounding adds up.
fn after(per_second: u32, number: u64) -> Duration {
    let rate = u64::from(per_second.max(1));
    let (seconds, rest) = (number / rate, number % rate);
    Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rate_is_kept_to_the_nanosecond_over_hours() {
        assert_eq!(after(3, 0), Duration::ZERO);
        assert_eq!(after(3, 1), Duration::from_nanos(333_333_333));
        assert_eq!(after(3, 3 * 36_000), Duration::from_secs(36_000));
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_and_evenly_spaced(rate in 1_u32..100_000, number in 0_u64..10_000_000) {
            let gap = after(rate, number + 1).saturating_sub(after(rate, number));
            let even = 1_000_000_000 / u64::from(rate);
            prop_assert!(gap >= Duration::from_nanos(even));
            prop_assert!(gap <= Duration::from_nanos(even + 1));
        }
    }

    #[tokio::test]
    async fn every_arrival_is_taken_once() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 2);
        let taken = [schedule.take(), schedule.take(), schedule.take()];
        assert_eq!(taken.map(|at| (at - start).as_millis()), [0, 500, 1000]);
    }
}
