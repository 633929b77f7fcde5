//! Kitchen tickets.

use bistro_core::{Error, Id, kinds};
use bistro_proto::kitchen::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request, unless_empty, words},
    food::Allergen,
    ids::{ItemId, OrderId, RestaurantId, StationId, TicketId},
    orders::Fulfilment,
};
use crate::edge::empty_as_none;

words! {
    /// Where a ticket stands.
    TicketState: "queued", "in_preparation", "ready", "handed_over", "cancelled";
    /// Where an item of a ticket stands.
    TicketItemState: "queued", "in_preparation", "ready";
}

/// What a kitchen has to cook for one order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ticket {
    #[schema(value_type = TicketId)]
    id: String,
    #[schema(value_type = OrderId)]
    order_id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    /// Follows from its items'.
    state: TicketState,
    /// In the order in which they were ordered.
    items: Vec<TicketItem>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
    changed_at: Time,
    /// When the restaurant promised it; null if it did not.
    ready_at: Option<Time>,
    /// When what is held of it is fired; null if nothing waits for a moment.
    fire_at: Option<Time>,
    /// The soonest that it is likely to be ready, by the load of its stations; null once it is.
    earliest_at: Option<Time>,
    /// The latest that it is likely to be ready.
    latest_at: Option<Time>,
    /// When somebody began to cook it.
    started_at: Option<Time>,
    /// When its last item became ready; null while one is not.
    done_at: Option<Time>,
    /// Whether somebody has seen that it is cancelled.
    acknowledged: bool,
    /// How it reaches its customer; null if nobody said.
    #[schema(value_type = Option<Fulfilment>)]
    fulfilment: Option<String>,
    /// What the customer must not eat.
    #[schema(value_type = Vec<Allergen>, example = json!(["nuts"]))]
    allergies: Vec<String>,
    /// There is something to know that could not be read just now: ask before cooking.
    notes_missing: bool,
}

impl Ticket {
    /// Whether nothing about it changes but with its version.
    pub(crate) fn is_settled(&self) -> bool {
        self.earliest_at.is_none() && !self.notes_missing
    }
}

/// One item of a ticket.
#[derive(Debug, Serialize, ToSchema)]
struct TicketItem {
    /// Its place on the ticket, from 0.
    line: u32,
    #[schema(value_type = ItemId)]
    item_id: String,
    #[schema(example = "Margherita")]
    name: String,
    #[schema(example = 2)]
    quantity: u32,
    state: TicketItemState,
    /// Where it is cooked; null when that is nobody's in particular.
    #[schema(value_type = Option<StationId>)]
    station_id: Option<String>,
    /// Names of the options that were chosen.
    #[schema(example = json!(["extra cheese"]))]
    choices: Vec<String>,
    /// What the customer wrote; null if nothing.
    #[schema(example = "well done, please")]
    note: Option<String>,
    /// Whether nobody should begin yet.
    held: bool,
    /// When somebody began to cook it.
    started_at: Option<Time>,
    /// When it became ready.
    done_at: Option<Time>,
}

impl From<v1::TicketItem> for TicketItem {
    fn from(item: v1::TicketItem) -> Self {
        Self {
            line: item.line,
            item_id: item.item_id,
            name: item.name,
            quantity: item.quantity,
            state: item.state.into(),
            station_id: unless_empty(item.station_id),
            choices: item.choices,
            note: unless_empty(item.note),
            held: item.held,
            started_at: Time::unless_zero(item.started_at_ms),
            done_at: Time::unless_zero(item.done_at_ms),
        }
    }
}

impl From<v1::Ticket> for Ticket {
    fn from(ticket: v1::Ticket) -> Self {
        Self {
            id: ticket.id,
            order_id: ticket.order_id,
            restaurant_id: ticket.restaurant_id,
            state: ticket.state.into(),
            items: ticket.items.into_iter().map(Into::into).collect(),
            version: ticket.version,
            created_at: Time::at(ticket.created_at_ms),
            changed_at: Time::at(ticket.changed_at_ms),
            ready_at: Time::unless_zero(ticket.ready_at_ms),
            fire_at: Time::unless_zero(ticket.fire_at_ms),
            earliest_at: Time::unless_zero(ticket.earliest_ms),
            latest_at: Time::unless_zero(ticket.latest_ms),
            started_at: Time::unless_zero(ticket.started_at_ms),
            done_at: Time::unless_zero(ticket.done_at_ms),
            acknowledged: ticket.acknowledged,
            fulfilment: unless_empty(ticket.fulfilment),
            allergies: ticket.allergies,
            notes_missing: ticket.notes_missing,
        }
    }
}

/// Which tickets are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TicketFilter {
    /// Only those that this station has to cook something of.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<StationId>, required = false)]
    station_id: Option<Id<kinds::Station>>,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TicketFilter {
    /// The kitchen's words for it.
    pub(crate) fn of(
        self,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<v1::ListTicketsRequest, Error> {
        Ok(v1::ListTicketsRequest {
            restaurant_id: restaurant.to_string(),
            page: Some(page_request(self.cursor, self.limit)?),
            station_id: station_text(self.station_id),
        })
    }
}

/// Whose changes are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StationFilter {
    /// Only tickets that this station has to cook something of.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<StationId>, required = false)]
    station_id: Option<Id<kinds::Station>>,
}

impl StationFilter {
    /// The kitchen's words for what changes after `after`.
    pub(crate) fn of(
        self,
        restaurant: Id<kinds::Restaurant>,
        after: String,
    ) -> v1::WatchTicketsRequest {
        v1::WatchTicketsRequest {
            restaurant_id: restaurant.to_string(),
            after,
            station_id: station_text(self.station_id),
        }
    }
}

fn station_text(station: Option<Id<kinds::Station>>) -> String {
    station.map(|station| station.to_string()).unwrap_or_default()
}
