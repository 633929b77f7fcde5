//! Changing a confirmed order: stock and money for what it is to become are taken beside what it
//! holds, and only when both are there does it become that; then the rest goes back.
//!
//! A change goes through [`Stage`]s. While there is one the order is not accepted and not changed
//! again, so that catalog and payments never hold more than two revisions of it. If the order ends
//! meanwhile everything is given back at once, and once more when the outcome comes.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_store::{Versioned, Work};

use super::{
    ACCEPT_TIMER, CHANGE_CALL, CHANGE_TIMER, SETTLE_CALL, accept_by, asks, capacity,
    compensate_all, cooking, join_trace, refusal,
};
use crate::{
    documents::{Change, Content, Order, Stage},
    slots::{self, Place, Slot},
    state::State,
    tenders,
};

/// Why a change ends that was not decided in time.
const TOO_LATE: &str = "not_confirmed_in_time";

/// What came of the call that [`propose`] made.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    /// One of the two was refused.
    Refused(Error),
    /// Stock was seen to (`counted` if any is), and payments has not decided; that was at version
    /// `seen` of the payment.
    Pending { counted: bool, seen: i64 },
    /// Stock was seen to, and the money is authorized.
    Done { counted: bool },
}

/// Refuses what has to wait until a change is settled.
pub(crate) fn must_be_settled(order: &Order) -> Result<(), Error> {
    if order.change.is_none() {
        return Ok(());
    }
    let message =
        "a change of the order is under way; read the order again when `changing` is false";
    Err(Error::new(ErrorCode::Conflict, message))
}

/// What an order is to become.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) content: Content,
    /// Where it is to go; none: where it goes now.
    pub(crate) address: Option<String>,
    /// The place it is to have in a slot, if it is for later, and the slot as it was read.
    pub(crate) place: Option<(Place, Option<Slot>)>,
}

/// Proposes that the order become what `proposal` says.
pub(crate) fn propose(
    work: &mut Work,
    before: &Versioned<Order>,
    proposal: Proposal,
    (give_up_at, expires): (Timestamp, Timestamp),
) -> Result<Order, Error> {
    let Proposal { content, address, place } = proposal;
    if before.state != State::Confirmed {
        let message = match before.state {
            State::Placed => "the order is not confirmed yet; change it when it is".to_owned(),
            state => format!("the order is {state}; it cannot be changed any more"),
        };
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    cooking::must_be_in_time(before, work.time)?;
    must_be_settled(before)?;
    if before.content.tenders.is_empty() {
        let message = "the order is from before orders could be changed; cancel it and order anew";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    let tenders = tenders::resplit(&before.content.tenders, content.total.amount_minor);
    let content = Content { tenders, ..content };
    let moves = content.scheduled_for != before.content.scheduled_for;
    let place = place.filter(|_| moves);
    let mut order = before.value.clone();
    order.proposed = order.proposed.max(order.revision) + 1;
    order.change_refused.clear();
    let capacity = capacity(place.as_ref());
    let steps = vec![
        asks::reserve(&order, &content, order.proposed, (expires, capacity)),
        asks::authorize(&order, &content, order.proposed),
    ];
    order.change = Some(Change {
        stage: Stage::Taking,
        revision: order.proposed,
        content: Some(content),
        counted: false,
        slot_held: place.is_some(),
        address,
    });
    work.replace(before, &order)?;
    work.timer::<Order>(order.id, CHANGE_TIMER, give_up_at);
    if let Some((place, there)) = place {
        place.take(work, there.as_ref())?;
    }
    join_trace(work, &order);
    work.call(CHANGE_CALL, steps);
    Ok(order)
}

/// Takes in what came of the call that [`propose`] made; false if that is old news.
pub(crate) fn taken(
    work: &mut Work,
    before: &Versioned<Order>,
    outcome: &Taken,
    accept_within: Duration,
) -> Result<bool, Error> {
    let Some(change) = &before.change else { return Ok(false) };
    if !matches!(change.stage, Stage::Taking | Stage::GivenUp) {
        return Ok(false);
    }
    let mut order = before.value.clone();
    if order.state.is_end() {
        // All was given back when it ended. What was taken after that is, too.
        order.change = None;
        work.replace(before, &order)?;
        compensate_all(work, &order, order.state.as_str());
        return Ok(true);
    }
    match outcome {
        Taken::Refused(why) => refuse(work, before, refusal(why))?,
        _ if change.stage == Stage::GivenUp => refuse(work, before, TOO_LATE)?,
        Taken::Done { counted } => adopt(work, before, *counted, accept_within)?,
        Taken::Pending { counted, seen } => {
            let stage = Stage::Authorizing { seen: *seen };
            order.change = Some(Change { stage, counted: *counted, ..change.clone() });
            work.replace(before, &order)?;
        }
    }
    Ok(true)
}

/// Whether what payments tells of version `sequence` of the payment is about the change.
///
/// While nobody knows whether payments has decided it cannot be told: the message has to come
/// again.
fn awaits_payment(order: &Order, sequence: i64) -> Result<bool, Error> {
    match order.change.as_ref().filter(|_| !order.state.is_end()).map(|change| change.stage) {
        Some(Stage::Taking | Stage::GivenUp) => {
            let message = "the outcome of the changing call is not known yet";
            Err(Error::new(ErrorCode::Unavailable, message))
        }
        Some(Stage::Authorizing { seen }) => Ok(sequence > seen),
        Some(Stage::Settling) | None => Ok(false),
    }
}

/// The money for a change is authorized after all; false if that is not about one.
pub(super) fn authorized(
    work: &mut Work,
    before: &Versioned<Order>,
    sequence: i64,
    accept_within: Duration,
) -> Result<bool, Error> {
    let awaited = awaits_payment(before, sequence)?;
    if awaited {
        let counted = before.change.as_ref().is_some_and(|change| change.counted);
        adopt(work, before, counted, accept_within)?;
    }
    Ok(awaited)
}

/// The money for a change is refused after all; false if that is not about one.
pub(super) fn declined(
    work: &mut Work,
    before: &Versioned<Order>,
    sequence: i64,
    code: &str,
) -> Result<bool, Error> {
    let awaited = awaits_payment(before, sequence)?;
    if awaited {
        refuse(work, before, code)?;
    }
    Ok(awaited)
}

/// The change's time is up; false if it is decided.
pub(super) fn timed_out(work: &mut Work, before: &Versioned<Order>) -> Result<bool, Error> {
    let Some(change) = before.change.as_ref().filter(|_| !before.state.is_end()) else {
        return Ok(false);
    };
    match change.stage {
        Stage::Taking => {
            // Only the outcome says what there is to give back.
            let change = Change { stage: Stage::GivenUp, ..change.clone() };
            let order = Order { change: Some(change), ..before.value.clone() };
            work.replace(before, &order)?;
            Ok(true)
        }
        Stage::Authorizing { .. } => {
            refuse(work, before, TOO_LATE)?;
            Ok(true)
        }
        Stage::GivenUp | Stage::Settling => Ok(false),
    }
}

/// The order becomes what was proposed. For another time it is accepted by another time.
fn adopt(
    work: &mut Work,
    before: &Versioned<Order>,
    counted: bool,
    accept_within: Duration,
) -> Result<(), Error> {
    let mut order = before.value.clone();
    let Some(Change { content: Some(content), slot_held, revision, address, .. }) =
        order.change.take()
    else {
        return Err(undecided());
    };
    let moves = content.scheduled_for != order.content.scheduled_for;
    let left = order.content.scheduled_for.filter(|_| moves && order.slot_held);
    if moves {
        order.slot_held = slot_held;
        let accept_by = accept_by(content.scheduled_for, work.time, accept_within);
        order.accept_by = Some(accept_by);
        work.timer::<Order>(order.id, ACCEPT_TIMER, accept_by);
    }
    if let Some(address) = address {
        order.address = address;
    }
    order.content = content;
    order.stock_held = counted;
    order.revision = revision;
    order.changes += 1;
    settle(work, before, order, left)
}

/// The order stays what it is, for the reason `code`.
fn refuse(work: &mut Work, before: &Versioned<Order>, code: &str) -> Result<(), Error> {
    let mut order = before.value.clone();
    let Some(Change { content: Some(content), slot_held, .. }) = order.change.take() else {
        return Err(undecided());
    };
    code.clone_into(&mut order.change_refused);
    let left = content.scheduled_for.filter(|_| slot_held);
    settle(work, before, order, left)
}

fn undecided() -> Error {
    Error::new(ErrorCode::Internal, "a change that is not decided has no content")
}

/// Has the others keep what the order is now, and gives back the place that is `left`.
fn settle(
    work: &mut Work,
    before: &Versioned<Order>,
    mut order: Order,
    left: Option<Timestamp>,
) -> Result<(), Error> {
    let revision = order.revision;
    order.change = Some(Change {
        stage: Stage::Settling,
        revision,
        content: None,
        counted: false,
        slot_held: false,
        address: None,
    });
    work.replace(before, &order)?;
    work.cancel_timer::<Order>(order.id, CHANGE_TIMER);
    if let Some(from) = left {
        slots::give_back(work, order.restaurant, from);
    }
    join_trace(work, &order);
    // Stock is given back before a card provider is waited for. Both are told what was proposed:
    // another attempt at the change may be slow, and come to them only after this.
    let keep = vec![asks::keep_stock(&order, revision), asks::keep_money(&order, revision)];
    work.call(SETTLE_CALL, keep);
    Ok(())
}

/// The others keep what they should, or have `refused` to; false if that is old news.
pub(crate) fn settled(
    work: &mut Work,
    before: &Versioned<Order>,
    refused: Option<&Error>,
) -> Result<bool, Error> {
    let settling = before.change.as_ref().is_some_and(|change| change.stage == Stage::Settling);
    if !settling && refused.is_none() {
        return Ok(false);
    }
    let mut order = before.value.clone();
    if settling {
        order.change = None;
    }
    if let Some(why) = refused {
        order.problem = format!("{SETTLE_CALL}: {}", why.code());
    }
    work.replace(before, &order)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bistro_core::Reason;

    use super::*;

    #[test]
    fn whatever_a_change_or_an_order_is_refused_for_is_described() {
        assert!(Reason::is_among(Reason::CHANGE, TOO_LATE));
        for code in ErrorCode::ALL {
            let said = refusal(&Error::new(*code, "no"));
            // The other codes are in the catalogue of errors.
            let in_catalogue = ErrorCode::parse(said) == Some(*code);
            for reasons in [Reason::ORDER, Reason::CHANGE] {
                assert!(in_catalogue || Reason::is_among(reasons, said), "{said}");
            }
        }
    }
}
