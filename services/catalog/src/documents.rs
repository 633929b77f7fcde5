//! What catalog stores: restaurants, items, reservations of stock, and menu imports.

use bistro_core::{Currency, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::menu;

/// The role that owns these collections.
pub(crate) const ROLE: &str = "catalog";

/// Restaurants by name; items by restaurant and name.
pub(crate) const BY_NAME: &str = "name";
/// Held reservations by when their orders are looked at.
pub(crate) const BY_CHECK: &str = "check";

/// A restaurant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restaurant {
    pub(crate) id: Id<kinds::Restaurant>,
    pub(crate) name: String,
    /// Of every price on its menus.
    pub(crate) currency: Currency,
    /// IANA name.
    pub(crate) time_zone: String,
    pub(crate) open: bool,
    /// The user who made it, if a user did.
    pub(crate) owner: Option<Id<kinds::User>>,
    pub(crate) created_at: Timestamp,
}

impl Document for Restaurant {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "restaurants",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(BY_NAME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![(BY_NAME, Key::new().text(&self.name))]
    }
}

/// A dish or drink, and how many of it are free to order.
///
/// `stocked - free` is what held and committed reservations hold of it: reserving and giving back
/// change `free` alone, setting the stock changes both alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: Id<kinds::Item>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    /// The restaurant's currency.
    pub(crate) currency: Currency,
    /// Whether it can be ordered at all; "86" clears it.
    pub(crate) available: bool,
    /// Whether orders take it out of `free`.
    pub(crate) counted: bool,
    /// Adjusted by reservations, whatever the version.
    pub(crate) free: i64,
    /// How many were ever put into stock.
    pub(crate) stocked: i64,
    /// One higher with every edit. Reservations do not count as edits, so that a busy item can
    /// still be edited by somebody who read it a moment ago.
    pub(crate) revision: i64,
    pub(crate) changed_at: Timestamp,
}

impl Item {
    /// The field that reservations adjust.
    pub(crate) const FREE: &'static str = "free";

    /// The prefix of a restaurant's items in [`BY_NAME`].
    pub(crate) fn keys_of(restaurant: Id<kinds::Restaurant>) -> Key {
        Key::new().id(restaurant)
    }
}

impl Document for Item {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "items",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::unique(BY_NAME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let key = Self::keys_of(self.restaurant).text(&menu::name_key(&self.name));
        vec![(BY_NAME, key)]
    }
}

/// Where a reservation stands; see [`crate::reservations`].
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

impl ReservationState {
    /// The word in audits.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }
}

/// How many of a counted item an order took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) item: Id<kinds::Item>,
    pub(crate) quantity: i64,
}

/// What one order took out of counted stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// The order's sibling, so that an order has one at most.
    pub(crate) id: Id<kinds::Reservation>,
    /// None when the release came first.
    pub(crate) restaurant: Option<Id<kinds::Restaurant>>,
    pub(crate) state: ReservationState,
    /// One entry per item.
    pub(crate) taken: Vec<Taken>,
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
            ReservationState::Held => vec![(BY_CHECK, Key::new().time(self.check_at))],
            ReservationState::Committed | ReservationState::Released => Vec::new(),
        }
    }
}

/// How far one import of a menu has come. It carries the marks of the import's parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Import {
    /// Follows from the request.
    pub(crate) id: String,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    /// Parts that are done.
    pub(crate) parts: u32,
    pub(crate) added: u32,
    pub(crate) changed: u32,
    pub(crate) unchanged: u32,
    pub(crate) changed_at: Timestamp,
}

impl Document for Import {
    const COLLECTION: &'static Collection =
        &Collection { role: ROLE, name: "imports", schema: 1, compatible_from: 1, indexes: &[] };

    fn id(&self) -> String {
        self.id.clone()
    }
}
