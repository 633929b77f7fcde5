//! What a restaurant may say about itself, and how it is said on the wire.

use bistro_core::{Currency, Error, Fulfilment, GeoPoint};
use bistro_proto::{catalog::v1, common};
use jiff::tz::TimeZone;

use crate::{
    documents::{Address, DeliveryTerms, Profile, SlotTerms},
    fields::{Fields, MAX_PRICE},
};

/// Characters of a description.
const MAX_DESCRIPTION: usize = 2000;
/// Characters of one line of an address.
const MAX_ADDRESS_LINE: usize = 200;
/// The farthest that anybody delivers, in metres.
const MAX_RADIUS: u32 = 100_000;
/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// A new restaurant's name, currency, time zone, and what else it says.
pub(crate) type New = (String, Currency, String, Profile);

/// Reads what a new restaurant says, or all that is wrong with it.
pub(crate) fn read_new(message: &v1::CreateRestaurantRequest) -> Result<New, Error> {
    let mut fields = Fields::default();
    let name = fields.name("name", &message.name);
    let currency = message.currency.parse().unwrap_or_else(|wrong: bistro_core::MoneyError| {
        fields.wrong("currency", wrong.to_string());
        Currency::GBP
    });
    let zone = zone(&mut fields, &message.time_zone);
    let profile = match &message.profile {
        Some(profile) => read_profile(&mut fields, profile),
        None => Profile::default(),
    };
    fields.done((name, currency, zone, profile))
}

/// Reads what a restaurant is to say from now on: name, time zone, and all else.
pub(crate) fn read(message: &v1::Profile) -> Result<(String, String, Profile), Error> {
    let mut fields = Fields::default();
    let name = fields.name("name", &message.name);
    let zone = zone(&mut fields, &message.time_zone);
    let profile = read_profile(&mut fields, message);
    fields.done((name, zone, profile))
}

/// The name of a time zone, in its usual spelling.
fn zone(fields: &mut Fields, name: &str) -> String {
    let known = (name.len() <= 64).then(|| TimeZone::get(name).ok()).flatten();
    match known.as_ref().and_then(TimeZone::iana_name) {
        Some(name) => name.to_owned(),
        None => {
            fields.wrong("time_zone", "write an IANA time zone, such as Europe/London");
            String::new()
        }
    }
}

fn read_profile(fields: &mut Fields, message: &v1::Profile) -> Profile {
    let location = message.location.and_then(|point| location(fields, point));
    let delivery = message.delivery.as_ref().map(|terms| delivery(fields, terms));
    if delivery.is_some() && message.location.is_none() {
        let how = "say where the restaurant is: without it nobody knows what its radius reaches";
        fields.wrong("location", how);
    }
    let path = "minimum_order_minor";
    Profile {
        description: fields.text("description", &message.description, MAX_DESCRIPTION),
        phone: fields.text("phone", &message.phone, 40),
        address: address(fields, message.address.as_ref()),
        location,
        hours: fields.hours("hours", message.hours.as_ref()),
        prep_minutes: fields.number("prep_minutes", message.prep_minutes, 0..=DAY),
        minimum_order_minor: fields.number(path, message.minimum_order_minor, 0..=MAX_PRICE),
        delivery,
        fulfilments: fields.words("fulfilments", &message.fulfilments, Fulfilment::read),
        prices_include_tax: message.prices_include_tax,
        slots: message.slots.as_ref().map(|terms| slots(fields, terms)),
    }
}

fn location(fields: &mut Fields, point: common::v1::GeoPoint) -> Option<GeoPoint> {
    let read = GeoPoint::new(point.lat_e6, point.lon_e6);
    if read.is_none() {
        let how = "write a latitude from -90 to 90 and a longitude from -180 to 180 degrees";
        fields.wrong("location", how);
    }
    read
}

fn address(fields: &mut Fields, address: Option<&common::v1::Address>) -> Address {
    let Some(address) = address else {
        return Address::default();
    };
    let country = address.country.trim().to_ascii_uppercase();
    let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if !country.is_empty() && !is_code {
        fields.wrong("address.country", "write two letters (ISO 3166-1), such as GB");
    }
    let mut line =
        |name: &str, text: &str| fields.text(&format!("address.{name}"), text, MAX_ADDRESS_LINE);
    Address {
        line1: line("line1", &address.line1),
        line2: line("line2", &address.line2),
        city: line("city", &address.city),
        postcode: line("postcode", &address.postcode),
        country,
    }
}

fn delivery(fields: &mut Fields, terms: &v1::DeliveryTerms) -> DeliveryTerms {
    let free_from_minor = terms
        .free_from_minor
        .map(|sum| fields.number("delivery.free_from_minor", sum, 0..=MAX_PRICE));
    DeliveryTerms {
        radius_m: fields.number("delivery.radius_m", terms.radius_m, 1..=MAX_RADIUS),
        fee_minor: fields.number("delivery.fee_minor", terms.fee_minor, 0..=MAX_PRICE),
        free_from_minor,
        tax_rate: fields.rate("delivery.tax_rate", terms.tax_rate),
    }
}

fn slots(fields: &mut Fields, terms: &v1::SlotTerms) -> SlotTerms {
    SlotTerms {
        minutes: fields.number("slots.minutes", terms.minutes, 5..=DAY),
        capacity: fields.number("slots.capacity", terms.capacity, 1..=10_000),
        ahead_hours: fields.number("slots.ahead_hours", terms.ahead_hours, 1..=24 * 60),
    }
}

/// How a restaurant delivers, on the wire.
pub(crate) fn delivery_terms(terms: DeliveryTerms) -> v1::DeliveryTerms {
    v1::DeliveryTerms {
        radius_m: terms.radius_m,
        fee_minor: terms.fee_minor,
        free_from_minor: terms.free_from_minor,
        tax_rate: terms.tax_rate,
    }
}

/// For when orders can be scheduled, on the wire.
pub(crate) fn slot_terms(terms: SlotTerms) -> v1::SlotTerms {
    v1::SlotTerms {
        minutes: terms.minutes,
        capacity: terms.capacity,
        ahead_hours: terms.ahead_hours,
    }
}

/// What a restaurant says about itself, on the wire.
pub(crate) fn message(name: &str, time_zone: &str, profile: &Profile) -> v1::Profile {
    let Address { line1, line2, city, postcode, country } = profile.address.clone();
    v1::Profile {
        name: name.to_owned(),
        description: profile.description.clone(),
        phone: profile.phone.clone(),
        address: (profile.address != Address::default()).then_some(common::v1::Address {
            line1,
            line2,
            city,
            postcode,
            country,
        }),
        location: profile
            .location
            .map(|point| common::v1::GeoPoint { lat_e6: point.lat_e6, lon_e6: point.lon_e6 }),
        time_zone: time_zone.to_owned(),
        hours: crate::wire::hours(&profile.hours),
        prep_minutes: profile.prep_minutes,
        minimum_order_minor: profile.minimum_order_minor,
        delivery: profile.delivery.map(delivery_terms),
        fulfilments: Fulfilment::words(&profile.fulfilments),
        prices_include_tax: profile.prices_include_tax,
        slots: profile.slots.map(slot_terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> v1::Profile {
        v1::Profile {
            name: "Chez Ada".to_owned(),
            description: "Curries".to_owned(),
            phone: "+44 20 7946 0000".to_owned(),
            address: Some(common::v1::Address {
                line1: "1 High Street".to_owned(),
                city: "London".to_owned(),
                postcode: "N1 1AA".to_owned(),
                country: "GB".to_owned(),
                ..Default::default()
            }),
            location: Some(common::v1::GeoPoint { lat_e6: 51_500_000, lon_e6: -120_000 }),
            time_zone: "Europe/London".to_owned(),
            hours: Some(v1::Hours {
                weekly: vec![v1::DayHours { spans: vec!["17:00-23:00".to_owned()] }; 7],
                exceptions: [("2026-12-25".to_owned(), v1::DayHours::default())].into(),
            }),
            prep_minutes: 15,
            minimum_order_minor: 1000,
            delivery: Some(v1::DeliveryTerms {
                radius_m: 3000,
                fee_minor: 250,
                free_from_minor: Some(3000),
                tax_rate: 2000,
            }),
            fulfilments: vec!["delivery".to_owned(), "pick_up".to_owned()],
            prices_include_tax: true,
            slots: Some(v1::SlotTerms { minutes: 30, capacity: 4, ahead_hours: 48 }),
        }
    }

    #[test]
    fn what_is_read_is_said_again() {
        let (name, zone, profile) = read(&full()).unwrap();
        assert_eq!(message(&name, &zone, &profile), full());
    }

    #[test]
    fn every_mistake_in_a_profile_is_said_at_once() {
        let mut wrong = full();
        wrong.name = " ".to_owned();
        wrong.time_zone = "Europe/Atlantis".to_owned();
        wrong.location = Some(common::v1::GeoPoint { lat_e6: i32::MAX, lon_e6: 0 });
        wrong.address.as_mut().unwrap().country = "England".to_owned();
        wrong.hours.as_mut().unwrap().weekly.pop();
        wrong.prep_minutes = 2000;
        wrong.minimum_order_minor = -1;
        wrong.delivery.as_mut().unwrap().radius_m = 0;
        wrong.fulfilments.push("by_dove".to_owned());
        wrong.slots.as_mut().unwrap().capacity = 0;
        let error = read(&wrong).unwrap_err();
        let mut paths: Vec<_> =
            error.field_errors().iter().map(|field| field.path.as_str()).collect();
        paths.sort_unstable();
        let expected = [
            "address.country",
            "delivery.radius_m",
            "fulfilments[2]",
            "hours.weekly",
            "location",
            "minimum_order_minor",
            "name",
            "prep_minutes",
            "slots.capacity",
            "time_zone",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_radius_needs_a_place() {
        let lost = v1::Profile { location: None, ..full() };
        assert_eq!(read(&lost).unwrap_err().field_errors()[0].path, "location");
    }

    #[test]
    fn every_mistake_in_a_new_restaurant_is_said_at_once() {
        let error = read_new(&v1::CreateRestaurantRequest {
            name: " ".to_owned(),
            currency: "pounds".to_owned(),
            time_zone: "here!".to_owned(),
            profile: None,
        });
        assert_eq!(error.unwrap_err().field_errors().len(), 3);
        for zone in ["Europe/London", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+1"] {
            let new = v1::CreateRestaurantRequest {
                name: "Here".to_owned(),
                currency: "GBP".to_owned(),
                time_zone: zone.to_owned(),
                profile: None,
            };
            assert_eq!(read_new(&new).unwrap().2, zone);
        }
        for zone in ["", "/", "Europe/", "../etc/passwd", "Europe London", "+01:00"] {
            let mut fields = Fields::default();
            assert_eq!(super::zone(&mut fields, zone), "");
            assert!(fields.done(()).is_err(), "{zone}");
        }
    }
}
