//! What each step of an order's life changes, tells and asks; and how it is made good.
//!
//! Every function takes the order as it was read and an empty Work, and fills the Work. None of
//! them reads a clock, a store or a network.

mod asks;
mod change;
mod cooking;

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_proto::orders::v1::{OrderConfirmed, OrderEnded};
use bistro_store::{CallStep, Versioned, Work};
use prost::{Message, Name};

pub(crate) use change::{Proposal, Taken, propose, settled, taken};
pub(crate) use cooking::{Kitchen, accept, complete, delay, hand_over, kitchen_tells, picked_up};

use crate::{
    documents::{Entry, Order, Paid, Stage},
    slots::{self, Place, Slot},
    state::{State, Step},
};

/// The timer of an order that is not confirmed yet.
pub(crate) const CONFIRM_TIMER: &str = "confirm";
/// The timer of an order that is not accepted yet.
pub(crate) const ACCEPT_TIMER: &str = "accept";
/// The timer of a change that is not decided yet.
pub(crate) const CHANGE_TIMER: &str = "change";
/// The call that reserves stock and authorizes the card.
pub(crate) const PLACE_CALL: &str = "place";
/// The call that takes the money.
pub(crate) const CAPTURE_CALL: &str = "capture";
/// The call that gives stock and money back.
pub(crate) const COMPENSATE_CALL: &str = "compensate";

/// The call that takes stock and money for a change.
pub(crate) const CHANGE_CALL: &str = "change";
/// The call that has a change's outcome kept.
pub(crate) const SETTLE_CALL: &str = "settle";

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

/// Places `order`, as it is given back: stock is reserved, then the card authorized, both after
/// the commit. An order for later takes its `place`, in the slot as it was read.
pub(crate) fn place(
    work: &mut Work,
    order: Order,
    place: Option<(Place, Option<Slot>)>,
    confirm_by: Timestamp,
    reservation_expires: Timestamp,
) -> Result<Order, Error> {
    let order = Order { confirm_by: Some(confirm_by), slot_held: place.is_some(), ..order };
    let capacity = capacity(place.as_ref());
    work.insert_new(&order)?;
    if let Some((place, there)) = place {
        place.take(work, there.as_ref())?;
    }
    work.timer::<Order>(order.id, CONFIRM_TIMER, confirm_by);
    let steps = vec![
        asks::reserve(&order, &order.content, order.revision, (reservation_expires, capacity)),
        asks::authorize(&order, &order.content, order.revision),
    ];
    work.call(PLACE_CALL, steps);
    Ok(order)
}

/// How many orders the slot holds in which a place is taken; 0 if none is.
fn capacity(place: Option<&(Place, Option<Slot>)>) -> u32 {
    place.map_or(0, |(place, _)| place.capacity)
}

/// When an order for `scheduled_for`, or for now, that is confirmed at `now` expires unless it is
/// accepted `within` this time. One for later may wait until it would have to be begun.
fn accept_by(scheduled_for: Option<Timestamp>, now: Timestamp, within: Duration) -> Timestamp {
    let begun = scheduled_for.map(|at| at - within);
    begun.map_or(now + within, |begun| begun.max(now + within))
}

/// Writes down that the call that [`place`] made may be made more than once. At the version that
/// the outcome's Work replaces: the first attempt cannot conclude as if it had been the only one.
pub(crate) fn note_retry(work: &mut Work, before: &Versioned<Order>) -> Result<(), Error> {
    let order = Order { retried: true, ..before.value.clone() };
    work.replace(before, &order)?;
    Ok(())
}

/// What came of the call that [`place`] made.
#[derive(Clone, Debug)]
pub(crate) enum Placed {
    /// Stock could not be reserved, and this attempt did not ask for payment. Another one may have:
    /// a call that is made again begins at its first step.
    NoStock(Error),
    /// Stock was seen to (`stock_held` if any is counted), payment was refused.
    NoPayment { stock_held: bool, why: Error },
    /// Stock was seen to, and payment is authorized or still pending.
    Done { stock_held: bool, paid: Paid },
}

impl Placed {
    /// Whether counted stock is held, and what is known of the payment, if the call may have been
    /// made more than once or not.
    fn taken(&self, retried: bool) -> (bool, Paid) {
        match self {
            Self::NoStock(_) if !retried => (false, Paid::NotYet),
            // Another attempt may still reserve and authorize: giving both back now refuses it.
            Self::NoStock(_) => (true, Paid::Pending),
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
    accept_within: Duration,
) -> Result<bool, Error> {
    if !before.placing {
        return Ok(false);
    }
    let mut order = before.value.clone();
    order.placing = false;
    (order.stock_held, order.paid) = outcome.taken(order.retried);

    if order.state.is_end() {
        // It was called off meanwhile: give back what the call took.
        let code = order.state.as_str();
        let steps = owed(&mut order, State::Placed, false, code);
        work.replace(before, &order)?;
        compensate(work, &order, steps);
        return Ok(true);
    }
    match outcome {
        Placed::NoStock(why) => {
            let by = By { who: "catalog", reason: refusal(why) };
            end(work, before, order, Step::RefuseStock, by)?;
        }
        Placed::NoPayment { why, .. } => {
            let by = By { who: "payments", reason: refusal(why) };
            end(work, before, order, Step::RefusePayment, by)?;
        }
        Placed::Done { paid: Paid::Authorized, .. } => {
            confirm(work, before, order, By::role("payments"), accept_within)?;
        }
        Placed::Done { .. } => {
            work.replace(before, &order)?;
        }
    }
    Ok(true)
}

/// The code for what an order, or a change of it, was refused for; `bistro_core::Reason` lists those
/// that are no error's.
fn refusal(why: &Error) -> &'static str {
    match why.code() {
        ErrorCode::RestaurantClosed => "closed",
        code => code.as_str(),
    }
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

/// The payment that was pending is authorized at its version `sequence`; false if that is old
/// news.
pub(crate) fn authorized(
    work: &mut Work,
    before: &Versioned<Order>,
    sequence: i64,
    accept_within: Duration,
) -> Result<bool, Error> {
    if !awaits_payment(before)? {
        return change::authorized(work, before, sequence, accept_within);
    }
    let order = Order { paid: Paid::Authorized, ..before.value.clone() };
    confirm(work, before, order, By::role("payments"), accept_within)?;
    Ok(true)
}

/// The payment that was pending is refused at its version `sequence`; false if that is old news.
pub(crate) fn payment_failed(
    work: &mut Work,
    before: &Versioned<Order>,
    sequence: i64,
    reason: &str,
) -> Result<bool, Error> {
    if !awaits_payment(before)? {
        return change::declined(work, before, sequence, reason);
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
        CHANGE_TIMER => return change::timed_out(work, before),
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
    accept_within: Duration,
) -> Result<(), Error> {
    advance(&mut order, Step::Confirm, by, work.time)?;
    let accept_by = accept_by(order.content.scheduled_for, work.time, accept_within);
    (order.confirm_by, order.accept_by) = (None, Some(accept_by));
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, CONFIRM_TIMER);
    work.timer::<Order>(order.id, ACCEPT_TIMER, accept_by);
    let message = OrderConfirmed {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        customer_id: order.customer.clone(),
        total: Some(asks::money(&order.content)),
        accept_by_ms: accept_by.as_millis(),
    };
    event(work, &order, before.version + 1, &message);
    Ok(())
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
    let places = leave_slots(&mut order);
    let changing = order.change.is_some();
    // The outcome of a change that is not known yet says what else was taken.
    order.change.take_if(|change| !matches!(change.stage, Stage::Taking | Stage::GivenUp));
    // While it is being placed nothing is known to be taken: the outcome makes good what was.
    let steps = owed(&mut order, was, changing, step.code());
    work.replace(before, &order)?;
    for from in places {
        slots::give_back(work, order.restaurant, from);
    }
    compensate(work, &order, steps);
    for timer in [CONFIRM_TIMER, ACCEPT_TIMER] {
        work.cancel_timer::<Order>(order.id, timer);
    }
    if changing {
        work.cancel_timer::<Order>(order.id, CHANGE_TIMER);
    }
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

/// Leaves the slots in which the order, or a change of it, has a place: they begin then.
fn leave_slots(order: &mut Order) -> Vec<Timestamp> {
    let mut left = Vec::new();
    if std::mem::take(&mut order.slot_held) {
        left.extend(order.content.scheduled_for);
    }
    if let Some(change) = &mut order.change
        && std::mem::take(&mut change.slot_held)
    {
        left.extend(change.content.as_ref().and_then(|content| content.scheduled_for));
    }
    left
}

/// What has to be given back that is known to be taken, or may be, from an order that `was` in
/// this state when it ended, and that was `changing`. What was cooked does not go back on sale.
fn owed(order: &mut Order, was: State, changing: bool, code: &str) -> Vec<CallStep> {
    let mut steps = Vec::new();
    if order.paid != Paid::NotYet || changing {
        steps.push(asks::void(order, code));
    }
    if (order.stock_held || changing) && !was.is_cooked() {
        steps.push(asks::release(order));
        order.stock_held = false;
    }
    steps
}

/// Has `steps` done, each in a call of its own: stock does not wait for a card provider that is
/// away, nor money for catalog.
fn compensate(work: &mut Work, order: &Order, steps: Vec<CallStep>) {
    for step in steps {
        join_trace(work, order);
        work.call(COMPENSATE_CALL, vec![step]);
    }
}

/// Has everything given back, whatever there is.
fn compensate_all(work: &mut Work, order: &Order, code: &str) {
    compensate(work, order, vec![asks::void(order, code), asks::release(order)]);
}

/// The money of the order is not taken and never will be, for the `reason` that payments gives;
/// false if that is written down. The order stays what it is: what was eaten was eaten.
pub(crate) fn capture_given_up(
    work: &mut Work,
    before: &Versioned<Order>,
    reason: &str,
) -> Result<bool, Error> {
    note_new_problem(work, before, format!("{CAPTURE_CALL}: {reason}"))
}

/// Money of the order that was given back came back, for the `reason` that payments gives: the
/// customer has not got it. False if that is written down.
pub(crate) fn refund_returned(
    work: &mut Work,
    before: &Versioned<Order>,
    reason: &str,
) -> Result<bool, Error> {
    note_new_problem(work, before, format!("refund: {reason}"))
}

/// Writes down that somebody has to look at the order; false if it says so already.
fn note_new_problem(
    work: &mut Work,
    before: &Versioned<Order>,
    problem: String,
) -> Result<bool, Error> {
    if before.problem == problem {
        return Ok(false);
    }
    note_problem(work, before, problem)?;
    Ok(true)
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

/// Writes down that somebody has seen to `problem`. Of another one than the order has now they
/// cannot have known.
pub(crate) fn resolve_problem(
    work: &mut Work,
    before: &Versioned<Order>,
    problem: &str,
) -> Result<Order, Error> {
    if before.problem.is_empty() {
        let message = "the order has no problem that somebody has to see to";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    if before.problem != problem {
        let message = "the order has another problem by now; read the order again";
        return Err(Error::new(ErrorCode::Conflict, message));
    }
    let order = Order { problem: String::new(), ..before.value.clone() };
    work.replace(before, &order)?;
    Ok(order)
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
