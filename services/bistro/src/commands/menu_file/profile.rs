//! What a restaurant says about itself, between schema.org's `Restaurant` and the public API.

use std::collections::BTreeMap;

use jiff::{ToSpan as _, civil::Date};
use serde_json::{Map, Value, json};

use super::{
    Hours,
    hours::DAYS,
    json_ld_read::{Node, Reader},
};

/// The days as schema.org names them, from Monday.
const DAY_NAMES: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Days that one special opening may last.
const MAX_SPECIAL: usize = 366;
/// What schema.org has no word for: the API's field, and ours.
const OWN: [(&str, &str); 7] = [
    ("time_zone", "bistro:timeZone"),
    ("prep_minutes", "bistro:prepMinutes"),
    ("minimum_order_minor", "bistro:minimumOrderMinor"),
    ("delivery", "bistro:delivery"),
    ("fulfilments", "bistro:fulfilments"),
    ("prices_include_tax", "bistro:pricesIncludeTax"),
    ("slots", "bistro:slots"),
];
/// The parts of an address: the API's field, and schema.org's.
const ADDRESS: [(&str, &str); 5] = [
    ("line1", "streetAddress"),
    ("line2", "bistro:addressLine2"),
    ("city", "addressLocality"),
    ("postcode", "postalCode"),
    ("country", "addressCountry"),
];

/// A restaurant's profile with the names of the public API's fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Profile {
    pub(crate) fields: Map<String, Value>,
}

impl Profile {
    pub(crate) fn name(&self) -> &str {
        self.fields.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The profile that the public API shows of a restaurant.
    pub(crate) fn of(restaurant: &Value) -> Self {
        let told = ["name", "description", "phone", "address", "location", "hours"];
        let told = told.into_iter().chain(OWN.map(|(field, _)| field));
        let said = |field: &str| {
            let value = restaurant.get(field).filter(|value| !is_nothing(value))?;
            Some((field.to_owned(), value.clone()))
        };
        Self { fields: told.filter_map(said).collect() }
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || *value == json!("")
}

/// Reads the profile of the restaurant `node`.
pub(super) fn read<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Profile {
    let mut fields = Map::new();
    for (field, name) in [("name", "name"), ("description", "description"), ("phone", "telephone")]
    {
        if let Some(text) = reader.text(node, name) {
            fields.insert(field.to_owned(), text.into());
        }
    }
    if let Some(address) = reader.one(node, "address") {
        fields.insert("address".to_owned(), read_address(reader, &address));
    }
    if let Some(geo) = reader.one(node, "geo") {
        match (degrees(reader, &geo, "latitude"), degrees(reader, &geo, "longitude")) {
            (Some(latitude), Some(longitude)) => {
                let point = json!({ "latitude": latitude, "longitude": longitude });
                fields.insert("location".to_owned(), point);
            }
            _ => reader.reject(&geo, "write latitude and longitude in degrees"),
        }
    }
    let hours = read_hours(reader, node);
    if hours != Hours::default() {
        fields.insert("hours".to_owned(), json!(hours));
    }
    for (field, name) in OWN {
        if let Some(own) = node.value.get(name).filter(|value| !value.is_null()) {
            fields.insert(field.to_owned(), own.clone());
        }
    }
    Profile { fields }
}

fn read_address<'a>(reader: &mut Reader<'a>, address: &Node<'a>) -> Value {
    if let Some(text) = address.value.as_str() {
        return json!({ "line1": text });
    }
    let mut read = Map::new();
    for (field, name) in ADDRESS {
        // A country may be a node of its own.
        let part = match reader.one(address, name) {
            Some(part) if part.value.is_object() => reader.text(&part, "name"),
            Some(_) => reader.text(address, name),
            None => None,
        };
        if let Some(text) = part {
            read.insert(field.to_owned(), text.into());
        }
    }
    Value::Object(read)
}

fn degrees<'a>(reader: &mut Reader<'a>, node: &Node<'a>, name: &str) -> Option<f64> {
    let value = reader.one(node, name)?.value;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn read_hours<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Hours {
    let mut hours = Hours::default();
    for text in reader.all(node, "openingHours") {
        let parsed = text.value.as_str().map(str::parse::<Hours>);
        match parsed {
            Some(Ok(more)) => add(&mut hours, more),
            Some(Err(why)) => reader.reject(&text, &why),
            None => reader.reject(&text, "write hours as a text, such as Mo-Fr 11:30-14:30"),
        }
    }
    for spec in reader.all(node, "openingHoursSpecification") {
        // Some write special days here, too.
        let read = if spec.value.get("validFrom").is_some() && spec.value.get("dayOfWeek").is_none()
        {
            read_special(reader, &spec)
        } else {
            read_weekly(reader, &spec)
        };
        match read {
            Ok(more) => add(&mut hours, more),
            Err(why) => reader.reject(&spec, &why),
        }
    }
    for spec in reader.all(node, "specialOpeningHoursSpecification") {
        match read_special(reader, &spec) {
            Ok(more) => add(&mut hours, more),
            Err(why) => reader.reject(&spec, &why),
        }
    }
    hours
}

fn add(hours: &mut Hours, more: Hours) {
    if hours.weekly.is_empty() {
        hours.weekly = more.weekly;
    } else {
        for (day, spans) in hours.weekly.iter_mut().zip(more.weekly) {
            day.extend(spans);
        }
    }
    for (date, spans) in more.exceptions {
        hours.exceptions.entry(date).or_default().extend(spans);
    }
}

/// From when to when; none if it says that it is closed.
fn span<'a>(reader: &mut Reader<'a>, spec: &Node<'a>) -> Result<Option<String>, String> {
    let mut time = |name: &str| -> Option<String> {
        let text = reader.text(spec, name)?;
        // Seconds are not told.
        Some(text.get(..5).unwrap_or(&text).to_owned())
    };
    match (time("opens"), time("closes")) {
        (Some(opens), Some(closes)) if opens == closes => Ok(None),
        (Some(opens), Some(closes)) => Ok(Some(format!("{opens}-{closes}"))),
        (None, None) => Ok(None),
        _ => Err("write opens and closes, such as 11:30 and 14:30".to_owned()),
    }
}

fn read_weekly<'a>(reader: &mut Reader<'a>, spec: &Node<'a>) -> Result<Hours, String> {
    let span = span(reader, spec)?;
    let named = reader.all(spec, "dayOfWeek");
    let mut weekly = vec![Vec::new(); DAYS.len()];
    if named.is_empty() {
        return Err("write dayOfWeek, such as Monday".to_owned());
    }
    for day in named {
        let written = day.value.as_str().unwrap_or_default();
        let plain = written.rsplit('/').next().unwrap_or(written);
        let place = DAY_NAMES.iter().position(|name| *name == plain);
        let place = place.or_else(|| DAYS.iter().position(|name| *name == plain));
        let Some(place) = place else {
            return Err(format!("{written:?} is no day of the week; write it like Monday"));
        };
        weekly[place].extend(span.clone());
    }
    Ok(Hours { weekly, exceptions: BTreeMap::new() })
}

fn read_special<'a>(reader: &mut Reader<'a>, spec: &Node<'a>) -> Result<Hours, String> {
    let span = span(reader, spec)?;
    let mut date = |name: &str| -> Option<Date> {
        let text = reader.text(spec, name)?;
        text.get(..10).unwrap_or(&text).parse().ok()
    };
    let from = date("validFrom").ok_or("write validFrom as a date, such as 2026-12-24")?;
    let to = date("validThrough").unwrap_or(from);
    if to < from {
        return Err("validThrough is before validFrom".to_owned());
    }
    let mut exceptions = BTreeMap::new();
    let mut day = from;
    while day <= to {
        if exceptions.len() >= MAX_SPECIAL {
            return Err(format!("it lasts more than {MAX_SPECIAL} days"));
        }
        exceptions.insert(day.to_string(), span.iter().cloned().collect());
        day = day.checked_add(1.day()).map_err(|cause| cause.to_string())?;
    }
    Ok(Hours { weekly: Vec::new(), exceptions })
}

/// The profile as properties of a `Restaurant`.
pub(super) fn write(profile: &Profile, currency: &str) -> Map<String, Value> {
    let mut node = Map::new();
    let fields = &profile.fields;
    for (field, name) in [("name", "name"), ("description", "description"), ("phone", "telephone")]
    {
        if let Some(text) = fields.get(field) {
            node.insert(name.to_owned(), text.clone());
        }
    }
    node.insert("currenciesAccepted".to_owned(), currency.into());
    if let Some(address) = fields.get("address").and_then(Value::as_object) {
        let mut written = Map::from_iter([("@type".to_owned(), json!("PostalAddress"))]);
        for (field, name) in ADDRESS {
            if let Some(part) = address.get(field).filter(|part| !is_nothing(part)) {
                written.insert(name.to_owned(), part.clone());
            }
        }
        node.insert("address".to_owned(), Value::Object(written));
    }
    if let Some(point) = fields.get("location") {
        node.insert("geo".to_owned(), json!({
            "@type": "GeoCoordinates", "latitude": point["latitude"], "longitude": point["longitude"],
        }));
    }
    let hours = fields.get("hours").cloned().and_then(|hours| serde_json::from_value(hours).ok());
    if let Some(hours) = hours {
        write_hours(&hours, &mut node);
    }
    for (field, name) in OWN {
        if let Some(value) = fields.get(field) {
            node.insert(name.to_owned(), value.clone());
        }
    }
    node
}

fn write_hours(hours: &Hours, node: &mut Map<String, Value>) {
    let spec = |span: Option<&String>| {
        let (opens, closes) =
            span.and_then(|span| span.split_once('-')).unwrap_or(("00:00", "00:00"));
        json!({ "@type": "OpeningHoursSpecification", "opens": opens, "closes": closes })
    };
    let mut weekly = Vec::new();
    for (day, spans) in DAY_NAMES.iter().zip(&hours.weekly) {
        let closed = spans.is_empty().then_some(None);
        for span in spans.iter().map(Some).chain(closed) {
            let mut spec = spec(span);
            spec["dayOfWeek"] = json!(format!("https://schema.org/{day}"));
            weekly.push(spec);
        }
    }
    if !weekly.is_empty() {
        node.insert("openingHoursSpecification".to_owned(), Value::Array(weekly));
    }
    let mut special = Vec::new();
    for (date, spans) in &hours.exceptions {
        let closed = spans.is_empty().then_some(None);
        for span in spans.iter().map(Some).chain(closed) {
            let mut spec = spec(span);
            (spec["validFrom"], spec["validThrough"]) = (json!(date), json!(date));
            special.push(spec);
        }
    }
    if !special.is_empty() {
        node.insert("specialOpeningHoursSpecification".to_owned(), Value::Array(special));
    }
}
