//! How long things took: a histogram, and the figures that are taken from it.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time told apart; longer ones count as this.
const LONGEST: Duration = Duration::from_mins(10);

/// Times, with three significant digits, from a microsecond to ten minutes.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// No times yet.
    #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram takes")]
    pub(crate) fn new() -> Self {
        let longest = micros(LONGEST);
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are right"))
    }

    /// Adds a time.
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(micros(took).max(1));
    }

    /// Adds the times of another.
    #[expect(clippy::expect_used, reason = "both have the same bounds")]
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that the share `quantile` of all do not exceed, in milliseconds.
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        millis(self.0.value_at_quantile(quantile))
    }

    /// The longest time, in milliseconds.
    pub(crate) fn longest(&self) -> f64 {
        millis(self.0.max())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let (mut low, mut high) = (Latencies::new(), Latencies::new());
        (1..=99).for_each(|ms| low.record(Duration::from_millis(ms)));
        high.record(Duration::from_secs(2));
        low.add(&high);
        assert_eq!(low.count(), 100);
        assert!((low.at(0.5) - 50.0).abs() < 0.1, "{}", low.at(0.5));
        assert!((low.at(0.99) - 99.0).abs() < 0.1, "{}", low.at(0.99));
        assert!((low.longest() - 2_000.0).abs() < 2.0, "{}", low.longest());
    }

    #[test]
    fn nothing_is_too_short_or_too_long_to_count() {
        let mut times = Latencies::new();
        times.record(Duration::ZERO);
        times.record(Duration::from_hours(9));
        assert_eq!(times.count(), 2);
        assert!(times.longest() >= 600_000.0);
    }
}
