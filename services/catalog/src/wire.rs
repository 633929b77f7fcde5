//! Between catalog's documents and its messages.

use bistro_core::{Allergen, Diet, Error, ErrorCode, Id, IdKind, PageRequest, Timestamp};
use bistro_proto::{catalog::v1, common};

use crate::{
    documents::{Choice, Details, Ingredient, Item, Menu, OptionGroup, Restaurant},
    hours::Hours,
    profile,
    shops::{Frame, is_there},
};

/// The id in `field`, or the error that says what an id looks like.
pub(crate) fn id<K: IdKind>(field: &str, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|wrong: bistro_core::IdError| Error::field(field, wrong.to_string()))
}

/// The page that is asked for.
pub(crate) fn page(request: Option<&common::v1::PageRequest>) -> PageRequest {
    request.map_or_else(PageRequest::default, |page| {
        PageRequest::new(page.limit, Some(page.cursor.clone()))
    })
}

/// Passes an edit of what was read at the present version.
pub(crate) fn check_version(given: i64, present: i64) -> Result<(), Error> {
    if given == 0 {
        let message = "send the version that you read (HTTP: If-Match with the ETag)";
        return Err(Error::new(ErrorCode::PreconditionRequired, message));
    }
    if given != present {
        let message =
            format!("it is at version {present}, not {given}; read it again and repeat the change");
        return Err(Error::new(ErrorCode::VersionMismatch, message));
    }
    Ok(())
}

fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_millis)
}

fn texts<K: IdKind>(ids: &[Id<K>]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Hours; always is none.
pub(crate) fn hours(hours: &Hours) -> Option<v1::Hours> {
    let day = |spans| v1::DayHours { spans };
    (*hours != Hours::default()).then(|| v1::Hours {
        weekly: hours.weekly().into_iter().map(day).collect(),
        exceptions: hours
            .exceptions()
            .into_iter()
            .map(|(date, spans)| (date, day(spans)))
            .collect(),
    })
}

/// A restaurant at `version`, as it is at `now`.
pub(crate) fn restaurant(restaurant: &Restaurant, version: i64, now: Timestamp) -> v1::Restaurant {
    let profile = profile::message(&restaurant.name, &restaurant.time_zone, &restaurant.profile);
    v1::Restaurant {
        id: restaurant.id.to_string(),
        name: restaurant.name.clone(),
        currency: restaurant.currency.to_string(),
        time_zone: restaurant.time_zone.clone(),
        open: restaurant.open && restaurant.closed_at.is_none(),
        version,
        created_at_ms: restaurant.created_at.as_millis(),
        profile: Some(profile),
        open_now: restaurant.takes_orders(now),
        opens_at_ms: millis(restaurant.opens_next(now)),
    }
}

/// A menu at `version`.
pub(crate) fn menu(menu: &Menu, version: i64) -> v1::Menu {
    let section = |section: &crate::documents::Section| v1::Section {
        id: section.id.to_string(),
        name: section.name.clone(),
        description: section.description.clone(),
    };
    v1::Menu {
        id: menu.id.to_string(),
        restaurant_id: menu.restaurant.to_string(),
        name: menu.name.clone(),
        description: menu.description.clone(),
        position: menu.position,
        hours: hours(&menu.hours),
        sections: menu.sections.iter().map(section).collect(),
        version,
    }
}

/// An item at `now`, within the frame of its restaurant. Its version is the number of its edits.
pub(crate) fn item(item: &Item, frame: &Frame, now: Timestamp) -> v1::Item {
    let available = is_there(item.available, item.back_at, now);
    v1::Item {
        id: item.id.to_string(),
        restaurant_id: item.restaurant.to_string(),
        name: item.name.clone(),
        price: Some(common::v1::Money {
            amount_minor: item.price_minor,
            currency: item.currency.to_string(),
        }),
        available,
        free: item.counted.then_some(item.free),
        version: item.revision,
        details: Some(details(&item.details, Some(frame))),
        back_at_ms: if available { 0 } else { millis(item.back_at) },
    }
}

/// What is gone from the frame, if one is given, is not shown.
pub(crate) fn details(details: &Details, frame: Option<&Frame>) -> v1::ItemDetails {
    let (groups, ingredients) = (&details.option_groups, &details.ingredients);
    let section =
        details.section.filter(|id| frame.is_none_or(|frame| frame.section(*id).is_some()));
    let groups = groups.iter().filter(|id| frame.is_none_or(|frame| frame.groups.contains_key(id)));
    let ingredients = ingredients
        .iter()
        .filter(|id| frame.is_none_or(|frame| frame.ingredients.contains_key(id)));
    v1::ItemDetails {
        description: details.description.clone(),
        image_url: details.image_url.clone(),
        section_id: section.map(|id| id.to_string()).unwrap_or_default(),
        position: details.position,
        allergens: Allergen::words(&details.allergens),
        diets: Diet::words(&details.diets),
        tax_rate: details.tax_rate,
        hours: hours(&details.hours),
        station: details.station.clone(),
        option_group_ids: groups.map(ToString::to_string).collect(),
        ingredient_ids: ingredients.map(ToString::to_string).collect(),
    }
}

/// An option group at `now`.
pub(crate) fn option_group(group: &OptionGroup, now: Timestamp) -> v1::OptionGroup {
    let choice = |choice: &Choice| {
        let available = is_there(choice.available, choice.back_at, now);
        v1::Choice {
            id: choice.id.to_string(),
            name: choice.name.clone(),
            price_minor: choice.price_minor,
            available,
            back_at_ms: if available { 0 } else { millis(choice.back_at) },
            allergens: Allergen::words(&choice.allergens),
            ingredient_ids: texts(&choice.ingredients),
        }
    };
    v1::OptionGroup {
        id: group.id.to_string(),
        restaurant_id: group.restaurant.to_string(),
        name: group.name.clone(),
        min: group.min,
        max: group.max.unwrap_or(0),
        choices: group.choices.iter().map(choice).collect(),
        version: group.revision,
    }
}

/// An ingredient at `now`.
pub(crate) fn ingredient(one: &Ingredient, now: Timestamp) -> v1::Ingredient {
    let available = is_there(one.available, one.back_at, now);
    v1::Ingredient {
        id: one.id.to_string(),
        restaurant_id: one.restaurant.to_string(),
        name: one.name.clone(),
        available,
        back_at_ms: if available { 0 } else { millis(one.back_at) },
        version: one.revision,
    }
}
