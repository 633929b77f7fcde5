//! A delivery and its state machine: the only place that knows what may follow what.

use bistro_core::{Error, ErrorCode, GeoPoint, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::{failure::FailCode, places::Ends};

/// Deliveries that nobody has, oldest first.
pub(crate) const PENDING: &str = "pending";
/// Deliveries under way of one courier, oldest first.
pub(crate) const BY_COURIER: &str = "by_courier";
/// Deliveries that have not ended, oldest first.
pub(crate) const OPEN: &str = "open";
/// A restaurant's deliveries that have not ended, oldest first.
pub(crate) const BY_RESTAURANT: &str = "by_restaurant";
/// All that a courier has or brought to an end, by the moment of its last change.
pub(crate) const CHANGED: &str = "changed";
/// Deliveries that hold something personal, by customer.
pub(crate) const PERSONAL: &str = "personal";
/// Deliveries whose ends somebody has yet to say, oldest first.
pub(crate) const INCOMPLETE: &str = "incomplete";

pub(crate) static DELIVERIES: Collection = Collection {
    role: "delivery",
    name: "deliveries",
    schema: 1,
    compatible_from: 1,
    indexes: &[
        Index::new(PENDING),
        Index::new(BY_COURIER),
        Index::new(OPEN),
        Index::new(BY_RESTAURANT),
        Index::new(CHANGED),
        Index::new(PERSONAL),
        Index::new(INCOMPLETE),
    ],
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

    /// Whether nothing follows.
    pub(crate) const fn is_end(self) -> bool {
        matches!(self, Delivered | Failed | Cancelled)
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
    /// Whose order it is, as soon as orders could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Id<kinds::User>>,
    /// Where from, as soon as catalog could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<GeoPoint>,
    /// Where to, as soon as orders could say. Personal: kept no longer than it is needed to choose
    /// a courier, and erased with the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<GeoPoint>,
    /// Whether orders or catalog did not answer who was asked for the three above.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) incomplete: bool,
    pub(crate) state: State,
    pub(crate) courier: Option<Id<kinds::Courier>>,
    /// Couriers who do not want it: they are never offered it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) declined: Vec<Id<kinds::Courier>>,
    /// Couriers who let it pass, one entry each: they are offered it again after all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lapsed: Vec<Lapse>,
    /// Why it failed, in the words of who said so, which may hold personal data: they stay here,
    /// and are erased with the customer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<FailCode>,
    /// Wrong codes that the courier has given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) wrong_codes: u32,
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
            customer: None,
            from: None,
            to: None,
            incomplete: false,
            state: Pending,
            courier: None,
            declined: Vec::new(),
            lapsed: Vec::new(),
            reason: String::new(),
            reason_code: None,
            wrong_codes: 0,
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
        if self.state.is_end() {
            self.to = None;
        }
        match step {
            Step::Decline => {
                if let Some(courier) = self.courier.take() {
                    // Who claims it after all may decline it once more.
                    self.declined.retain(|before| *before != courier);
                    self.declined.push(courier);
                }
            }
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

    /// What `step`, taken for the reason `why`, means now. That one courier cannot bring it says nothing about the food
    /// while that is still in the restaurant: another one can.
    pub(crate) fn meant_by(&self, step: Step, why: Option<FailCode>) -> Step {
        match (self.state, step, why) {
            (Assigned, Step::Fail, Some(FailCode::CourierUnable)) => Step::Decline,
            _ => step,
        }
    }

    /// Takes up what was said about its ends at last. Where to is of no use any more when it has
    /// ended.
    pub(crate) fn complete(&mut self, ends: Ends) {
        let Ends { from, drop_off, known } = ends;
        self.incomplete = !known;
        self.from = self.from.or(from);
        self.customer = self.customer.or(drop_off.customer);
        if !self.state.is_end() {
            self.to = self.to.or(drop_off.location);
        }
    }

    /// Forgets what tells about its customer; false if there was nothing.
    pub(crate) fn forget_customer(&mut self) -> bool {
        let held = self.is_personal();
        self.to = None;
        self.reason.clear();
        held
    }

    /// Whether it holds more about its customer than an id.
    const fn is_personal(&self) -> bool {
        self.to.is_some() || !self.reason.is_empty()
    }

    /// The prefix of all keys in [`OPEN`]: no cursor of another list is mistaken for one of this.
    pub(crate) fn open_keys() -> Key {
        Key::new().text(OPEN)
    }

    /// The prefix of a restaurant's deliveries in [`BY_RESTAURANT`].
    pub(crate) fn keys_of(restaurant: Id<kinds::Restaurant>) -> Key {
        Key::new().id(restaurant)
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
        let mut keys = Vec::new();
        if self.state == Pending {
            keys.push((PENDING, Key::new().time(self.created_at)));
        }
        if !self.state.is_end() {
            keys.push((OPEN, Self::open_keys().time(self.created_at)));
            let key = Self::keys_of(self.restaurant).time(self.created_at);
            keys.push((BY_RESTAURANT, key));
        }
        if let Some(courier) = self.courier {
            keys.push((CHANGED, Key::new().id(courier).time(self.changed_at)));
            if self.state.is_under_way() {
                keys.push((BY_COURIER, Key::new().id(courier).time(self.created_at)));
            }
        }
        if let Some(customer) = self.customer.filter(|_| self.is_personal()) {
            keys.push((PERSONAL, Key::new().id(customer)));
        }
        if self.incomplete {
            keys.push((INCOMPLETE, Key::new().time(self.created_at)));
        }
        keys
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
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

    fn has_key(delivery: &Delivery, index: &str) -> bool {
        delivery.keys().iter().any(|(name, _)| *name == index)
    }

    #[test]
    fn where_to_is_forgotten_at_every_end() {
        let now = Timestamp::from_millis(1);
        for end in [Step::DropOff, Step::Fail, Step::Cancel] {
            let mut delivery = Delivery {
                customer: Some(Id::from_bits(5)),
                to: GeoPoint::new(1, 2),
                ..Delivery::new(Id::from_bits(1), Id::from_bits(2), now)
            };
            delivery.assign(Id::from_bits(9), now).unwrap();
            delivery.take(Step::PickUp, now).unwrap();
            assert!(has_key(&delivery, PERSONAL) && has_key(&delivery, OPEN));
            delivery.take(end, now).unwrap();
            assert!(delivery.to.is_none());
            assert!(!has_key(&delivery, PERSONAL) && !has_key(&delivery, OPEN));
            assert!(has_key(&delivery, CHANGED) && !has_key(&delivery, BY_COURIER));
        }
    }

    #[test]
    fn who_is_unable_to_bring_it_fails_only_what_was_picked_up() {
        let now = Timestamp::from_millis(1);
        let mut delivery = Delivery::new(Id::from_bits(1), Id::from_bits(2), now);
        delivery.assign(Id::from_bits(9), now).unwrap();
        let unable = Some(FailCode::CourierUnable);
        assert_eq!(delivery.meant_by(Step::Fail, unable), Step::Decline);
        for why in [None, Some(FailCode::FoodDamaged), Some(FailCode::Other)] {
            assert_eq!(delivery.meant_by(Step::Fail, why), Step::Fail);
        }
        delivery.take(Step::PickUp, now).unwrap();
        assert_eq!(delivery.meant_by(Step::Fail, unable), Step::Fail);
        assert_eq!(delivery.meant_by(Step::DropOff, None), Step::DropOff);
    }

    #[test]
    fn what_is_said_late_is_taken_up_as_far_as_it_is_of_use() {
        let now = Timestamp::from_millis(1);
        let new =
            Delivery { incomplete: true, ..Delivery::new(Id::from_bits(1), Id::from_bits(2), now) };
        let ends = |known| Ends {
            from: GeoPoint::new(1, 2),
            drop_off: crate::places::DropOff {
                location: GeoPoint::new(3, 4),
                customer: Some(Id::from_bits(5)),
                ..Default::default()
            },
            known,
        };
        let mut delivery = new.clone();
        delivery.complete(Ends { known: false, ..Ends::default() });
        assert_eq!(delivery, new);
        assert!(has_key(&delivery, INCOMPLETE));
        delivery.complete(ends(true));
        assert_eq!((delivery.from, delivery.to), (GeoPoint::new(1, 2), GeoPoint::new(3, 4)));
        assert!(!has_key(&delivery, INCOMPLETE) && has_key(&delivery, PERSONAL));
        // Of what has ended only whose it was is wanted: to erase what was said about them.
        let mut ended = Delivery { reason: "Ada was out".to_owned(), ..new };
        ended.take(Step::Cancel, now).unwrap();
        assert!(has_key(&ended, INCOMPLETE) && !has_key(&ended, PERSONAL));
        ended.complete(ends(true));
        assert_eq!((ended.customer, ended.to), (Some(Id::from_bits(5)), None));
        assert!(has_key(&ended, PERSONAL) && !has_key(&ended, INCOMPLETE));
    }

    #[test]
    fn what_was_stored_before_there_were_places_still_reads() {
        let json = r#"{"id":"dlv_00000000000000000000000001",
            "restaurant":"rst_00000000000000000000000002","state":"assigned",
            "courier":"cou_00000000000000000000000003","created_at":1,"changed_at":2}"#;
        let stored = bistro_store::Stored {
            id: String::new(),
            version: 1,
            schema: 1,
            compatible_from: 1,
            data: json.into(),
        };
        let delivery = Delivery::read(&stored).unwrap();
        assert_eq!((delivery.customer, delivery.to, delivery.wrong_codes), (None, None, 0));
        let again = serde_json_of(&delivery);
        assert!(!again.contains("wrong_codes") && !again.contains("customer"), "{again}");
    }

    fn serde_json_of(delivery: &Delivery) -> String {
        let cause = bistro_store::Cause::Tick { name: "t".to_owned() };
        let mut work = bistro_store::Work::new("delivery", cause, Timestamp::from_millis(1), None);
        work.insert(delivery).unwrap();
        work.writes[0].after().unwrap().data.to_string()
    }

    #[test]
    fn who_declined_is_remembered() {
        let now = Timestamp::from_millis(1);
        let mut delivery = Delivery::new(Id::from_bits(1), Id::from_bits(2), now);
        delivery.assign(Id::from_bits(9), now).unwrap();
        assert_eq!(delivery.take(Step::Decline, now).unwrap(), Some(Id::from_bits(9)));
        assert_eq!(delivery.declined, [Id::from_bits(9)]);
        assert_eq!(delivery.courier, None);
        delivery.assign(Id::from_bits(9), now).unwrap();
        delivery.take(Step::Decline, now).unwrap();
        assert_eq!(delivery.declined, [Id::from_bits(9)], "once");
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
}
