//! Brings deliveries and couriers together.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, GeoPoint, Id, PageRequest, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned, Work};
use tokio::sync::Notify;
use tracing::warn;

use crate::{
    choice::{Near, has_passed, neighbours, pick_nearest, pick_neighbour},
    courier::Courier,
    delivery::{BY_RESTAURANT, Delivery, PENDING, Step},
    free::FreeCouriers,
    parting::Parting,
    positions::Positions,
    shift::Shift,
};

/// The timer of a courier who has not picked up yet.
pub(crate) const OFFER_TIMER: &str = "offer";
/// Waiting deliveries that are read at once.
const WAITING: u32 = 64;
/// Couriers with a known position that are considered, nearest first; they are read in parts.
const NEAREST: usize = 256;
/// Those that are read at once.
const NEAR_AT_ONCE: usize = 32;

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
    positions: Positions,
    offer_timeout: Duration,
    /// How far apart the drop-offs of neighbours may be; 0: nothing is brought together.
    batch_radius_m: f64,
    nudged: Arc<Notify>,
}

impl Assigner {
    pub(crate) fn new(
        engine: Engine,
        positions: Positions,
        offer_timeout: Duration,
        batch_radius_m: u32,
    ) -> Self {
        Self {
            engine,
            positions,
            offer_timeout,
            batch_radius_m: f64::from(batch_radius_m),
            nudged: Arc::default(),
        }
    }

    /// What is known of where couriers are.
    pub(crate) const fn positions(&self) -> &Positions {
        &self.positions
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
    pub(crate) async fn round(&self) -> Result<(), Error> {
        let mut page = PageRequest::first(WAITING);
        let mut free = FreeCouriers::unread();
        loop {
            let query = Query::prefix::<Delivery>(PENDING, &Key::new()).page(&page)?;
            let waiting = self.engine.store().list::<Delivery>(query).await?;
            for delivery in &waiting.items {
                match self.choose_of(&mut free, delivery).await? {
                    Choice::Courier(courier) => {
                        self.assign(&mut free, delivery, &courier).await?;
                    }
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
        free: &mut FreeCouriers,
        delivery: &Versioned<Delivery>,
        courier: &Versioned<Courier>,
    ) -> Result<(), Error> {
        let cause = Cause::Tick { name: format!("assign/{}/{}", delivery.id, delivery.version) };
        let mut work = self.engine.work(cause);
        let now = work.time;
        let mut after = delivery.value.clone();
        self.give(&mut work, &mut after, courier, |work, after| {
            work.replace(delivery, after).map(|_| ())
        })?;
        match self.engine.commit(work).await {
            Ok(_) => {
                free.gave(courier, now);
                Ok(())
            }
            // Somebody else was quicker, with the courier or with the delivery: look again.
            Err(StoreError::Conflict { .. }) => {
                free.leave_out(courier.id);
                self.nudge();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A free courier for `delivery`, of those who have not declined it: one who fetches food for
    /// the neighbourhood there anyway, then the nearest, then whose turn it is. Who let it pass is
    /// asked again only when nobody else is free.
    pub(crate) async fn choose(&self, delivery: &Delivery) -> Result<Choice, Error> {
        self.choose_of(&mut FreeCouriers::unread(), delivery).await
    }

    async fn choose_of(
        &self,
        free: &mut FreeCouriers,
        delivery: &Delivery,
    ) -> Result<Choice, Error> {
        if let Some(courier) = self.in_the_neighbourhood(delivery).await? {
            return Ok(Choice::Courier(courier));
        }
        if let Some(from) = delivery.from
            && let Some(courier) = self.nearest(delivery, from).await?
        {
            return Ok(Choice::Courier(courier));
        }
        free.by_turns(&self.engine, delivery).await
    }

    async fn in_the_neighbourhood(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<Versioned<Courier>>, Error> {
        if delivery.to.is_none() || self.batch_radius_m <= 0.0 {
            return Ok(None);
        }
        let prefix = Delivery::keys_of(delivery.restaurant);
        let query = Query::prefix::<Delivery>(BY_RESTAURANT, &prefix)
            .descending()
            .limit(PageRequest::MAX_LIMIT);
        let others = self.engine.store().list::<Delivery>(query).await?.items;
        let mut groups = neighbours(delivery, &others, self.batch_radius_m);
        groups.retain(|group| !has_passed(group.courier, delivery));
        if groups.is_empty() {
            return Ok(None);
        }
        let ids: Vec<_> = groups.iter().map(|group| group.courier.to_string()).collect();
        let couriers = self.engine.store().load_many::<Courier>(&ids).await?;
        Ok(pick_neighbour(&couriers, &groups, delivery).cloned())
    }

    async fn nearest(
        &self,
        delivery: &Delivery,
        from: GeoPoint,
    ) -> Result<Option<Versioned<Courier>>, Error> {
        let mut known = self.positions.nearest(from, NEAREST, self.engine.now());
        known.retain(|(_, courier)| !has_passed(*courier, delivery));
        let mut near: Vec<Near> = Vec::new();
        for part in known.chunks(NEAR_AT_ONCE) {
            // It costs at least the distance to ask anybody who is farther away.
            let best = pick_nearest(&near, delivery).map(Near::cost);
            if best.zip(part.first()).is_some_and(|(best, (metres, _))| best <= *metres) {
                break;
            }
            let ids: Vec<_> = part.iter().map(|(_, courier)| courier.to_string()).collect();
            let couriers = self.engine.store().load_many::<Courier>(&ids).await?;
            near.extend(couriers.into_iter().filter_map(|courier| {
                let (metres, _) = part.iter().find(|(_, id)| *id == courier.id)?;
                Some(Near { metres: *metres, courier })
            }));
        }
        Ok(pick_nearest(&near, delivery).map(|one| one.courier.clone()))
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

    /// Fills `work` with one delivery less for `courier`, who is rid of `delivery` by `step`.
    pub(crate) async fn relieve(
        &self,
        work: &mut Work,
        courier: Id<kinds::Courier>,
        delivery: Id<kinds::Delivery>,
        step: Step,
    ) -> Result<(), Error> {
        let before = self.engine.store().require::<Courier, _>("courier", courier).await?;
        let mut after = before.value.clone();
        after.put_down(work.time);
        let counted_late = if step == Step::DropOff { after.count_delivered() } else { None };
        work.replace(&before, &after)?;
        if let Some(shift) = counted_late {
            work.adjust::<Shift>(shift, Shift::DELIVERIES, 1, 0);
        }
        if matches!(step, Step::Decline | Step::Lapse) {
            self.part(work, courier, delivery).await?;
        }
        Ok(())
    }

    /// Fills `work` with that `delivery` goes on without `courier`.
    async fn part(
        &self,
        work: &mut Work,
        courier: Id<kinds::Courier>,
        delivery: Id<kinds::Delivery>,
    ) -> Result<(), Error> {
        let parting = Parting { courier, delivery, at: work.time };
        let id = Parting::id_of(delivery, courier);
        match self.engine.store().load::<Parting>(&id).await? {
            Some(before) => work.replace(&before, &parting)?,
            None => work.insert(&parting)?,
        };
        Ok(())
    }
}
