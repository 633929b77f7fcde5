//! Limits by address, for requests without a token: a token bucket each, in bounded memory.

use std::{collections::HashMap, mem, net::IpAddr, time::Duration};

use bistro_config::RateLimit;
use bistro_core::{Error, ErrorCode, Timestamp};
use parking_lot::Mutex;

/// Addresses in one generation; two generations are kept.
const REMEMBERED: usize = 32_768;

/// A token bucket per address.
///
/// A bucket is kept as the moment when it will be full again, in microseconds (the "generic cell
/// rate algorithm"): one number says as much as a level and the time it was read at. Of more
/// addresses than are remembered, those that were seen longest ago are forgotten, and begin again
/// with a full bucket.
pub(crate) struct Limiter {
    /// Microseconds between two requests at the allowed rate.
    interval: i64,
    /// How far ahead of the present the full moment may run, in microseconds.
    tolerance: i64,
    buckets: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<IpAddr, i64>,
    old: HashMap<IpAddr, i64>,
}

impl Limiter {
    /// A limiter that lets `limit.burst` requests through at once and `limit.per_second` on
    /// average.
    pub(crate) fn new(limit: &RateLimit) -> Self {
        let interval = (1_000_000 / i64::from(limit.per_second.max(1))).max(1);
        let burst = i64::from(limit.burst.max(1));
        Self { interval, tolerance: interval * (burst - 1), buckets: Mutex::default() }
    }

    /// Takes one token from the bucket of `address`, or says when there will be one.
    pub(crate) fn admit(&self, address: IpAddr, now: Timestamp) -> Result<(), Error> {
        let now = now.as_millis().saturating_mul(1000);
        let mut buckets = self.buckets.lock();
        let full_at = buckets.get(address).unwrap_or(now).max(now);
        let early = full_at - self.tolerance - now;
        if early > 0 {
            let wait = Duration::from_micros(early.unsigned_abs());
            let message = format!(
                "too many requests without a token from this address; try again in {} s, or log in",
                seconds_up(wait)
            );
            return Err(Error::new(ErrorCode::RateLimited, message).retry_after(wait));
        }
        buckets.put(address, full_at + self.interval);
        Ok(())
    }
}

/// `wait` in whole seconds, rounded up, at least 1.
pub(crate) fn seconds_up(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

impl Generations {
    fn get(&self, address: IpAddr) -> Option<i64> {
        self.young.get(&address).or_else(|| self.old.get(&address)).copied()
    }

    fn put(&mut self, address: IpAddr, full_at: i64) {
        if self.young.len() >= REMEMBERED && !self.young.contains_key(&address) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(address, full_at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limiter = Limiter::new(&RateLimit { per_second: 10, burst: 3 });
        for _ in 0..3 {
            limiter.admit(HOME, at(0)).unwrap();
        }
        let refused = limiter.admit(HOME, at(0)).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        assert_eq!(refused.retry_delay(), Some(Duration::from_millis(100)));
        limiter.admit(HOME, at(100)).unwrap();
        assert!(limiter.admit(HOME, at(199)).is_err());
        // A refusal takes nothing.
        limiter.admit(HOME, at(200)).unwrap();
    }

    #[test]
    fn addresses_do_not_share_a_bucket_and_a_rest_fills_it() {
        let limiter = Limiter::new(&RateLimit { per_second: 1, burst: 1 });
        limiter.admit(HOME, at(0)).unwrap();
        limiter.admit(IpAddr::V4(Ipv4Addr::BROADCAST), at(0)).unwrap();
        assert!(limiter.admit(HOME, at(999)).is_err());
        limiter.admit(HOME, at(60_000)).unwrap();
        assert!(limiter.admit(HOME, at(60_000)).is_err(), "an hour's rest is worth one burst");
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new(&RateLimit { per_second: 1, burst: 1 });
        for n in 0..100_000_u32 {
            limiter.admit(IpAddr::V4(Ipv4Addr::from_bits(n)), at(0)).unwrap();
        }
        let buckets = limiter.buckets.lock();
        assert!(buckets.young.len() + buckets.old.len() <= 2 * REMEMBERED);
    }
}
