//! Slows down who guesses passwords: a growing wait per account after repeated failures.
//!
//! It is kept in memory, per process: with several processes of this role the guesser gets as
//! many times the tries, and a restart forgets. It is kept for addresses that nobody registered
//! too, so that it does not tell which are. The limit per network address is the gateway's.

use std::{collections::HashMap, time::Duration};

use bistro_core::Timestamp;

/// Failures in a row that cost nothing: people mistype.
const FREE: u32 = 10;
/// The wait after the first failure that costs; it doubles with each one after.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait. Longer ones would let anybody lock the account's owner out.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// After this long without a try, the failures are forgotten.
const FORGET: Duration = Duration::from_mins(15);
/// Accounts that are remembered at most.
const REMEMBERED: usize = 10_000;

/// Names an account without telling its address.
pub(crate) type Account = [u8; 32];

#[derive(Clone, Copy)]
struct Tries {
    /// That have not succeeded, those under way included.
    count: u32,
    last: Timestamp,
    not_before: Timestamp,
}

/// The tries of each account that was tried lately.
#[derive(Default)]
pub(crate) struct Throttle {
    tries: HashMap<Account, Tries>,
}

impl Throttle {
    /// Begins a try, or says how long to wait before the next one.
    ///
    /// A try counts as failed until [`Throttle::succeeded`], so that many at once gain nothing.
    pub(crate) fn begin(&mut self, account: Account, now: Timestamp) -> Result<(), Duration> {
        let known = self.tries.get(&account).filter(|tries| now.since(tries.last) < FORGET);
        let count = match known {
            Some(tries) if now < tries.not_before => return Err(tries.not_before.since(now)),
            Some(tries) => tries.count.saturating_add(1),
            None => 1,
        };
        if !self.tries.contains_key(&account) {
            self.make_room(now);
        }
        let not_before = now + wait_after(count);
        self.tries.insert(account, Tries { count, last: now, not_before });
        Ok(())
    }

    /// The try had the right password: the account's failures are forgotten.
    pub(crate) fn succeeded(&mut self, account: &Account) {
        self.tries.remove(account);
    }

    /// The try came to nothing for a reason of ours: it is taken back.
    pub(crate) fn withdrawn(&mut self, account: &Account, now: Timestamp) {
        if let Some(tries) = self.tries.get_mut(account) {
            tries.count = tries.count.saturating_sub(1);
            tries.not_before = now;
        }
    }

    /// Forgets what is old; failing that, whoever failed least and longest ago. A flood of made-up
    /// addresses thus pushes out itself, not an account under attack.
    fn make_room(&mut self, now: Timestamp) {
        if self.tries.len() < REMEMBERED {
            return;
        }
        self.tries.retain(|_, tries| now.since(tries.last) < FORGET);
        if self.tries.len() < REMEMBERED {
            return;
        }
        let least = self.tries.iter().min_by_key(|(_, tries)| (tries.count, tries.last));
        if let Some(account) = least.map(|(account, _)| *account) {
            self.tries.remove(&account);
        }
    }
}

/// How long to wait after `count` failures in a row.
fn wait_after(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(more)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: Account = [1; 32];

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn failed(count: u32) -> Throttle {
        let mut throttle = Throttle::default();
        for _ in 0..count {
            throttle.begin(ACCOUNT, at(0)).unwrap();
        }
        throttle
    }

    fn numbered(number: u32) -> Account {
        let mut account = [0; 32];
        account[..4].copy_from_slice(&number.to_be_bytes());
        account
    }

    #[test]
    fn the_wait_begins_after_the_free_tries_and_doubles() {
        let mut throttle = failed(FREE);
        assert_eq!(throttle.begin(ACCOUNT, at(0)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.begin(ACCOUNT, at(1)), Ok(()));
        assert_eq!(throttle.begin(ACCOUNT, at(1)), Err(Duration::from_secs(2)));
        assert_eq!(throttle.begin([2; 32], at(1)), Ok(()));
        assert_eq!(wait_after(FREE + 2), Duration::from_secs(4));
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn success_and_time_forget() {
        let mut throttle = failed(FREE);
        throttle.succeeded(&ACCOUNT);
        assert_eq!(throttle.begin(ACCOUNT, at(0)), Ok(()));
        let mut throttle = failed(FREE);
        let later = at(0) + FORGET;
        assert_eq!(throttle.begin(ACCOUNT, later), Ok(()));
        assert_eq!(throttle.begin(ACCOUNT, later), Ok(()));
    }

    #[test]
    fn a_try_that_is_taken_back_costs_nothing() {
        let mut throttle = failed(FREE);
        throttle.withdrawn(&ACCOUNT, at(0));
        assert_eq!(throttle.begin(ACCOUNT, at(0)), Ok(()));
        assert_eq!(throttle.begin(ACCOUNT, at(0)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_is_attacked() {
        let mut throttle = failed(FREE);
        for number in 0..10_200 {
            throttle.begin(numbered(number), at(0)).unwrap();
        }
        assert_eq!(throttle.tries.len(), REMEMBERED);
        assert!(throttle.begin(ACCOUNT, at(0)).is_err());
    }

    proptest! {
        #[test]
        fn nobody_tries_more_often_than_the_waits_allow(gaps in prop::collection::vec(0_i64..2_000, 1..200)) {
            let mut throttle = Throttle::default();
            let (mut now, mut tries) = (0, 0_u32);
            for gap in gaps {
                now += gap;
                if throttle.begin(ACCOUNT, Timestamp::from_millis(now)).is_ok() {
                    tries += 1;
                }
            }
            // Gaps stay far below FORGET, so that nothing is forgotten meanwhile.
            let earned = (FREE..tries).map(wait_after).sum::<Duration>();
            prop_assert!(earned.as_millis() <= u128::try_from(now).unwrap());
        }
    }
}
