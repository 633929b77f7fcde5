//! The demonstration's things as the public API takes them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::data::{Courier, Hours, Item, Menu, OptionGroup, Restaurant};

/// Ids by name.
pub(super) type Ids = HashMap<String, String>;

pub(super) fn restaurant(restaurant: &Restaurant) -> Value {
    json!({
        "name": restaurant.name,
        "currency": restaurant.currency,
        "time_zone": restaurant.time_zone,
        "description": restaurant.description,
        "phone": restaurant.phone,
        "address": restaurant.address,
        "location": restaurant.location,
        "hours": restaurant.hours.as_ref().map(hours),
        "prep_minutes": restaurant.prep_minutes,
        "minimum_order_minor": restaurant.minimum_order_minor,
        "delivery": restaurant.delivery,
        "fulfilments": restaurant.fulfilments,
        "prices_include_tax": restaurant.prices_include_tax,
        "slots": restaurant.slots,
    })
}

/// Days that are not named are closed.
fn hours(hours: &Hours) -> Value {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let weekly: Vec<Value> =
        days.iter().map(|day| json!(hours.weekly.get(*day).cloned().unwrap_or_default())).collect();
    let exceptions: BTreeMap<&String, &Vec<String>> = hours.exceptions.iter().collect();
    json!({ "weekly": weekly, "exceptions": exceptions })
}

pub(super) fn option_group(group: &OptionGroup, ingredients: &Ids) -> Value {
    let choices: Vec<Value> = group
        .choices
        .iter()
        .map(|choice| {
            json!({
                "name": choice.name, "price_minor": choice.price_minor,
                "allergens": choice.allergens,
                "ingredient_ids": ids(&choice.ingredients, ingredients),
            })
        })
        .collect();
    json!({ "name": group.name, "min": group.min, "max": group.max, "choices": choices })
}

pub(super) fn menu(menu: &Menu) -> Value {
    let sections: Vec<Value> = menu
        .sections
        .iter()
        .map(|section| json!({ "name": section.name, "description": section.description }))
        .collect();
    json!({
        "name": menu.name, "description": menu.description, "position": menu.position,
        "hours": menu.hours.as_ref().map(hours), "sections": sections,
    })
}

pub(super) fn item(
    item: &Item,
    section: Option<&str>,
    position: usize,
    groups: &Ids,
    ingredients: &Ids,
) -> Value {
    json!({
        "name": item.name,
        "price_minor": item.price_minor,
        "description": item.description,
        "section_id": section,
        "position": position,
        "allergens": item.allergens,
        "diets": item.diets,
        "tax_rate": item.tax_rate,
        "station": item.station,
        "option_group_ids": ids(&item.option_groups, groups),
        "ingredient_ids": ids(&item.ingredients, ingredients),
    })
}

pub(super) fn courier(courier: &Courier) -> Value {
    json!({ "name": courier.name, "capacity": courier.capacity })
}

/// The ids of those names that are known; the files are checked to name no others.
fn ids<'a>(names: &[String], known: &'a Ids) -> Vec<&'a String> {
    names.iter().filter_map(|name| known.get(name)).collect()
}
