//! How often unknown key ids may make the signing keys be asked for again.

use std::time::Duration;

use bistro_core::Timestamp;

/// Fetches that may follow each other at once: somebody who sends forged key ids must not keep a
/// key that was made a moment ago from being learnt.
const BURST: i64 = 8;
/// How long it takes until one more fetch may be made. A storm of forged key ids costs accounts
/// this much and no more, since a fetch learns all keys there are, whoever caused it.
const INTERVAL: Duration = Duration::from_secs(2);

/// A bucket of fetches, kept as the moment when it will be full again.
pub(super) struct KeyFetches {
    full_at: Timestamp,
}

impl KeyFetches {
    /// A full bucket.
    pub(super) fn new() -> Self {
        Self { full_at: Timestamp::from_millis(i64::MIN / 2) }
    }

    /// Whether one may be made now.
    pub(super) fn allowed(&self, now: Timestamp) -> bool {
        let behind = self.full_at.as_millis().saturating_sub(now.as_millis());
        behind <= millis() * (BURST - 1)
    }

    /// Counts one that was answered. One that failed does not count: it taught nothing.
    pub(super) fn made(&mut self, now: Timestamp) {
        let from = self.full_at.as_millis().max(now.as_millis());
        self.full_at = Timestamp::from_millis(from + millis());
    }
}

fn millis() -> i64 {
    i64::try_from(INTERVAL.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let mut fetches = KeyFetches::new();
        let at = |millis: i64| Timestamp::from_millis(1_800_000_000_000 + millis);
        let mut made = 0;
        for now in 0..10_000 {
            if fetches.allowed(at(now)) {
                fetches.made(at(now));
                made += 1;
            }
        }
        assert_eq!(made, BURST + 4);
        assert!(fetches.allowed(at(30_000)));
    }
}
