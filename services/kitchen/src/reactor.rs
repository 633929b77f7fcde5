//! What the kitchen does when orders tells it something, or a moment has come.

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event, Id, Timestamp, kinds};
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_proto::orders::v1::{OrderAccepted, OrderDelayed, OrderEnded, QuoteLine};
use bistro_store::{DueTimer, StoreExt as _, Versioned, Work};
use prost::{Message, Name as _};

use crate::{
    board,
    gauges::{self, Gauges},
    hand_over::{self, HandOver},
    item::{Item, ItemState},
    load,
    reroute::{self, REROUTE_TIMER},
    station::{Station, route},
    ticket::{FIRE_TIMER, Ticket, TicketState},
    tickets,
};

/// Reacts for the kitchen.
pub(crate) struct KitchenReactor {
    pub(crate) engine: Engine,
    pub(crate) hand_over: HandOver,
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

fn unless_zero(millis: i64) -> Option<Timestamp> {
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

#[async_trait]
impl Reactor for KitchenReactor {
    async fn on_event(&self, work: Work, event: &Event) -> Result<Option<Work>, Error> {
        if event.kind == OrderAccepted::full_name() {
            return self.accepted(work, event, &decode(event)?).await;
        }
        if event.kind == OrderDelayed::full_name() {
            return self.delayed(work, event, &decode(event)?).await;
        }
        if event.kind != OrderEnded::full_name() {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("the kitchen does not know the event {}", event.kind),
            ));
        }
        let ended: OrderEnded = decode(event)?;
        if matches!(ended.state.as_str(), "rejected" | "expired") {
            // It was never accepted, so there never was nor will be a ticket.
            return Ok(None);
        }
        let ticket = id::<kinds::Order>(event, &ended.order_id)?.sibling();
        self.cancel(work, ticket, id(event, &ended.restaurant_id)?).await
    }

    async fn on_timer(&self, work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        match timer.name.as_str() {
            FIRE_TIMER => self.fire(work, &timer.document.id).await,
            REROUTE_TIMER => reroute::round(&self.engine, work, &timer.document.id).await,
            other => {
                let message = format!("the kitchen sets no timer {other}");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    fn ticks(&self) -> &'static [Tick] {
        &[hand_over::TICK, gauges::TICK]
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        if tick == gauges::TICK.name {
            return self.gauges.refresh(&self.engine).await;
        }
        self.hand_over.round().await
    }
}

impl KitchenReactor {
    async fn accepted(
        &self,
        mut work: Work,
        event: &Event,
        accepted: &OrderAccepted,
    ) -> Result<Option<Work>, Error> {
        let id_of_ticket: Id<kinds::Ticket> =
            id::<kinds::Order>(event, &accepted.order_id)?.sibling();
        let restaurant = id(event, &accepted.restaurant_id)?;
        let there = self.engine.store().load::<Ticket>(&id_of_ticket.to_string()).await?;
        if there.as_ref().is_some_and(|ticket| !ticket.awaited) {
            // Made before, or the order has ended already.
            return Ok(None);
        }
        let stations = board::stations(&self.engine, restaurant).await?;
        let stations = stations.iter().map(|station| &station.value);
        let items = accepted.lines.iter().map(|line| item(event, line, stations.clone()));
        let mut ticket = Ticket {
            items: items.collect::<Result<_, Error>>()?,
            // A delay that came first stays.
            ready_at: unless_zero(accepted.ready_at_ms)
                .max(there.as_ref().and_then(|delayed| delayed.ready_at)),
            // A kitchen cooks in the order of acceptance, not of delivery.
            created_at: event.time,
            traceparent: event.traceparent.clone(),
            ended: None,
            fulfilment: accepted.fulfilment.clone(),
            has_notes: accepted.has_notes,
            ..Ticket::tombstone(id_of_ticket, restaurant, work.time)
        };
        if let Some(scheduled_for) = unless_zero(accepted.scheduled_for_ms) {
            let prep_ms = load::prep_ms(stations, &ticket.items);
            let delayed_to = there.as_ref().and_then(|delayed| delayed.ready_at);
            let due = delayed_to.map_or(scheduled_for, |delayed| delayed.max(scheduled_for));
            ticket.schedule(due, prep_ms, work.time);
        }
        match there {
            Some(delayed) => work.replace(&delayed, &ticket)?,
            None => work.insert(&ticket)?,
        };
        if let Some(at) = ticket.fire_at {
            work.timer::<Ticket>(ticket.id, FIRE_TIMER, at);
        }
        Ok(Some(work))
    }

    /// The promise is put off; before there is a ticket, it is kept for it.
    async fn delayed(
        &self,
        mut work: Work,
        event: &Event,
        delayed: &OrderDelayed,
    ) -> Result<Option<Work>, Error> {
        let id_of_ticket: Id<kinds::Ticket> =
            id::<kinds::Order>(event, &delayed.order_id)?.sibling();
        let ready_at = Timestamp::from_millis(delayed.ready_at_ms);
        let Some(before) = self.ticket(id_of_ticket).await? else {
            let restaurant = id(event, &delayed.restaurant_id)?;
            work.insert(&Ticket::awaited(id_of_ticket, restaurant, ready_at, work.time))?;
            return Ok(Some(work));
        };
        let mut after = before.value.clone();
        if !after.delay(ready_at, work.time) {
            return Ok(None);
        }
        tickets::replace(&mut work, &before, &after)?;
        Ok(Some(work))
    }

    async fn cancel(
        &self,
        mut work: Work,
        id: Id<kinds::Ticket>,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Work>, Error> {
        let Some(before) = self.ticket(id).await? else {
            work.insert(&Ticket::tombstone(id, restaurant, work.time))?;
            return Ok(Some(work));
        };
        let mut after = before.value.clone();
        if !after.end(TicketState::Cancelled, work.time) {
            return Ok(None);
        }
        tickets::replace(&mut work, &before, &after)?;
        Ok(Some(work))
    }

    /// The moment of a ticket that was held back has come.
    async fn fire(&self, mut work: Work, id: &str) -> Result<Option<Work>, Error> {
        let Some(before) = self.engine.store().load::<Ticket>(id).await? else { return Ok(None) };
        let mut after = before.value.clone();
        if !after.fire_when_due(work.time) {
            return Ok(None);
        }
        // The timer is consumed by this Work, not cancelled.
        work.replace(&before, &after)?;
        Ok(Some(work))
    }

    async fn ticket(&self, id: Id<kinds::Ticket>) -> Result<Option<Versioned<Ticket>>, Error> {
        Ok(self.engine.store().load(&id.to_string()).await?)
    }
}

/// What a line of an order is on its ticket.
fn item<'a>(
    event: &Event,
    line: &QuoteLine,
    stations: impl IntoIterator<Item = &'a Station> + Clone,
) -> Result<Item, Error> {
    Ok(Item {
        dish: id(event, &line.item_id)?,
        name: line.name.clone(),
        quantity: line.quantity,
        state: ItemState::Queued,
        station: route(&line.station, stations),
        choices: line.choices.iter().map(|choice| choice.name.clone()).collect(),
        held: false,
        started_at: None,
        done_at: None,
    })
}
