//! Kitchen tickets.

use bistro_proto::kitchen::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::common::{Time, words};

words! {
    /// Where a ticket stands.
    TicketState: "queued", "in_preparation", "ready", "handed_over", "cancelled";
    /// Where an item of a ticket stands.
    TicketItemState: "queued", "in_preparation", "ready";
}

/// What a kitchen has to cook for one order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ticket {
    #[schema(example = "tkt_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    order_id: String,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    /// Follows from its items'.
    state: TicketState,
    items: Vec<TicketItem>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
    /// When the restaurant promised it; null if it did not.
    ready_at: Option<Time>,
}

/// One item of a ticket.
#[derive(Debug, Serialize, ToSchema)]
struct TicketItem {
    /// Its place on the ticket, from 0.
    line: u32,
    #[schema(example = "itm_01jd3x8k4v9q2w7r5t6y8z0abc")]
    item_id: String,
    #[schema(example = "Margherita")]
    name: String,
    #[schema(example = 2)]
    quantity: u32,
    state: TicketItemState,
}

impl From<v1::Ticket> for Ticket {
    fn from(ticket: v1::Ticket) -> Self {
        let items = ticket.items.into_iter().map(|item| TicketItem {
            line: item.line,
            item_id: item.item_id,
            name: item.name,
            quantity: item.quantity,
            state: item.state.into(),
        });
        Self {
            id: ticket.id,
            order_id: ticket.order_id,
            restaurant_id: ticket.restaurant_id,
            state: ticket.state.into(),
            items: items.collect(),
            version: ticket.version,
            created_at: Time::at(ticket.created_at_ms),
            ready_at: Time::unless_zero(ticket.ready_at_ms),
        }
    }
}
