//! What the kitchen does when orders tells it something.

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event, Id, Timestamp, kinds};
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_proto::orders::v1::{OrderAccepted, OrderEnded};
use bistro_runtime::PeerChannel;
use bistro_store::{StoreExt as _, Work};
use prost::{Message, Name as _};

use crate::{
    hand_over,
    ticket::{Item, ItemState, Ticket, TicketState},
};

/// Reacts for the kitchen.
pub(crate) struct KitchenReactor {
    pub(crate) engine: Engine,
    pub(crate) orders: PeerChannel,
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
impl Reactor for KitchenReactor {
    async fn on_event(&self, work: Work, event: &Event) -> Result<Option<Work>, Error> {
        if event.kind == OrderAccepted::full_name() {
            let accepted: OrderAccepted = decode(event)?;
            return self.accepted(work, event, &accepted).await;
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

    fn ticks(&self) -> &'static [Tick] {
        hand_over::TICKS
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        hand_over::round(&self.engine, &self.orders, tick).await
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
        if self.engine.store().load::<Ticket>(&id_of_ticket.to_string()).await?.is_some() {
            // Made before, or the order has ended already.
            return Ok(None);
        }
        let items = accepted
            .lines
            .iter()
            .map(|line| {
                Ok(Item {
                    dish: id(event, &line.item_id)?,
                    name: line.name.clone(),
                    quantity: line.quantity,
                    state: ItemState::Queued,
                })
            })
            .collect::<Result<_, Error>>()?;
        let ticket = Ticket {
            items,
            ready_at: (accepted.ready_at_ms > 0)
                .then(|| Timestamp::from_millis(accepted.ready_at_ms)),
            // A kitchen cooks in the order of acceptance, not of delivery.
            created_at: event.time,
            traceparent: event.traceparent.clone(),
            ended: None,
            ..Ticket::tombstone(id_of_ticket, id(event, &accepted.restaurant_id)?, work.time)
        };
        work.insert(&ticket)?;
        Ok(Some(work))
    }

    async fn cancel(
        &self,
        mut work: Work,
        id: Id<kinds::Ticket>,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Work>, Error> {
        let Some(before) = self.engine.store().load::<Ticket>(&id.to_string()).await? else {
            work.insert(&Ticket::tombstone(id, restaurant, work.time))?;
            return Ok(Some(work));
        };
        let mut after = before.value.clone();
        if !after.end(TicketState::Cancelled, work.time) {
            return Ok(None);
        }
        work.replace(&before, &after)?;
        Ok(Some(work))
    }
}
