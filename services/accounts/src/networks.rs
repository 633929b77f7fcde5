//! Slows down who tries few passwords at many accounts: failed logins of a network, whatever the
//! accounts.
//!
//! Each network has a bucket. A login that fails stays in it, and one leaves every few seconds; when
//! it is full, whoever asks from there waits until one has left. So the people of a house or an
//! office that shares one address may mistype all day long, and nobody there is ever told to wait for
//! longer than those few seconds; who works through a list of accounts gets hundreds of tries in an
//! hour, where the gateway alone would allow tens of thousands. It is kept in memory, per process, as
//! the other counts are.

use std::{collections::HashMap, time::Duration};

use bistro_core::Timestamp;

use crate::throttle::{Name, REMEMBERED};

/// Failed logins that a bucket holds: more than a shop full of people mistypes at the opening, and
/// than are under way at once, which count until they are known to be right.
pub(crate) const ROOM: u32 = 200;
/// How long it takes until one leaves: twelve mistakes a minute go on for ever.
pub(crate) const LEAVES_EVERY: Duration = Duration::from_secs(5);
/// How long a bucket that is full but for one takes to be empty.
const NEARLY_FULL: Duration = LEAVES_EVERY.saturating_mul(ROOM - 1);

/// The failed logins of each network, kept as the moment when the last of them will have left.
#[derive(Default)]
pub(crate) struct Networks {
    empty_at: HashMap<Name, Timestamp>,
}

impl Networks {
    /// Says how long to wait until there is room for one more, if that is not now.
    pub(crate) fn check(&self, network: &Name, now: Timestamp) -> Result<(), Duration> {
        let wait = self.known(network, now).since(now + NEARLY_FULL);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Puts one in.
    pub(crate) fn count(&mut self, network: Name, now: Timestamp) {
        let empty_at = self.known(&network, now) + LEAVES_EVERY;
        if !self.empty_at.contains_key(&network) {
            self.make_room(now);
        }
        self.empty_at.insert(network, empty_at);
    }

    /// Takes one out. What else is in there stays, also after a right password: who has an account
    /// of their own must not empty the bucket with it.
    pub(crate) fn take_back(&mut self, network: &Name) {
        if let Some(empty_at) = self.empty_at.get_mut(network) {
            *empty_at = *empty_at - LEAVES_EVERY;
        }
    }

    fn known(&self, network: &Name, now: Timestamp) -> Timestamp {
        self.empty_at.get(network).map_or(now, |empty_at| now.max(*empty_at))
    }

    /// Forgets empty buckets; failing that, the one that will be empty first.
    fn make_room(&mut self, now: Timestamp) {
        if self.empty_at.len() < REMEMBERED {
            return;
        }
        self.empty_at.retain(|_, empty_at| now < *empty_at);
        if self.empty_at.len() < REMEMBERED {
            return;
        }
        let first = self.empty_at.iter().min_by_key(|(_, empty_at)| **empty_at);
        if let Some(network) = first.map(|(network, _)| *network) {
            self.empty_at.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Name = [1; 32];

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    fn full() -> Networks {
        let mut networks = Networks::default();
        for _ in 0..ROOM {
            networks.check(&HERE, at(0)).unwrap();
            networks.count(HERE, at(0));
        }
        networks
    }

    #[test]
    fn a_full_bucket_lets_one_in_for_each_that_leaves() {
        let mut networks = full();
        assert_eq!(networks.check(&HERE, at(0)), Err(LEAVES_EVERY));
        assert_eq!(networks.check(&HERE, at(4_999)), Err(Duration::from_millis(1)));
        assert_eq!(networks.check(&[2; 32], at(0)), Ok(()), "others are not there");
        assert_eq!(networks.check(&HERE, at(5_000)), Ok(()));
        networks.count(HERE, at(5_000));
        assert_eq!(networks.check(&HERE, at(5_000)), Err(LEAVES_EVERY));
        // After a rest it is empty, and holds no more than before.
        let rested = at(86_400_000);
        for _ in 0..ROOM {
            assert_eq!(networks.check(&HERE, rested), Ok(()));
            networks.count(HERE, rested);
        }
        assert_eq!(networks.check(&HERE, rested), Err(LEAVES_EVERY));
    }

    #[test]
    fn what_is_taken_back_makes_room_for_one() {
        let mut networks = full();
        networks.take_back(&HERE);
        assert_eq!(networks.check(&HERE, at(0)), Ok(()));
        networks.count(HERE, at(0));
        assert_eq!(networks.check(&HERE, at(0)), Err(LEAVES_EVERY));
        // Taking back what has left already earns nothing.
        let mut networks = Networks::default();
        networks.count(HERE, at(0));
        networks.take_back(&HERE);
        networks.take_back(&HERE);
        for _ in 0..ROOM {
            networks.count(HERE, at(60_000));
        }
        assert_eq!(networks.check(&HERE, at(60_000)), Err(LEAVES_EVERY));
        networks.take_back(&[2; 32]);
        assert_eq!(networks.empty_at.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_failed_most() {
        let mut networks = full();
        for number in 0..10_200_u32 {
            let mut network = [0; 32];
            network[..4].copy_from_slice(&number.to_be_bytes());
            networks.count(network, at(0));
        }
        assert_eq!(networks.empty_at.len(), REMEMBERED);
        assert!(networks.check(&HERE, at(0)).is_err());
        // What is empty goes first.
        networks.count([2; 32], at(60_000));
        assert_eq!(networks.empty_at.len(), 2, "the full one and the new one");
    }

    proptest! {
        #[test]
        fn no_more_fail_than_there_is_room_for_and_leave(
            gaps in prop::collection::vec(0_i64..4_000, 1..600),
        ) {
            let mut networks = Networks::default();
            let (mut now, mut failed) = (0, 0_i64);
            for gap in gaps {
                now += gap;
                if networks.check(&HERE, at(now)).is_ok() {
                    networks.count(HERE, at(now));
                    failed += 1;
                }
            }
            prop_assert!(failed <= i64::from(ROOM) + now / 5_000);
        }
    }
}
