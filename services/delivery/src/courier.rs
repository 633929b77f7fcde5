//! A courier: on duty or not, with so much to bring and room for so much.

use bistro_core::{Error, ErrorCode, FieldError, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::shift::Shift;

/// Couriers who can take something more: those with least to bring first, of these the one who
/// has waited longest.
pub(crate) const FREE: &str = "free";
/// Couriers on duty, by id.
pub(crate) const ON_DUTY: &str = "on_duty";

pub(crate) static COURIERS: Collection = Collection {
    role: "delivery",
    name: "couriers",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(FREE), Index::new(ON_DUTY)],
};

/// The most that an administrator may let a courier bring at once.
pub(crate) const MAX_CAPACITY: u32 = 1_000;
/// Characters that a name may have.
const MAX_NAME: usize = 500;

/// A courier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Courier {
    /// The sibling of its user's id.
    pub(crate) id: Id<kinds::Courier>,
    /// Personal: erased with the user.
    pub(crate) name: String,
    pub(crate) on_duty: bool,
    /// Deliveries under way.
    pub(crate) load: u32,
    /// Deliveries that may be under way.
    pub(crate) capacity: u32,
    pub(crate) changed_at: Timestamp,
    /// The time on duty that goes on, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shift: Option<OnDuty>,
    /// Left for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
}

/// A time on duty as its courier counts it. The courier's document is written at every drop-off
/// anyway, the shift's own one only when the shift begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnDuty {
    pub(crate) shift: Id<kinds::Shift>,
    pub(crate) from: Timestamp,
    /// Brought since then.
    pub(crate) deliveries: u32,
}

impl Courier {
    /// Somebody new, off duty.
    pub(crate) fn new(id: Id<kinds::Courier>, name: String, capacity: u32, now: Timestamp) -> Self {
        Self {
            id,
            name,
            on_duty: false,
            load: 0,
            capacity,
            changed_at: now,
            shift: None,
            deleted: false,
        }
    }

    /// Whether another delivery can be given to this courier.
    pub(crate) const fn is_free(&self) -> bool {
        self.on_duty && self.load < self.capacity
    }

    /// Takes one delivery more.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Error> {
        if !self.is_free() {
            return Err(Error::new(ErrorCode::Conflict, "the courier is not free any more"));
        }
        self.load += 1;
        self.changed_at = now;
        Ok(())
    }

    /// Has one delivery less.
    pub(crate) fn put_down(&mut self, now: Timestamp) {
        self.load = self.load.saturating_sub(1);
        self.changed_at = now;
    }

    /// Counts a delivery that was brought. Gives the shift it belongs to if that one is over, so
    /// that what was written at its end has to be put right.
    pub(crate) fn count_delivered(&mut self) -> Option<Id<kinds::Shift>> {
        let shift = self.shift.as_mut()?;
        shift.deliveries = shift.deliveries.saturating_add(1);
        (!self.on_duty).then_some(shift.shift)
    }

    /// Goes on duty; gives the shift that begins.
    pub(crate) fn begin_shift(&mut self, id: Id<kinds::Shift>, now: Timestamp) -> Shift {
        self.on_duty = true;
        self.shift = Some(OnDuty { shift: id, from: now, deliveries: 0 });
        self.changed_at = now;
        Shift { id, courier: self.id, from: now, to: None, deliveries: 0 }
    }

    /// Goes off duty; gives the shift that ends, if one was recorded.
    pub(crate) fn end_shift(&mut self, now: Timestamp) -> Option<Shift> {
        let ended = self.on_duty.then_some(self.shift).flatten();
        self.on_duty = false;
        self.changed_at = now;
        ended.map(|on_duty| Shift {
            id: on_duty.shift,
            courier: self.id,
            from: on_duty.from,
            to: Some(now),
            deliveries: on_duty.deliveries,
        })
    }
}

/// The prefix of all keys in [`ON_DUTY`]: no cursor of another list is mistaken for one of this.
pub(crate) fn on_duty_keys() -> Key {
    Key::new().text(ON_DUTY)
}

/// A courier's name and capacity, of `most` at most, as they are stored, or everything that is wrong
/// with them.
pub(crate) fn check(name: &str, capacity: u32, most: u32) -> Result<(String, u32), Error> {
    let mut wrong = Vec::new();
    let mut refuse = |path: &str, message: String| {
        wrong.push(FieldError { path: path.to_owned(), message });
    };
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        refuse("name", format!("write 1 to {MAX_NAME} characters in one line"));
    }
    if !(1..=most).contains(&capacity) {
        let more = if most < MAX_CAPACITY { "; an administrator may allow more" } else { "" };
        refuse("capacity", format!("write a number from 1 to {most}{more}"));
    }
    if wrong.is_empty() { Ok((name.to_owned(), capacity)) } else { Err(Error::fields(wrong)) }
}

impl Document for Courier {
    const COLLECTION: &'static Collection = &COURIERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = Vec::new();
        if self.is_free() {
            keys.push((FREE, Key::new().int(self.load.into()).time(self.changed_at)));
        }
        if self.on_duty {
            keys.push((ON_DUTY, on_duty_keys().id(self.id)));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn courier() -> Courier {
        Courier::new(Id::from_bits(1), "Cora".to_owned(), 2, at(0))
    }

    #[test]
    fn what_is_brought_after_the_end_of_a_shift_belongs_to_it() {
        let mut courier = courier();
        let begun = courier.begin_shift(Id::from_bits(7), at(10));
        assert_eq!((begun.from, begun.to), (at(10), None));
        assert_eq!(courier.count_delivered(), None);
        let ended = courier.end_shift(at(20)).unwrap();
        assert_eq!((ended.from, ended.to, ended.deliveries), (at(10), Some(at(20)), 1));
        assert_eq!(courier.count_delivered(), Some(Id::from_bits(7)));
        assert!(courier.end_shift(at(30)).is_none(), "it has ended already");
    }

    #[test]
    fn a_courier_who_was_on_duty_before_shifts_were_recorded_has_none_to_end() {
        let json = r#"{"id":"cou_00000000000000000000000001","name":"Cora","on_duty":true,
            "load":1,"capacity":2,"changed_at":5}"#;
        let stored = bistro_store::Stored {
            id: String::new(),
            version: 3,
            schema: 1,
            compatible_from: 1,
            data: json.into(),
        };
        let mut courier = Courier::read(&stored).unwrap();
        assert!(courier.is_free() && !courier.deleted);
        assert_eq!(courier.count_delivered(), None);
        assert!(courier.end_shift(at(9)).is_none());
        assert!(!courier.on_duty);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let wrong = check(" ", 0, 9).unwrap_err();
        let paths: Vec<_> = wrong.field_errors().iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["name", "capacity"]);
        assert!(check("Cora", MAX_CAPACITY + 1, MAX_CAPACITY).is_err());
        assert!(check(&"ä".repeat(501), 1, 9).is_err());
        assert_eq!(check(" Cora ", 9, 9).unwrap(), ("Cora".to_owned(), 9));
        let refused = check("Cora", 10, 9).unwrap_err();
        let how = "write a number from 1 to 9; an administrator may allow more";
        assert_eq!(refused.field_errors()[0].message, how);
    }

    proptest! {
        /// Whatever happens in whatever order, nobody has more than there is room for at the time
        /// it is given, and nobody off duty is given anything.
        #[test]
        fn never_over_capacity(steps in prop::collection::vec((0_u8..5, 1_u32..4), 0..60)) {
            let mut courier = courier();
            for (millis, (step, number)) in (1..).zip(steps) {
                match step {
                    0 => drop(courier.begin_shift(Id::from_bits(1), at(millis))),
                    1 => drop(courier.end_shift(at(millis))),
                    2 => {
                        let (before, room) = (courier.load, courier.is_free());
                        prop_assert_eq!(courier.take(at(millis)).is_ok(), room);
                        prop_assert_eq!(courier.load, before + u32::from(room));
                        prop_assert!(!room || courier.load <= courier.capacity);
                    }
                    3 => courier.put_down(at(millis)),
                    _ => courier.capacity = number,
                }
                let free = courier.keys().iter().any(|(index, _)| *index == FREE);
                prop_assert_eq!(free, courier.is_free());
            }
        }
    }
}
