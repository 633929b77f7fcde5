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
    /// The courier does not want it.
    Decline,
    /// The courier has not picked it up in time.
    Lapse,
    PickUp,
    DropOff,
    Fail,
    Cancel,
}

/// Every allowed step: from where, by what, to where.
const TABLE: &[(State, Step, State)] = &[
    (Pending, Step::Assign, Assigned),
    (Pending, Step::Cancel, Cancelled),
    (Assigned, Step::Decline, Pending),
    (Assigned, Step::Lapse, Pending),
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

/// What kind of reason a delivery failed for: what others are told, who must not be told the
/// courier's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailCode {
    CustomerAbsent,
    WrongAddress,
    FoodDamaged,
    CourierUnable,
    Other,
}

impl FailCode {
    const ALL: [Self; 5] = [
        Self::CustomerAbsent,
        Self::WrongAddress,
        Self::FoodDamaged,
        Self::CourierUnable,
        Self::Other,
    ];

    /// The code with this text; without any text it is [`FailCode::Other`].
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::Other);
        }
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::field("code", format!("write one of {known}, or leave it out"))
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerAbsent => "customer_absent",
            Self::WrongAddress => "wrong_address",
            Self::FoodDamaged => "food_damaged",
            Self::CourierUnable => "courier_unable",
            Self::Other => "other",
        }
    }
}

/// That a courier did not pick a delivery up in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lapse {
    pub(crate) courier: Id<kinds::Courier>,
    /// The last time.
    pub(crate) at: Timestamp,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// The sibling of its order's id.
    pub(crate) id: Id<kinds::Delivery>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) state: State,
    pub(crate) courier: Option<Id<kinds::Courier>>,
    /// Couriers who do not want it: they are never offered it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) declined: Vec<Id<kinds::Courier>>,
    /// Couriers who let it pass, one entry each: they are offered it again after all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lapsed: Vec<Lapse>,
    /// Why it failed, in the courier's words, which may hold personal data: they stay here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<FailCode>,
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
            lapsed: Vec::new(),
            reason: String::new(),
            reason_code: None,
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

    /// When `courier` last let it pass, if ever.
    pub(crate) fn lapsed_at(&self, courier: Id<kinds::Courier>) -> Option<Timestamp> {
        self.lapsed.iter().find(|lapse| lapse.courier == courier).map(|lapse| lapse.at)
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
        match step {
            Step::Decline => self.declined.extend(self.courier.take()),
            Step::Lapse => {
                if let Some(courier) = self.courier.take() {
                    self.lapsed.retain(|lapse| lapse.courier != courier);
                    self.lapsed.push(Lapse { courier, at: now });
                }
            }
            _ => {}
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

    const STEPS: &[Step] = &[
        Step::Assign,
        Step::Decline,
        Step::Lapse,
        Step::PickUp,
        Step::DropOff,
        Step::Fail,
        Step::Cancel,
    ];

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
        assert_eq!(delivery.take(Step::Decline, now).unwrap(), Some(Id::from_bits(9)));
        assert_eq!(delivery.declined, [Id::from_bits(9)]);
        assert_eq!(delivery.courier, None);
        assert!(delivery.take(Step::DropOff, now).is_err());
    }

    #[test]
    fn who_let_it_pass_is_remembered_once_with_the_last_time() {
        let mut delivery =
            Delivery::new(Id::from_bits(1), Id::from_bits(2), Timestamp::from_millis(1));
        for millis in [5, 9] {
            let now = Timestamp::from_millis(millis);
            delivery.assign(Id::from_bits(9), now).unwrap();
            assert_eq!(delivery.take(Step::Lapse, now).unwrap(), Some(Id::from_bits(9)));
            assert_eq!(delivery.lapsed, [Lapse { courier: Id::from_bits(9), at: now }]);
        }
        assert!(delivery.declined.is_empty());
    }

    #[test]
    fn a_code_is_one_of_the_list() {
        for code in FailCode::ALL {
            assert_eq!(FailCode::parse(code.as_str()).unwrap(), code);
        }
        assert_eq!(FailCode::parse("").unwrap(), FailCode::Other);
        assert!(FailCode::parse("the dog of Ada bit me").is_err());
    }
}
