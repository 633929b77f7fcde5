//! What an item's people say about it beside name and price.

use bistro_core::{Allergen, Diet, Error, Id, kinds};
use bistro_proto::catalog::v1;
use bistro_store::Work;

use crate::{
    documents::{Details, Ingredient, OptionGroup, USES},
    fields::Fields,
    shops::Frame,
};

/// Characters of a description.
const MAX_DESCRIPTION: usize = 1000;
/// Characters of a station's name.
const MAX_STATION: usize = 60;
/// Option groups of an item at most.
const MAX_GROUPS: usize = 20;
/// Ingredients of an item at most.
const MAX_INGREDIENTS: usize = 50;

/// Reads details; what is wrong with them is remembered by `fields`.
pub(crate) fn read(fields: &mut Fields, message: &v1::ItemDetails) -> Details {
    let groups = fields.ids("option_group_ids", &message.option_group_ids, MAX_GROUPS);
    let ingredients = fields.ids("ingredient_ids", &message.ingredient_ids, MAX_INGREDIENTS);
    Details {
        description: fields.text("description", &message.description, MAX_DESCRIPTION),
        image_url: fields.url("image_url", &message.image_url),
        section: fields.id("section_id", &message.section_id),
        position: message.position,
        allergens: fields.words("allergens", &message.allergens, Allergen::read),
        diets: fields.words("diets", &message.diets, Diet::read),
        tax_rate: fields.rate("tax_rate", message.tax_rate),
        hours: fields.hours("hours", message.hours.as_ref()),
        station: fields.text("station", &message.station, MAX_STATION),
        option_groups: groups,
        ingredients,
    }
}

/// Passes details that name only what the restaurant has.
pub(crate) fn check(details: &Details, frame: &Frame) -> Result<(), Error> {
    let mut fields = Fields::default();
    check_fields(&mut fields, details, frame);
    fields.done(())
}

/// Like [`check`]; what is wrong is remembered by `fields`.
pub(crate) fn check_fields(fields: &mut Fields, details: &Details, frame: &Frame) {
    if details.section.is_some_and(|id| frame.section(id).is_none()) {
        fields.wrong("section_id", "the restaurant's menus have no such section");
    }
    for (place, id) in details.option_groups.iter().enumerate() {
        if !frame.groups.contains_key(id) {
            let how = "the restaurant has no such option group";
            fields.wrong(format!("option_group_ids[{place}]"), how);
        }
    }
    for (place, id) in details.ingredients.iter().enumerate() {
        if !frame.ingredients.contains_key(id) {
            let how = "the restaurant has no such ingredient";
            fields.wrong(format!("ingredient_ids[{place}]"), how);
        }
    }
}

/// Keeps from being deleted the option groups and ingredients that one of `changes`, each from
/// before and after, begins to use.
pub(crate) fn use_parts<'a>(
    work: &mut Work,
    changes: impl IntoIterator<Item = (&'a Details, &'a Details)>,
) {
    let mut groups: Vec<Id<kinds::OptionGroup>> = Vec::new();
    let mut ingredients: Vec<Id<kinds::Ingredient>> = Vec::new();
    for (before, after) in changes {
        groups.extend(after.option_groups.iter().filter(|id| !before.option_groups.contains(id)));
        ingredients.extend(after.ingredients.iter().filter(|id| !before.ingredients.contains(id)));
    }
    groups.sort_unstable();
    groups.dedup();
    ingredients.sort_unstable();
    ingredients.dedup();
    for id in groups {
        work.adjust::<OptionGroup>(id, USES, 1, i64::MIN);
    }
    for id in ingredients {
        work.adjust::<Ingredient>(id, USES, 1, i64::MIN);
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Timestamp;
    use bistro_store::Cause;

    use super::*;

    #[test]
    fn every_mistake_in_details_is_said_at_once() {
        let group = Id::<kinds::OptionGroup>::from_bits(3).to_string();
        let message = v1::ItemDetails {
            description: "x".repeat(MAX_DESCRIPTION + 1),
            image_url: "here".to_owned(),
            section_id: group.clone(),
            allergens: vec!["milk".to_owned(), "dust".to_owned()],
            diets: vec!["meat".to_owned()],
            tax_rate: 10_001,
            station: "x".repeat(MAX_STATION + 1),
            option_group_ids: vec![group.clone(), group],
            ingredient_ids: vec!["cheese".to_owned()],
            ..v1::ItemDetails::default()
        };
        let mut fields = Fields::default();
        read(&mut fields, &message);
        let error = fields.done(()).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "option_group_ids[1]",
            "ingredient_ids[0]",
            "description",
            "image_url",
            "section_id",
            "allergens[1]",
            "diets[0]",
            "tax_rate",
            "station",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn what_is_not_there_is_named_and_what_is_used_anew_is_kept() {
        let details = Details {
            section: Some(Id::from_bits(1)),
            option_groups: vec![Id::from_bits(2), Id::from_bits(3)],
            ingredients: vec![Id::from_bits(4)],
            ..Details::default()
        };
        let error = check(&details, &Frame::default()).unwrap_err();
        assert_eq!(error.field_errors().len(), 4);
        let cause = Cause::Tick { name: "t".to_owned() };
        let mut work = Work::new("catalog", cause, Timestamp::from_millis(0), None);
        let before = Details { option_groups: vec![Id::from_bits(2)], ..Details::default() };
        use_parts(&mut work, [(&before, &details), (&before, &details)]);
        assert_eq!(work.writes.len(), 2, "one group and one ingredient, once each");
    }
}
