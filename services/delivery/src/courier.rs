//! A courier: on duty or not, with so much to bring and room for so much.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Couriers who can take something more: those with least to bring first, of these the one who
/// has waited longest.
pub(crate) const FREE: &str = "free";

pub(crate) static COURIERS: Collection = Collection {
    role: "delivery",
    name: "couriers",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(FREE)],
};

/// The most that a courier may bring at once.
pub(crate) const MAX_CAPACITY: u32 = 1_000;

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
}

impl Courier {
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
}

impl Document for Courier {
    const COLLECTION: &'static Collection = &COURIERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        if self.is_free() {
            vec![(FREE, Key::new().int(self.load.into()).time(self.changed_at))]
        } else {
            Vec::new()
        }
    }
}
