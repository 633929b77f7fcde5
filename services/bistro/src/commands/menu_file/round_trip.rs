//! What is exported comes back as it was, in either format.

use bistro_core::Currency;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Choice, Details, Group, Hours, Item, Menu, MenuFile, Place, Profile, Section, hours::any_hours,
    read_csv, read_json_ld, write_csv, write_json_ld,
};

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z|;,\"\\\\é{}\\[\\]#']{1,8}( [a-z|+]{1,6})?"
}

fn text() -> impl Strategy<Value = String> {
    "([a-z\",|;é]{1,6}(\n| )){0,2}[a-z\"]{0,4}".prop_map(|text| text.trim().to_owned())
}

fn names_of(all: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(all.clone(), 0..=all.len())
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    names_of(words.iter().map(ToString::to_string).collect())
}

/// Names that differ, each with its number.
fn distinct(names: Vec<String>) -> Vec<String> {
    names.into_iter().enumerate().map(|(place, name)| format!("{name} {place}")).collect()
}

fn place() -> Place {
    Place::Line(0)
}

prop_compose! {
    fn group_of(name: String)(
        min in 0_u32..3,
        max in prop::option::of(3_u32..9),
        names in prop::collection::vec(self::name(), 1..4).prop_map(distinct),
        prices in prop::collection::vec(-500_i64..500, 4),
        allergens in words(&["milk", "nuts"]),
        ingredients in words(&["Cheese", "Ham | eggs"]),
    ) -> Group {
        let choices = names.into_iter().zip(prices).map(|(name, price_minor)| Choice {
            name, price_minor, allergens: allergens.clone(), ingredients: ingredients.clone(),
        });
        Group { place: place(), name: name.clone(), min, max, choices: choices.collect() }
    }
}

prop_compose! {
    fn menu_of(name: String)(
        description in text(),
        hours in any_hours(),
        names in prop::collection::vec(self::name(), 0..3).prop_map(distinct),
        descriptions in prop::collection::vec(text(), 3),
    ) -> Menu {
        let sections = names.into_iter().zip(descriptions);
        let sections = sections.map(|(name, text)| Section { name, description: Some(text) });
        Menu {
            place: place(),
            name: name.clone(),
            description: Some(description),
            position: Some(0),
            hours: Some(hours),
            sections: sections.collect(),
        }
    }
}

prop_compose! {
    fn item_of(name: String, groups: Vec<String>)(
        price_minor in 0_i64..100_000,
        stock in prop::option::of(0_i64..100),
        description in text(),
        image in prop_oneof![Just(""), Just("https://example.org/a,b.jpg?c=\"d\"")],
        allergens in words(&["eggs", "fish", "milk"]),
        diets in words(&["gluten_free", "halal", "vegan"]),
        tax_rate in prop_oneof![Just(0_u32), 1_u32..=10_000],
        hours in any_hours(),
        station in prop_oneof![Just(String::new()), self::name()],
        options in names_of(groups.clone()),
        ingredients in words(&["Cheese", "Ham | eggs", "back\\slash"]),
    ) -> Item {
        Item {
            place: place(),
            name: name.clone(),
            price_minor,
            stock,
            menu: String::new(),
            section: String::new(),
            details: Details {
                position: Some(0),
                description: Some(description),
                image_url: Some(image.to_owned()),
                allergens: Some(allergens),
                diets: Some(diets),
                tax_rate: Some(tax_rate),
                hours: Some(hours),
                station: Some(station),
                options: Some(options),
                ingredients: Some(ingredients),
            },
        }
    }
}

fn any_file() -> impl Strategy<Value = MenuFile> {
    let names = |most| prop::collection::vec(name(), 0..most).prop_map(distinct);
    (names(3), names(3), names(6)).prop_flat_map(|(menus, groups, items)| {
        let made: Vec<_> = groups.iter().cloned().map(group_of).collect();
        let menus: Vec<_> = menus.into_iter().map(menu_of).collect();
        let items: Vec<_> = items.into_iter().map(|name| item_of(name, groups.clone())).collect();
        let shown = prop::collection::vec(any::<prop::sample::Index>(), 6);
        (menus, made, items, shown).prop_map(|(menus, groups, mut items, shown)| {
            let sections: Vec<_> = menus
                .iter()
                .flat_map(|menu| {
                    menu.sections.iter().map(|one| (menu.name.clone(), one.name.clone()))
                })
                .chain([(String::new(), String::new())])
                .collect();
            for (item, place) in items.iter_mut().zip(shown) {
                (item.menu, item.section) = sections[place.index(sections.len())].clone();
            }
            MenuFile { menus, groups, items }
        })
    })
}

/// The file as it is compared: without places, what is nothing is `None`, and an order in place of
/// positions.
fn plain(mut file: MenuFile) -> MenuFile {
    let text = |text: &mut Option<String>| *text = text.take().filter(|text| !text.is_empty());
    let list = |list: &mut Option<Vec<String>>| *list = list.take().filter(|list| !list.is_empty());
    let hours = |hours: &mut Option<Hours>| {
        *hours = hours.take().filter(|hours| *hours != Hours::default());
    };
    for menu in &mut file.menus {
        (menu.place, menu.position) = (place(), None);
        text(&mut menu.description);
        hours(&mut menu.hours);
        menu.sections.iter_mut().for_each(|section| text(&mut section.description));
    }
    file.groups.iter_mut().for_each(|group| group.place = place());
    for item in &mut file.items {
        item.place = place();
        let details = &mut item.details;
        details.position = None;
        text(&mut details.description);
        text(&mut details.image_url);
        text(&mut details.station);
        for names in [
            &mut details.allergens,
            &mut details.diets,
            &mut details.options,
            &mut details.ingredients,
        ] {
            list(names);
        }
        details.tax_rate = details.tax_rate.filter(|rate| *rate > 0);
        hours(&mut details.hours);
    }
    let order = |item: &Item| {
        let menu = file.menus.iter().position(|menu| menu.name == item.menu);
        let sections = menu.map(|place| &file.menus[place].sections);
        let section = sections.and_then(|all| all.iter().position(|one| one.name == item.section));
        (menu.unwrap_or(usize::MAX), section)
    };
    file.items.sort_by_key(order);
    file
}

fn restaurant() -> Profile {
    Profile::of(&json!({
        "name": "Chez Ada", "description": "Curries", "phone": "", "time_zone": "Europe/London",
        "address": {"line1": "1 High Street", "line2": "", "city": "London", "postcode": "N1",
                    "country": "GB"},
        "location": {"latitude": 51.5, "longitude": -0.12},
        "hours": {"weekly": [["11:30-14:30", "17:00-23:00"], [], [], [], ["18:00-02:00"], [], []],
                  "exceptions": {"2026-12-25": [], "2026-12-31": ["20:00-04:00"]}},
        "prep_minutes": 25, "minimum_order_minor": 1000,
        "delivery": {"radius_m": 3000, "fee_minor": 250, "free_from_minor": null, "tax_rate": 0},
        "fulfilments": ["delivery", "pick_up"], "prices_include_tax": true, "slots": null,
    }))
}

proptest! {
    #[test]
    fn a_table_reads_back(file in any_file()) {
        let text = write_csv(&file, Currency::GBP).unwrap();
        let (read, rejected) = read_csv(text.as_bytes(), Currency::GBP).unwrap();
        prop_assert_eq!(rejected, []);
        prop_assert_eq!(plain(read), plain(file));
    }

    #[test]
    fn a_document_reads_back(file in any_file()) {
        let text = write_json_ld(&restaurant(), &file, Currency::GBP).unwrap();
        let (read, rejected) = read_json_ld(text.as_bytes(), None).unwrap();
        prop_assert_eq!(rejected, []);
        prop_assert_eq!(plain(read.menu), plain(file));
    }

    #[test]
    fn any_json_is_read_or_refused(
        kind in prop_oneof![Just("Restaurant"), Just("Menu"), Just("MenuItem")],
        property in prop_oneof![
            Just("hasMenu"), Just("hasMenuSection"), Just("hasMenuItem"), Just("offers"),
            Just("openingHoursSpecification"), Just("geo"), Just("address"), Just("menuAddOn"),
        ],
        value in any_json(),
    ) {
        let text = json!({ "@type": kind, "name": "x", property: value }).to_string();
        let _ = read_json_ld(text.as_bytes(), None);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let key = prop_oneof![
        Just("@type"),
        Just("@id"),
        Just("name"),
        Just("price"),
        Just("offers"),
        Just("hasMenuItem"),
        Just("hasMenuSection"),
        Just("dayOfWeek"),
        Just("opens"),
        Just("closes"),
        Just("validFrom"),
        Just("latitude"),
        Just("menuAddOn"),
        Just("image"),
        Just("suitableForDiet"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        any::<i64>().prop_map(|it| json!(it)),
        "\\PC{0,8}".prop_map(|it| json!(it)),
        Just(json!("MenuSection")),
        Just(json!("#a")),
        Just(json!("11:30")),
        Just(json!("é1:30:00")),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| json!(all)),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| json!(fields)),
        ]
    })
}

#[test]
fn a_restaurant_reads_back() {
    let text = write_json_ld(&restaurant(), &MenuFile::default(), Currency::EUR).unwrap();
    let (read, rejected) = read_json_ld(text.as_bytes(), None).unwrap();
    assert_eq!(rejected, []);
    assert_eq!(read.currency, Currency::EUR);
    let (mut read, mut wanted) = (read.profile.unwrap(), restaurant());
    // Lines of an address that are empty are not written.
    wanted.fields["address"].as_object_mut().unwrap().remove("line2");
    read.fields.sort_keys();
    wanted.fields.sort_keys();
    assert_eq!(read, wanted);
}

#[test]
fn what_others_write_is_read_and_what_cannot_be_is_named() {
    let document = json!({
        "@context": "https://schema.org",
        "@graph": [
            {"@type": "Thing"},
            {
                "@type": ["Restaurant", "LocalBusiness"], "name": "Osteria",
                "currenciesAccepted": "EUR",
                "openingHours": ["Mo-Fr 12:00-14:30", "Sa,Su off"],
                "address": {"streetAddress": "Via 1", "addressCountry": {"@type": "Country", "name": "IT"}},
                "hasMenu": [
                    "https://example.org/menu.pdf",
                    {"@type": "Menu", "name": "Cena", "hasMenuSection": [
                        {"@type": "MenuSection", "name": "Primi", "hasMenuSection": {
                            "@type": "MenuSection", "name": "Fresca", "hasMenuItem": [
                                {"@type": "MenuItem", "name": "Tagliatelle",
                                 "offers": {"price": 12.5, "priceCurrency": "EUR"},
                                 "image": {"@type": "ImageObject", "url": "https://example.org/t.jpg"},
                                 "suitableForDiet": "http://schema.org/VegetarianDiet",
                                 "nutrition": {"@type": "NutritionInformation", "calories": "1"},
                                 "menuAddOn": [{"@type": "MenuItem", "name": "Pane",
                                                "offers": {"price": "2"}}]},
                                {"@type": "MenuItem", "name": "Gnocchi", "offers": {"price": "a lot"}},
                                {"@type": "MenuItem", "name": "Lasagne",
                                 "offers": {"price": "9", "priceCurrency": "USD"}},
                                {"@type": "MenuItem", "offers": {"price": "9"}},
                                {"@type": "MenuItem", "name": "Acqua"}
                            ]}},
                        {"@type": "MenuSection", "hasMenuItem": []}
                    ]}
                ]
            }
        ]
    });
    let (read, rejected) = read_json_ld(document.to_string().as_bytes(), None).unwrap();
    assert_eq!(read.currency, Currency::EUR);
    let profile = read.profile.unwrap();
    assert_eq!(profile.name(), "Osteria");
    assert_eq!(profile.fields["hours"]["weekly"][4], json!(["12:00-14:30"]));
    assert_eq!(profile.fields["address"]["country"], "IT");
    let item = &read.menu.items[0];
    assert_eq!((read.menu.items.len(), item.price_minor), (1, 1250));
    assert_eq!((item.menu.as_str(), item.section.as_str()), ("Cena", "Primi: Fresca"));
    assert_eq!(item.details.image_url.as_deref(), Some("https://example.org/t.jpg"));
    assert_eq!(item.details.diets, Some(vec!["vegetarian".to_owned()]));
    assert_eq!(item.details.options, Some(vec!["Extras: Tagliatelle".to_owned()]));
    assert_eq!(read.menu.groups[0].choices[0].price_minor, 200);
    let inner = "/@graph/1/hasMenu/1/hasMenuSection/0/hasMenuSection/hasMenuItem";
    let expected = [
        "/@graph/1/hasMenu/0".to_owned(),
        format!("{inner}/1"),
        format!("{inner}/2"),
        format!("{inner}/3"),
        format!("{inner}/4"),
        "/@graph/1/hasMenu/1/hasMenuSection/1".to_owned(),
    ];
    let places: Vec<_> = rejected.iter().map(|one| one.place.to_string()).collect();
    assert_eq!(places, expected);
}

#[test]
fn what_is_no_restaurant_is_refused_and_circles_end() {
    for wrong in ["", "{", "[]", "7", r#"{"@type":"Person"}"#] {
        assert!(read_json_ld(wrong.as_bytes(), None).is_err(), "{wrong}");
    }
    let circle = json!({
        "@type": "Menu", "name": "m", "hasMenuSection": {
            "@id": "#a", "@type": "MenuSection", "name": "a", "hasMenuSection": {"@id": "#a"}
        }
    });
    let (read, rejected) = read_json_ld(circle.to_string().as_bytes(), None).unwrap();
    assert_eq!((read.menu.items.len(), rejected.len()), (0, 1));
}
