//! What `bistro verify` asks of orders: every order's state and sums, and what is left undone.

use std::collections::HashMap;

use bistro_core::{Error, PageRequest};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditPage, AuditRequest, AuditRow};
use bistro_store::{Query, StoreExt as _, Versioned};

use crate::{documents::Order, state::State};

/// One page of every order, by id.
pub(crate) async fn page(engine: &Engine, request: AuditRequest) -> Result<AuditPage, Error> {
    let wanted = request.page.unwrap_or_default();
    let wanted = PageRequest::new(wanted.limit, Some(wanted.cursor));
    let first = wanted.cursor.is_none();
    let orders = engine.store().list::<Order>(Query::all::<Order>().page(&wanted)?).await?;
    Ok(AuditPage {
        backlog: if first { Some(engine.audit_backlog(&[crate::QUEUE.name]).await?) } else { None },
        next_cursor: orders.next.unwrap_or_default(),
        rows: orders.items.iter().map(row).collect(),
    })
}

fn row(order: &Versioned<Order>) -> AuditRow {
    let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let count = |state| number(order.timeline.iter().filter(|entry| entry.state == state).count());
    let numbers = HashMap::from([
        ("amount_minor".to_owned(), order.content.total.amount_minor),
        ("lines".to_owned(), number(order.content.lines.len())),
        ("confirmed".to_owned(), count(State::Confirmed)),
        ("completed".to_owned(), count(State::Completed)),
        ("placing".to_owned(), i64::from(order.placing)),
        ("stock_held".to_owned(), i64::from(order.stock_held)),
        ("slot_held".to_owned(), i64::from(order.slot_held)),
        ("changing".to_owned(), i64::from(order.change.is_some())),
        ("problem".to_owned(), i64::from(!order.problem.is_empty())),
    ]);
    AuditRow {
        id: order.id.to_string(),
        kind: "order".to_owned(),
        state: order.state.as_str().to_owned(),
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        numbers,
        changed_at_ms: order.since().as_millis(),
        due_at_ms: order.due_at().map_or(0, bistro_core::Timestamp::as_millis),
        currency: order.content.total.currency.code().to_owned(),
    }
}
