//! Exponential backoff with full jitter.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use sha2::{Digest as _, Sha256};

/// Exponential backoff with full jitter: the delay before attempt n is uniform between nothing
/// and `min(cap, base * 2^n)` ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The most the first delay may be.
    pub base: Duration,
    /// The most any delay may be.
    pub cap: Duration,
}

impl Backoff {
    /// The longest delay before the attempt after `attempt` (which counts from 1).
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// The delay for `attempt` of the thing named `key`.
    ///
    /// The jitter follows from both, so that it needs no randomness from outside and still
    /// spreads things that failed together.
    #[must_use]
    pub fn delay(&self, key: &str, attempt: u32) -> Duration {
        let digest = Sha256::new().chain_update(key).chain_update(attempt.to_be_bytes()).finalize();
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        let mut rng = SmallRng::seed_from_u64(u64::from_be_bytes(seed));
        self.ceiling(attempt).mul_f64(rng.random_range(0.0..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_spreads() {
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) };
        assert_eq!(backoff.ceiling(1), Duration::from_millis(100));
        assert_eq!(backoff.ceiling(3), Duration::from_millis(400));
        assert_eq!(backoff.ceiling(40), Duration::from_secs(1));
        let delays: Vec<_> = (0..50).map(|n| backoff.delay(&format!("m{n}"), 5)).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(1)));
        let longest = *delays.iter().max().unwrap();
        let spread = longest.saturating_sub(*delays.iter().min().unwrap());
        assert!(spread > Duration::from_millis(500), "{spread:?}");
    }
}
