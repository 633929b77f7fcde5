//! Orders as others see them.

use bistro_core::{Error, ErrorCode, Principal, StaffRole, Timestamp};
use bistro_proto::{
    common::v1::Money,
    orders::v1::{Order as OrderMessage, QuoteLine, TimelineEntry},
};
use bistro_store::Versioned;

use crate::documents::Order;

/// Whether `principal` may see `order`: its customer, the restaurant's staff, other roles, and
/// administrators. For anybody else there is no such order.
pub(crate) fn may_see(principal: &Principal, order: &Order) -> Result<(), Error> {
    let own = principal.name() == order.customer && *principal != Principal::Anonymous;
    let staff = &[StaffRole::Manager, StaffRole::Chef];
    if own
        || matches!(principal, Principal::Workload(_))
        || principal.require_staff(order.restaurant, staff).is_ok()
    {
        return Ok(());
    }
    match principal {
        Principal::Anonymous => Err(Error::unauthenticated()),
        _ => Err(Error::not_found(format_args!("order {}", order.id))),
    }
}

/// Passes who works in the restaurant's front: managers, owners, administrators.
pub(crate) fn may_manage(principal: &Principal, order: &Order) -> Result<(), Error> {
    may_see(principal, order)?;
    principal.require_staff(order.restaurant, &[StaffRole::Manager]).map_err(|_| {
        Error::new(ErrorCode::PermissionDenied, "only the restaurant's managers may do this")
    })
}

/// The order at `version`, in full.
pub(crate) fn message(order: &Order, version: i64) -> OrderMessage {
    let millis = |moment: Option<Timestamp>| moment.map_or(0, Timestamp::as_millis);
    let timeline = order.timeline.iter().map(|entry| TimelineEntry {
        state: entry.state.as_str().to_owned(),
        at_ms: entry.at.as_millis(),
        by: entry.by.clone(),
        reason: entry.reason.clone(),
    });
    OrderMessage {
        id: order.id.to_string(),
        state: order.state.as_str().to_owned(),
        reason: order.reason().to_owned(),
        restaurant_id: order.restaurant.to_string(),
        customer_id: order.customer.clone(),
        lines: order.lines.iter().map(QuoteLine::from).collect(),
        total: Some(Money {
            amount_minor: order.total.amount_minor,
            currency: order.total.currency.code().to_owned(),
        }),
        fulfilment: order.fulfilment.as_str().to_owned(),
        timeline: timeline.collect(),
        sequence: version,
        placed_at_ms: order.placed_at.as_millis(),
        accept_by_ms: millis(order.accept_by),
        ready_at_ms: millis(order.ready_at),
        address: order.address.clone(),
        ..OrderMessage::default()
    }
}

/// The order as it was read.
pub(crate) fn stored(order: &Versioned<Order>) -> OrderMessage {
    message(&order.value, order.version)
}
