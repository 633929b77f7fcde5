//! Pricing a basket, taking its stock for an order, and giving it back.

use std::sync::atomic::{AtomicBool, Ordering};

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document as _, DocumentRef, Mark, StoreExt as _, Versioned, Work};

use crate::{
    basket::{self, Items, Line},
    documents::{Item, Reservation, Restaurant},
    reservations::{self, Step},
    service::Catalog,
    wire,
};

/// A reservation's least sum when stock is given back: giving back always goes.
const ANY: i64 = i64::MIN;

impl Catalog {
    /// Two reads, whatever the basket: every quote comes through here.
    pub(crate) async fn price_basket(
        &self,
        message: &v1::PriceBasketRequest,
    ) -> Result<v1::PriceBasketResponse, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        let lines = basket::read(&message.lines)?;
        let (restaurant, items) = tokio::try_join!(self.restaurant(id), self.items(&lines))?;
        let judged = basket::judge(id, &lines, &items);
        let priced =
            message.lines.iter().zip(judged).map(|(line, (item, refusal))| v1::PricedLine {
                item_id: line.item_id.clone(),
                name: item.map(|item| item.name.clone()).unwrap_or_default(),
                quantity: line.quantity,
                unit_price_minor: item.map_or(0, |item| item.price_minor),
                refused: refusal.map_or("", basket::Refusal::as_str).to_owned(),
                free: item.filter(|item| item.counted).map(|item| item.free),
                counted: item.is_some_and(|item| item.counted),
                ..v1::PricedLine::default()
            });
        Ok(v1::PriceBasketResponse {
            restaurant_name: restaurant.name.clone(),
            open: restaurant.open,
            currency: restaurant.currency.to_string(),
            lines: priced.collect(),
            ..v1::PriceBasketResponse::default()
        })
    }

    /// Takes all of an order's counted lines, or none. An order without any leaves no trace.
    pub(crate) async fn reserve(
        &self,
        asked: &Asked,
        message: &v1::ReserveRequest,
    ) -> Result<v1::ReserveResponse, Error> {
        asked.principal.require_workload()?;
        let order: Id<kinds::Order> = wire::id("order_id", &message.order_id)?;
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        let lines = &basket::read(&message.lines)?;
        let command = asked.command("catalog.reserve", message)?;
        let met = &AtomicBool::new(false);
        let decide = |mut work: Work| async move {
            let again = met.swap(true, Ordering::Relaxed);
            let (place, items) = tokio::try_join!(self.restaurant(restaurant), self.items(lines))?;
            let taken = require_open(&place).and_then(|()| basket::take(restaurant, lines, &items));
            let taken = match taken {
                // An order is reserved for once, so nothing is read to find a reservation; if there
                // is one, the insert meets it and comes here again.
                Ok(taken) if !taken.is_empty() && !again => taken,
                other => match self.reservation(order).await? {
                    Some(present) => {
                        return Ok(Decision::Answer(counted(reservations::replayed(&present)?)));
                    }
                    None => other?,
                },
            };
            let answer = counted(taken.len());
            if taken.is_empty() {
                return Ok(Decision::Answer(answer));
            }
            let expires_at = self.expiry(message.expires_at_ms, work.time);
            let reservation = reservations::held(order, restaurant, taken, expires_at, work.time);
            work.insert(&reservation)?;
            for (item, quantity) in reservations::merge(&reservation.taken) {
                work.adjust::<Item>(item, Item::FREE, -quantity, 0);
            }
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move {
            let present = self.reservation(order).await?;
            Ok(counted(present.map_or(0, |present| present.taken.len())))
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

    async fn reservation(
        &self,
        order: Id<kinds::Order>,
    ) -> Result<Option<Versioned<Reservation>>, Error> {
        Ok(self.engine.store().load(&reference(order).id).await?)
    }

    async fn items(&self, lines: &[Line]) -> Result<Items, Error> {
        let found = self.engine.store().load_many::<Item>(&basket::item_ids(lines)).await?;
        Ok(found.into_iter().map(|item| (item.id, item.value)).collect())
    }

    fn expiry(&self, asked_ms: i64, now: Timestamp) -> Timestamp {
        match asked_ms {
            0 => now + self.reservation_ttl,
            millis => Timestamp::from_millis(millis),
        }
    }
}

/// Puts each item's sum back into its free stock.
pub(crate) fn give_back(work: &mut Work, sums: impl IntoIterator<Item = (Id<kinds::Item>, i64)>) {
    for (item, quantity) in sums {
        work.adjust::<Item>(item, Item::FREE, quantity, ANY);
    }
}

fn reference(order: Id<kinds::Order>) -> DocumentRef {
    let id = order.sibling::<kinds::Reservation>();
    DocumentRef { collection: Reservation::COLLECTION, id: id.to_string() }
}

fn require_open(restaurant: &Restaurant) -> Result<(), Error> {
    if restaurant.open {
        return Ok(());
    }
    let message =
        format!("{} does not take orders now; try again when it is open", restaurant.name);
    Err(Error::new(ErrorCode::RestaurantClosed, message))
}

fn counted(lines: usize) -> v1::ReserveResponse {
    v1::ReserveResponse { counted_lines: u32::try_from(lines).unwrap_or(u32::MAX) }
}
