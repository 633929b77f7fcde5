//! The reservation's state machine: what may follow what, and what each step does to the stock.
//!
//! An order reserves its lines once, as revision 0, and again for each change that is proposed for
//! it. Revisions of which none has been kept or given up are *live*; held is, of each item, the
//! most that any live one needs.

use std::collections::BTreeMap;

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::documents::ROLE;

/// Held reservations by when their orders are looked at.
pub(crate) const BY_CHECK: &str = "check";
/// Live revisions of one order at most.
const MAX_LIVE: usize = 8;

/// Quantities by item.
pub(crate) type Quantities = BTreeMap<Id<kinds::Item>, i64>;

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReservationState {
    /// The order is not known to be confirmed: given back when it expires.
    Held,
    /// The order is confirmed: only a release gives it back.
    Committed,
    /// Given back, or never to be taken.
    Released,
}

use ReservationState::{Committed, Held, Released};

impl ReservationState {
    /// The word in audits.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Held => "held",
            Committed => "committed",
            Released => "released",
        }
    }
}

/// How many of a counted item an order took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) item: Id<kinds::Item>,
    pub(crate) quantity: i64,
}

/// What one revision of an order needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) number: u32,
    /// One entry per item.
    pub(crate) needs: Vec<Taken>,
}

/// What one order took out of counted stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// The order's sibling, so that an order has one at most.
    pub(crate) id: Id<kinds::Reservation>,
    /// None when the release came first.
    pub(crate) restaurant: Option<Id<kinds::Restaurant>>,
    pub(crate) state: ReservationState,
    /// What is held, one entry per item; of a released one, what was.
    pub(crate) taken: Vec<Taken>,
    /// The live revisions; none written: only the first, which needs what is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) revisions: Vec<Revision>,
    /// Revisions up to this one were kept or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<u32>,
    pub(crate) expires_at: Timestamp,
    /// When its order is looked at next, while it is held.
    pub(crate) check_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

impl Reservation {
    /// The order it belongs to.
    pub(crate) fn order(&self) -> Id<kinds::Order> {
        self.id.sibling()
    }

    /// The live revisions.
    fn live(&self) -> Vec<Revision> {
        if self.revisions.is_empty() {
            return vec![Revision { number: 0, needs: self.taken.clone() }];
        }
        self.revisions.clone()
    }

    /// What is held now, by item.
    pub(crate) fn holds(&self) -> Quantities {
        match self.state {
            Released => Quantities::new(),
            Held | Committed => merge(&self.taken),
        }
    }

    /// With these live revisions, and with what they hold.
    fn with(&self, revisions: Vec<Revision>, now: Timestamp) -> Self {
        let mut most = Quantities::new();
        for revision in &revisions {
            for (item, quantity) in merge(&revision.needs) {
                let held = most.entry(item).or_insert(0);
                *held = quantity.max(*held);
            }
        }
        let taken = most.into_iter().map(|(item, quantity)| Taken { item, quantity }).collect();
        Self { taken, revisions, changed_at: now, ..self.clone() }
    }
}

impl Document for Reservation {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "reservations",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(BY_CHECK)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        match self.state {
            Held => vec![(BY_CHECK, Key::new().time(self.check_at))],
            Committed | Released => Vec::new(),
        }
    }
}

/// What can happen to a reservation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its order is confirmed.
    Commit,
    /// Its stock is given back.
    Release,
    /// More is reserved for its order.
    Propose,
}

/// All that may happen. Anything else is refused.
const TABLE: &[(ReservationState, Step, ReservationState)] = &[
    (Held, Step::Commit, Committed),
    (Held, Step::Release, Released),
    (Held, Step::Propose, Held),
    (Committed, Step::Release, Released),
    // Whether the order still goes on is looked at once more.
    (Committed, Step::Propose, Held),
];

/// The state after `step`, if the step is allowed.
pub(crate) fn next(state: ReservationState, step: Step) -> Option<ReservationState> {
    let row = TABLE.iter().find(|(from, by, _)| *from == state && *by == step);
    row.map(|(_, _, to)| *to)
}

/// A reservation for an order that had none: revision `number` needs `needs`.
pub(crate) fn held(
    order: Id<kinds::Order>,
    restaurant: Id<kinds::Restaurant>,
    (number, needs): (u32, Vec<Taken>),
    expires_at: Timestamp,
    now: Timestamp,
) -> Reservation {
    let revisions = match number {
        0 => Vec::new(),
        _ => vec![Revision { number, needs: needs.clone() }],
    };
    Reservation {
        id: order.sibling(),
        restaurant: Some(restaurant),
        state: Held,
        taken: needs,
        revisions,
        settled: None,
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
        revisions: Vec::new(),
        settled: None,
        expires_at: now,
        check_at: now,
        changed_at: now,
    }
}

/// What keeping a revision leaves of an order of which nothing is held: revisions up to it come
/// too late from now on, and so do those that were `proposed` beside it.
pub(crate) fn kept_empty(
    order: Id<kinds::Order>,
    (number, proposed): (u32, u32),
    now: Timestamp,
) -> Reservation {
    Reservation {
        state: Committed,
        revisions: vec![Revision { number, needs: Vec::new() }],
        settled: Some(number.max(proposed)),
        ..tombstone(order, now)
    }
}

/// What becomes of a revision that is to be reserved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proposed {
    /// It was reserved before, with so many counted lines.
    Before(usize),
    /// It may be reserved: [`propose`] with what it needs.
    Open,
}

/// Whether revision `number` may be reserved.
pub(crate) fn may_propose(reservation: &Reservation, number: u32) -> Result<Proposed, Error> {
    let too_late = |message: &str| Err(Error::new(ErrorCode::WrongState, message));
    if next(reservation.state, Step::Propose).is_none() {
        return too_late("the order's stock was given back already; place a new order");
    }
    let live = reservation.live();
    if let Some(before) = live.iter().find(|revision| revision.number == number) {
        return Ok(Proposed::Before(before.needs.len()));
    }
    if reservation.settled.is_some_and(|settled| number <= settled) {
        return too_late("this change of the order was given up already; propose a new one");
    }
    if live.len() >= MAX_LIVE {
        return too_late("several changes of the order are open; decide about them first");
    }
    Ok(Proposed::Open)
}

/// The reservation with revision `number`, which needs `needs`.
pub(crate) fn propose(
    before: &Reservation,
    (number, needs): (u32, Vec<Taken>),
    expires_at: Timestamp,
    now: Timestamp,
) -> Reservation {
    let mut revisions = before.live();
    revisions.push(Revision { number, needs });
    let state = next(before.state, Step::Propose).unwrap_or(before.state);
    Reservation { state, expires_at, check_at: expires_at, ..before.with(revisions, now) }
}

/// The reservation once revision `number` is kept, and all others up to `proposed` are given up.
/// One that was kept or given up already changes nothing; one that nobody reserved needs nothing.
pub(crate) fn keep(
    before: &Reservation,
    (number, proposed): (u32, u32),
    now: Timestamp,
) -> Option<Reservation> {
    if before.state == Released {
        return None;
    }
    let live = before.live();
    let kept = live.iter().find(|revision| revision.number == number).cloned();
    let is_new = before.settled.is_none_or(|settled| number > settled);
    let kept = match kept {
        Some(kept) => kept,
        None if is_new => Revision { number, needs: Vec::new() },
        None => return None,
    };
    let seen = live.iter().map(|revision| revision.number).chain(before.settled).max();
    // What was refused leaves no trace here, and a slower attempt may still ask for it.
    let settled = seen.max(Some(number.max(proposed)));
    Some(Reservation { settled, ..before.with(vec![kept], now) })
}

/// The reservation after `step`, and what the step gives back; none if it is not allowed.
pub(crate) fn step(
    before: &Reservation,
    step: Step,
    now: Timestamp,
) -> Option<(Reservation, &[Taken])> {
    let state = next(before.state, step)?;
    let given_back = match step {
        Step::Commit | Step::Propose => &[],
        Step::Release => before.taken.as_slice(),
    };
    let after = Reservation { state, changed_at: now, ..before.clone() };
    Some((after, given_back))
}

/// The sum of what is given back, by item: a Work writes each item once.
pub(crate) fn merge<'a>(taken: impl IntoIterator<Item = &'a Taken>) -> Quantities {
    let mut sums = Quantities::new();
    for entry in taken {
        *sums.entry(entry.item).or_insert(0) += entry.quantity;
    }
    sums
}

/// How much more of each item `after` holds than `before`; items of which it is the same are left
/// out.
pub(crate) fn difference(before: &Quantities, after: &Quantities) -> Quantities {
    let mut more = after.clone();
    for (item, quantity) in before {
        *more.entry(*item).or_insert(0) -= quantity;
    }
    more.retain(|_, by| *by != 0);
    more
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

    const NOW: Timestamp = Timestamp::from_millis(5);

    fn needs(quantities: &[(u128, i64)]) -> Vec<Taken> {
        let taken = |(item, quantity): &(u128, i64)| Taken {
            item: Id::from_bits(*item),
            quantity: *quantity,
        };
        quantities.iter().map(taken).collect()
    }

    fn first(quantities: &[(u128, i64)]) -> Reservation {
        held(Id::from_bits(1), Id::from_bits(2), (0, needs(quantities)), NOW, NOW)
    }

    #[test]
    fn nothing_follows_a_release() {
        for any in [Step::Commit, Step::Release, Step::Propose] {
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

    #[test]
    fn enough_for_either_is_held_until_one_is_kept() {
        let both = propose(&first(&[(7, 2), (8, 1)]), (1, needs(&[(7, 1), (9, 4)])), NOW, NOW);
        assert_eq!(both.holds(), merge(&needs(&[(7, 2), (8, 1), (9, 4)])));
        let changed = keep(&both, (1, 1), NOW).unwrap();
        assert_eq!(changed.holds(), merge(&needs(&[(7, 1), (9, 4)])));
        let unchanged = keep(&both, (0, 1), NOW).unwrap();
        assert_eq!(unchanged.holds(), merge(&needs(&[(7, 2), (8, 1)])));
        assert_eq!(may_propose(&changed, 1).unwrap(), Proposed::Before(2));
        assert_eq!(may_propose(&unchanged, 1).unwrap_err().code(), ErrorCode::WrongState);
        assert_eq!(may_propose(&changed, 0).unwrap_err().code(), ErrorCode::WrongState);
        assert_eq!(may_propose(&unchanged, 2).unwrap(), Proposed::Open);
        assert_eq!(keep(&changed, (0, 0), NOW), None, "it was given up");
    }

    #[test]
    fn a_change_for_which_nothing_was_reserved_gives_all_back() {
        let kept = keep(&first(&[(7, 2)]), (3, 3), NOW).unwrap();
        assert!(kept.holds().is_empty());
        let late = may_propose(&kept_empty(Id::from_bits(1), (2, 2), NOW), 1);
        assert_eq!(late.unwrap_err().code(), ErrorCode::WrongState);
    }

    #[test]
    fn a_change_that_was_given_up_before_it_was_reserved_comes_too_late() {
        let held = keep(&first(&[(7, 2)]), (0, 1), NOW).unwrap();
        let nothing = kept_empty(Id::from_bits(1), (0, 1), NOW);
        for kept in [held, nothing] {
            assert_eq!(may_propose(&kept, 1).unwrap_err().code(), ErrorCode::WrongState);
            assert!(matches!(may_propose(&kept, 0), Ok(Proposed::Before(_))), "it is what is kept");
            assert_eq!(may_propose(&kept, 2).unwrap(), Proposed::Open);
        }
        // Who does not say what was proposed means what is kept.
        let kept = keep(&first(&[(7, 2)]), (0, 0), NOW).unwrap();
        assert_eq!(may_propose(&kept, 1).unwrap(), Proposed::Open);
    }

    #[test]
    fn a_confirmed_order_with_a_proposal_is_looked_at_again() {
        let (confirmed, _) = step(&first(&[(7, 2)]), Step::Commit, NOW).unwrap();
        let later = Timestamp::from_millis(9);
        let proposed = propose(&confirmed, (1, needs(&[(7, 3)])), later, NOW);
        assert_eq!((proposed.state, proposed.check_at), (Held, later));
    }

    /// Something that a caller may ask for, at any time and any number of times.
    #[derive(Clone, Debug)]
    enum Asked {
        Reserve(u32, Vec<(u128, i64)>),
        /// A revision, and the highest that was proposed.
        Keep(u32, u32),
        Step(Step),
    }

    fn asked() -> impl Strategy<Value = Asked> {
        prop_oneof![
            3 => (0_u32..5, prop::collection::vec((1_u128..4, 1_i64..9), 0..4))
                .prop_map(|(number, needs)| Asked::Reserve(number, needs)),
            2 => (0_u32..5, 0_u32..5).prop_map(|(number, proposed)| Asked::Keep(number, proposed)),
            1 => prop_oneof![Just(Step::Commit), Just(Step::Release)].prop_map(Asked::Step),
        ]
    }

    proptest! {
        /// Whatever is asked in whatever order, the differences add up to what is held; what is
        /// held is enough for each live revision and not more than all of them need; a revision
        /// that was decided about never comes back, nor does one that was proposed by then and had
        /// not come; and nothing is held after a release.
        #[test]
        fn stock_is_held_exactly(steps in prop::collection::vec(asked(), 0..16)) {
            let mut now = first(&[(1, 3)]);
            let mut sum = now.holds();
            let mut gone: Vec<u32> = Vec::new();
            for asked in steps {
                let before = now.clone();
                let after = match asked {
                    Asked::Reserve(number, wanted) => {
                        let open = matches!(may_propose(&before, number), Ok(Proposed::Open));
                        prop_assert!(!(open && gone.contains(&number)));
                        open.then(|| propose(&before, (number, needs(&wanted)), NOW, NOW))
                    }
                    Asked::Keep(number, proposed) => {
                        let kept = (number, proposed);
                        let after = keep(&before, kept, NOW);
                        if let Some(after) = &after {
                            prop_assert_eq!(after.live().len(), 1);
                            prop_assert_eq!(after.live()[0].number, number);
                            let over = before.live().into_iter().map(|live| live.number);
                            gone.extend(over.chain(0..=proposed).filter(|other| *other != number));
                            prop_assert!(!gone.contains(&number));
                            prop_assert_eq!(keep(after, kept, NOW).map(|again| again.holds()),
                                Some(after.holds()), "twice is once");
                        }
                        after
                    }
                    Asked::Step(by) => step(&before, by, NOW).map(|(after, _)| after),
                };
                if let Some(after) = after {
                    for (item, by) in difference(&before.holds(), &after.holds()) {
                        *sum.entry(item).or_insert(0) += by;
                    }
                    prop_assert!(before.state != Released, "nothing follows a release");
                    now = after;
                }
                sum.retain(|_, quantity| *quantity != 0);
                prop_assert_eq!(&sum, &now.holds());
                if now.state != Released {
                    let live = now.live();
                    for revision in &live {
                        for (item, quantity) in merge(&revision.needs) {
                            prop_assert!(now.holds().get(&item).copied().unwrap_or(0) >= quantity);
                        }
                    }
                    for (item, held) in now.holds() {
                        let most = live.iter().filter_map(|one| merge(&one.needs).get(&item).copied());
                        prop_assert_eq!(most.max(), Some(held));
                    }
                }
            }
        }
    }
}
