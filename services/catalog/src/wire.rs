//! Between catalog's documents and its messages.

use bistro_core::{Error, ErrorCode, Id, IdKind, PageRequest};
use bistro_proto::{catalog::v1, common};
use bistro_store::Versioned;

use crate::documents::{Item, Restaurant};

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

/// A restaurant at `version`.
pub(crate) fn restaurant_at(restaurant: &Restaurant, version: i64) -> v1::Restaurant {
    v1::Restaurant {
        id: restaurant.id.to_string(),
        name: restaurant.name.clone(),
        currency: restaurant.currency.to_string(),
        time_zone: restaurant.time_zone.clone(),
        open: restaurant.open,
        version,
        created_at_ms: restaurant.created_at.as_millis(),
        ..v1::Restaurant::default()
    }
}

/// A restaurant as it was read.
pub(crate) fn restaurant(read: &Versioned<Restaurant>) -> v1::Restaurant {
    restaurant_at(&read.value, read.version)
}

/// An item. Its version is the number of its edits.
pub(crate) fn item(item: &Item) -> v1::Item {
    v1::Item {
        id: item.id.to_string(),
        restaurant_id: item.restaurant.to_string(),
        name: item.name.clone(),
        price: Some(common::v1::Money {
            amount_minor: item.price_minor,
            currency: item.currency.to_string(),
        }),
        available: item.available,
        free: item.counted.then_some(item.free),
        version: item.revision,
        ..v1::Item::default()
    }
}
