//! How many bytes things take in messages, at most: what a page and a whole menu are measured by.
//!
//! A size follows from what a thing's people say about it and from nothing else: not from its
//! version, its stock, or whether it is to be had. So a sum of sizes can be kept by adding and
//! taking away.

use prost::Message as _;

use crate::{
    documents::{Details, Ingredient, Item, Menu, OptionGroup, Restaurant},
    profile, wire,
};

/// Around what an item's people say: ids, price, version, stock, and its id among what is gone.
const ITEM: usize = 240;
/// Around a menu's words: its version and what a message puts around it.
const MENU: usize = 24;
/// Around the words of a new menu without sections.
const NEW_MENU: usize = 120;
/// Around the words of a new section.
const NEW_SECTION: usize = 48;
/// Around an option group's words.
const GROUP: usize = 32;
/// Around a choice: whether it is to be had, and its id among what is gone.
const CHOICE: usize = 56;
/// Around an ingredient's name.
const INGREDIENT: usize = 112;
/// Around a restaurant's profile: id, name and time zone once more, version, and when it opens.
const RESTAURANT: usize = 240;

/// A restaurant.
pub(crate) fn restaurant(one: &Restaurant) -> usize {
    let profile = profile::message(&one.name, &one.time_zone, &one.profile);
    RESTAURANT + one.name.len() + profile.encoded_len()
}

/// An item.
pub(crate) fn item(item: &Item) -> usize {
    item_of(&item.name, &item.details)
}

/// An item of this name, whichever section it is in.
pub(crate) fn item_of(name: &str, details: &Details) -> usize {
    let said = wire::details(&Details { section: None, ..details.clone() }, None);
    ITEM + name.len() + said.encoded_len()
}

/// A menu with its sections.
pub(crate) fn menu(menu: &Menu) -> usize {
    MENU + wire::menu(menu, 0).encoded_len()
}

/// At most what a new menu without sections takes.
pub(crate) fn new_menu(name: &str) -> usize {
    NEW_MENU + name.len()
}

/// At most what a new section without a description adds to its menu.
pub(crate) fn new_section(name: &str) -> usize {
    NEW_SECTION + name.len()
}

/// An option group with its choices.
pub(crate) fn option_group(group: &OptionGroup) -> usize {
    let mut plain = OptionGroup { revision: 0, ..group.clone() };
    for choice in &mut plain.choices {
        (choice.available, choice.back_at) = (true, None);
    }
    let words = wire::option_group(&plain, bistro_core::Timestamp::from_millis(0));
    GROUP + words.encoded_len() + group.choices.len() * CHOICE
}

/// An ingredient.
pub(crate) fn ingredient(one: &Ingredient) -> usize {
    INGREDIENT + one.name.len()
}

#[cfg(test)]
mod tests {
    use bistro_core::{Id, Timestamp};
    use bistro_proto::catalog::v1;

    use super::*;
    use crate::{
        samples::{self, HERE, at},
        shops::Frame,
    };

    /// Longer than any moment, version or number of things in life.
    const LATE: &str = "9990-01-01T00:00:00Z";

    #[test]
    fn nothing_takes_more_in_a_menu_than_is_counted() {
        let later = Some(at(LATE));
        let mut dish =
            Item { counted: true, free: i64::MAX, revision: i64::MAX, ..samples::item(1) };
        (dish.available, dish.back_at, dish.price_minor) = (false, later, i64::MAX);
        dish.details.section = Some(Id::from_bits(4));
        let mut extras = samples::group(30, 1, Some(2), &[1, 2, 3]);
        extras.revision = i64::MAX;
        for choice in &mut extras.choices {
            (choice.available, choice.back_at) = (false, later);
        }
        let cheese = Ingredient {
            id: Id::from_bits(5),
            restaurant: HERE,
            name: "Cheese".to_owned(),
            available: false,
            back_at: later,
            revision: i64::MAX,
            uses: 0,
        };
        let dinner = samples::menu(20).value;
        let counted = item(&dish) + option_group(&extras) + ingredient(&cheese) + menu(&dinner);
        assert!(menu(&dinner) <= new_menu(&dinner.name));
        let now = Timestamp::from_millis(0);
        let full = v1::FullMenu {
            restaurant: None,
            menus: vec![wire::menu(&dinner, i64::MAX)],
            items: vec![wire::item(&dish, &Frame::default(), now)],
            groups: vec![wire::option_group(&extras, now)],
            ingredients: vec![wire::ingredient(&cheese, now)],
            sold_out: std::iter::once(dish.id.to_string())
                .chain(extras.choices.iter().map(|choice| choice.id.to_string()))
                .collect(),
        };
        let taken = full.encoded_len();
        assert!(taken <= counted, "{taken} bytes were counted as {counted}");
        assert!(counted < taken + 1000, "{taken} bytes were counted as {counted}");
    }

    #[test]
    fn a_size_follows_from_words_alone() {
        let soup = samples::item(1);
        let mut other = Item { counted: true, free: 12, revision: 700, ..soup.clone() };
        (other.available, other.back_at, other.price_minor) = (false, Some(at(LATE)), 1_000_000);
        other.details.section = Some(Id::from_bits(4));
        assert_eq!(item(&other), item(&soup));
        other.name.push_str(" of the day");
        assert_eq!(item(&other), item(&soup) + 11);
        let group = samples::group(30, 0, None, &[1, 2]);
        let mut gone = OptionGroup { revision: 900, uses: 7, ..group.clone() };
        (gone.choices[0].available, gone.choices[1].back_at) = (false, Some(at(LATE)));
        assert_eq!(option_group(&gone), option_group(&group));
    }

    #[test]
    fn a_restaurant_takes_no_more_than_is_counted() {
        let here = Restaurant { name: "x".repeat(120), ..samples::restaurant() };
        let shown = wire::restaurant(&here, i64::MAX, at("2026-11-20T12:00:00Z"));
        assert!(shown.encoded_len() + 8 <= restaurant(&here));
    }
}
