//! Finds a restaurant by id or name, and reads its menu.

use std::collections::HashMap;

use bistro_client::{Client, Request};
use bistro_core::{Error, ErrorCode};
use serde_json::Value;

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

/// The restaurant with this id, or the only one of exactly this name.
pub(crate) async fn find(client: &Client, id_or_name: &str) -> Result<Restaurant, Error> {
    if id_or_name.starts_with("rst_") {
        let answer =
            client.send(&Request::get(format!("/api/v1/restaurants/{id_or_name}"))).await?;
        return Ok(read(&answer.body));
    }
    let path = format!("/api/v1/restaurants?name={}", percent_encode(id_or_name));
    let found = client.send(&Request::get(path)).await?;
    match found.body["items"].as_array().map_or(&[][..], Vec::as_slice) {
        [one] => Ok(read(one)),
        [] => Err(Error::not_found(format_args!(
            "restaurant {id_or_name:?}; make it with: bistro import menu FILE --new {id_or_name:?}"
        ))),
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

/// Every item of the restaurant, by name.
pub(crate) async fn menu(
    client: &Client,
    restaurant: &str,
) -> Result<HashMap<String, MenuItem>, Error> {
    let mut menu = HashMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/restaurants/{restaurant}/items?limit=200{cursor}");
        let page = client.send(&Request::get(path)).await?;
        for item in page.body["items"].as_array().into_iter().flatten() {
            let price_minor = item["price"]["amount_minor"].as_i64().unwrap_or_default();
            menu.insert(text(item, "name"), MenuItem { id: text(item, "id"), price_minor });
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", percent_encode(next)),
            None => return Ok(menu),
        }
    }
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
    #[test]
    fn what_may_not_stand_in_a_query_is_encoded() {
        assert_eq!(super::percent_encode("Chez Ada & Co"), "Chez%20Ada%20%26%20Co");
    }
}
