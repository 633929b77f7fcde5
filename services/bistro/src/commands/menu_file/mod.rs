//! A menu as files have it: what it consists of, whatever the format.
//!
//! Both formats are read into [`MenuFile`] and written from it. What a file does not say is `None`
//! and stays as it is on the platform. Nothing is left out silently: what cannot be read is
//! [`Rejected`], with its place in the file and the reason.

mod apply;
mod cells;
mod csv_read;
mod csv_write;
mod fetch;
mod hours;
mod json_ld_read;
mod json_ld_write;
mod profile;
#[cfg(test)]
mod round_trip;

use std::fmt;

use bistro_core::{Currency, Money};

pub(crate) use apply::{Counts, apply};
pub(crate) use csv_read::read as read_csv;
pub(crate) use csv_write::write as write_csv;
pub(crate) use fetch::fetch;
pub(crate) use hours::Hours;
pub(crate) use json_ld_read::{Document, read as read_json_ld};
pub(crate) use json_ld_write::write as write_json_ld;
pub(crate) use profile::Profile;

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A line, from 1.
    Line(u64),
    /// A JSON pointer.
    Node(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Node(pointer) if pointer.is_empty() => f.write_str("the document"),
            Self::Node(pointer) => write!(f, "{pointer}"),
        }
    }
}

/// Something that is not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) place: Place,
    pub(crate) reason: String,
}

/// Everything that customers choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MenuFile {
    pub(crate) menus: Vec<Menu>,
    pub(crate) groups: Vec<Group>,
    pub(crate) items: Vec<Item>,
}

/// A menu. Its sections are those that are described, not all that items name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Menu {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) position: Option<i32>,
    pub(crate) hours: Option<Hours>,
    pub(crate) sections: Vec<Section>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
}

/// An option group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) min: u32,
    /// None: any number.
    pub(crate) max: Option<u32>,
    pub(crate) choices: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    pub(crate) allergens: Vec<String>,
    pub(crate) ingredients: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    pub(crate) stock: Option<i64>,
    /// The names of the menu and the section that show it; empty: it stays where it is.
    pub(crate) menu: String,
    pub(crate) section: String,
    pub(crate) details: Details,
}

/// What is said about an item beside name, price and place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) position: Option<i32>,
    pub(crate) description: Option<String>,
    pub(crate) image_url: Option<String>,
    pub(crate) allergens: Option<Vec<String>>,
    pub(crate) diets: Option<Vec<String>>,
    /// Hundredths of a per cent.
    pub(crate) tax_rate: Option<u32>,
    pub(crate) hours: Option<Hours>,
    pub(crate) station: Option<String>,
    /// Names of option groups.
    pub(crate) options: Option<Vec<String>>,
    /// Names of ingredients.
    pub(crate) ingredients: Option<Vec<String>>,
}

/// What makes two names the same name, as the platform has it.
pub(crate) fn name_key(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// An amount in major units, without its currency.
fn decimal(minor: i64, currency: Currency) -> String {
    let text = Money::new(minor, currency).to_string();
    text.split(' ').next().unwrap_or(&text).to_owned()
}

/// Takes out of `items` those that have the name of an earlier one.
fn reject_doubles(items: &mut Vec<Item>, rejected: &mut Vec<Rejected>) {
    let mut seen = std::collections::HashMap::new();
    items.retain(|item| {
        let first = seen.entry(name_key(&item.name)).or_insert_with(|| item.place.clone());
        let is_first = *first == item.place;
        if !is_first {
            let reason = format!("{first} has the same name; keep one of them");
            rejected.push(Rejected { place: item.place.clone(), reason });
        }
        is_first
    });
}
