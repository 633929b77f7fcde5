//! What each step of an order's life changes, tells and asks; and how it is made good.
//!
//! Every function takes the order as it was read and an empty Work, and fills the Work. None of
//! them reads a clock, a store or a network.

use bistro_core::{Error, ErrorCode, Fulfilment, Timestamp};
use bistro_proto::{
    catalog::v1::{BasketLine, ReleaseRequest, ReserveRequest},
    common::v1::Money as MoneyMessage,
    orders::v1::{
        OrderAccepted, OrderCompleted, OrderConfirmed, OrderEnded, OrderReady, QuoteLine,
    },
    payments::v1::{AuthorizeRequest, CaptureRequest, VoidRequest},
};
use bistro_store::{CallStep, Versioned, Work};
use prost::{Message, Name};

use crate::{
    documents::{Entry, Order, Paid},
    state::{State, Step},
};

/// The timer of an order that is not confirmed yet.
pub(crate) const CONFIRM_TIMER: &str = "confirm";
/// The timer of an order that is not accepted yet.
pub(crate) const ACCEPT_TIMER: &str = "accept";
/// The call that reserves stock and authorizes the card.
pub(crate) const PLACE_CALL: &str = "place";
/// The call that takes the money.
pub(crate) const CAPTURE_CALL: &str = "capture";
/// The call that gives stock and money back.
pub(crate) const COMPENSATE_CALL: &str = "compensate";

/// Who or what moves an order on, and why. The reason may be a person's own words: it stays with
/// the order, and others are told the step's code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'a> {
    pub(crate) who: &'a str,
    pub(crate) reason: &'a str,
}

impl<'a> By<'a> {
    pub(crate) const fn role(who: &'a str) -> Self {
        Self { who, reason: "" }
    }
}

fn step<M: Message>(role: &str, method: &str, request: &M) -> CallStep {
    CallStep { role: role.to_owned(), method: method.to_owned(), request: request.encode_to_vec() }
}

/// What follows from a change belongs to the order's trace, whoever's request changed it.
fn join_trace(work: &mut Work, order: &Order) {
    if order.traceparent.is_some() {
        work.traceparent.clone_from(&order.traceparent);
    }
}

fn event<M: Message + Name>(work: &mut Work, order: &Order, sequence: i64, message: &M) {
    join_trace(work, order);
    work.event(&M::full_name(), order.id, sequence, message.encode_to_vec());
}

fn money(order: &Order) -> MoneyMessage {
    MoneyMessage {
        amount_minor: order.total.amount_minor,
        currency: order.total.currency.code().to_owned(),
    }
}

/// Places `order`, as it is given back: stock is reserved, then the card authorized, both after
/// the commit.
pub(crate) fn place(
    work: &mut Work,
    order: Order,
    payment_method: &str,
    confirm_by: Timestamp,
    reservation_expires: Timestamp,
) -> Result<Order, Error> {
    let order = Order { confirm_by: Some(confirm_by), ..order };
    let lines = order.lines.iter().map(|line| BasketLine {
        item_id: line.item.to_string(),
        quantity: line.quantity,
        ..BasketLine::default()
    });
    let reserve = ReserveRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        lines: lines.collect(),
        expires_at_ms: reservation_expires.as_millis(),
        ..ReserveRequest::default()
    };
    let authorize = AuthorizeRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        amount: Some(money(&order)),
        payment_method: payment_method.to_owned(),
        ..AuthorizeRequest::default()
    };
    work.insert_new(&order)?;
    work.timer::<Order>(order.id, CONFIRM_TIMER, confirm_by);
    work.call(
        PLACE_CALL,
        vec![
            step("catalog", "/bistro.catalog.v1.Catalog/Reserve", &reserve),
            step("payments", "/bistro.payments.v1.Payments/Authorize", &authorize),
        ],
    );
    Ok(order)
}

/// What came of the call that [`place`] made.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    /// Stock could not be reserved, and payment was not asked for after that. It may have been
    /// before: a call that is made again begins at its first step.
    NoStock(Error),
    /// Stock was seen to (`stock_held` if any is counted), payment was refused.
    NoPayment { stock_held: bool, why: Error },
    /// Stock was seen to, and payment is authorized or still pending.
    Done { stock_held: bool, paid: Paid },
}

impl Placed {
    /// Whether counted stock is held, and what is known of the payment.
    fn taken(&self) -> (bool, Paid) {
        match self {
            // What comes too late of an earlier attempt to reserve is found by catalog when its
            // time is up. An earlier attempt to authorize has no such end: it has to be voided.
            Self::NoStock(_) => (false, Paid::Pending),
            // Nothing else says for certain that the provider holds no money.
            Self::NoPayment { stock_held, why } if why.code() == ErrorCode::CardDeclined => {
                (*stock_held, Paid::NotYet)
            }
            Self::NoPayment { stock_held, .. } => (*stock_held, Paid::Pending),
            Self::Done { stock_held, paid } => (*stock_held, *paid),
        }
    }
}

/// Takes in what came of the call that [`place`] made; false if that is old news.
pub(crate) fn placed(
    work: &mut Work,
    before: &Versioned<Order>,
    outcome: &Placed,
    accept_by: Timestamp,
) -> Result<bool, Error> {
    if !before.placing {
        return Ok(false);
    }
    let mut order = before.value.clone();
    order.placing = false;
    (order.stock_held, order.paid) = outcome.taken();

    if order.state.is_end() {
        // It was called off meanwhile: give back what the call took.
        let code = order.state.as_str();
        compensate(work, &mut order, State::Placed, code);
        work.replace(before, &order)?;
        return Ok(true);
    }
    match outcome {
        Placed::NoStock(why) => {
            let reason = if why.code() == ErrorCode::RestaurantClosed {
                "closed"
            } else {
                why.code().as_str()
            };
            end(work, before, order, Step::RefuseStock, By { who: "catalog", reason })?;
        }
        Placed::NoPayment { why, .. } => {
            let by = By { who: "payments", reason: why.code().as_str() };
            end(work, before, order, Step::RefusePayment, by)?;
        }
        Placed::Done { paid: Paid::Authorized, .. } => {
            confirm(work, before, order, By::role("payments"), accept_by)?;
        }
        Placed::Done { .. } => {
            work.replace(before, &order)?;
        }
    }
    Ok(true)
}

/// Whether the order still has to hear what became of its payment.
///
/// While the placing call has no outcome it cannot be told yet, since only the outcome says what
/// else was done for it: the message has to come again.
fn awaits_payment(order: &Order) -> Result<bool, Error> {
    if order.state != State::Placed {
        return Ok(false);
    }
    if order.placing {
        let message = "the outcome of the placing call is not known yet";
        return Err(Error::new(ErrorCode::Unavailable, message));
    }
    Ok(true)
}

/// The payment that was pending is authorized; false if that is old news.
pub(crate) fn authorized(
    work: &mut Work,
    before: &Versioned<Order>,
    accept_by: Timestamp,
) -> Result<bool, Error> {
    if !awaits_payment(before)? {
        return Ok(false);
    }
    let order = Order { paid: Paid::Authorized, ..before.value.clone() };
    confirm(work, before, order, By::role("payments"), accept_by)?;
    Ok(true)
}

/// The payment that was pending is refused; false if that is old news.
pub(crate) fn payment_failed(
    work: &mut Work,
    before: &Versioned<Order>,
    reason: &str,
) -> Result<bool, Error> {
    if !awaits_payment(before)? {
        return Ok(false);
    }
    let order = Order { paid: Paid::NotYet, ..before.value.clone() };
    end(work, before, order, Step::RefusePayment, By { who: "payments", reason })?;
    Ok(true)
}

/// The timer named `timer` fired; false if the order has moved on since it was set.
pub(crate) fn timed_out(
    work: &mut Work,
    before: &Versioned<Order>,
    timer: &str,
) -> Result<bool, Error> {
    let step = match timer {
        CONFIRM_TIMER => Step::GiveUpConfirming,
        ACCEPT_TIMER => Step::Expire,
        other => {
            let message = format!("orders sets no timer {other}");
            return Err(Error::new(ErrorCode::Internal, message));
        }
    };
    end_if_allowed(work, before, step, By { who: "timer", reason: step.code() })
}

/// The courier cannot bring it; false if that is old news.
pub(crate) fn delivery_failed(
    work: &mut Work,
    before: &Versioned<Order>,
    reason: &str,
) -> Result<bool, Error> {
    end_if_allowed(work, before, Step::FailDelivery, By { who: "delivery", reason })
}

fn confirm(
    work: &mut Work,
    before: &Versioned<Order>,
    mut order: Order,
    by: By<'_>,
    accept_by: Timestamp,
) -> Result<(), Error> {
    advance(&mut order, Step::Confirm, by, work.time)?;
    (order.confirm_by, order.accept_by) = (None, Some(accept_by));
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, CONFIRM_TIMER);
    work.timer::<Order>(order.id, ACCEPT_TIMER, accept_by);
    let message = OrderConfirmed {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        customer_id: order.customer.clone(),
        total: Some(money(&order)),
        accept_by_ms: accept_by.as_millis(),
    };
    event(work, &order, before.version + 1, &message);
    Ok(())
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
    order.accept_by = None;
    order.ready_at = ready_at;
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, ACCEPT_TIMER);
    let message = OrderAccepted {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        lines: order.lines.iter().map(QuoteLine::from).collect(),
        fulfilment: order.fulfilment.as_str().to_owned(),
        ready_at_ms: ready_at.map_or(0, Timestamp::as_millis),
        ..OrderAccepted::default()
    };
    event(work, &order, before.version + 1, &message);
    Ok(order)
}

/// Ends the order early, by `step`, and makes good what was done for it.
pub(crate) fn end_early(
    work: &mut Work,
    before: &Versioned<Order>,
    step: Step,
    by: By<'_>,
) -> Result<Order, Error> {
    end(work, before, before.value.clone(), step, by)
}

fn end_if_allowed(
    work: &mut Work,
    before: &Versioned<Order>,
    step: Step,
    by: By<'_>,
) -> Result<bool, Error> {
    if before.state.after(step).is_none() {
        return Ok(false);
    }
    end_early(work, before, step, by)?;
    Ok(true)
}

fn end(
    work: &mut Work,
    before: &Versioned<Order>,
    mut order: Order,
    step: Step,
    by: By<'_>,
) -> Result<Order, Error> {
    let was = order.state;
    advance(&mut order, step, by, work.time)?;
    (order.confirm_by, order.accept_by) = (None, None);
    // While it is being placed nothing is known to be taken: the outcome makes good what was.
    compensate(work, &mut order, was, step.code());
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, CONFIRM_TIMER);
    work.cancel_timer::<Order>(order.id, ACCEPT_TIMER);
    if was != State::Placed {
        // Before it was confirmed nobody else has heard of it.
        let message = OrderEnded {
            order_id: order.id.to_string(),
            restaurant_id: order.restaurant.to_string(),
            state: order.state.as_str().to_owned(),
            reason: step.code().to_owned(),
        };
        event(work, &order, before.version + 1, &message);
    }
    Ok(order)
}

/// Has everything given back that is known to be taken, or may be, from an order that `was` in
/// this state when it ended. The money first: it is missed sooner. What was cooked does not go
/// back on sale.
fn compensate(work: &mut Work, order: &mut Order, was: State, code: &str) {
    let mut steps = Vec::new();
    if order.paid != Paid::NotYet {
        let void = VoidRequest { order_id: order.id.to_string(), reason: code.to_owned() };
        steps.push(step("payments", "/bistro.payments.v1.Payments/Void", &void));
    }
    if order.stock_held && !was.is_cooked() {
        let release = ReleaseRequest { order_id: order.id.to_string() };
        steps.push(step("catalog", "/bistro.catalog.v1.Catalog/Release", &release));
        order.stock_held = false;
    }
    if !steps.is_empty() {
        join_trace(work, order);
        work.call(COMPENSATE_CALL, steps);
    }
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
    let capture = CaptureRequest { order_id: order.id.to_string() };
    let capture = self::step("payments", "/bistro.payments.v1.Payments/Capture", &capture);
    join_trace(work, &order);
    work.call(CAPTURE_CALL, vec![capture]);
    let message = OrderCompleted {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        total: Some(money(&order)),
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

/// Writes down that somebody has to look at the order.
pub(crate) fn note_problem(
    work: &mut Work,
    before: &Versioned<Order>,
    problem: String,
) -> Result<(), Error> {
    let order = Order { problem, ..before.value.clone() };
    work.replace(before, &order)?;
    Ok(())
}

fn advance(order: &mut Order, step: Step, by: By<'_>, now: Timestamp) -> Result<(), Error> {
    order.state = order.state.step(step)?;
    let reason = if order.state.is_failure() { by.reason } else { "" };
    order.timeline.push(Entry {
        state: order.state,
        at: now,
        by: by.who.to_owned(),
        reason: reason.to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests;
