//! What catalog stores: restaurants, menus, items and their options, and ingredients.

use bistro_core::{Allergen, Currency, Diet, Fulfilment, GeoPoint, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{fields, hours::Hours};

/// The role that owns these collections.
pub(crate) const ROLE: &str = "catalog";

/// Restaurants by name; menus, items, option groups and ingredients by restaurant and name.
pub(crate) const BY_NAME: &str = "name";
/// Restaurants by name in small letters.
pub(crate) const BY_SEARCH: &str = "search";

/// Restaurants by the user who made them.
pub(crate) const BY_OWNER: &str = "owner";

/// Imports by when they went on.
pub(crate) const BY_TIME: &str = "time";

/// Minutes that cooking takes where nobody has said.
const USUAL_PREP_MINUTES: u32 = 20;

/// Where something is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) line1: String,
    pub(crate) line2: String,
    pub(crate) city: String,
    pub(crate) postcode: String,
    /// ISO 3166-1 alpha-2, or empty.
    pub(crate) country: String,
}

/// How a restaurant delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryTerms {
    pub(crate) radius_m: u32,
    pub(crate) fee_minor: i64,
    /// From this sum on there is no fee.
    pub(crate) free_from_minor: Option<i64>,
    /// Of the fee, in hundredths of a per cent.
    pub(crate) tax_rate: u32,
}

/// For when orders can be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotTerms {
    pub(crate) minutes: u32,
    pub(crate) capacity: u32,
    pub(crate) ahead_hours: u32,
}

/// What a restaurant says about itself beside its name and time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) description: String,
    pub(crate) phone: String,
    pub(crate) address: Address,
    pub(crate) location: Option<GeoPoint>,
    pub(crate) hours: Hours,
    /// Minutes from acceptance until an order is usually ready.
    pub(crate) prep_minutes: u32,
    /// The least sum of an order's lines.
    pub(crate) minimum_order_minor: i64,
    /// None: it delivers to anywhere, for nothing.
    pub(crate) delivery: Option<DeliveryTerms>,
    /// What it offers, each once; empty: everything.
    pub(crate) fulfilments: Vec<Fulfilment>,
    pub(crate) prices_include_tax: bool,
    /// None: orders cannot be scheduled.
    pub(crate) slots: Option<SlotTerms>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            description: String::new(),
            phone: String::new(),
            address: Address::default(),
            location: None,
            hours: Hours::default(),
            prep_minutes: USUAL_PREP_MINUTES,
            minimum_order_minor: 0,
            delivery: None,
            fulfilments: Vec::new(),
            prices_include_tax: true,
            slots: None,
        }
    }
}

/// A restaurant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restaurant {
    pub(crate) id: Id<kinds::Restaurant>,
    pub(crate) name: String,
    /// Of every price on its menus.
    pub(crate) currency: Currency,
    /// IANA name.
    pub(crate) time_zone: String,
    /// Whether its people take orders.
    pub(crate) open: bool,
    #[serde(default)]
    pub(crate) profile: Profile,
    /// The user who made it, if a user did.
    pub(crate) owner: Option<Id<kinds::User>>,
    pub(crate) created_at: Timestamp,
    /// When it was closed for good.
    #[serde(default)]
    pub(crate) closed_at: Option<Timestamp>,
}

impl Restaurant {
    /// Its time zone. One that the program knows no more is taken for UTC: it was known when it
    /// was set.
    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// Whether it takes orders for `when`: its people take any, and the hours say so.
    pub(crate) fn takes_orders(&self, when: Timestamp) -> bool {
        self.open && self.closed_at.is_none() && self.profile.hours.is_open(&self.zone(), when)
    }

    /// When the hours say that it opens next, if it is closed at `now` and will.
    pub(crate) fn opens_next(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.open || self.closed_at.is_some() {
            return None;
        }
        self.profile.hours.opens_next(&self.zone(), now)
    }

    /// It, closed for good at `now`; none if it is already.
    pub(crate) fn closed(&self, now: Timestamp) -> Option<Self> {
        self.closed_at.is_none().then(|| Self { closed_at: Some(now), ..self.clone() })
    }

    /// Whether it offers `fulfilment`.
    pub(crate) fn offers(&self, fulfilment: Fulfilment) -> bool {
        let offered = &self.profile.fulfilments;
        offered.is_empty() || offered.contains(&fulfilment)
    }
}

impl Document for Restaurant {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "restaurants",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(BY_NAME), Index::new(BY_SEARCH), Index::new(BY_OWNER)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        if self.closed_at.is_some() {
            return Vec::new();
        }
        let folded = fields::name_key(&self.name);
        let mut keys =
            vec![(BY_NAME, Key::new().text(&self.name)), (BY_SEARCH, Key::new().text(&folded))];
        keys.extend(self.owner.map(|owner| (BY_OWNER, Key::new().id(owner))));
        keys
    }
}

/// The key of something of a restaurant's in [`BY_NAME`].
fn named(restaurant: Id<kinds::Restaurant>, name: &str) -> Vec<(&'static str, Key)> {
    vec![(BY_NAME, keys_of(restaurant).text(&fields::name_key(name)))]
}

/// The prefix of what is a restaurant's in [`BY_NAME`].
pub(crate) fn keys_of(restaurant: Id<kinds::Restaurant>) -> Key {
    Key::new().id(restaurant)
}

/// A menu with its sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Menu {
    pub(crate) id: Id<kinds::Menu>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) position: i32,
    /// When what is on it can be ordered.
    pub(crate) hours: Hours,
    pub(crate) sections: Vec<Section>,
}

/// A part of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) id: Id<kinds::Section>,
    pub(crate) name: String,
    pub(crate) description: String,
}

impl Document for Menu {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "menus",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::unique(BY_NAME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        named(self.restaurant, &self.name)
    }
}

/// What a restaurant says about an item beside its name and price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    pub(crate) description: String,
    pub(crate) image_url: String,
    /// The section that shows it; one that is gone shows nothing.
    pub(crate) section: Option<Id<kinds::Section>>,
    pub(crate) position: i32,
    pub(crate) allergens: Vec<Allergen>,
    pub(crate) diets: Vec<Diet>,
    /// Hundredths of a per cent.
    pub(crate) tax_rate: u32,
    /// When it can be ordered.
    pub(crate) hours: Hours,
    /// Where it is cooked; empty when nobody has said.
    pub(crate) station: String,
    pub(crate) option_groups: Vec<Id<kinds::OptionGroup>>,
    pub(crate) ingredients: Vec<Id<kinds::Ingredient>>,
}

/// A dish or drink, and how many of it are free to order.
///
/// `stocked - free` is what held and committed reservations hold of it: reserving and giving back
/// change `free` alone, setting the stock changes both alike. So that reservations can always be
/// given back, an item that is deleted stays stored, and nobody is shown it.
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
    /// When it is to be had again, if it is not now and somebody has said.
    #[serde(default)]
    pub(crate) back_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) details: Details,
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
    #[serde(default)]
    pub(crate) deleted: bool,
}

impl Item {
    /// The field that reservations adjust.
    pub(crate) const FREE: &'static str = "free";

    /// A new item that is on no section and not counted.
    pub(crate) fn new(
        id: Id<kinds::Item>,
        restaurant: &Restaurant,
        name: &str,
        price_minor: i64,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            restaurant: restaurant.id,
            name: name.to_owned(),
            price_minor,
            currency: restaurant.currency,
            available: true,
            back_at: None,
            details: Details::default(),
            counted: false,
            free: 0,
            stocked: 0,
            revision: 1,
            changed_at: now,
            deleted: false,
        }
    }

    /// The item after an edit at `now`.
    pub(crate) fn edited(self, now: Timestamp) -> Self {
        Self { revision: self.revision + 1, changed_at: now, ..self }
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
        if self.deleted { Vec::new() } else { named(self.restaurant, &self.name) }
    }
}

/// Options of which an item's customer chooses some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OptionGroup {
    pub(crate) id: Id<kinds::OptionGroup>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) name: String,
    /// How many have to be chosen.
    pub(crate) min: u32,
    /// How many may be chosen; none: any number.
    pub(crate) max: Option<u32>,
    pub(crate) choices: Vec<Choice>,
    /// How many choices it ever had: the next one's number.
    pub(crate) made: u32,
    /// One higher with every edit.
    pub(crate) revision: i64,
    /// How often an item or an edit began to use it, which is no edit of its own.
    pub(crate) uses: i64,
}

/// One option of a group. Its id is its group's with a number of its own in the last bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) id: Id<kinds::Choice>,
    pub(crate) name: String,
    /// What it adds to the item's price.
    pub(crate) price_minor: i64,
    pub(crate) available: bool,
    pub(crate) back_at: Option<Timestamp>,
    pub(crate) allergens: Vec<Allergen>,
    pub(crate) ingredients: Vec<Id<kinds::Ingredient>>,
}

impl Document for OptionGroup {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "option_groups",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::unique(BY_NAME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        named(self.restaurant, &self.name)
    }
}

/// What dishes and options are made of, as far as it may run out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingredient {
    pub(crate) id: Id<kinds::Ingredient>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) name: String,
    pub(crate) available: bool,
    pub(crate) back_at: Option<Timestamp>,
    /// One higher with every edit.
    pub(crate) revision: i64,
    /// How often an item or a choice began to use it, which is no edit of its own.
    pub(crate) uses: i64,
}

/// The field of option groups and ingredients that [`bistro_store::Work::adjust`] raises when
/// something begins to use them, so that nobody deletes them meanwhile.
pub(crate) const USES: &str = "uses";

impl Document for Ingredient {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "ingredients",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::unique(BY_NAME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        named(self.restaurant, &self.name)
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
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "imports",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(BY_TIME)],
    };

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![(BY_TIME, Key::new().time(self.changed_at))]
    }
}
