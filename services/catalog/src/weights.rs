//! How much memory what was read takes, about. Nothing is rendered to know it: it is asked for after
//! every reading.

use crate::{
    documents::{Choice, Details, Ingredient, Item, Menu, OptionGroup, Restaurant, Section},
    shops::Frame,
};

/// What a map or a list puts around an entry.
const AROUND: usize = 32;

/// A restaurant.
pub(crate) fn restaurant(one: &Restaurant) -> usize {
    let profile = &one.profile;
    let address = &profile.address;
    let lines = [&address.line1, &address.line2, &address.city, &address.postcode];
    size_of::<Restaurant>()
        + one.name.len()
        + profile.description.len()
        + profile.phone.len()
        + lines.into_iter().map(String::len).sum::<usize>()
        + profile.hours.weight()
}

/// All items of a restaurant.
pub(crate) fn items(items: &[Item]) -> usize {
    items.iter().map(|item| size_of::<Item>() + item.name.len() + details(&item.details)).sum()
}

fn details(details: &Details) -> usize {
    let ids = details.option_groups.len() + details.ingredients.len();
    let words = details.allergens.len() + details.diets.len();
    details.description.len()
        + details.image_url.len()
        + details.station.len()
        + ids * size_of::<u128>()
        + words
        + details.hours.weight()
}

/// A restaurant's frame.
pub(crate) fn frame(frame: &Frame) -> usize {
    let menus = frame.menus.iter().map(|one| menu(one));
    let groups = frame.groups.values().map(group);
    let ingredients = frame.ingredients.values();
    let ingredients = ingredients.map(|one| size_of::<Ingredient>() + AROUND + one.name.len());
    menus.chain(groups).chain(ingredients).sum()
}

fn menu(menu: &Menu) -> usize {
    let sections = menu.sections.iter();
    let sections =
        sections.map(|one| size_of::<Section>() + one.name.len() + one.description.len());
    size_of::<Menu>()
        + menu.name.len()
        + menu.description.len()
        + menu.hours.weight()
        + sections.sum::<usize>()
}

fn group(group: &OptionGroup) -> usize {
    let choices = group.choices.iter().map(|one| {
        let ids = one.ingredients.len() * size_of::<u128>();
        size_of::<Choice>() + one.name.len() + one.allergens.len() + ids
    });
    size_of::<OptionGroup>() + AROUND + group.name.len() + choices.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn whatever_grows_weighs_more() {
        let here = samples::restaurant();
        let mut wordy = here.clone();
        wordy.profile.description = "x".repeat(1000);
        wordy.profile.hours = samples::hours("09:00-17:00");
        assert!(restaurant(&wordy) > restaurant(&here) + 1000);
        let soup = samples::item(1);
        let mut rich = soup.clone();
        rich.details.description = "x".repeat(1000);
        let plain = items(&[soup.clone(), soup.clone()]);
        assert_eq!(items(&[soup, rich]), plain + 1000);
        let mut all = Frame::default();
        assert_eq!(frame(&all), 0);
        all.menus.push(samples::menu(20));
        let with_menu = frame(&all);
        let extras = samples::group(30, 0, None, &[1, 2, 3]);
        let of_choices = 3 * size_of::<Choice>();
        all.groups.insert(extras.id, extras);
        assert!(with_menu > 0 && frame(&all) > with_menu + of_choices);
    }
}
