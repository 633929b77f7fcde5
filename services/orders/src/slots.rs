//! Slots: how many orders a restaurant takes for one time, counted so that none overfills.
//!
//! A slot is a document with one number, which orders adjust within a guard as they come and go,
//! in the Work that places or ends them. It is there from the first order on, until its time has
//! passed; `passed_slots` removes it.

use std::{collections::HashMap, time::Duration};

use bistro_core::{Error, ErrorCode, FieldError, Id, Timestamp, kinds};
use bistro_proto::{
    catalog::v1::{GetRestaurantRequest, SlotTerms, catalog_client::CatalogClient},
    orders::v1,
};
use bistro_runtime::error_of;
use bistro_store::{Collection, Document, Index, Key, Query, StoreError, StoreExt as _, Work};
use serde::{Deserialize, Serialize};

use crate::{hours, service::OrdersService};

/// Slots of a restaurant, by their beginning.
const BY_BEGINNING: &str = "by_beginning";
/// Slots by their beginning, of whatever restaurant.
pub(crate) const BY_TIME: &str = "by_time";
/// How long after its beginning places of a slot are given back. Nobody takes one by then: a quote
/// for it has expired. It ends long before the slot is removed, so that clocks may differ.
pub(crate) const GIVEN_BACK: Duration = Duration::from_hours(12);
/// Slots that one list shows at most.
const MOST: usize = 1_000;
/// How far ahead anybody orders, whatever a restaurant says.
const MOST_AHEAD_HOURS: u32 = 366 * 24;

pub(crate) static SLOTS: Collection = Collection {
    role: "orders",
    name: "slots",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_BEGINNING), Index::new(BY_TIME)],
};

/// A slot that orders hold places in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) from: Timestamp,
    /// Nothing less a place for each order: a guard keeps it from falling below what the
    /// restaurant takes, whatever that is by then.
    pub(crate) balance: i64,
}

impl Slot {
    /// The id of the slot of `restaurant` that begins at `from`.
    pub(crate) fn id_of(restaurant: Id<kinds::Restaurant>, from: Timestamp) -> String {
        format!("{restaurant}/{}", from.as_millis())
    }

    /// How many of `capacity` places are free.
    fn free(&self, capacity: u32) -> u32 {
        u32::try_from((i64::from(capacity) + self.balance).max(0)).unwrap_or(u32::MAX)
    }
}

impl Document for Slot {
    const COLLECTION: &'static Collection = &SLOTS;

    fn id(&self) -> String {
        Self::id_of(self.restaurant, self.from)
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![
            (BY_BEGINNING, Key::new().id(self.restaurant).time(self.from)),
            (BY_TIME, Key::new().time(self.from)),
        ]
    }
}

/// A place in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) from: Timestamp,
    /// How many orders the slot holds.
    pub(crate) capacity: u32,
}

impl Place {
    /// Takes the place in `work`. `there` is the slot as it was read, if anybody had a place yet.
    pub(crate) fn take(self, work: &mut Work, there: Option<&Slot>) -> Result<(), Error> {
        let first = Slot { restaurant: self.restaurant, from: self.from, balance: -1 };
        match there {
            None if self.capacity > 0 => {
                work.insert(&first)?;
            }
            Some(slot) if slot.free(self.capacity) > 0 => {
                work.adjust::<Slot>(first.id(), "balance", -1, -i64::from(self.capacity));
            }
            _ => return Err(full()),
        }
        Ok(())
    }
}

/// Gives a place back that an order holds. Of a slot that has passed nobody wants it, and the slot
/// may not be there any more.
pub(crate) fn give_back(work: &mut Work, restaurant: Id<kinds::Restaurant>, from: Timestamp) {
    if work.time > from + GIVEN_BACK {
        return;
    }
    work.adjust::<Slot>(Slot::id_of(restaurant, from), "balance", 1, i64::MIN);
}

fn full() -> Error {
    Error::new(ErrorCode::SoldOut, "the slot is full by now; quote the order for another one")
}

/// What is wrong with an order for `wanted`, as far as the restaurant's `terms` go.
pub(crate) fn check(
    wanted: Timestamp,
    terms: &SlotTerms,
    time_zone: &str,
    now: Timestamp,
) -> Result<Option<FieldError>, Error> {
    let wrong = |message: String| Some(FieldError { path: "scheduled_for".to_owned(), message });
    if wanted <= now {
        return Ok(wrong("choose a time that has not passed".to_owned()));
    }
    if wanted > now + ahead(terms) {
        return Ok(wrong(format!("choose a time within {} hours", terms.ahead_hours)));
    }
    if !hours::begins_slot(wanted, terms.minutes, &hours::zone(time_zone)?) {
        let message = format!(
            "no slot begins then: they begin every {} minutes; \
             see GET /api/v1/restaurants/{{id}}/slots",
            terms.minutes
        );
        return Ok(wrong(message));
    }
    Ok(None)
}

/// The terms, but for what cards would not hold the money for.
pub(crate) fn held(terms: &SlotTerms, hold_time: Duration) -> SlotTerms {
    let hours = u32::try_from(hold_time.as_secs() / 3600).unwrap_or(u32::MAX);
    SlotTerms { ahead_hours: terms.ahead_hours.min(hours), ..*terms }
}

fn ahead(terms: &SlotTerms) -> Duration {
    Duration::from_hours(terms.ahead_hours.min(MOST_AHEAD_HOURS).into())
}

impl OrdersService {
    /// The slot of `restaurant` that begins at `from`, if any order has a place in it.
    pub(crate) async fn slot(
        &self,
        restaurant: Id<kinds::Restaurant>,
        from: Timestamp,
    ) -> Result<Option<Slot>, StoreError> {
        let found = self.engine.store().load::<Slot>(&Slot::id_of(restaurant, from)).await?;
        Ok(found.map(|slot| slot.value))
    }

    /// What is wrong with an order for the slot, if it is full.
    pub(crate) async fn check_free(&self, place: Place) -> Result<Option<FieldError>, Error> {
        let slot = self.slot(place.restaurant, place.from).await?;
        let free = slot.map_or(place.capacity, |slot| slot.free(place.capacity));
        Ok((free == 0).then(|| FieldError {
            path: "scheduled_for".to_owned(),
            message: "the slot is full; choose another one".to_owned(),
        }))
    }

    /// When a restaurant takes orders for later, and how many.
    pub(crate) async fn slots_of(
        &self,
        request: v1::ListSlotsRequest,
    ) -> Result<v1::ListSlotsResponse, Error> {
        let restaurant: Id<kinds::Restaurant> = request
            .restaurant_id
            .parse()
            .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
        let asked = GetRestaurantRequest { id: restaurant.to_string() };
        let found = CatalogClient::new(self.catalog.clone()).get_restaurant(asked).await;
        let found = found.map_err(|status| error_of(&status))?.into_inner();
        let profile = found.profile.unwrap_or_default();
        let Some(terms) = profile.slots.filter(|_| found.open) else {
            return Ok(v1::ListSlotsResponse::default());
        };
        let terms = held(&terms, self.config.payments.hold_time);
        let now = self.engine.now();
        // A slot that has begun cannot be ordered for any more.
        let from = Timestamp::from_millis(request.from_ms.max(now.as_millis().saturating_add(1)));
        let last = (now + ahead(&terms)).as_millis().saturating_add(1);
        let asked = if request.to_ms == 0 { i64::MAX } else { request.to_ms };
        let to = Timestamp::from_millis(last.min(asked));
        let week = profile.hours.unwrap_or_default();
        let open = |day| hours::open_on(&week, day);
        let zone = hours::zone(&found.time_zone)?;
        let begin = if from < to {
            hours::slots(from..to, terms.minutes, &zone, open, MOST)
        } else {
            Vec::new()
        };
        let taken = self.taken(restaurant, &begin).await?;
        let long = Duration::from_secs(u64::from(terms.minutes) * 60);
        let slots = begin.into_iter().map(|from| v1::Slot {
            from_ms: from.as_millis(),
            to_ms: (from + long).as_millis(),
            capacity: terms.capacity,
            free: taken.get(&from).map_or(terms.capacity, |slot| slot.free(terms.capacity)),
        });
        Ok(v1::ListSlotsResponse { slots: slots.collect() })
    }

    /// The slots between the first and the last of `begin` that orders have places in.
    async fn taken(
        &self,
        restaurant: Id<kinds::Restaurant>,
        begin: &[Timestamp],
    ) -> Result<HashMap<Timestamp, Slot>, Error> {
        let (Some(first), Some(last)) = (begin.first(), begin.last()) else {
            return Ok(HashMap::new());
        };
        let key = Key::new().id(restaurant);
        let mut query = Query::prefix::<Slot>(BY_BEGINNING, &key)
            .from(&key.clone().time(*first))
            .before(&key.time(*last + Duration::from_millis(1)))
            .limit(200);
        let mut taken = HashMap::new();
        loop {
            let page = self.engine.store().list::<Slot>(query.clone()).await?;
            taken.extend(page.items.into_iter().map(|slot| (slot.from, slot.value)));
            match page.next {
                Some(cursor) if taken.len() < MOST => {
                    query = query.page(&bistro_core::PageRequest::new(200, Some(cursor)))?;
                }
                _ => return Ok(taken),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_store::{Cause, Write};

    use super::*;

    const FROM: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn place(capacity: u32) -> Place {
        Place { restaurant: Id::from_bits(2), from: FROM, capacity }
    }

    fn slot(balance: i64) -> Slot {
        Slot { restaurant: Id::from_bits(2), from: FROM, balance }
    }

    fn work() -> Work {
        let cause = Cause::request("ada", "orders.place", "key", b"");
        Work::new("orders", cause, Timestamp::from_millis(0), None)
    }

    #[test]
    fn the_guard_is_what_the_restaurant_takes() {
        let mut taking = work();
        place(5).take(&mut taking, Some(&slot(-4))).unwrap();
        let [Write::Adjust { field: "balance", by: -1, at_least: -5, document }] = &*taking.writes
        else {
            panic!("{:?}", taking.writes)
        };
        assert_eq!(document.id, slot(0).id());
        let mut back = work();
        give_back(&mut back, Id::from_bits(2), FROM);
        assert!(matches!(
            &*back.writes,
            [Write::Adjust { field: "balance", by: 1, at_least: i64::MIN, .. }]
        ));
    }

    #[test]
    fn a_place_is_given_back_while_somebody_may_want_it() {
        for (after, writes) in [(GIVEN_BACK, 1), (GIVEN_BACK + Duration::from_millis(1), 0)] {
            let cause = Cause::request("ada", "orders.cancel", "key", b"");
            let mut back = Work::new("orders", cause, FROM + after, None);
            give_back(&mut back, Id::from_bits(2), FROM);
            assert_eq!(back.writes.len(), writes, "{after:?}");
        }
    }

    #[test]
    fn a_full_slot_is_refused_also_when_the_restaurant_takes_fewer_by_now() {
        for (capacity, there) in
            [(5, Some(slot(-5))), (3, Some(slot(-5))), (0, None), (0, Some(slot(0)))]
        {
            let refused = place(capacity).take(&mut work(), there.as_ref()).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::SoldOut, "{capacity} {there:?}");
        }
        assert!(place(1).take(&mut work(), None).is_ok());
    }

    #[test]
    fn a_time_is_a_slots_beginning_soon_enough() {
        let terms = SlotTerms { minutes: 15, capacity: 5, ahead_hours: 24 };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let wrong = |when: &str| {
            let when = when.parse().unwrap();
            check(when, &terms, "Europe/London", now).unwrap().map(|wrong| wrong.message)
        };
        assert_eq!(wrong("2026-11-23T12:15:00Z"), None);
        assert_eq!(wrong("2026-11-24T12:00:00Z"), None);
        assert!(wrong("2026-11-24T12:15:00Z").unwrap().contains("24 hours"));
        assert!(wrong("2026-11-23T12:00:00Z").unwrap().contains("passed"));
        assert!(wrong("2026-11-23T12:20:00Z").unwrap().contains("15 minutes"));
    }

    #[test]
    fn nobody_orders_further_ahead_than_cards_hold_money() {
        let terms = SlotTerms { minutes: 15, capacity: 5, ahead_hours: 60 * 24 };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let held = held(&terms, Duration::from_hours(6 * 24));
        let wrong = |when: &str| {
            let when = when.parse().unwrap();
            check(when, &held, "Europe/London", now).unwrap().map(|wrong| wrong.message)
        };
        assert_eq!(wrong("2026-11-29T12:00:00Z"), None);
        assert!(wrong("2026-11-29T12:15:00Z").unwrap().contains("144 hours"));
        let soon = SlotTerms { ahead_hours: 24, ..terms };
        assert_eq!(super::held(&soon, Duration::from_hours(6 * 24)), soon);
    }
}
