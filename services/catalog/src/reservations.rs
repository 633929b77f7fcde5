//! The reservation's state machine: what may follow what, and what each step does to the stock.

use std::collections::BTreeMap;

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};

use crate::documents::{
    Reservation,
    ReservationState::{self, Committed, Held, Released},
    Taken,
};

/// What can happen to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its order is confirmed.
    Commit,
    /// Its stock is given back.
    Release,
}

/// All that may happen. Anything else is refused.
const TABLE: &[(ReservationState, Step, ReservationState)] = &[
    (Held, Step::Commit, Committed),
    (Held, Step::Release, Released),
    (Committed, Step::Release, Released),
];

/// The state after `step`, if the step is allowed.
pub(crate) fn next(state: ReservationState, step: Step) -> Option<ReservationState> {
    let row = TABLE.iter().find(|(from, by, _)| *from == state && *by == step);
    row.map(|(_, _, to)| *to)
}

/// A new reservation of `taken` for an order.
pub(crate) fn held(
    order: Id<kinds::Order>,
    restaurant: Id<kinds::Restaurant>,
    taken: Vec<Taken>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Reservation {
    Reservation {
        id: order.sibling(),
        restaurant: Some(restaurant),
        state: Held,
        taken,
        expires_at,
        check_at: expires_at,
        changed_at: now,
    }
}

/// What a release leaves that came before its reservation: it keeps the stock from being taken.
pub(crate) fn tombstone(order: Id<kinds::Order>, now: Timestamp) -> Reservation {
    Reservation {
        id: order.sibling(),
        restaurant: None,
        state: Released,
        taken: Vec::new(),
        expires_at: now,
        check_at: now,
        changed_at: now,
    }
}

/// The reservation after `step`, and what the step gives back; none if it is not allowed.
pub(crate) fn step(
    before: &Reservation,
    step: Step,
    now: Timestamp,
) -> Option<(Reservation, &[Taken])> {
    let state = next(before.state, step)?;
    let given_back = match step {
        Step::Commit => &[],
        Step::Release => before.taken.as_slice(),
    };
    let after = Reservation { state, changed_at: now, ..before.clone() };
    Some((after, given_back))
}

/// How many counted lines a repeated reservation answers, or why it cannot be had any more.
pub(crate) fn replayed(reservation: &Reservation) -> Result<usize, Error> {
    match reservation.state {
        Held | Committed => Ok(reservation.taken.len()),
        Released => Err(Error::new(
            ErrorCode::WrongState,
            "the order's stock was given back already; place a new order",
        )),
    }
}

/// The sum of what is given back, by item: a Work writes each item once.
pub(crate) fn merge<'a>(
    taken: impl IntoIterator<Item = &'a Taken>,
) -> BTreeMap<Id<kinds::Item>, i64> {
    let mut sums = BTreeMap::new();
    for entry in taken {
        *sums.entry(entry.item).or_insert(0) += entry.quantity;
    }
    sums
}

/// What to do with a held reservation whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Do this.
    Do(Step),
    /// Look again later.
    Wait,
}

/// Decides by the state that `orders` says the order is in, and whether it ended with its stock
/// used; none if it does not know the order, which is given back only when `long_overdue`: it
/// could be about to be placed.
pub(crate) fn verdict(order: Option<(&str, bool)>, long_overdue: bool) -> Verdict {
    let (state, used) = order.unzip();
    match state {
        Some(_) if used == Some(true) => Verdict::Do(Step::Commit),
        Some("confirmed" | "accepted" | "preparing" | "ready" | "in_delivery" | "completed") => {
            Verdict::Do(Step::Commit)
        }
        Some("rejected" | "payment_failed" | "expired" | "cancelled" | "failed") => {
            Verdict::Do(Step::Release)
        }
        None if long_overdue => Verdict::Do(Step::Release),
        // Placed, or a state of a later release of the program: it is not known to have ended.
        Some(_) | None => Verdict::Wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_follows_a_release() {
        for any in [Step::Commit, Step::Release] {
            assert_eq!(next(Released, any), None);
        }
        assert_eq!(next(Committed, Step::Commit), None);
    }

    #[test]
    fn an_order_that_is_not_known_to_have_ended_keeps_its_stock() {
        assert_eq!(verdict(Some(("placed", false)), true), Verdict::Wait);
        assert_eq!(verdict(Some(("simmering", false)), true), Verdict::Wait);
        assert_eq!(verdict(None, false), Verdict::Wait);
        assert_eq!(verdict(None, true), Verdict::Do(Step::Release));
        assert_eq!(verdict(Some(("completed", false)), false), Verdict::Do(Step::Commit));
        assert_eq!(verdict(Some(("cancelled", false)), false), Verdict::Do(Step::Release));
    }

    #[test]
    fn what_was_cooked_is_not_given_back() {
        assert_eq!(verdict(Some(("cancelled", true)), true), Verdict::Do(Step::Commit));
    }

    proptest! {
        /// Whatever happens in whatever order, what was taken is given back at most once, and
        /// exactly once if the end is a release.
        #[test]
        fn stock_is_given_back_once(
            quantity in 1_i64..50,
            steps in prop::collection::vec(
                prop_oneof![Just(Step::Commit), Just(Step::Release)], 0..8),
        ) {
            let now = Timestamp::from_millis(5);
            let taken = vec![Taken { item: Id::from_bits(9), quantity }];
            let mut reservation = held(Id::from_bits(1), Id::from_bits(2), taken, now, now);
            let mut free = -quantity;
            for by in steps {
                if let Some((after, back)) = step(&reservation, by, now) {
                    free += merge(back).values().sum::<i64>();
                    reservation = after;
                }
                let holds: i64 = match reservation.state {
                    Released => 0,
                    Held | Committed => reservation.taken.iter().map(|t| t.quantity).sum(),
                };
                prop_assert_eq!(-free, holds);
            }
        }
    }
}
