//! What `bistro verify` asks of delivery: every delivery's state, and what is left undone.

use std::collections::HashMap;

use bistro_core::{Error, PageRequest};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditPage, AuditRequest, AuditRow};
use bistro_store::{Query, StoreExt as _, Versioned};

use crate::delivery::Delivery;

/// One page of every delivery, by id.
pub(crate) async fn page(engine: &Engine, request: AuditRequest) -> Result<AuditPage, Error> {
    let wanted = request.page.unwrap_or_default();
    let wanted = PageRequest::new(wanted.limit, Some(wanted.cursor));
    let first = wanted.cursor.is_none();
    let query = Query::all::<Delivery>().page(&wanted)?;
    let deliveries = engine.store().list::<Delivery>(query).await?;
    Ok(AuditPage {
        backlog: if first { Some(engine.audit_backlog(&[crate::QUEUE.name]).await?) } else { None },
        next_cursor: deliveries.next.unwrap_or_default(),
        rows: deliveries.items.iter().map(row).collect(),
    })
}

fn count(couriers: usize) -> i64 {
    i64::try_from(couriers).unwrap_or(i64::MAX)
}

fn row(delivery: &Versioned<Delivery>) -> AuditRow {
    AuditRow {
        id: delivery.id.to_string(),
        kind: "delivery".to_owned(),
        state: delivery.state.as_str().to_owned(),
        order_id: delivery.order().to_string(),
        restaurant_id: delivery.restaurant.to_string(),
        numbers: HashMap::from([
            ("declined".to_owned(), count(delivery.declined.len())),
            ("lapsed".to_owned(), count(delivery.lapsed.len())),
        ]),
        changed_at_ms: delivery.changed_at.as_millis(),
        due_at_ms: 0,
        currency: String::new(),
    }
}
