//! Everything that customers of a restaurant choose from, as one tree.

use std::collections::{HashMap, HashSet};

use bistro_proto::catalog::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    common::{Time, unless_empty},
    food::{Allergen, Diet},
    hours::OpeningHours,
    ids::{ChoiceId, ItemId, MenuId, OptionGroupId, SectionId},
    restaurants::Restaurant,
};

/// Everything that customers of a restaurant choose from. Prices are in minor units of the
/// restaurant's currency; what an item, option or menu has none of is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestaurantMenu {
    restaurant: Restaurant,
    /// In the order in which they are shown.
    menus: Vec<ShownMenu>,
    /// Items that are in no section.
    other_items: Vec<ShownItem>,
    /// The option groups that items name.
    option_groups: Vec<ShownGroup>,
}

/// A menu with its sections and their items.
#[derive(Debug, Serialize, ToSchema)]
struct ShownMenu {
    #[schema(value_type = MenuId)]
    id: String,
    #[schema(example = "Dinner")]
    name: String,
    /// What customers read below its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "From six in the evening")]
    description: String,
    /// When what is on it can be ordered; left out: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<OpeningHours>,
    /// In the order in which they are shown.
    sections: Vec<ShownSection>,
}

/// A part of a menu with its items.
#[derive(Debug, Serialize, ToSchema)]
struct ShownSection {
    #[schema(value_type = SectionId)]
    id: String,
    #[schema(example = "Pizze")]
    name: String,
    /// What customers read below its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "From the wood oven")]
    description: String,
    /// In the order in which they are shown.
    items: Vec<ShownItem>,
}

/// An item as customers see it.
#[derive(Debug, Serialize, ToSchema)]
struct ShownItem {
    #[schema(value_type = ItemId)]
    id: String,
    #[schema(example = "Margherita")]
    name: String,
    /// Its price without options.
    #[schema(example = 1295)]
    price_minor: i64,
    /// Whether it is not to be had now, whatever the reason.
    sold_out: bool,
    /// When it is to be had again, if somebody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_at: Option<Time>,
    /// How many are free to order, if they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<i64>,
    /// What customers read below its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "Tomato, mozzarella, basil")]
    description: String,
    /// Where a picture of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.org/margherita.jpg")]
    image_url: Option<String>,
    /// What it holds that people must not eat.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Allergen>, example = json!(["gluten", "milk"]))]
    allergens: Vec<String>,
    /// For whom it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Diet>, example = json!(["vegetarian"]))]
    diets: Vec<String>,
    /// Hundredths of a per cent: 2000 is 20 %.
    #[serde(skip_serializing_if = "is_zero")]
    tax_rate: u32,
    /// When it can be ordered; left out: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<OpeningHours>,
    /// In the order in which they are to be asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<OptionGroupId>)]
    option_group_ids: Vec<String>,
}

/// Options of which a customer chooses some.
#[derive(Debug, Serialize, ToSchema)]
struct ShownGroup {
    #[schema(value_type = OptionGroupId)]
    id: String,
    #[schema(example = "Size")]
    name: String,
    /// How many have to be chosen.
    min: u32,
    /// How many may be chosen; left out: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
    /// In the order in which they are shown.
    choices: Vec<ShownChoice>,
}

/// An option as customers see it.
#[derive(Debug, Serialize, ToSchema)]
struct ShownChoice {
    #[schema(value_type = ChoiceId)]
    id: String,
    #[schema(example = "Large")]
    name: String,
    /// What it adds to the item's price; may be negative.
    price_minor: i64,
    /// Whether it is not to be had now, whatever the reason.
    sold_out: bool,
    /// When it is to be had again, if somebody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_at: Option<Time>,
    /// What it adds that people must not eat.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Allergen>)]
    allergens: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<v1::FullMenu> for RestaurantMenu {
    fn from(menu: v1::FullMenu) -> Self {
        let gone: HashSet<String> = menu.sold_out.into_iter().collect();
        let mut by_section: HashMap<String, Vec<ShownItem>> = HashMap::new();
        for item in menu.items {
            let section = item.details.as_ref().map(|details| details.section_id.clone());
            by_section.entry(section.unwrap_or_default()).or_default().push(shown(item, &gone));
        }
        let mut section = |section: v1::Section| ShownSection {
            items: by_section.remove(&section.id).unwrap_or_default(),
            id: section.id,
            name: section.name,
            description: section.description,
        };
        let menus = menu.menus.into_iter().map(|menu| ShownMenu {
            id: menu.id,
            name: menu.name,
            description: menu.description,
            hours: menu.hours.map(Into::into),
            sections: menu.sections.into_iter().map(&mut section).collect(),
        });
        let menus = menus.collect();
        let choice = |choice: v1::Choice| ShownChoice {
            sold_out: gone.contains(&choice.id),
            id: choice.id,
            name: choice.name,
            price_minor: choice.price_minor,
            back_at: Time::unless_zero(choice.back_at_ms),
            allergens: choice.allergens,
        };
        let groups = menu.groups.into_iter().map(|group| ShownGroup {
            id: group.id,
            name: group.name,
            min: group.min,
            max: (group.max != 0).then_some(group.max),
            choices: group.choices.into_iter().map(choice).collect(),
        });
        Self {
            restaurant: menu.restaurant.unwrap_or_default().into(),
            menus,
            // Those whose section went while the menu was read are shown there too.
            other_items: by_section.into_values().flatten().collect(),
            option_groups: groups.collect(),
        }
    }
}

fn shown(item: v1::Item, gone: &HashSet<String>) -> ShownItem {
    let details = item.details.unwrap_or_default();
    ShownItem {
        sold_out: gone.contains(&item.id),
        id: item.id,
        name: item.name,
        price_minor: item.price.map_or(0, |price| price.amount_minor),
        back_at: Time::unless_zero(item.back_at_ms),
        free: item.free,
        description: details.description,
        image_url: unless_empty(details.image_url),
        allergens: details.allergens,
        diets: details.diets,
        tax_rate: details.tax_rate,
        hours: details.hours.map(Into::into),
        option_group_ids: details.option_group_ids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_in_their_sections_and_nothing_is_lost() {
        let item = |id: &str, section: &str| v1::Item {
            id: id.to_owned(),
            details: Some(v1::ItemDetails {
                section_id: section.to_owned(),
                ..v1::ItemDetails::default()
            }),
            ..v1::Item::default()
        };
        let section = |id: &str| v1::Section { id: id.to_owned(), ..v1::Section::default() };
        let menu =
            v1::Menu { sections: vec![section("soups"), section("mains")], ..v1::Menu::default() };
        let tree = RestaurantMenu::from(v1::FullMenu {
            menus: vec![menu],
            items: vec![item("dal", "mains"), item("tea", ""), item("naan", "mains")],
            sold_out: vec!["naan".to_owned()],
            ..v1::FullMenu::default()
        });
        let tree = serde_json::to_value(&tree).unwrap();
        assert_eq!(tree.pointer("/menus/0/sections/0/items"), Some(&serde_json::json!([])));
        assert_eq!(tree.pointer("/menus/0/sections/1/items/0/id"), Some(&"dal".into()));
        assert_eq!(tree.pointer("/menus/0/sections/1/items/1/sold_out"), Some(&true.into()));
        assert_eq!(tree.pointer("/other_items/0/id"), Some(&"tea".into()));
        assert_eq!(tree.pointer("/other_items/0/description"), None, "nothing is left out");
    }
}
