//! How many deliveries are in each state, and for how long: which ones nobody comes for, and which
//! ones somebody has taken and not brought.

use std::time::Duration;

use bistro_core::{Error, Timestamp};
use bistro_eventing::{Engine, Tick};
use bistro_store::{Query, StoreExt as _};
use prometheus::{IntGaugeVec, Opts, Registry};

use crate::delivery::{Delivery, OPEN, State};

/// When they are counted.
pub(crate) const TICK: Tick = Tick { name: "gauges", every: Duration::from_secs(15) };
/// Deliveries that are counted, the oldest; together as many say at least this many.
const COUNTED: u32 = 1_000;

pub(crate) struct Gauges {
    open: IntGaugeVec,
    oldest: IntGaugeVec,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, Error> {
            let gauge =
                IntGaugeVec::new(Opts::new(name, help), &["state"]).map_err(Error::internal)?;
            registry.register(Box::new(gauge.clone())).map_err(Error::internal)?;
            Ok(gauge)
        };
        Ok(Self {
            open: gauge(
                "bistro_delivery_open_deliveries",
                "Deliveries that have not ended, of the 1000 oldest",
            )?,
            oldest: gauge(
                "bistro_delivery_oldest_age_seconds",
                "How long the oldest delivery has waited to be picked up, or since it was, in seconds",
            )?,
        })
    }

    pub(crate) async fn refresh(&self, engine: &Engine) -> Result<(), Error> {
        let query = Query::prefix::<Delivery>(OPEN, &Delivery::open_keys()).limit(COUNTED);
        let open = engine.store().list::<Delivery>(query).await?.items;
        for state in [State::Pending, State::Assigned, State::PickedUp] {
            let all = open.iter().map(|one| &one.value).filter(|one| one.state == state);
            let (count, oldest) = count(all, engine.now());
            let labels = &[state.as_str()];
            self.open.with_label_values(labels).set(count);
            self.oldest.with_label_values(labels).set(oldest);
        }
        Ok(())
    }
}

/// How many they are, and the age of the oldest in seconds. One that goes from courier to courier
/// has waited since it was made.
fn count<'a>(all: impl Iterator<Item = &'a Delivery>, now: Timestamp) -> (i64, i64) {
    let since = |one: &Delivery| match one.state {
        State::PickedUp => one.changed_at,
        _ => one.created_at,
    };
    all.fold((0, 0), |(count, oldest), one| {
        let age = i64::try_from(now.since(since(one)).as_secs()).unwrap_or(i64::MAX);
        (count + 1, oldest.max(age))
    })
}

#[cfg(test)]
mod tests {
    use bistro_core::Id;

    use super::*;
    use crate::delivery::Step;

    #[test]
    fn what_is_passed_on_grows_older_and_what_is_picked_up_begins_anew() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut passed = Delivery::new(Id::from_bits(1), Id::from_bits(2), at(0));
        passed.assign(Id::from_bits(9), at(10)).unwrap();
        passed.take(Step::Lapse, at(20)).unwrap();
        let young = Delivery::new(Id::from_bits(3), Id::from_bits(2), at(25));
        assert_eq!(count([&young, &passed].into_iter(), at(30)), (2, 30));
        passed.assign(Id::from_bits(9), at(30)).unwrap();
        passed.take(Step::PickUp, at(40)).unwrap();
        assert_eq!(count([&passed].into_iter(), at(45)), (1, 5));
        assert_eq!(count([].into_iter(), at(45)), (0, 0));
    }
}
