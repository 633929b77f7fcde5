//! A time that a courier was on duty, as it is stored.

use bistro_core::{Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// A courier's shifts by their beginning.
pub(crate) const BY_COURIER: &str = "by_courier";

pub(crate) static SHIFTS: Collection = Collection {
    role: "delivery",
    name: "shifts",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_COURIER)],
};

/// One shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shift {
    pub(crate) id: Id<kinds::Shift>,
    pub(crate) courier: Id<kinds::Courier>,
    pub(crate) from: Timestamp,
    /// None while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Timestamp>,
    /// What was brought, as of its end; until then the courier counts.
    pub(crate) deliveries: u32,
}

impl Shift {
    /// The field that a drop-off after the end adds to.
    pub(crate) const DELIVERIES: &'static str = "deliveries";

    /// The prefix of a courier's shifts in [`BY_COURIER`].
    pub(crate) fn keys_of(courier: Id<kinds::Courier>) -> Key {
        Key::new().id(courier)
    }
}

impl Document for Shift {
    const COLLECTION: &'static Collection = &SHIFTS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![(BY_COURIER, Self::keys_of(self.courier).time(self.from))]
    }
}
