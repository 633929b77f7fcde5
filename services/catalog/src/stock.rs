//! Taking an order's lines out of free stock, keeping one of its revisions, and giving back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bistro_core::{Error, ErrorCode, Id, Principal, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document as _, DocumentRef, Mark, StoreExt as _, Versioned, Work};

use crate::{
    basket::{self, Line},
    documents::{Item, Restaurant},
    fields::Fields,
    reservations::{self, Proposed, Quantities, Reservation, Step, Taken},
    service::Catalog,
    shops::{Frame, Moment},
    wire,
};

/// A reservation's least sum when stock is given back: giving back always goes.
const ANY: i64 = i64::MIN;

/// What is to be reserved.
struct Wanted<'a> {
    restaurant: Id<kinds::Restaurant>,
    lines: &'a [Line],
    /// None: now.
    at: Option<Timestamp>,
    /// How many places the slot has of which the order took one; 0 if it took none.
    slot_capacity: u32,
}

impl<'a> Wanted<'a> {
    fn read(message: &v1::ReserveRequest, lines: &'a [Line]) -> Result<Self, Error> {
        let mut fields = Fields::default();
        let at = fields.moment("wanted_at", message.wanted_at_ms);
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        fields.done(Self { restaurant, lines, at, slot_capacity: message.slot_capacity })
    }
}

impl Catalog {
    /// Takes all of an order's counted lines, or none. An order without any leaves no trace.
    ///
    /// Restaurant and items are read from the store; how many are free is decided by the commit.
    pub(crate) async fn reserve(
        &self,
        asked: &Asked,
        message: &v1::ReserveRequest,
    ) -> Result<v1::ReserveResponse, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let lines = &basket::read(&message.lines)?;
        let wanted = &Wanted::read(message, lines)?;
        let number = message.revision;
        let command = asked.command("catalog.reserve", message)?;
        let met = &AtomicBool::new(false);
        let decide = |mut work: Work| async move {
            // An order is reserved for once, unless it is changed, so nothing is read to find a
            // reservation; if there is one, the insert meets it and comes here again.
            let again = met.swap(true, Ordering::Relaxed);
            let looked = again || number > 0;
            if looked && let Some(present) = self.reservation(order).await? {
                return self.reserve_more(work, wanted, &present, message).await;
            }
            let needs = match self.needs(wanted, &Quantities::new(), work.time).await {
                Ok(needs) if !needs.is_empty() => needs,
                // What is refused, or needs nothing, never meets the one that is there.
                other => {
                    let present = if looked { None } else { self.reservation(order).await? };
                    return match present {
                        Some(present) => self.reserve_more(work, wanted, &present, message).await,
                        None => other.map(|_| Decision::Answer(reserved(0))),
                    };
                }
            };
            let answer = reserved(needs.len());
            let expires_at = self.expiry(message.expires_at_ms, work.time);
            let revision = (number, needs);
            let made =
                reservations::held(order, wanted.restaurant, revision, expires_at, work.time);
            work.insert(&made)?;
            take(&mut work, &made.holds());
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move {
            let present = self.reservation(order).await?;
            let before = present.map(|present| reservations::may_propose(&present, number));
            match before {
                Some(Ok(Proposed::Before(lines))) => Ok(reserved(lines)),
                _ => Ok(reserved(0)),
            }
        };
        let mark_at = MarkAt::Document(reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Reserves a revision of an order that has a reservation: what is held becomes enough for
    /// either.
    async fn reserve_more(
        &self,
        mut work: Work,
        wanted: &Wanted<'_>,
        present: &Versioned<Reservation>,
        message: &v1::ReserveRequest,
    ) -> Result<Decision<v1::ReserveResponse>, Error> {
        if let Proposed::Before(lines) = reservations::may_propose(present, message.revision)? {
            return Ok(Decision::Answer(reserved(lines)));
        }
        let needs = self.needs(wanted, &present.holds(), work.time).await?;
        let answer = reserved(needs.len());
        let expires_at = self.expiry(message.expires_at_ms, work.time);
        let revision = (message.revision, needs);
        let after = reservations::propose(present, revision, expires_at, work.time);
        let after = Reservation { restaurant: Some(wanted.restaurant), ..after };
        work.replace(present, &after)?;
        take(&mut work, &reservations::difference(&present.holds(), &after.holds()));
        Ok(Decision::commit(work, answer))
    }

    /// What the lines need of counted stock, if the restaurant takes the order. What the order
    /// holds already, `own`, is free for it.
    async fn needs(
        &self,
        wanted: &Wanted<'_>,
        own: &Quantities,
        now: Timestamp,
    ) -> Result<Vec<Taken>, Error> {
        let id = wanted.restaurant;
        let (restaurant, items) =
            tokio::try_join!(self.restaurant(id), self.basket_items(wanted.lines))?;
        let when = wanted.at.map_or(now, |at| at.max(now));
        require_open(&restaurant, when)?;
        require_place(&restaurant, wanted.slot_capacity)?;
        let framed = basket::needs_frame(wanted.lines, &items);
        let frame = if framed { self.recent_frame(id).await? } else { Arc::new(Frame::default()) };
        let moment = Moment { frame: &frame, zone: restaurant.zone(), when };
        let judged = basket::judge(id, wanted.lines, &items, own, &moment);
        basket::take(wanted.lines, &judged)
    }

    /// Keeps one revision and gives back what only others needed; those that were proposed and have
    /// not come are refused from now on.
    ///
    /// It always leaves its mark: a repeated one that comes late must not give up what was
    /// proposed after it.
    pub(crate) async fn keep(
        &self,
        asked: &Asked,
        message: &v1::KeepRequest,
    ) -> Result<v1::KeepResponse, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let numbers = (message.revision, message.proposed);
        let command = asked.command("catalog.keep", message)?;
        let decide = |mut work: Work| async move {
            let Some(before) = self.reservation(order).await? else {
                work.insert(&reservations::kept_empty(order, numbers, work.time))?;
                return Ok(Decision::commit(work, kept(0)));
            };
            let after = reservations::keep(&before, numbers, work.time);
            let after = after.unwrap_or_else(|| before.value.clone());
            work.replace(&before, &after)?;
            take(&mut work, &reservations::difference(&before.holds(), &after.holds()));
            Ok(Decision::commit(work, kept(after.holds().len())))
        };
        let replay = |_: Mark| async move {
            let present = self.reservation(order).await?;
            Ok(kept(present.map_or(0, |present| present.holds().len())))
        };
        let mark_at = MarkAt::Document(reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Gives an order's stock back, or keeps it from being taken.
    pub(crate) async fn release(
        &self,
        asked: &Asked,
        message: &v1::ReleaseRequest,
    ) -> Result<v1::ReleaseResponse, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let command = asked.command("catalog.release", message)?;
        let decide = |mut work: Work| async move {
            match self.reservation(order).await? {
                None => {
                    work.insert(&reservations::tombstone(order, work.time))?;
                }
                Some(before) => {
                    let stepped = reservations::step(&before, Step::Release, work.time);
                    let Some((after, given_back)) = stepped else {
                        return Ok(Decision::Answer(v1::ReleaseResponse {}));
                    };
                    work.replace(&before, &after)?;
                    give_back(&mut work, reservations::merge(given_back));
                }
            }
            Ok(Decision::commit(work, v1::ReleaseResponse {}))
        };
        let replay = |_: Mark| async { Ok(v1::ReleaseResponse {}) };
        let mark_at = MarkAt::Document(reference(order));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// What the order of this id holds of counted stock, for the role that knows whose it is.
    pub(crate) async fn held_by(
        &self,
        asker: &Principal,
        order_id: &str,
    ) -> Result<Quantities, Error> {
        asker.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", order_id)?;
        Ok(self.reservation(order).await?.map(|held| held.holds()).unwrap_or_default())
    }

    async fn reservation(
        &self,
        order: Id<kinds::Order>,
    ) -> Result<Option<Versioned<Reservation>>, Error> {
        Ok(self.engine.store().load(&reference(order).id).await?)
    }

    fn expiry(&self, asked_ms: i64, now: Timestamp) -> Timestamp {
        match asked_ms {
            0 => now + self.reservation_ttl,
            millis => Timestamp::from_millis(millis),
        }
    }
}

/// Takes so many more of each item out of its free stock; negative numbers go back.
fn take(work: &mut Work, more: &Quantities) {
    for (item, quantity) in more {
        let at_least = if *quantity > 0 { 0 } else { ANY };
        work.adjust::<Item>(item, Item::FREE, -quantity, at_least);
    }
}

/// Puts each item's sum back into its free stock.
pub(crate) fn give_back(work: &mut Work, sums: Quantities) {
    for (item, quantity) in sums {
        work.adjust::<Item>(item, Item::FREE, quantity, ANY);
    }
}

fn reference(order: Id<kinds::Order>) -> DocumentRef {
    let id = order.sibling::<kinds::Reservation>();
    DocumentRef { collection: Reservation::COLLECTION, id: id.to_string() }
}

fn require_open(restaurant: &Restaurant, when: Timestamp) -> Result<(), Error> {
    if restaurant.takes_orders(when) {
        return Ok(());
    }
    let message =
        format!("{} does not take orders then; try again when it is open", restaurant.name);
    Err(Error::new(ErrorCode::RestaurantClosed, message))
}

/// Passes an order that took one of `capacity` places of a slot, if the slot has as many still:
/// orders counted to as many as the quote said, which may be from before the restaurant took fewer.
fn require_place(restaurant: &Restaurant, capacity: u32) -> Result<(), Error> {
    let has = restaurant.profile.slots.map_or(0, |terms| terms.capacity);
    if capacity <= has {
        return Ok(());
    }
    let message =
        format!("{} takes fewer orders at a time by now; ask for a new quote", restaurant.name);
    Err(Error::new(ErrorCode::SoldOut, message))
}

fn reserved(lines: usize) -> v1::ReserveResponse {
    v1::ReserveResponse { counted_lines: u32::try_from(lines).unwrap_or(u32::MAX) }
}

fn kept(lines: usize) -> v1::KeepResponse {
    v1::KeepResponse { counted_lines: u32::try_from(lines).unwrap_or(u32::MAX) }
}
