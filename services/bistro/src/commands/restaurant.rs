//! Finds a restaurant by id or name, and reads its menu.

use std::collections::HashMap;

use bistro_client::Client;
use bistro_core::{Error, ErrorCode};
use serde_json::Value;

use crate::commands::ask;

/// How many restaurants are named where another was meant.
const NAMED: usize = 10;

/// A restaurant, as a command needs it.
#[derive(Clone, Debug)]
pub(crate) struct Restaurant {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) currency: String,
}

/// An item of a menu.
#[derive(Clone, Debug)]
pub(crate) struct MenuItem {
    pub(crate) id: String,
    pub(crate) price_minor: i64,
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn read(value: &Value) -> Restaurant {
    Restaurant {
        id: text(value, "id"),
        name: text(value, "name"),
        currency: text(value, "currency"),
    }
}

/// The restaurant with this id, or the only one of exactly this name. Where there is none, those
/// that there are are named, and what may be done `otherwise`.
pub(crate) async fn find(
    client: &Client,
    id_or_name: &str,
    otherwise: Option<&str>,
) -> Result<Restaurant, Error> {
    if id_or_name.starts_with("rst_") {
        let path = format!("/api/v1/restaurants/{}", percent_encode(id_or_name));
        return Ok(read(&ask::get(client, &path).await?.body));
    }
    let path = format!("/api/v1/restaurants?name={}", percent_encode(id_or_name));
    let found = ask::get(client, &path).await?;
    match found.body["items"].as_array().map_or(&[][..], Vec::as_slice) {
        [one] => Ok(read(one)),
        [] => {
            // One more than is named tells whether there are more.
            let there = ask::rows(client, "/api/v1/restaurants", NAMED + 1).await?;
            let there: Vec<Restaurant> = there.iter().map(read).collect();
            Err(Error::not_found(missing(id_or_name, &there, otherwise)))
        }
        several => {
            let ids: Vec<String> = several.iter().map(|one| text(one, "id")).collect();
            let message = format!(
                "several restaurants are called {id_or_name:?}; say which: {}",
                ids.join(", ")
            );
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }
}

/// Says that there is no restaurant `wanted`, which ones there are, and what to do `otherwise`.
fn missing(wanted: &str, there: &[Restaurant], otherwise: Option<&str>) -> String {
    let named: Vec<String> =
        there.iter().take(NAMED).map(|one| format!("{:?} ({})", one.name, one.id)).collect();
    let mut text = match named.as_slice() {
        [] => format!("restaurant {wanted:?}, and none at all"),
        named => format!("restaurant {wanted:?}; there are: {}", named.join(", ")),
    };
    if there.len() > NAMED {
        text.push_str(", and more");
    }
    if let Some(otherwise) = otherwise {
        text.push_str("; ");
        text.push_str(otherwise);
    }
    text
}

/// Every item of the restaurant, by name.
pub(crate) async fn menu(
    client: &Client,
    restaurant: &str,
) -> Result<HashMap<String, MenuItem>, Error> {
    let path = format!("/api/v1/restaurants/{restaurant}/items");
    let items = ask::rows(client, &path, usize::MAX).await?;
    let priced = items.iter().map(|item| {
        let price_minor = item["price"]["amount_minor"].as_i64().unwrap_or_default();
        (text(item, "name"), MenuItem { id: text(item, "id"), price_minor })
    });
    Ok(priced.collect())
}

/// Encodes what may not stand in a query (RFC 3986, section 2.1).
pub(crate) fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_restaurant_is_told_which_there_are() {
        let there: Vec<Restaurant> = (1..=11)
            .map(|number| Restaurant {
                id: format!("rst_{number}"),
                name: format!("Chez {number}"),
                currency: "GBP".to_owned(),
            })
            .collect();
        assert_eq!(
            missing("Nobody", &there[..2], None),
            r#"restaurant "Nobody"; there are: "Chez 1" (rst_1), "Chez 2" (rst_2)"#
        );
        let many = missing("Nobody", &there, Some("make one"));
        assert!(many.ends_with(r#""Chez 10" (rst_10), and more; make one"#), "{many}");
        assert_eq!(missing("Nobody", &[], None), r#"restaurant "Nobody", and none at all"#);
    }

    #[test]
    fn what_may_not_stand_in_a_query_is_encoded() {
        assert_eq!(percent_encode("Chez Ada & Co"), "Chez%20Ada%20%26%20Co");
    }
}
