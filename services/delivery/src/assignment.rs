//! Brings deliveries and couriers together.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
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
/// Waiting deliveries that are read at once.
const WAITING: u32 = 64;

/// Who is to have a delivery.
pub(crate) enum Choice {
    Courier(Versioned<Courier>),
    /// Everybody who is free has declined it.
    Unwanted,
    /// Nobody can take anything now.
    NobodyFree,
}

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
        let stopping = self.engine.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.nudged.notified() => {}
                // Couriers of other processes become free too.
                () = tokio::time::sleep(every) => {}
            }
            if let Err(error) = self.round().await {
                warn!(cause = error.chain(), "waiting deliveries cannot be assigned");
            }
        }
    }

    /// Sees to every delivery that waits, however many older ones nobody wants, while somebody is
    /// free.
    async fn round(&self) -> Result<(), Error> {
        let mut page = PageRequest::first(WAITING);
        loop {
            let query = Query::prefix::<Delivery>(PENDING, &Key::new()).page(&page)?;
            let waiting = self.engine.store().list::<Delivery>(query).await?;
            for delivery in &waiting.items {
                match self.choose(delivery).await? {
                    Choice::Courier(courier) => self.assign(delivery, &courier).await?,
                    Choice::Unwanted => {}
                    Choice::NobodyFree => return Ok(()),
                }
            }
            match waiting.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn assign(
        &self,
        delivery: &Versioned<Delivery>,
        courier: &Versioned<Courier>,
    ) -> Result<(), Error> {
        let cause = Cause::Tick { name: format!("assign/{}/{}", delivery.id, delivery.version) };
        let mut work = self.engine.work(cause);
        let mut after = delivery.value.clone();
        self.give(&mut work, &mut after, courier, |work, after| {
            work.replace(delivery, after).map(|_| ())
        })?;
        match self.engine.commit(work).await {
            // Somebody else was quicker, with the courier or with the delivery: next round.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A free courier for `delivery`, of those who have not declined it. Who let it pass is asked
    /// again only when nobody else is free.
    pub(crate) async fn choose(&self, delivery: &Delivery) -> Result<Choice, Error> {
        let mut page = PageRequest::first(LOOKED_AT);
        let mut again: Option<Versioned<Courier>> = None;
        let mut somebody = false;
        loop {
            let query = Query::prefix::<Courier>(FREE, &Key::new()).page(&page)?;
            let free = self.engine.store().list::<Courier>(query).await?;
            somebody |= !free.items.is_empty();
            if let Some(courier) = pick(&free.items, delivery) {
                return Ok(Choice::Courier(courier.clone()));
            }
            again = pick_again(again.iter().chain(&free.items), delivery).cloned();
            let Some(next) = free.next else { break };
            page.cursor = Some(next);
        }
        Ok(match again {
            Some(courier) => Choice::Courier(courier),
            None if somebody => Choice::Unwanted,
            None => Choice::NobodyFree,
        })
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

/// Of the couriers who have neither declined `delivery` nor let it pass, one with least to bring:
/// which one follows from the delivery, so that deliveries of the same moment spread.
fn pick<'a>(free: &'a [Versioned<Courier>], delivery: &Delivery) -> Option<&'a Versioned<Courier>> {
    let passed =
        |one: &Courier| delivery.declined.contains(&one.id) || delivery.lapsed_at(one.id).is_some();
    let fresh: Vec<_> = free.iter().filter(|one| !passed(one)).collect();
    let least = fresh.iter().map(|one| one.load).min()?;
    let candidates: Vec<_> = fresh.into_iter().filter(|one| one.load == least).collect();
    let place = usize::try_from(delivery.id.bits() % candidates.len() as u128).unwrap_or(0);
    candidates.get(place).copied()
}

/// Of the couriers who let `delivery` pass and have not declined it, the one who did so longest
/// ago.
fn pick_again<'a>(
    free: impl Iterator<Item = &'a Versioned<Courier>>,
    delivery: &Delivery,
) -> Option<&'a Versioned<Courier>> {
    free.filter(|one| !delivery.declined.contains(&one.id))
        .filter_map(|one| Some((delivery.lapsed_at(one.id)?, one)))
        .min_by_key(|(at, one)| (*at, one.id))
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Step;

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

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn delivery(bits: u128) -> Delivery {
        Delivery::new(Id::from_bits(bits), Id::from_bits(2), NOW)
    }

    /// Who gets it, as [`Assigner::choose`] decides when it has seen everybody.
    fn chosen<'a>(
        free: &'a [Versioned<Courier>],
        delivery: &Delivery,
    ) -> Option<&'a Versioned<Courier>> {
        pick(free, delivery).or_else(|| pick_again(free.iter(), delivery))
    }

    #[test]
    fn the_least_loaded_who_has_not_declined_gets_it() {
        let mut delivery = delivery(4);
        delivery.declined.push(Id::from_bits(1));
        let free = [courier(1, 0), courier(2, 1), courier(3, 2)];
        assert_eq!(chosen(&free, &delivery).unwrap().id, Id::from_bits(2));
        delivery.declined.extend([Id::from_bits(2), Id::from_bits(3)]);
        assert!(chosen(&free, &delivery).is_none());
    }

    #[test]
    fn deliveries_of_one_moment_spread_over_equal_couriers() {
        let free: Vec<_> = (0..8).map(|bits| courier(bits, 0)).collect();
        let chosen: HashSet<_> =
            (0..8).filter_map(|bits| Some(pick(&free, &delivery(bits))?.id)).collect();
        assert_eq!(chosen.len(), 8);
    }

    #[test]
    fn a_courier_alone_is_offered_again_what_passed() {
        let mut delivery = delivery(4);
        delivery.assign(Id::from_bits(1), NOW).unwrap();
        delivery.take(Step::Lapse, NOW).unwrap();
        assert_eq!(chosen(&[courier(1, 0)], &delivery).unwrap().id, Id::from_bits(1));
    }

    proptest! {
        /// Whoever is free, and whatever they did before: somebody gets it unless all have
        /// declined; nobody who has declined gets it; who let it pass comes after who did not,
        /// and who let it pass lately after who did so before.
        #[test]
        fn nobody_declines_by_being_slow(
            past in prop::collection::vec((0_u128..6, any::<bool>()), 0..12),
            free in prop::collection::btree_map(0_u128..6, 0_u32..3, 0..6),
        ) {
            let mut delivery = delivery(4);
            for (millis, (bits, declines)) in (1..).zip(past) {
                let (who, now) = (Id::from_bits(bits), Timestamp::from_millis(millis));
                if delivery.declined.contains(&who) { continue }
                delivery.assign(who, now).unwrap();
                delivery.take(if declines { Step::Decline } else { Step::Lapse }, now).unwrap();
            }
            let free: Vec<_> = free.into_iter().map(|(bits, load)| courier(bits, load)).collect();
            let willing: Vec<_> =
                free.iter().filter(|one| !delivery.declined.contains(&one.id)).collect();
            let Some(chosen) = chosen(&free, &delivery) else {
                prop_assert!(willing.is_empty());
                return Ok(());
            };
            let turn = |one: &Versioned<Courier>| delivery.lapsed_at(one.id);
            prop_assert!(willing.contains(&chosen));
            prop_assert!(willing.iter().all(|one| turn(chosen) <= turn(one)));
        }
    }
}
