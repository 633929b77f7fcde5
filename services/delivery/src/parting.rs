//! That a courier does not have a delivery any more which goes on without them: what a courier's
//! watcher who was away is told when it comes back.

use bistro_core::{Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// A courier's partings by their time.
pub(crate) const BY_COURIER: &str = "by_courier";

pub(crate) static PARTINGS: Collection = Collection {
    role: "delivery",
    name: "partings",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_COURIER)],
};

/// The last time that this courier and this delivery parted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parting {
    pub(crate) courier: Id<kinds::Courier>,
    pub(crate) delivery: Id<kinds::Delivery>,
    pub(crate) at: Timestamp,
}

impl Parting {
    /// The id of the parting of these two.
    pub(crate) fn id_of(delivery: Id<kinds::Delivery>, courier: Id<kinds::Courier>) -> String {
        format!("{delivery}/{courier}")
    }

    /// The prefix of a courier's partings in [`BY_COURIER`].
    pub(crate) fn keys_of(courier: Id<kinds::Courier>) -> Key {
        Key::new().id(courier)
    }
}

impl Document for Parting {
    const COLLECTION: &'static Collection = &PARTINGS;

    fn id(&self) -> String {
        Self::id_of(self.delivery, self.courier)
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![(BY_COURIER, Self::keys_of(self.courier).time(self.at))]
    }
}
