//! What delivery does when orders or accounts tells it something, and when a courier takes too
//! long.

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event, Id, kinds};
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_proto::{
    accounts::v1::UserErased,
    orders::v1::{OrderEnded, OrderReady},
};
use bistro_store::{DueTimer, StoreExt as _, Versioned, Work};
use prost::{Message, Name as _};

use crate::{
    assignment::{Assigner, Choice, OFFER_TIMER},
    completion,
    delivery::{Delivery, State, Step},
    erasure,
    gauges::{self, Gauges},
    places::Places,
};

/// Reacts for delivery.
pub(crate) struct DeliveryReactor {
    pub(crate) engine: Engine,
    pub(crate) assigner: Assigner,
    pub(crate) places: Places,
    pub(crate) gauges: Gauges,
}

fn decode<M: Message + Default>(event: &Event) -> Result<M, Error> {
    M::decode(&*event.data).map_err(|cause| unreadable(event).caused_by(cause))
}

fn unreadable(event: &Event) -> Error {
    Error::new(ErrorCode::MalformedBody, format!("the {} cannot be read", event.kind))
}

fn id<K: bistro_core::IdKind>(event: &Event, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|cause: bistro_core::IdError| unreadable(event).caused_by(cause))
}

#[async_trait]
impl Reactor for DeliveryReactor {
    async fn on_event(&self, work: Work, event: &Event) -> Result<Option<Work>, Error> {
        if event.kind == OrderReady::full_name() {
            let ready: OrderReady = decode(event)?;
            if ready.fulfilment != "delivery" {
                return Ok(None);
            }
            let order: Id<kinds::Order> = id(event, &ready.order_id)?;
            let restaurant = id(event, &ready.restaurant_id)?;
            let delivery = Delivery {
                traceparent: event.traceparent.clone(),
                ..Delivery::new(order.sibling(), restaurant, work.time)
            };
            self.ready(work, delivery).await
        } else if event.kind == UserErased::full_name() {
            let erased: UserErased = decode(event)?;
            self.erased(work, id(event, &erased.user_id)?).await
        } else if event.kind == OrderEnded::full_name() {
            let ended: OrderEnded = decode(event)?;
            let order: Id<kinds::Order> = id(event, &ended.order_id)?;
            // Before a restaurant accepts nothing is ever ready, so nothing can be overtaken.
            let never_ready = matches!(ended.state.as_str(), "rejected" | "expired");
            let restaurant = id(event, &ended.restaurant_id)?;
            self.ended(work, order.sibling(), restaurant, never_ready).await
        } else {
            let message = format!("delivery does not know the event {}", event.kind);
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }

    async fn on_timer(&self, mut work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        if erasure::is_of(&timer.document) {
            let goes_on = erasure::go_on(&self.engine, &mut work, &timer.document.id).await?;
            return Ok(goes_on.then_some(work));
        }
        let found = self.engine.store().load::<Delivery>(&timer.document.id).await?;
        let Some(before) = found.filter(|one| one.state == State::Assigned) else {
            return Ok(None);
        };
        self.lapse(&mut work, &before).await?;
        Ok(Some(work))
    }

    fn ticks(&self) -> &'static [Tick] {
        &[completion::TICK, gauges::TICK]
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        if tick == completion::TICK.name {
            return completion::round(&self.engine, &self.places).await;
        }
        self.gauges.refresh(&self.engine).await
    }
}

impl DeliveryReactor {
    /// An order waits to be brought.
    async fn ready(&self, mut work: Work, mut delivery: Delivery) -> Result<Option<Work>, Error> {
        if self.engine.store().load::<Delivery>(&delivery.id.to_string()).await?.is_some() {
            // Made before (an order that was recalled becomes ready again), or called off.
            return Ok(None);
        }
        let ends = self.places.ends(delivery.order(), delivery.restaurant, work.time).await;
        delivery.complete(ends);
        match self.assigner.choose(&delivery).await? {
            Choice::Courier(courier) => {
                self.assigner.give(&mut work, &mut delivery, &courier, |work, delivery| {
                    work.insert(delivery).map(|_| ())
                })?;
            }
            Choice::Unwanted | Choice::NobodyFree => {
                work.insert(&delivery)?;
            }
        }
        Ok(Some(work))
    }

    /// An order ended early.
    async fn ended(
        &self,
        mut work: Work,
        id: Id<kinds::Delivery>,
        restaurant: Id<kinds::Restaurant>,
        never_ready: bool,
    ) -> Result<Option<Work>, Error> {
        let Some(before) = self.engine.store().load::<Delivery>(&id.to_string()).await? else {
            if never_ready {
                return Ok(None);
            }
            work.insert(&Delivery::tombstone(id, restaurant, work.time))?;
            return Ok(Some(work));
        };
        if before.state.after(Step::Cancel).is_none() {
            return Ok(None);
        }
        let mut after = before.value.clone();
        let rid = after.take(Step::Cancel, work.time)?;
        work.replace(&before, &after)?;
        work.cancel_timer::<Delivery>(id, OFFER_TIMER);
        if let Some(courier) = rid {
            self.assigner.relieve(&mut work, courier, id, Step::Cancel).await?;
        }
        Ok(Some(work))
    }

    /// The courier has not come for it: it is offered to others first, then again.
    async fn lapse(&self, work: &mut Work, before: &Versioned<Delivery>) -> Result<(), Error> {
        let mut after = before.value.clone();
        let rid = after.take(Step::Lapse, work.time)?;
        work.replace(before, &after)?;
        if let Some(courier) = rid {
            self.assigner.relieve(work, courier, after.id, Step::Lapse).await?;
        }
        Ok(())
    }

    /// A person was erased.
    async fn erased(&self, mut work: Work, user: Id<kinds::User>) -> Result<Option<Work>, Error> {
        let begun = erasure::begin(&self.engine, &mut work, user).await?;
        self.assigner.positions().forget(user.sibling());
        Ok(begun.then_some(work))
    }
}
