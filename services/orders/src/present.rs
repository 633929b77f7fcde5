//! Orders as others see them.

use bistro_core::{Error, ErrorCode, GeoPoint, Principal, StaffRole, Timestamp};
use bistro_proto::{
    common::v1::{self as common, Money},
    orders::v1::{Choice, DropOff, KitchenNotes, Order as OrderMessage, QuoteLine, TimelineEntry},
};
use bistro_store::Versioned;

use crate::documents::{Line, Order};

/// Whether `order` is `principal`'s own.
pub(crate) fn is_own(principal: &Principal, order: &Order) -> bool {
    principal.name() == order.customer && *principal != Principal::Anonymous
}

/// Whether `principal` works for the restaurant of `order`, or may all that who does may.
fn is_staff(principal: &Principal, order: &Order) -> bool {
    principal.require_staff(order.restaurant, &[StaffRole::Manager, StaffRole::Chef]).is_ok()
}

/// Whether `principal` may see `order`: its customer, the restaurant's staff, other roles, support
/// and administrators. For anybody else there is no such order.
pub(crate) fn may_see(principal: &Principal, order: &Order) -> Result<(), Error> {
    if is_own(principal, order)
        || is_staff(principal, order)
        || matches!(principal, Principal::Workload(_))
        || principal.require_support().is_ok()
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

/// The order at `version`, as `principal` is shown it: what the customer must not eat is for the
/// customer and the restaurant.
pub(crate) fn message(order: &Order, version: i64, principal: &Principal) -> OrderMessage {
    let millis = |moment: Option<Timestamp>| moment.map_or(0, Timestamp::as_millis);
    let content = &order.content;
    let timeline = order.timeline.iter().map(|entry| TimelineEntry {
        state: entry.state.as_str().to_owned(),
        at_ms: entry.at.as_millis(),
        by: entry.by.clone(),
        reason: entry.reason.clone(),
    });
    let close = is_own(principal, order) || is_staff(principal, order);
    OrderMessage {
        id: order.id.to_string(),
        state: order.state.as_str().to_owned(),
        reason: order.reason().to_owned(),
        restaurant_id: order.restaurant.to_string(),
        customer_id: order.customer.clone(),
        lines: content.lines.iter().map(QuoteLine::from).collect(),
        total: Some(Money {
            amount_minor: content.total.amount_minor,
            currency: content.total.currency.code().to_owned(),
        }),
        fulfilment: order.fulfilment.as_str().to_owned(),
        timeline: timeline.collect(),
        sequence: version,
        placed_at_ms: order.placed_at.as_millis(),
        accept_by_ms: millis(order.accept_by),
        ready_at_ms: millis(order.ready_at),
        address: order.address.clone(),
        amounts: Some(content.bill().message()),
        scheduled_for_ms: millis(content.scheduled_for),
        allergies: if close { content.allergies.clone() } else { Vec::new() },
        revision: order.changes,
        changing: order.change.is_some() && !order.state.is_end(),
        change_refused: order.change_refused.clone(),
        delayed_because: order.delayed_because.clone(),
        problem: if principal.require_support().is_ok() {
            order.problem.clone()
        } else {
            String::new()
        },
    }
}

/// The order as it was read.
pub(crate) fn shown(order: &Versioned<Order>, principal: &Principal) -> OrderMessage {
    message(&order.value, order.version, principal)
}

impl From<&Line> for QuoteLine {
    fn from(line: &Line) -> Self {
        let choices = line.choices.iter().map(|choice| Choice {
            id: choice.id.clone(),
            name: choice.name.clone(),
            price_minor: choice.price_minor,
        });
        Self {
            item_id: line.item.to_string(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            counted: false,
            choices: choices.collect(),
            tax_rate: line.tax_rate,
            note: line.note.clone(),
            allergens: line.allergens.clone(),
            station: line.station.clone(),
        }
    }
}

/// What the kitchen has to know of the order beside its items.
pub(crate) fn kitchen_notes(order: &Order) -> KitchenNotes {
    KitchenNotes {
        order_id: order.id.to_string(),
        allergies: order.content.allergies.clone(),
        lines: order.content.lines.iter().map(|line| line.note.clone()).collect(),
    }
}

/// Where the order goes.
pub(crate) fn drop_off(order: &Order) -> DropOff {
    let point = |at: GeoPoint| common::GeoPoint { lat_e6: at.lat_e6, lon_e6: at.lon_e6 };
    DropOff {
        address: order.address.clone(),
        location: order.content.drop_off.map(point),
        customer_id: order.customer.clone(),
    }
}
