//! From acceptance to the customer's table: what the restaurant, its kitchen and couriers move on.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Fulfilment, Timestamp};
use bistro_proto::orders::v1::{OrderAccepted, OrderCompleted, OrderDelayed, OrderReady};
use bistro_store::{Versioned, Work};

use super::{ACCEPT_TIMER, By, CAPTURE_CALL, advance, asks, change, event, join_trace};
use crate::{
    documents::Order,
    state::{State, Step},
};

/// Refuses what comes after the time in which the order is accepted, whether its timer has fired by
/// then or not.
pub(super) fn must_be_in_time(order: &Order, now: Timestamp) -> Result<(), Error> {
    if order.accept_by.is_none_or(|by| now < by) {
        return Ok(());
    }
    let message = "the order was not accepted in time; it expires";
    Err(Error::new(ErrorCode::WrongState, message))
}

/// The restaurant takes the order; the kitchen hears of it.
pub(crate) fn accept(
    work: &mut Work,
    before: &Versioned<Order>,
    by: By<'_>,
    ready_at: Option<Timestamp>,
) -> Result<Order, Error> {
    let mut order = before.value.clone();
    advance(&mut order, Step::Accept, by, work.time)?;
    must_be_in_time(before, work.time)?;
    change::must_be_settled(before)?;
    order.accept_by = None;
    order.ready_at = ready_at;
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, ACCEPT_TIMER);
    let message = OrderAccepted {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        lines: order.content.lines.iter().map(asks::told).collect(),
        fulfilment: order.fulfilment.as_str().to_owned(),
        ready_at_ms: ready_at.map_or(0, Timestamp::as_millis),
        scheduled_for_ms: order.content.scheduled_for.map_or(0, Timestamp::as_millis),
        has_notes: order.content.has_notes(),
    };
    event(work, &order, before.version + 1, &message);
    Ok(order)
}

/// Puts off by `minutes` when the order is ready, because of `reason`.
pub(crate) fn delay(
    work: &mut Work,
    before: &Versioned<Order>,
    minutes: u32,
    reason: &str,
) -> Result<Order, Error> {
    if !matches!(before.state, State::Accepted | State::Preparing) {
        let message = format!("the order is {}; only one that is cooked is put off", before.state);
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    let mut order = before.value.clone();
    let said = order.ready_at.or(order.content.scheduled_for).unwrap_or(work.time);
    let ready_at = said + Duration::from_secs(u64::from(minutes) * 60);
    order.ready_at = Some(ready_at);
    reason.clone_into(&mut order.delayed_because);
    work.replace(before, &order)?;
    let message = OrderDelayed {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        ready_at_ms: ready_at.as_millis(),
    };
    event(work, &order, before.version + 1, &message);
    Ok(order)
}

/// What a kitchen tells: where the ticket is, whichever way it came there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kitchen {
    /// It was started, or was ready and was recalled.
    Cooking,
    Ready,
}

/// Takes in what the kitchen tells about version `sequence` of the ticket; false if it is stale.
///
/// Also what moves nothing is remembered: what it overtook must not move the order back.
pub(crate) fn kitchen_tells(
    work: &mut Work,
    before: &Versioned<Order>,
    told: Kitchen,
    sequence: i64,
) -> Result<bool, Error> {
    if sequence <= before.ticket_seen {
        return Ok(false);
    }
    let steps: &[Step] = match (before.state, told) {
        (State::Accepted, Kitchen::Cooking) => &[Step::StartCooking],
        // Bumped without having been started: it was cooked all the same.
        (State::Accepted, Kitchen::Ready) => &[Step::StartCooking, Step::FinishCooking],
        (State::Preparing, Kitchen::Ready) => &[Step::FinishCooking],
        (State::Ready, Kitchen::Cooking) => &[Step::Recall],
        (State::Preparing, Kitchen::Cooking) | (State::Ready, Kitchen::Ready) => &[],
        // The kitchen has no say any more.
        _ => return Ok(false),
    };
    let mut order = before.value.clone();
    order.ticket_seen = sequence;
    for step in steps {
        advance(&mut order, *step, By::role("kitchen"), work.time)?;
    }
    work.replace(before, &order)?;
    if order.state == State::Ready && before.state != State::Ready {
        let message = OrderReady {
            order_id: order.id.to_string(),
            restaurant_id: order.restaurant.to_string(),
            fulfilment: order.fulfilment.as_str().to_owned(),
        };
        event(work, &order, before.version + 1, &message);
    }
    Ok(true)
}

/// A courier took the order; false if that is old news.
pub(crate) fn picked_up(work: &mut Work, before: &Versioned<Order>) -> Result<bool, Error> {
    let mut order = before.value.clone();
    if order.state.after(Step::PickUp).is_none() {
        return Ok(false);
    }
    advance(&mut order, Step::PickUp, By::role("delivery"), work.time)?;
    work.replace(before, &order)?;
    Ok(true)
}

/// The customer has the order: take the money. False if that is old news.
pub(crate) fn complete(
    work: &mut Work,
    before: &Versioned<Order>,
    step: Step,
    by: By<'_>,
) -> Result<bool, Error> {
    let mut order = before.value.clone();
    if order.state.after(step).is_none() {
        return Ok(false);
    }
    if step == Step::DropOff && order.state != State::InDelivery {
        // The pick-up's own message is late: it is part of the life all the same.
        advance(&mut order, Step::PickUp, by, work.time)?;
    }
    advance(&mut order, step, by, work.time)?;
    work.replace(before, &order)?;
    join_trace(work, &order);
    work.call(CAPTURE_CALL, vec![asks::capture(&order)]);
    let message = OrderCompleted {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        total: Some(asks::money(&order.content)),
    };
    event(work, &order, before.version + 1, &message);
    Ok(true)
}

/// Hands over an order that is not delivered.
pub(crate) fn hand_over(
    work: &mut Work,
    before: &Versioned<Order>,
    by: By<'_>,
) -> Result<Order, Error> {
    if before.fulfilment == Fulfilment::Delivery {
        let message = "a delivery is completed by its courier's drop-off";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    let mut order = before.value.clone();
    advance(&mut order, Step::HandOver, by, work.time)?;
    complete(work, before, Step::HandOver, by)?;
    Ok(order)
}
