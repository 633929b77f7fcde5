//! Documents for tests of the rules.

use bistro_core::{Currency, Id, Timestamp, kinds};
use bistro_store::Versioned;

use crate::{
    documents::{Choice, Details, Item, Menu, OptionGroup, Profile, Restaurant},
    hours::Hours,
};

/// The restaurant of them all.
pub(crate) const HERE: Id<kinds::Restaurant> = Id::from_bits(1 << 100);

/// A moment in RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The same hours every day.
pub(crate) fn hours(span: &str) -> Hours {
    Hours::read(&vec![vec![span.to_owned()]; 7], &std::collections::BTreeMap::new()).unwrap()
}

pub(crate) fn restaurant() -> Restaurant {
    Restaurant {
        id: HERE,
        name: "Chez Ada".to_owned(),
        currency: Currency::GBP,
        time_zone: "Europe/London".to_owned(),
        open: true,
        profile: Profile::default(),
        owner: None,
        created_at: Timestamp::from_millis(0),
        closed_at: None,
    }
}

/// A dish of 5.00 that is not counted.
pub(crate) fn item(id: u128) -> Item {
    let name = format!("dish {id}");
    let item = Item::new(Id::from_bits(id), &restaurant(), &name, 500, Timestamp::from_millis(0));
    Item { details: Details::default(), ..item }
}

pub(crate) fn menu(id: u128) -> Versioned<Menu> {
    let value = Menu {
        id: Id::from_bits(id),
        restaurant: HERE,
        name: format!("menu {id}"),
        description: String::new(),
        position: 0,
        hours: Hours::default(),
        sections: Vec::new(),
    };
    Versioned { value, version: 1 }
}

/// The id of the group `number`: as in life, its last bits are its choices'.
pub(crate) fn group_id(number: u128) -> Id<kinds::OptionGroup> {
    Id::from_bits(number << 16)
}

pub(crate) fn choice_id(group: u128, number: u128) -> Id<kinds::Choice> {
    Id::from_bits((group << 16) | number)
}

/// A choice of the group `group`.
pub(crate) fn choice(group: u128, number: u128, price_minor: i64) -> Choice {
    Choice {
        id: choice_id(group, number),
        name: format!("choice {number} of {group}"),
        price_minor,
        available: true,
        back_at: None,
        allergens: Vec::new(),
        ingredients: Vec::new(),
    }
}

pub(crate) fn group(number: u128, min: u32, max: Option<u32>, choices: &[u128]) -> OptionGroup {
    OptionGroup {
        id: group_id(number),
        restaurant: HERE,
        name: format!("group {number}"),
        min,
        max,
        choices: choices.iter().map(|choice| self::choice(number, *choice, 100)).collect(),
        made: 2,
        revision: 1,
        uses: 0,
    }
}
