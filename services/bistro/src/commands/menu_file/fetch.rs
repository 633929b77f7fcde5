//! Reads a restaurant's menu from the platform.

use std::collections::HashMap;

use bistro_client::Client;
use bistro_core::Error;
use serde_json::Value;

use super::{Choice, Details, Group, Hours, Item, Menu, MenuFile, Place, Section};
use crate::commands::ask;

/// What a restaurant has, row by row as the platform says it.
#[derive(Default)]
pub(super) struct There {
    pub(super) menus: Vec<Value>,
    pub(super) groups: Vec<Value>,
    pub(super) ingredients: Vec<Value>,
    pub(super) items: Vec<Value>,
}

impl There {
    /// Reads all that the restaurant has.
    pub(super) async fn read(client: &Client, restaurant: &str) -> Result<Self, Error> {
        let path = |what: &str| format!("/api/v1/restaurants/{restaurant}/{what}");
        Ok(Self {
            menus: rows(client, &path("menus")).await?,
            groups: rows(client, &path("option-groups")).await?,
            ingredients: rows(client, &path("ingredients")).await?,
            items: rows(client, &path("items")).await?,
        })
    }
}

/// Every row of the list at `path`.
pub(super) async fn rows(client: &Client, path: &str) -> Result<Vec<Value>, Error> {
    ask::rows(client, path, usize::MAX).await
}

pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value, field: &str) -> Vec<String> {
    let all = value[field].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn number<T: TryFrom<i64>>(value: &Value, field: &str) -> Option<T> {
    value[field].as_i64().and_then(|number| T::try_from(number).ok())
}

/// The restaurant's menu as a file has it.
pub(crate) async fn fetch(client: &Client, restaurant: &str) -> Result<MenuFile, Error> {
    let there = There::read(client, restaurant).await?;
    Ok(file_of(&there))
}

/// Where an item is shown.
struct Shown {
    /// The places of the menu and of the section in it.
    order: (usize, usize),
    menu: String,
    section: String,
}

fn file_of(there: &There) -> MenuFile {
    let place = || Place::Node(String::new());
    let names = |rows: &[Value]| -> HashMap<String, String> {
        rows.iter().map(|row| (text(row, "id"), text(row, "name"))).collect()
    };
    let (group_names, ingredient_names) = (names(&there.groups), names(&there.ingredients));
    let named = |ids: Vec<String>, names: &HashMap<String, String>| -> Vec<String> {
        ids.iter().filter_map(|id| names.get(id).cloned()).collect()
    };
    let mut menus: Vec<&Value> = there.menus.iter().collect();
    menus.sort_by_key(|menu| menu["position"].as_i64());
    let mut sections: HashMap<String, Shown> = HashMap::new();
    for (first, menu) in menus.iter().enumerate() {
        for (second, section) in menu["sections"].as_array().into_iter().flatten().enumerate() {
            let (menu, name) = (text(menu, "name"), text(section, "name"));
            let shown = Shown { order: (first, second), menu, section: name };
            sections.insert(text(section, "id"), shown);
        }
    }
    let mut items: Vec<(&Value, Option<&Shown>)> =
        there.items.iter().map(|item| (item, sections.get(&text(item, "section_id")))).collect();
    let order = |(item, shown): &(&Value, Option<&Shown>)| {
        let place = shown.map_or((usize::MAX, 0), |shown| shown.order);
        (place, item["position"].as_i64(), text(item, "name"))
    };
    items.sort_by_key(order);
    let hours = |value: &Value| -> Hours {
        serde_json::from_value(value["hours"].clone()).unwrap_or_default()
    };
    MenuFile {
        menus: menus
            .iter()
            .map(|menu| Menu {
                place: place(),
                name: text(menu, "name"),
                description: Some(text(menu, "description")),
                position: number(menu, "position"),
                hours: Some(hours(menu)),
                sections: menu["sections"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|section| Section {
                        name: text(section, "name"),
                        description: Some(text(section, "description")),
                    })
                    .collect(),
            })
            .collect(),
        groups: there
            .groups
            .iter()
            .map(|group| Group {
                place: place(),
                name: text(group, "name"),
                min: number(group, "min").unwrap_or_default(),
                max: number(group, "max"),
                choices: group["choices"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|choice| Choice {
                        name: text(choice, "name"),
                        price_minor: number(choice, "price_minor").unwrap_or_default(),
                        allergens: list(choice, "allergens"),
                        ingredients: named(list(choice, "ingredient_ids"), &ingredient_names),
                    })
                    .collect(),
            })
            .collect(),
        items: items
            .iter()
            .map(|(item, section)| Item {
                place: place(),
                name: text(item, "name"),
                price_minor: item["price"]["amount_minor"].as_i64().unwrap_or_default(),
                stock: number(item, "free"),
                menu: section.map(|shown| shown.menu.clone()).unwrap_or_default(),
                section: section.map(|shown| shown.section.clone()).unwrap_or_default(),
                details: Details {
                    position: number(item, "position"),
                    description: Some(text(item, "description")),
                    image_url: Some(text(item, "image_url")),
                    allergens: Some(list(item, "allergens")),
                    diets: Some(list(item, "diets")),
                    tax_rate: number(item, "tax_rate"),
                    hours: Some(hours(item)),
                    station: Some(text(item, "station")),
                    options: Some(named(list(item, "option_group_ids"), &group_names)),
                    ingredients: Some(named(list(item, "ingredient_ids"), &ingredient_names)),
                },
            })
            .collect(),
    }
}
