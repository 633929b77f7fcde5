//! Brings deliveries and couriers together.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bistro_core::{Error, Id, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned, Work};
use tokio::sync::Notify;
use tracing::warn;

use crate::{
    courier::{Courier, FREE},
    delivery::{Delivery, PENDING},
};

/// The timer of a courier who has not picked up yet.
pub(crate) const OFFER_TIMER: &str = "offer";
/// Free couriers that are looked at for one delivery. More than one, so that deliveries which are
/// ready at the same moment do not all reach for the same courier.
const LOOKED_AT: u32 = 32;
/// Waiting deliveries that one round sees to.
const ROUND: u32 = 64;

/// Assigns what waits, when a courier becomes free and every now and then.
#[derive(Clone)]
pub(crate) struct Assigner {
    engine: Engine,
    offer_timeout: Duration,
    nudged: Arc<Notify>,
}

impl Assigner {
    pub(crate) fn new(engine: Engine, offer_timeout: Duration) -> Self {
        Self { engine, offer_timeout, nudged: Arc::default() }
    }

    /// Says that a courier may have become free.
    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Assigns until the process stops.
    pub(crate) async fn run(&self, every: Duration) -> Result<(), Error> {
        loop {
            // Couriers of other processes become free too: hence the look every now and then.
            let _ = tokio::time::timeout(every, self.nudged.notified()).await;
            if let Err(error) = self.round().await {
                warn!(cause = error.chain(), "waiting deliveries cannot be assigned");
            }
        }
    }

    async fn round(&self) -> Result<(), Error> {
        let waiting = Query::prefix::<Delivery>(PENDING, &Key::new()).limit(ROUND);
        for delivery in self.engine.store().list::<Delivery>(waiting).await?.items {
            let cause =
                Cause::Tick { name: format!("assign/{}/{}", delivery.id, delivery.version) };
            let mut work = self.engine.work(cause);
            let mut after = delivery.value.clone();
            let Some(courier) = self.choose(&after).await? else { continue };
            self.give(&mut work, &mut after, &courier, |work, after| {
                work.replace(&delivery, after).map(|_| ())
            })?;
            match self.engine.commit(work).await {
                // Somebody else was quicker, with the courier or with the delivery: next round.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A free courier for `delivery`, if there is one who has not declined it.
    pub(crate) async fn choose(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<Versioned<Courier>>, Error> {
        let free = Query::prefix::<Courier>(FREE, &Key::new()).limit(LOOKED_AT);
        let free = self.engine.store().list::<Courier>(free).await?.items;
        Ok(pick(free, delivery))
    }

    /// Fills `work` with giving `delivery` to `courier`; `write` adds the delivery itself, first,
    /// since it is the anchor.
    pub(crate) fn give(
        &self,
        work: &mut Work,
        delivery: &mut Delivery,
        courier: &Versioned<Courier>,
        write: impl FnOnce(&mut Work, &Delivery) -> Result<(), StoreError>,
    ) -> Result<(), Error> {
        let now = work.time;
        delivery.assign(courier.id, now)?;
        let mut taken = courier.value.clone();
        taken.take(now)?;
        write(work, delivery)?;
        work.replace(courier, &taken)?;
        work.timer::<Delivery>(delivery.id, OFFER_TIMER, self.offer_until(now));
        Ok(())
    }

    fn offer_until(&self, now: Timestamp) -> Timestamp {
        now + self.offer_timeout
    }

    /// Fills `work` with one delivery less for `courier`.
    pub(crate) async fn relieve(
        &self,
        work: &mut Work,
        courier: Id<kinds::Courier>,
    ) -> Result<(), Error> {
        let before = self.engine.store().require::<Courier, _>("courier", courier).await?;
        let mut after = before.value.clone();
        after.put_down(work.time);
        work.replace(&before, &after)?;
        Ok(())
    }
}

/// One of the couriers with least to bring: which one follows from the delivery, so that
/// deliveries of the same moment spread.
fn pick(free: Vec<Versioned<Courier>>, delivery: &Delivery) -> Option<Versioned<Courier>> {
    let declined: HashSet<_> = delivery.declined.iter().collect();
    let least = free.iter().filter(|one| !declined.contains(&one.id)).map(|one| one.load).min()?;
    let mut candidates: Vec<_> =
        free.into_iter().filter(|one| one.load == least && !declined.contains(&one.id)).collect();
    let place = usize::try_from(delivery.id.bits() % candidates.len() as u128).unwrap_or(0);
    Some(candidates.swap_remove(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn courier(bits: u128, load: u32) -> Versioned<Courier> {
        let value = Courier {
            id: Id::from_bits(bits),
            name: String::new(),
            on_duty: true,
            load,
            capacity: 3,
            changed_at: Timestamp::from_millis(0),
        };
        Versioned { value, version: 1 }
    }

    #[test]
    fn the_least_loaded_who_has_not_declined_gets_it() {
        let now = Timestamp::from_millis(0);
        let mut delivery = Delivery::new(Id::from_bits(4), Id::from_bits(2), now);
        delivery.declined.push(Id::from_bits(1));
        let free = || vec![courier(1, 0), courier(2, 1), courier(3, 2)];
        assert_eq!(pick(free(), &delivery).unwrap().id, Id::from_bits(2));
        delivery.declined.extend([Id::from_bits(2), Id::from_bits(3)]);
        assert!(pick(free(), &delivery).is_none());
    }

    #[test]
    fn deliveries_of_one_moment_spread_over_equal_couriers() {
        let now = Timestamp::from_millis(0);
        let chosen: HashSet<_> = (0..8)
            .filter_map(|bits| {
                let delivery = Delivery::new(Id::from_bits(bits), Id::from_bits(2), now);
                pick((0..8).map(|bits| courier(bits, 0)).collect(), &delivery)
            })
            .map(|courier| courier.id)
            .collect();
        assert_eq!(chosen.len(), 8);
    }
}
