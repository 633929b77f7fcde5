//! The Audit call: items with counted stock, then reservations, page by page.
//!
//! What holds for every item when nothing is under way: `stocked - free` is the sum of
//! `item:<id>` over its reservations that are held or committed.

use std::collections::HashMap;

use bistro_core::{Error, Page, PageRequest, Principal, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditBacklog, AuditPage, AuditRequest, AuditRow};
use bistro_store::{Document, Query, StoreExt as _, Versioned};

use crate::{
    documents::{Item, ROLE},
    reservations::{Reservation, ReservationState, Taken},
    wire,
};

/// Cursors of the two lists begin with these.
const ITEMS: &str = "items:";
const RESERVATIONS: &str = "reservations:";

/// One page of the audit.
pub(crate) async fn page(
    engine: &Engine,
    principal: &Principal,
    request: &AuditRequest,
) -> Result<AuditPage, Error> {
    principal.require_workload().or_else(|_| principal.require_admin())?;
    let asked = wire::page(request.page.as_ref());
    let backlog = match asked.cursor {
        None => Some(backlog(engine).await?),
        Some(_) => None,
    };
    let cursor = asked.cursor.as_deref().unwrap_or(ITEMS);
    let (rows, next_cursor) = if let Some(rest) = cursor.strip_prefix(ITEMS) {
        let page = list::<Item>(engine, asked.limit, rest).await?;
        let rows = page.items.iter().filter(|item| item.counted || item.stocked != 0);
        let next =
            page.next.map_or_else(|| RESERVATIONS.to_owned(), |next| format!("{ITEMS}{next}"));
        (rows.map(|item| item_row(item)).collect(), next)
    } else if let Some(rest) = cursor.strip_prefix(RESERVATIONS) {
        let page = list::<Reservation>(engine, asked.limit, rest).await?;
        let next = page.next.map(|next| format!("{RESERVATIONS}{next}"));
        let rows = page.items.iter().map(|reservation| reservation_row(reservation));
        (rows.collect(), next.unwrap_or_default())
    } else {
        return Err(Error::field("page.cursor", "write the next_cursor of the page before"));
    };
    Ok(AuditPage { rows, next_cursor, backlog })
}

async fn list<D: Document>(
    engine: &Engine,
    limit: u32,
    cursor: &str,
) -> Result<Page<Versioned<D>>, Error> {
    let request = PageRequest::new(limit, Some(cursor.to_owned()));
    Ok(engine.store().list::<D>(Query::all::<D>().page(&request)?).await?)
}

fn item_row(item: &Item) -> AuditRow {
    AuditRow {
        id: item.id.to_string(),
        kind: "item".to_owned(),
        state: match (item.deleted, item.available) {
            (true, _) => "deleted",
            (false, true) => "available",
            (false, false) => "unavailable",
        }
        .to_owned(),
        restaurant_id: item.restaurant.to_string(),
        numbers: HashMap::from([
            ("free".to_owned(), item.free),
            ("stocked".to_owned(), item.stocked),
        ]),
        changed_at_ms: item.changed_at.as_millis(),
        ..AuditRow::default()
    }
}

fn reservation_row(reservation: &Reservation) -> AuditRow {
    let quantity = |taken: &Taken| (format!("item:{}", taken.item), taken.quantity);
    let due = (reservation.state == ReservationState::Held).then_some(reservation.check_at);
    AuditRow {
        id: reservation.id.to_string(),
        kind: "reservation".to_owned(),
        state: reservation.state.as_str().to_owned(),
        order_id: reservation.order().to_string(),
        restaurant_id: reservation.restaurant.map(|id| id.to_string()).unwrap_or_default(),
        numbers: reservation.taken.iter().map(quantity).collect(),
        changed_at_ms: reservation.changed_at.as_millis(),
        due_at_ms: due.map_or(0, Timestamp::as_millis),
        ..AuditRow::default()
    }
}

/// What the role has left undone. It consumes no queue.
async fn backlog(engine: &Engine) -> Result<AuditBacklog, Error> {
    let left = engine.store().backlog(ROLE).await?;
    let millis = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_millis);
    Ok(AuditBacklog {
        unpublished: left.events,
        oldest_unpublished_ms: millis(left.oldest_event),
        open_calls: left.calls,
        oldest_call_ms: millis(left.oldest_call),
        timers: left.timers,
        next_timer_ms: millis(left.next_timer),
        now_ms: engine.now().as_millis(),
        ..AuditBacklog::default()
    })
}
