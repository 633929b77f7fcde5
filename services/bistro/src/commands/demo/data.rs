//! The demonstration's people and restaurants, as their files in `services/bistro/demo/` say.

use std::collections::BTreeMap;

use bistro_core::{Error, ErrorCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const PEOPLE: &str = include_str!("../../../demo/people.yaml");
const RESTAURANTS: [&str; 3] = [
    include_str!("../../../demo/signal-box.yaml"),
    include_str!("../../../demo/faro-verde.yaml"),
    include_str!("../../../demo/juniper-street.yaml"),
];

/// Who takes part beside the staff.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct People {
    pub(super) administrator: Person,
    pub(super) support: Person,
    pub(super) customers: Vec<Person>,
    pub(super) couriers: Vec<Courier>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Courier {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) capacity: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staff {
    pub(super) name: String,
    pub(super) email: String,
    /// owner, manager or chef.
    pub(super) role: String,
}

/// One restaurant with everything that belongs to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restaurant {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) phone: String,
    pub(super) currency: String,
    pub(super) time_zone: String,
    pub(super) address: Address,
    pub(super) location: Location,
    /// None: it never closes.
    #[serde(default)]
    pub(super) hours: Option<Hours>,
    pub(super) prep_minutes: u32,
    pub(super) minimum_order_minor: i64,
    pub(super) delivery: Delivery,
    pub(super) fulfilments: Vec<String>,
    pub(super) prices_include_tax: bool,
    pub(super) slots: Slots,
    pub(super) staff: Vec<Staff>,
    pub(super) stations: Vec<Station>,
    pub(super) ingredients: Vec<String>,
    pub(super) option_groups: Vec<OptionGroup>,
    pub(super) menus: Vec<Menu>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    line1: String,
    city: String,
    postcode: String,
    country: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Location {
    pub(super) lat: f64,
    pub(super) lon: f64,
}

/// By day (`mon` to `sun`) and by date; a day that is not named is closed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hours {
    pub(super) weekly: BTreeMap<String, Vec<String>>,
    pub(super) exceptions: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivery {
    radius_m: u32,
    fee_minor: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    free_from_minor: Option<i64>,
    tax_rate: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slots {
    minutes: u32,
    capacity: u32,
    ahead_hours: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Station {
    pub(super) name: String,
    capacity: u32,
    item_minutes: u32,
    #[serde(default)]
    default: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionGroup {
    pub(super) name: String,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) name: String,
    #[serde(default)]
    pub(super) price_minor: i64,
    #[serde(default)]
    pub(super) allergens: Vec<String>,
    /// By name.
    #[serde(default)]
    pub(super) ingredients: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Menu {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) position: i32,
    #[serde(default)]
    pub(super) hours: Option<Hours>,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) price_minor: i64,
    pub(super) tax_rate: u32,
    #[serde(default)]
    pub(super) allergens: Vec<String>,
    #[serde(default)]
    pub(super) diets: Vec<String>,
    pub(super) station: String,
    /// By name, in the order in which they are asked for.
    #[serde(default)]
    pub(super) option_groups: Vec<String>,
    /// By name.
    #[serde(default)]
    pub(super) ingredients: Vec<String>,
    /// How many there are, if they are counted.
    #[serde(default)]
    pub(super) stock: Option<i64>,
}

pub(super) fn people() -> Result<People, Error> {
    read(PEOPLE)
}

pub(super) fn restaurants() -> Result<Vec<Restaurant>, Error> {
    RESTAURANTS.into_iter().map(read).collect()
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|cause| {
        let message = format!("a file of the demonstration cannot be read: {cause}");
        Error::new(ErrorCode::Internal, message)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bistro_core::{Allergen, Currency, Diet, Fulfilment};

    use super::*;

    fn known(words: &[String], parse: impl Fn(&str) -> bool, what: &str) {
        for word in words {
            assert!(parse(word), "{word} is no {what}");
        }
    }

    fn unique<'a>(names: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
        let mut seen = HashSet::new();
        for name in names {
            assert!(seen.insert(name), "{name} is there twice");
        }
        seen
    }

    #[test]
    fn the_files_are_whole() {
        let people = people().unwrap();
        let restaurants = restaurants().unwrap();
        unique(restaurants.iter().map(|one| one.name.as_str()));
        let staff = restaurants.iter().flat_map(|one| &one.staff).map(|one| one.email.as_str());
        let others = [&people.administrator, &people.support].into_iter().chain(&people.customers);
        let others = others.map(|one| one.email.as_str());
        let emails =
            unique(staff.chain(others).chain(people.couriers.iter().map(|one| one.email.as_str())));
        for email in emails {
            assert!(email.ends_with(".example"), "{email} could be somebody's");
        }
        for restaurant in &restaurants {
            restaurant.currency.parse::<Currency>().unwrap();
            assert!(jiff::tz::TimeZone::get(&restaurant.time_zone).is_ok());
            let owners = restaurant.staff.iter().filter(|person| person.role == "owner");
            assert_eq!(owners.count(), 1, "{}", restaurant.name);
            known(&restaurant.fulfilments, |word| Fulfilment::parse(word).is_some(), "fulfilment");
            let stations = unique(restaurant.stations.iter().map(|one| one.name.as_str()));
            assert_eq!(restaurant.stations.iter().filter(|one| one.default).count(), 1);
            let ingredients = unique(restaurant.ingredients.iter().map(String::as_str));
            let groups = unique(restaurant.option_groups.iter().map(|one| one.name.as_str()));
            let mut used: HashSet<&str> = HashSet::new();
            for choice in restaurant.option_groups.iter().flat_map(|group| &group.choices) {
                known(&choice.allergens, |word| Allergen::parse(word).is_some(), "allergen");
                used.extend(choice.ingredients.iter().map(String::as_str));
            }
            let items: Vec<&Item> = restaurant
                .menus
                .iter()
                .flat_map(|menu| &menu.sections)
                .flat_map(|section| &section.items)
                .collect();
            unique(items.iter().map(|item| item.name.as_str()));
            let mut asked: HashSet<&str> = HashSet::new();
            for item in items {
                assert!(item.price_minor > 0 && item.tax_rate < 10_000, "{}", item.name);
                known(&item.allergens, |word| Allergen::parse(word).is_some(), "allergen");
                known(&item.diets, |word| Diet::parse(word).is_some(), "diet");
                assert!(stations.contains(&*item.station), "{} has no station", item.name);
                asked.extend(item.option_groups.iter().map(String::as_str));
                used.extend(item.ingredients.iter().map(String::as_str));
            }
            assert_eq!(asked, groups, "what is asked for and what there is");
            assert_eq!(used, ingredients, "what is used and what there is");
        }
    }
}
