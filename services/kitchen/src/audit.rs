//! What `bistro verify` asks of the kitchen: every ticket's state, and what is left undone.

use std::collections::HashMap;

use bistro_core::{Error, PageRequest, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditPage, AuditRequest, AuditRow};
use bistro_store::{Query, StoreExt as _, Versioned};

use crate::ticket::Ticket;

/// One page of every ticket, by id.
pub(crate) async fn page(engine: &Engine, request: AuditRequest) -> Result<AuditPage, Error> {
    let wanted = request.page.unwrap_or_default();
    let wanted = PageRequest::new(wanted.limit, Some(wanted.cursor));
    let first = wanted.cursor.is_none();
    let tickets = engine.store().list::<Ticket>(Query::all::<Ticket>().page(&wanted)?).await?;
    Ok(AuditPage {
        backlog: if first { Some(engine.audit_backlog(&[crate::QUEUE.name]).await?) } else { None },
        next_cursor: tickets.next.unwrap_or_default(),
        // One that is awaited is a delay without its ticket.
        rows: tickets.items.iter().filter(|ticket| !ticket.awaited).map(row).collect(),
    })
}

fn row(ticket: &Versioned<Ticket>) -> AuditRow {
    AuditRow {
        id: ticket.id.to_string(),
        kind: "ticket".to_owned(),
        state: ticket.state().as_str().to_owned(),
        order_id: ticket.order().to_string(),
        restaurant_id: ticket.restaurant.to_string(),
        numbers: HashMap::from([(
            "lines".to_owned(),
            i64::try_from(ticket.items.len()).unwrap_or(i64::MAX),
        )]),
        changed_at_ms: ticket.changed_at.as_millis(),
        due_at_ms: ticket.fire_at.map_or(0, Timestamp::as_millis),
        currency: String::new(),
    }
}
