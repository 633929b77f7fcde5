//! How often one may ask: a token bucket for each address or user, in bounded memory.
//!
//! Who is counted is told how much is left, in the headers `RateLimit` and `RateLimit-Policy` of
//! draft-ietf-httpapi-ratelimit-headers-10.

use std::{collections::HashMap, hash::Hash, mem, time::Duration};

use bistro_config::RateLimit;
use bistro_core::{Error, ErrorCode, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

/// Buckets in one generation; two generations are kept.
const REMEMBERED: usize = 32_768;
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// A token bucket for each of those who ask.
///
/// A bucket is kept as the moment when it will be full again, in microseconds (the "generic cell
/// rate algorithm"): one number says as much as a level and the time it was read at. Of more
/// askers than are remembered, those that were seen longest ago are forgotten, and begin again
/// with a full bucket.
pub(crate) struct Limiter<K> {
    /// The policy's name in the headers.
    name: &'static str,
    policy: HeaderValue,
    /// What whoever is refused may do besides waiting.
    advice: &'static str,
    /// Microseconds between two requests at the allowed rate.
    interval: i64,
    /// Requests that a full bucket holds.
    burst: i64,
    buckets: Mutex<Generations<K>>,
}

struct Generations<K> {
    young: HashMap<K, i64>,
    old: HashMap<K, i64>,
}

/// How an asker stands after a request was counted.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    name: &'static str,
    policy: HeaderValue,
    /// Requests that are left now.
    left: i64,
    /// Seconds until the bucket is full again, rounded up.
    full_in: i64,
}

impl Standing {
    /// Tells the asker.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let text = format!("\"{}\";r={};t={}", self.name, self.left, self.full_in);
        if let Ok(left) = HeaderValue::try_from(text) {
            headers.insert(LEFT, left);
            headers.insert(POLICY, self.policy);
        }
    }
}

impl<K: Copy + Eq + Hash> Limiter<K> {
    /// A limiter that lets `limit.burst` requests through at once and `limit.per_second` on
    /// average.
    pub(crate) fn new(name: &'static str, advice: &'static str, limit: &RateLimit) -> Self {
        let interval = (1_000_000 / i64::from(limit.per_second.max(1))).max(1);
        let burst = i64::from(limit.burst.max(1));
        let window = (interval * burst).div_euclid(1_000_000).max(1);
        let policy = HeaderValue::try_from(format!("\"{name}\";q={burst};w={window}"));
        Self {
            name,
            // Letters, digits and signs of ASCII, so it always is a header value.
            policy: policy.unwrap_or(HeaderValue::from_static("")),
            advice,
            interval,
            burst,
            buckets: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }),
        }
    }

    /// Takes one token from the bucket of `asker`, or refuses and says when there will be one.
    pub(crate) fn admit(&self, asker: K, now: Timestamp) -> (Standing, Result<(), Error>) {
        let now = now.as_millis().saturating_mul(1000);
        let mut buckets = self.buckets.lock();
        let full_at = buckets.get(asker).unwrap_or(now).max(now);
        let early = full_at - self.interval * (self.burst - 1) - now;
        if early > 0 {
            drop(buckets);
            return (self.standing(full_at - now), Err(self.refusal(early)));
        }
        let full_at = full_at + self.interval;
        buckets.put(asker, full_at);
        drop(buckets);
        (self.standing(full_at - now), Ok(()))
    }

    fn standing(&self, until_full: i64) -> Standing {
        let left = (self.interval * self.burst - until_full).div_euclid(self.interval).max(0);
        let full_in = until_full.div_euclid(1_000_000) + i64::from(until_full % 1_000_000 > 0);
        Standing { name: self.name, policy: self.policy.clone(), left, full_in }
    }

    fn refusal(&self, early: i64) -> Error {
        let wait = Duration::from_micros(early.unsigned_abs());
        let message = format!(
            "too many requests from this {}; try again in {} s{}",
            self.name,
            seconds_up(wait),
            self.advice
        );
        Error::new(ErrorCode::RateLimited, message).retry_after(wait)
    }
}

/// `wait` in whole seconds, rounded up, at least 1.
pub(crate) fn seconds_up(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

impl<K: Copy + Eq + Hash> Generations<K> {
    fn get(&self, asker: K) -> Option<i64> {
        self.young.get(&asker).or_else(|| self.old.get(&asker)).copied()
    }

    fn put(&mut self, asker: K, full_at: i64) {
        if self.young.len() >= REMEMBERED && !self.young.contains_key(&asker) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(asker, full_at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    fn limiter(limit: RateLimit) -> Limiter<IpAddr> {
        Limiter::new("address", ", or log in", &limit)
    }

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limiter = limiter(RateLimit { per_second: 10, burst: 3 });
        for _ in 0..3 {
            limiter.admit(HOME, at(0)).1.unwrap();
        }
        let refused = limiter.admit(HOME, at(0)).1.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        assert_eq!(refused.retry_delay(), Some(Duration::from_millis(100)));
        limiter.admit(HOME, at(100)).1.unwrap();
        assert!(limiter.admit(HOME, at(199)).1.is_err());
        // A refusal takes nothing.
        limiter.admit(HOME, at(200)).1.unwrap();
    }

    #[test]
    fn addresses_do_not_share_a_bucket_and_a_rest_fills_it() {
        let limiter = limiter(RateLimit { per_second: 1, burst: 1 });
        limiter.admit(HOME, at(0)).1.unwrap();
        limiter.admit(IpAddr::V4(Ipv4Addr::BROADCAST), at(0)).1.unwrap();
        assert!(limiter.admit(HOME, at(999)).1.is_err());
        limiter.admit(HOME, at(60_000)).1.unwrap();
        assert!(limiter.admit(HOME, at(60_000)).1.is_err(), "an hour's rest is worth one burst");
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = limiter(RateLimit { per_second: 1, burst: 1 });
        for n in 0..100_000_u32 {
            limiter.admit(IpAddr::V4(Ipv4Addr::from_bits(n)), at(0)).1.unwrap();
        }
        let buckets = limiter.buckets.lock();
        assert!(buckets.young.len() + buckets.old.len() <= 2 * REMEMBERED);
    }

    #[test]
    fn who_is_counted_is_told_what_is_left() {
        let limiter = limiter(RateLimit { per_second: 10, burst: 30 });
        let told = |millis| {
            let mut headers = HeaderMap::new();
            limiter.admit(HOME, at(millis)).0.write(&mut headers);
            headers
        };
        let first = told(0);
        assert_eq!(first["ratelimit-policy"], "\"address\";q=30;w=3");
        assert_eq!(first["ratelimit"], "\"address\";r=29;t=1");
        for _ in 0..29 {
            told(0);
        }
        assert_eq!(told(0)["ratelimit"], "\"address\";r=0;t=3", "refused: nothing is taken");
        assert_eq!(told(1000)["ratelimit"], "\"address\";r=9;t=3");
    }

    proptest! {
        /// Whatever the pace, no more pass than the burst and what time has earned.
        #[test]
        fn the_rate_holds(
            gaps in prop::collection::vec(0_i64..500, 1..300), per_second in 1_u32..50, burst in 1_u32..20,
        ) {
            let limiter = limiter(RateLimit { per_second, burst });
            let (mut now, mut passed) = (0, 0_i64);
            for gap in gaps {
                now += gap;
                let (standing, admitted) = limiter.admit(HOME, at(now));
                prop_assert!((0..=i64::from(burst)).contains(&standing.left));
                passed += i64::from(admitted.is_ok());
            }
            let earned = now * i64::from(per_second) / 1000 + 1;
            // The interval is whole microseconds, rounded down.
            prop_assert!(passed <= i64::from(burst) + earned + now / 100_000);
        }
    }
}
