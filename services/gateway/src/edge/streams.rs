//! How many live streams are open: a gauge, and a bound for each user and for the process.
//!
//! A stream costs memory and a connection for as long as its reader likes, and is no request in
//! progress any more, so the other limits do not see it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_config::LiveStreams;
use bistro_core::{Error, ErrorCode, Id, kinds};
use parking_lot::Mutex;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// How long to wait before trying again: streams end when a screen is closed, an order has ended,
/// or an access token would, and nobody knows which comes first.
const TRY_AGAIN: Duration = Duration::from_secs(10);

type User = Id<kinds::User>;

/// The places for live streams.
pub(crate) struct Streams {
    most: LiveStreams,
    open: Arc<Mutex<Open>>,
    gauge: IntGaugeVec,
}

/// How many are open.
#[derive(Default)]
struct Open {
    all: u32,
    /// Only of those who have one.
    by_user: HashMap<User, u32>,
}

impl Streams {
    /// Places for as many as `most` says; their metrics are registered. `events` are what streams
    /// tell of.
    pub(crate) fn register(
        most: LiveStreams,
        events: &[&str],
        registry: &Registry,
    ) -> Result<Self, Error> {
        let options = Opts::new(
            "bistro_gateway_live_streams",
            "Live streams that are open now, by what they tell of",
        );
        let gauge = IntGaugeVec::new(options, &["event"]).map_err(Error::internal)?;
        registry.register(Box::new(gauge.clone())).map_err(Error::internal)?;
        for event in events {
            gauge.with_label_values(&[*event]);
        }
        Ok(Self { most, open: Arc::default(), gauge })
    }

    /// Takes a place for a stream of `event` that `user` reads, until the guard is dropped. Whoever
    /// is no user (the operator) has no limit but the process's.
    pub(crate) fn take(&self, event: &str, user: Option<User>) -> Result<StreamGuard, Error> {
        let mut open = self.open.lock();
        // Who has too many learns that first: waiting for others would not help.
        if let Some(user) = user
            && open.by_user.get(&user).is_some_and(|mine| *mine >= self.most.per_user)
        {
            let message = format!(
                "you follow {} things at once already; close one of those streams first",
                self.most.per_user
            );
            return Err(Error::new(ErrorCode::RateLimited, message).retry_after(TRY_AGAIN));
        }
        if open.all >= self.most.per_process {
            let message = "more live streams are open than are kept at once; try again later";
            return Err(Error::new(ErrorCode::Unavailable, message).retry_after(TRY_AGAIN));
        }
        open.all += 1;
        if let Some(user) = user {
            *open.by_user.entry(user).or_default() += 1;
        }
        drop(open);
        let counted = self.gauge.with_label_values(&[event]);
        counted.inc();
        Ok(StreamGuard { user, open: Arc::clone(&self.open), counted })
    }
}

/// The place of a live stream.
pub(crate) struct StreamGuard {
    user: Option<User>,
    open: Arc<Mutex<Open>>,
    counted: IntGauge,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.counted.dec();
        let mut open = self.open.lock();
        open.all -= 1;
        if let Some(user) = self.user
            && let Some(mine) = open.by_user.get_mut(&user)
        {
            *mine -= 1;
            if *mine == 0 {
                open.by_user.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn streams(per_user: u32, per_process: u32) -> Streams {
        let most = LiveStreams { per_user, per_process };
        Streams::register(most, &["order", "ticket"], &Registry::new()).unwrap()
    }

    fn user(number: u128) -> User {
        Id::from_bits(number)
    }

    fn refused(streams: &Streams, who: Option<User>) -> ErrorCode {
        let error = streams.take("order", who).err().unwrap();
        assert_eq!(error.retry_delay(), Some(TRY_AGAIN));
        error.code()
    }

    #[test]
    fn a_user_has_so_many_and_another_user_has_them_too() {
        let streams = streams(2, 10);
        let first = streams.take("order", Some(user(1))).unwrap();
        let _second = streams.take("ticket", Some(user(1))).unwrap();
        assert_eq!(refused(&streams, Some(user(1))), ErrorCode::RateLimited);
        let _other = streams.take("order", Some(user(2))).unwrap();
        assert_eq!(streams.gauge.with_label_values(&["order"]).get(), 2);
        drop(first);
        assert_eq!(streams.gauge.with_label_values(&["order"]).get(), 1);
        let _third = streams.take("order", Some(user(1))).unwrap();
        assert_eq!(refused(&streams, Some(user(1))), ErrorCode::RateLimited);
    }

    #[test]
    fn the_process_has_so_many_and_the_operator_no_limit_but_that() {
        let streams = streams(2, 4);
        let mut open: Vec<_> = (0..3).map(|_| streams.take("order", None).unwrap()).collect();
        open.push(streams.take("order", Some(user(1))).unwrap());
        assert_eq!(refused(&streams, Some(user(1))), ErrorCode::Unavailable);
        assert_eq!(refused(&streams, None), ErrorCode::Unavailable);
        open.pop();
        open.push(streams.take("order", Some(user(2))).unwrap());
        assert_eq!(refused(&streams, Some(user(2))), ErrorCode::Unavailable);
    }

    proptest! {
        /// Whoever comes and goes, nobody has more than there is, and in the end nothing is left.
        #[test]
        fn places_are_neither_lost_nor_made(
            steps in prop::collection::vec(
                (any::<bool>(), 0..3_u128, any::<prop::sample::Index>()), 1..200,
            ),
        ) {
            let streams = streams(3, 7);
            let mut guards: Vec<(u128, StreamGuard)> = Vec::new();
            for (comes, number, which) in steps {
                if comes {
                    let mine = guards.iter().filter(|(whose, _)| *whose == number).count();
                    let room = guards.len() < 7 && (number == 0 || mine < 3);
                    let who = (number > 0).then(|| user(number));
                    let taken = streams.take("order", who);
                    prop_assert_eq!(taken.is_ok(), room);
                    guards.extend(taken.ok().map(|guard| (number, guard)));
                } else if !guards.is_empty() {
                    guards.swap_remove(which.index(guards.len()));
                }
                prop_assert_eq!(streams.open.lock().all as usize, guards.len());
            }
            drop(guards);
            let open = streams.open.lock();
            prop_assert!(open.all == 0 && open.by_user.is_empty());
        }
    }
}
