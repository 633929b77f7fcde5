//! A delivery and its state machine: the only place that knows what may follow what.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Deliveries that nobody has, oldest first.
pub(crate) const PENDING: &str = "pending";
/// Deliveries under way of one courier, oldest first.
pub(crate) const BY_COURIER: &str = "by_courier";

pub(crate) static DELIVERIES: Collection = Collection {
    role: "delivery",
    name: "deliveries",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(PENDING), Index::new(BY_COURIER)],
};

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Pending,
    Assigned,
    PickedUp,
    Delivered,
    Failed,
    Cancelled,
}

use State::{Assigned, Cancelled, Delivered, Failed, Pending, PickedUp};

/// What moves a delivery on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Assign,
    /// Declined, or not picked up in time.
    Unassign,
    PickUp,
    DropOff,
    Fail,
    Cancel,
}

/// Every allowed step: from where, by what, to where.
const TABLE: &[(State, Step, State)] = &[
    (Pending, Step::Assign, Assigned),
    (Pending, Step::Cancel, Cancelled),
    (Assigned, Step::Unassign, Pending),
    (Assigned, Step::PickUp, PickedUp),
    (Assigned, Step::Fail, Failed),
    (Assigned, Step::Cancel, Cancelled),
    (PickedUp, Step::DropOff, Delivered),
    (PickedUp, Step::Fail, Failed),
    (PickedUp, Step::Cancel, Cancelled),
];

impl State {
    /// Where `step` leads from here, if it may be taken.
    pub(crate) fn after(self, step: Step) -> Option<Self> {
        TABLE.iter().find(|(from, by, _)| (*from, *by) == (self, step)).map(|(_, _, to)| *to)
    }

    /// Whether a courier has it.
    pub(crate) const fn is_under_way(self) -> bool {
        matches!(self, Assigned | PickedUp)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Assigned => "assigned",
            PickedUp => "picked_up",
            Delivered => "delivered",
            Failed => "failed",
            Cancelled => "cancelled",
        }
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// The sibling of its order's id.
    pub(crate) id: Id<kinds::Delivery>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) state: State,
    pub(crate) courier: Option<Id<kinds::Courier>>,
    /// Couriers who do not want it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) declined: Vec<Id<kinds::Courier>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// The trace of its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

impl Delivery {
    /// A delivery that nobody has yet.
    pub(crate) fn new(
        id: Id<kinds::Delivery>,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            restaurant,
            state: Pending,
            courier: None,
            declined: Vec::new(),
            reason: String::new(),
            traceparent: None,
            created_at: now,
            changed_at: now,
        }
    }

    /// What is kept of an order that ended before its delivery was made, so that the message that
    /// makes it, which is still on its way, makes nothing.
    pub(crate) fn tombstone(
        id: Id<kinds::Delivery>,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Self {
        Self { state: Cancelled, ..Self::new(id, restaurant, now) }
    }

    /// The order it brings.
    pub(crate) fn order(&self) -> Id<kinds::Order> {
        self.id.sibling()
    }

    /// Takes `step`; gives the courier who is rid of it, if one is.
    pub(crate) fn take(
        &mut self,
        step: Step,
        now: Timestamp,
    ) -> Result<Option<Id<kinds::Courier>>, Error> {
        let had = self.courier;
        self.state = self.state.after(step).ok_or_else(|| {
            let message = format!(
                "the delivery is {}; it is too late or too early for that",
                self.state.as_str()
            );
            Error::new(ErrorCode::WrongState, message)
        })?;
        self.changed_at = now;
        if step == Step::Unassign {
            self.declined.extend(self.courier.take());
        }
        Ok(if self.state.is_under_way() { None } else { had })
    }

    /// Gives it to `courier`.
    pub(crate) fn assign(
        &mut self,
        courier: Id<kinds::Courier>,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.take(Step::Assign, now)?;
        self.courier = Some(courier);
        Ok(())
    }
}

impl Document for Delivery {
    const COLLECTION: &'static Collection = &DELIVERIES;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        match (self.state, self.courier) {
            (Pending, _) => vec![(PENDING, Key::new().time(self.created_at))],
            (Assigned | PickedUp, Some(courier)) => {
                vec![(BY_COURIER, Key::new().id(courier).time(self.created_at))]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: &[Step] =
        &[Step::Assign, Step::Unassign, Step::PickUp, Step::DropOff, Step::Fail, Step::Cancel];

    proptest! {
        #[test]
        fn a_courier_is_rid_of_it_exactly_once(steps in prop::collection::vec(0..STEPS.len(), 0..30)) {
            let now = Timestamp::from_millis(1);
            let mut delivery = Delivery::new(Id::from_bits(1), Id::from_bits(2), now);
            let mut load = 0;
            for step in steps {
                if STEPS[step] == Step::Assign {
                    load += i32::from(delivery.assign(Id::from_bits(9), now).is_ok());
                } else if let Ok(rid) = delivery.take(STEPS[step], now) {
                    load -= i32::from(rid.is_some());
                }
                prop_assert_eq!(load, i32::from(delivery.state.is_under_way()));
            }
        }
    }

    #[test]
    fn who_declined_is_remembered() {
        let now = Timestamp::from_millis(1);
        let mut delivery = Delivery::new(Id::from_bits(1), Id::from_bits(2), now);
        delivery.assign(Id::from_bits(9), now).unwrap();
        assert_eq!(delivery.take(Step::Unassign, now).unwrap(), Some(Id::from_bits(9)));
        assert_eq!(delivery.declined, [Id::from_bits(9)]);
        assert_eq!(delivery.courier, None);
        assert!(delivery.take(Step::DropOff, now).is_err());
    }
}
