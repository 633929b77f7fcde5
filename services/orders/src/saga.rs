//! What each step of an order's life changes, tells and asks; and how it is made good.
//!
//! Every function takes the order as it was read and an empty Work, and fills the Work. None of
//! them reads a clock, a store or a network.

use bistro_core::{Error, ErrorCode, Timestamp};
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
    documents::{Entry, Fulfilment, Order, Paid},
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

/// Who or what moves an order on, and why.
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

/// Places `order`: stock is reserved, then the card authorized, both after the commit.
pub(crate) fn place(
    work: &mut Work,
    order: &Order,
    payment_method: &str,
    confirm_by: Timestamp,
    reservation_expires: Timestamp,
) -> Result<(), Error> {
    let lines = order
        .lines
        .iter()
        .map(|line| BasketLine { item_id: line.item.to_string(), quantity: line.quantity });
    let reserve = ReserveRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        lines: lines.collect(),
        expires_at_ms: reservation_expires.as_millis(),
    };
    let authorize = AuthorizeRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        amount: Some(money(order)),
        payment_method: payment_method.to_owned(),
    };
    work.insert_new(order)?;
    work.timer::<Order>(order.id, CONFIRM_TIMER, confirm_by);
    work.call(
        PLACE_CALL,
        vec![
            step("catalog", "/bistro.catalog.v1.Catalog/Reserve", &reserve),
            step("payments", "/bistro.payments.v1.Payments/Authorize", &authorize),
        ],
    );
    Ok(())
}

/// What came of the call that [`place`] made.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    /// Stock could not be reserved.
    NoStock(Error),
    /// Stock was seen to (`stock_held` if any is counted), payment was refused.
    NoPayment { stock_held: bool, why: Error },
    /// Stock was seen to, and payment is authorized or still pending.
    Done { stock_held: bool, paid: Paid },
}

/// Takes in what came of the call that [`place`] made.
pub(crate) fn placed(
    work: &mut Work,
    before: &Versioned<Order>,
    outcome: &Placed,
    accept_by: Timestamp,
) -> Result<(), Error> {
    let mut order = before.value.clone();
    order.placing = false;
    let (stock_held, paid) = match outcome {
        Placed::NoStock(_) => (false, Paid::NotYet),
        Placed::NoPayment { stock_held, .. } => (*stock_held, Paid::NotYet),
        Placed::Done { stock_held, paid } => (*stock_held, *paid),
    };
    (order.stock_held, order.paid) = (stock_held, paid);

    if order.state.is_end() {
        // It was called off meanwhile: give back what the call took.
        compensate(work, &mut order, "the order had ended");
        work.replace(before, &order)?;
        return Ok(());
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
    Ok(())
}

/// The payment that was pending is authorized.
pub(crate) fn authorized(
    work: &mut Work,
    before: &Versioned<Order>,
    accept_by: Timestamp,
) -> Result<bool, Error> {
    let mut order = before.value.clone();
    if order.placing || order.paid == Paid::Authorized || order.state != State::Placed {
        // The outcome of the call tells the same, or the payment was voided with the order.
        return Ok(false);
    }
    order.paid = Paid::Authorized;
    confirm(work, before, order, By::role("payments"), accept_by)?;
    Ok(true)
}

fn confirm(
    work: &mut Work,
    before: &Versioned<Order>,
    mut order: Order,
    by: By<'_>,
    accept_by: Timestamp,
) -> Result<(), Error> {
    advance(&mut order, Step::Confirm, by, work.time)?;
    order.accept_by = Some(accept_by);
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

fn end(
    work: &mut Work,
    before: &Versioned<Order>,
    mut order: Order,
    step: Step,
    by: By<'_>,
) -> Result<Order, Error> {
    let was = order.state;
    advance(&mut order, step, by, work.time)?;
    order.accept_by = None;
    if !order.placing {
        compensate(work, &mut order, order_reason(&by));
    }
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, CONFIRM_TIMER);
    work.cancel_timer::<Order>(order.id, ACCEPT_TIMER);
    if was != State::Placed {
        // Before it was confirmed nobody else has heard of it.
        let message = OrderEnded {
            order_id: order.id.to_string(),
            restaurant_id: order.restaurant.to_string(),
            state: order.state.as_str().to_owned(),
            reason: by.reason.to_owned(),
        };
        event(work, &order, before.version + 1, &message);
    }
    Ok(order)
}

const fn order_reason<'a>(by: &By<'a>) -> &'a str {
    if by.reason.is_empty() { by.who } else { by.reason }
}

/// Has everything given back that is known to be taken. The money first: it is missed sooner.
fn compensate(work: &mut Work, order: &mut Order, reason: &str) {
    let mut steps = Vec::new();
    if order.paid != Paid::NotYet {
        let void = VoidRequest { order_id: order.id.to_string(), reason: reason.to_owned() };
        steps.push(step("payments", "/bistro.payments.v1.Payments/Void", &void));
    }
    if order.stock_held {
        let release = ReleaseRequest { order_id: order.id.to_string() };
        steps.push(step("catalog", "/bistro.catalog.v1.Catalog/Release", &release));
        order.stock_held = false;
    }
    if !steps.is_empty() {
        join_trace(work, order);
        work.call(COMPENSATE_CALL, steps);
    }
}

/// What a kitchen tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kitchen {
    Started,
    Ready,
    Recalled,
}

/// Takes in what the kitchen tells about version `sequence` of the ticket; false if it is stale.
pub(crate) fn kitchen_tells(
    work: &mut Work,
    before: &Versioned<Order>,
    told: Kitchen,
    sequence: i64,
) -> Result<bool, Error> {
    let mut order = before.value.clone();
    if sequence <= order.ticket_seen {
        return Ok(false);
    }
    let (by, now) = (By::role("kitchen"), work.time);
    if told == Kitchen::Ready && order.state == State::Accepted {
        // Bumped without having been started: it was cooked all the same.
        advance(&mut order, Step::StartCooking, by, now)?;
    }
    let step = match told {
        Kitchen::Started => Step::StartCooking,
        Kitchen::Ready => Step::FinishCooking,
        Kitchen::Recalled => Step::Recall,
    };
    if order.state.after(step).is_none() {
        return Ok(false);
    }
    advance(&mut order, step, by, now)?;
    order.ticket_seen = sequence;
    work.replace(before, &order)?;
    if order.state == State::Ready {
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
