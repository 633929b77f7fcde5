//! A place in the order in which a restaurant's tickets change, as its readers are given it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, Id, Timestamp, kinds};
use bistro_store::Versioned;

use crate::ticket::Ticket;

/// The longest text that is looked at.
const LONGEST: usize = 200;

/// After this change of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) changed_at: Timestamp,
    pub(crate) ticket: Id<kinds::Ticket>,
    pub(crate) version: i64,
    /// A place in one restaurant means nothing in another.
    pub(crate) restaurant: Id<kinds::Restaurant>,
}

impl Place {
    pub(crate) fn of(ticket: &Versioned<Ticket>) -> Self {
        Self {
            changed_at: ticket.changed_at,
            ticket: ticket.id,
            version: ticket.version,
            restaurant: ticket.restaurant,
        }
    }

    /// Whether this is the change that left `ticket` as it is.
    pub(crate) fn is(&self, ticket: &Versioned<Ticket>) -> bool {
        (self.ticket, self.version) == (ticket.id, ticket.version)
    }

    /// The opaque text that a reader is given.
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!(
            "{}.{}.{}.{}",
            self.changed_at.as_millis(),
            self.version,
            self.ticket,
            self.restaurant
        ))
    }

    /// Reads the text back, for a reader of `restaurant`.
    pub(crate) fn decode(text: &str, restaurant: Id<kinds::Restaurant>) -> Result<Self, Error> {
        let place = parse(text).filter(|place| place.restaurant == restaurant);
        place.ok_or_else(|| {
            Error::field("after", "write the cursor of a change of this restaurant's, or nothing")
        })
    }
}

fn parse(text: &str) -> Option<Place> {
    if text.len() > LONGEST {
        return None;
    }
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = plain.split('.');
    let place = Place {
        changed_at: Timestamp::from_millis(parts.next()?.parse().ok()?),
        version: parts.next()?.parse().ok()?,
        ticket: parts.next()?.parse().ok()?,
        restaurant: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_reads_back_in_its_restaurant_and_in_no_other(
            millis: i64, version: i64, ticket: u128, restaurant: u128,
        ) {
            let place = Place {
                changed_at: Timestamp::from_millis(millis),
                version,
                ticket: Id::from_bits(ticket),
                restaurant: Id::from_bits(restaurant),
            };
            let text = place.encode();
            prop_assert_eq!(Place::decode(&text, place.restaurant).unwrap(), place);
            prop_assert!(Place::decode(&text, Id::from_bits(restaurant ^ 1)).is_err());
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,300}") {
            prop_assert!(Place::decode(&text, Id::from_bits(1)).is_err());
            let coded = URL_SAFE_NO_PAD.encode(&text);
            prop_assert!(Place::decode(&coded, Id::from_bits(1)).is_err());
        }
    }
}
