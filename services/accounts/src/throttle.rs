//! Slows down who guesses passwords: a growing wait after repeated failures.
//!
//! Failures count for an account *from a network*, so that a stranger's do not keep the owner out,
//! and beside that for the account from anywhere, with ten times the patience, so that guessing from
//! many networks is slowed down too. What fails at many accounts from one network is counted in
//! `networks`. It is kept in memory, per process: with several processes of this role the guesser
//! gets as many times the tries, and a restart forgets. It is kept for addresses that nobody
//! registered too, so that it does not tell which are. How often a network may ask at all is the
//! gateway's.

use std::{collections::HashMap, hash::Hash, time::Duration};

use bistro_core::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::networks::Networks;

/// Failures in a row that cost nothing: people mistype.
const FREE: u32 = 10;
/// Failures in a row, from anywhere, that cost nothing.
const FREE_FROM_ANYWHERE: u32 = 100;
/// The wait after the first failure that costs; it doubles with each one after.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait. Longer ones would let anybody lock the account's owner out.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// After this long without a try, the failures are forgotten.
const FORGET: Duration = Duration::from_mins(15);
/// Names that are remembered at most.
pub(crate) const REMEMBERED: usize = 10_000;

/// Names an account, or a network, without telling what it is.
pub(crate) type Name = [u8; 32];

/// Names what `text` is of `kind`.
pub(crate) fn name(kind: &str, text: &str) -> Name {
    Sha256::digest(format!("{kind} {text}")).into()
}

/// A try to log in: into which account, from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    account: Name,
    /// None if nobody says where it is from, as for a registration that is repeated: those of
    /// everybody are not one network.
    network: Option<Name>,
}

impl Try {
    /// Somebody in `network`, which is empty if it is not known, tries to be who has the address
    /// `email`.
    pub(crate) fn of(email: &str, network: &str) -> Self {
        let network = (!network.is_empty()).then(|| name("network", network));
        Self { account: name("account", email), network }
    }
}

/// The tries to log in of late.
pub(crate) struct Logins {
    from_network: Throttle<(Name, Option<Name>)>,
    from_anywhere: Throttle<Name>,
    /// Whatever the account.
    networks: Networks,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            from_network: Throttle::default(),
            from_anywhere: Throttle::with(FREE_FROM_ANYWHERE),
            networks: Networks::default(),
        }
    }
}

impl Logins {
    /// Begins a try, or says how long to wait before the next one. One that has to wait counts for
    /// nothing.
    pub(crate) fn begin(&mut self, one: Try, now: Timestamp) -> Result<(), Duration> {
        self.from_network.check((one.account, one.network), now)?;
        self.from_anywhere.check(one.account, now)?;
        if let Some(network) = &one.network {
            self.networks.check(network, now)?;
        }
        self.from_network.count((one.account, one.network), now);
        self.from_anywhere.count(one.account, now);
        if let Some(network) = one.network {
            self.networks.count(network, now);
        }
        Ok(())
    }

    /// The try had the right password: the account's failures from there, and those that count from
    /// anywhere, are forgotten. Those of other accounts from there are not.
    pub(crate) fn succeeded(&mut self, one: Try) {
        self.from_network.succeeded(&(one.account, one.network));
        self.from_anywhere.succeeded(&one.account);
        self.take_back(one);
    }

    /// The try came to nothing for a reason of ours: it is taken back.
    pub(crate) fn withdrawn(&mut self, one: Try, now: Timestamp) {
        self.from_network.withdrawn(&(one.account, one.network), now);
        self.from_anywhere.withdrawn(&one.account, now);
        self.take_back(one);
    }

    fn take_back(&mut self, one: Try) {
        if let Some(network) = &one.network {
            self.networks.take_back(network);
        }
    }

    /// The account has another password: whatever was tried, nobody has to wait for it.
    pub(crate) fn forget(&mut self, email: &str) {
        let account = name("account", email);
        self.from_network.tries.retain(|(of, _), _| *of != account);
        self.from_anywhere.succeeded(&account);
    }
}

#[derive(Clone, Copy)]
struct Tries {
    /// That have not succeeded, those under way included.
    count: u32,
    last: Timestamp,
    not_before: Timestamp,
}

/// The tries of each of those that were tried lately.
pub(crate) struct Throttle<K> {
    /// Failures in a row that cost nothing.
    free: u32,
    tries: HashMap<K, Tries>,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self::with(FREE)
    }
}

impl<K> Throttle<K> {
    fn with(free: u32) -> Self {
        Self { free, tries: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Throttle<K> {
    /// Begins a try, or says how long to wait before the next one.
    ///
    /// A try counts as failed until [`Throttle::succeeded`], so that many at once gain nothing.
    pub(crate) fn begin(&mut self, of: K, now: Timestamp) -> Result<(), Duration> {
        self.check(of, now)?;
        self.count(of, now);
        Ok(())
    }

    /// Says how long to wait before the next try, if that is not now.
    fn check(&self, of: K, now: Timestamp) -> Result<(), Duration> {
        match self.known(of, now) {
            Some(tries) if now < tries.not_before => Err(tries.not_before.since(now)),
            _ => Ok(()),
        }
    }

    fn count(&mut self, of: K, now: Timestamp) {
        let count = self.known(of, now).map_or(0, |tries| tries.count).saturating_add(1);
        if !self.tries.contains_key(&of) {
            self.make_room(now);
        }
        let not_before = now + wait_after(count, self.free);
        self.tries.insert(of, Tries { count, last: now, not_before });
    }

    fn known(&self, of: K, now: Timestamp) -> Option<Tries> {
        self.tries.get(&of).filter(|tries| now.since(tries.last) < FORGET).copied()
    }

    /// The try was right: the failures are forgotten.
    pub(crate) fn succeeded(&mut self, of: &K) {
        self.tries.remove(of);
    }

    /// The try came to nothing for a reason of ours: it is taken back.
    pub(crate) fn withdrawn(&mut self, of: &K, now: Timestamp) {
        if let Some(tries) = self.tries.get_mut(of) {
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
        if let Some(of) = least.map(|(of, _)| *of) {
            self.tries.remove(&of);
        }
    }
}

/// How long to wait after `count` failures in a row, of which `free` cost nothing.
fn wait_after(count: u32, free: u32) -> Duration {
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(more)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::networks::{LEAVES_EVERY, ROOM};

    const ACCOUNT: Name = [1; 32];

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn failed(count: u32) -> Throttle<Name> {
        let mut throttle = Throttle::default();
        for _ in 0..count {
            throttle.begin(ACCOUNT, at(0)).unwrap();
        }
        throttle
    }

    fn numbered(number: u32) -> Name {
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
        assert_eq!(wait_after(FREE + 2, FREE), Duration::from_secs(4));
        assert_eq!(wait_after(u32::MAX, FREE), LONGEST_WAIT);
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
    fn a_stranger_elsewhere_does_not_keep_the_owner_out() {
        let mut logins = Logins::default();
        let (owner, stranger) =
            (Try::of("ada@example.org", "home"), Try::of("ada@example.org", "far"));
        let mut refused = 0;
        // A minute long, ten times a second.
        for tenth in 0..600 {
            refused += u32::from(
                logins.begin(stranger, at(0) + Duration::from_millis(tenth * 100)).is_err(),
            );
        }
        assert!(refused > 500, "{refused}");
        assert_eq!(logins.begin(owner, at(60)), Ok(()));
        logins.succeeded(owner);
        // That the owner came in does not help the stranger.
        assert!(logins.begin(stranger, at(60)).is_err());
        // A new password does not make anybody wait.
        logins.forget("ada@example.org");
        assert_eq!(logins.begin(stranger, at(60)), Ok(()));
    }

    #[test]
    fn many_networks_together_wait_for_one_account() {
        let mut logins = Logins::default();
        for number in 0..FREE_FROM_ANYWHERE {
            let one = Try::of("ada@example.org", &number.to_string());
            assert_eq!(logins.begin(one, at(0)), Ok(()));
        }
        let next = Try::of("ada@example.org", "one more");
        assert_eq!(logins.begin(next, at(0)), Err(FIRST_WAIT));
        // Who has to wait is not counted: neither there nor from anywhere.
        assert_eq!(logins.begin(next, at(0)), Err(FIRST_WAIT));
        assert_eq!(logins.begin(Try::of("eve@example.org", "one more"), at(0)), Ok(()));
        assert_eq!(logins.begin(next, at(1)), Ok(()));
        logins.withdrawn(next, at(1));
        assert_eq!(logins.begin(next, at(1)), Ok(()));
    }

    /// Fails at one account after the other, twice each, until the network has to wait.
    fn sprayed() -> Logins {
        let mut logins = Logins::default();
        for number in 0..ROOM {
            let one = Try::of(&format!("{}@example.org", number / 2), "far");
            assert_eq!(logins.begin(one, at(0)), Ok(()));
        }
        logins
    }

    #[test]
    fn few_tries_at_many_accounts_wait_for_their_network() {
        let mut logins = sprayed();
        let next = Try::of("one-more@example.org", "far");
        assert_eq!(logins.begin(next, at(0)), Err(LEAVES_EVERY));
        // Who has to wait is not counted, and elsewhere nobody has to.
        assert_eq!(logins.begin(next, at(0)), Err(LEAVES_EVERY));
        assert_eq!(logins.begin(Try::of("0@example.org", "home"), at(0)), Ok(()));
        assert_eq!(logins.begin(next, at(0) + LEAVES_EVERY), Ok(()));
        // A new password of one account makes no room for tries at the others.
        logins.forget("0@example.org");
        assert!(logins.begin(next, at(0) + LEAVES_EVERY).is_err());
    }

    #[test]
    fn those_whom_nobody_places_do_not_wait_for_each_other() {
        let mut logins = Logins::default();
        for number in 0..=ROOM {
            let one = Try::of(&format!("{number}@example.org"), "");
            assert_eq!(logins.begin(one, at(0)), Ok(()));
        }
    }

    #[test]
    fn an_account_of_ones_own_makes_no_room_for_tries_at_others() {
        let mut logins = sprayed();
        let later = at(0) + LEAVES_EVERY;
        let own = Try::of("mallory@example.org", "far");
        assert_eq!(logins.begin(own, later), Ok(()));
        logins.succeeded(own);
        let next = Try::of("one-more@example.org", "far");
        assert_eq!(logins.begin(next, later), Ok(()), "as if the other had not been");
        assert_eq!(logins.begin(own, later), Err(LEAVES_EVERY));
        // What failed for a reason of ours is no failure of theirs.
        logins.withdrawn(next, later);
        assert_eq!(logins.begin(own, later), Ok(()));
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
            let earned = (FREE..tries).map(|count| wait_after(count, FREE)).sum::<Duration>();
            prop_assert!(earned.as_millis() <= u128::try_from(now).unwrap());
        }
    }
}
