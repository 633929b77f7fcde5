//! Writes a restaurant and its menu as schema.org's `Restaurant` in JSON-LD.

use bistro_core::{Currency, Error};
use serde_json::{Map, Value, json};

use super::{
    Choice, Details, Group, Hours, Item, MenuFile, Profile, cells, decimal,
    json_ld_read::{IN_NO_SECTION, diet_name},
    name_key, profile,
};

/// What schema.org has no words for.
const OWN: &str = "urn:bistro:";

/// The document that [`super::read_json_ld`] reads back.
pub(crate) fn write(
    restaurant: &Profile,
    file: &MenuFile,
    currency: Currency,
) -> Result<String, Error> {
    let mut node = Map::from_iter([
        ("@context".to_owned(), json!(["https://schema.org", { "bistro": OWN }])),
        ("@type".to_owned(), json!("Restaurant")),
    ]);
    node.extend(profile::write(restaurant, currency.code()));
    let groups: Vec<Value> =
        file.groups.iter().enumerate().map(|(place, one)| group(place, one, currency)).collect();
    if !groups.is_empty() {
        node.insert("bistro:optionGroups".to_owned(), Value::Array(groups));
    }
    node.insert("hasMenu".to_owned(), Value::Array(menus(file, currency)));
    let mut text = serde_json::to_string_pretty(&Value::Object(node)).map_err(Error::internal)?;
    text.push('\n');
    Ok(text)
}

fn menus(file: &MenuFile, currency: Currency) -> Vec<Value> {
    let items_of = |menu: &str, section: &str| -> Vec<Value> {
        let shown = file.items.iter().filter(|item| {
            name_key(&item.menu) == name_key(menu) && name_key(&item.section) == name_key(section)
        });
        shown.map(|one| item(one, file, currency)).collect()
    };
    let mut menus: Vec<Value> = file
        .menus
        .iter()
        .map(|menu| {
            let section = |section: &super::Section| {
                let mut node = named("MenuSection", &section.name, section.description.as_ref());
                node.insert("hasMenuItem".to_owned(), items_of(&menu.name, &section.name).into());
                Value::Object(node)
            };
            let sections = menu.sections.iter().map(section).collect();
            let mut node = named("Menu", &menu.name, menu.description.as_ref());
            write_hours(&mut node, menu.hours.as_ref());
            node.insert("hasMenuSection".to_owned(), Value::Array(sections));
            Value::Object(node)
        })
        .collect();
    let loose = items_of("", "");
    if !loose.is_empty() {
        // schema.org has no other place for them.
        let mut node = named("Menu", "Other", None);
        node.insert(IN_NO_SECTION.to_owned(), json!(true));
        node.insert("hasMenuItem".to_owned(), Value::Array(loose));
        menus.push(Value::Object(node));
    }
    menus
}

fn named(kind: &str, name: &str, description: Option<&String>) -> Map<String, Value> {
    let mut node =
        Map::from_iter([("@type".to_owned(), json!(kind)), ("name".to_owned(), json!(name))]);
    if let Some(text) = description.filter(|text| !text.is_empty()) {
        node.insert("description".to_owned(), json!(text));
    }
    node
}

fn write_hours(node: &mut Map<String, Value>, hours: Option<&Hours>) {
    if let Some(hours) = hours.filter(|hours| **hours != Hours::default()) {
        node.insert("bistro:hours".to_owned(), json!(hours.to_string()));
    }
}

fn offer(price_minor: i64, currency: Currency) -> Value {
    json!({
        "@type": "Offer", "price": decimal(price_minor, currency), "priceCurrency": currency.code(),
    })
}

fn group_id(place: usize) -> String {
    format!("#options-{place}")
}

fn group(place: usize, group: &Group, currency: Currency) -> Value {
    let choice = |choice: &Choice| {
        let mut node = named("MenuItem", &choice.name, None);
        node.insert("offers".to_owned(), offer(choice.price_minor, currency));
        write_list(&mut node, "bistro:allergens", Some(&choice.allergens));
        write_list(&mut node, "bistro:ingredients", Some(&choice.ingredients));
        Value::Object(node)
    };
    let mut node = named("MenuSection", &group.name, None);
    node.insert("@id".to_owned(), json!(group_id(place)));
    node.insert("bistro:min".to_owned(), json!(group.min));
    if let Some(max) = group.max {
        node.insert("bistro:max".to_owned(), json!(max));
    }
    node.insert("hasMenuItem".to_owned(), group.choices.iter().map(choice).collect());
    Value::Object(node)
}

fn write_list(node: &mut Map<String, Value>, name: &str, list: Option<&Vec<String>>) {
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        node.insert(name.to_owned(), json!(list));
    }
}

fn item(item: &Item, file: &MenuFile, currency: Currency) -> Value {
    let Details { description, image_url, allergens, diets, station, ingredients, .. } =
        &item.details;
    let mut node = named("MenuItem", &item.name, description.as_ref());
    node.insert("offers".to_owned(), offer(item.price_minor, currency));
    if let Some(image) = image_url.as_ref().filter(|image| !image.is_empty()) {
        node.insert("image".to_owned(), json!(image));
    }
    let diets: Vec<String> = diets
        .iter()
        .flatten()
        .filter_map(|word| diet_name(word))
        .map(|name| format!("https://schema.org/{name}"))
        .collect();
    write_list(&mut node, "suitableForDiet", Some(&diets));
    write_list(&mut node, "bistro:allergens", allergens.as_ref());
    write_list(&mut node, "bistro:ingredients", ingredients.as_ref());
    if let Some(rate) = item.details.tax_rate.filter(|rate| *rate > 0) {
        node.insert("bistro:taxRate".to_owned(), json!(cells::write_rate(rate)));
    }
    if let Some(station) = station.as_ref().filter(|station| !station.is_empty()) {
        node.insert("bistro:station".to_owned(), json!(station));
    }
    if let Some(stock) = item.stock {
        node.insert("bistro:stock".to_owned(), json!(stock));
    }
    write_hours(&mut node, item.details.hours.as_ref());
    let place = |name: &String| {
        file.groups.iter().position(|group| name_key(&group.name) == name_key(name))
    };
    let options = item.details.options.iter().flatten().filter_map(place);
    let options: Vec<Value> = options.map(|place| json!({ "@id": group_id(place) })).collect();
    if !options.is_empty() {
        node.insert("menuAddOn".to_owned(), Value::Array(options));
    }
    Value::Object(node)
}
