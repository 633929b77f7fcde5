//! Between payments' documents and its messages.

use bistro_core::{Error, ErrorCode, Id, IdKind, Money, PageRequest};
use bistro_proto::{common, payments::v1};
use bistro_store::Versioned;

use crate::documents::{Payment, Tender};

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 200;
/// The longest token of a card, in bytes.
const MAX_METHOD: usize = 255;

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

/// A reason as it is kept.
pub(crate) fn reason(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}

/// What an authorization asks to be paid.
pub(crate) fn tender(message: &v1::AuthorizeRequest) -> Result<Tender, Error> {
    let amount = message.amount.as_ref().ok_or_else(|| Error::field("amount", "is missing"))?;
    let currency = amount.currency.parse().map_err(|wrong: bistro_core::MoneyError| {
        Error::field("amount.currency", wrong.to_string())
    })?;
    if amount.amount_minor < 0 {
        return Err(Error::field("amount.amount_minor", "write 0 or more minor units"));
    }
    Ok(Tender {
        restaurant: id("restaurant_id", &message.restaurant_id)?,
        amount: Money::new(amount.amount_minor, currency),
        method: method(&message.payment_method)?,
    })
}

/// The provider's token for a card. What looks like a card's number is refused before it is
/// stored anywhere.
fn method(token: &str) -> Result<String, Error> {
    let wrong = |why: &str| Err(Error::field("payment_method", why));
    if token.is_empty() || token.len() > MAX_METHOD {
        return wrong("write the token that the card provider gave for the card");
    }
    let digits = token.chars().filter(char::is_ascii_digit).count();
    let nothing_else = token.chars().all(|c| c.is_ascii_digit() || " -.".contains(c));
    if nothing_else && digits >= 12 {
        return wrong("this looks like a card number; send the card provider's token instead");
    }
    Ok(token.to_owned())
}

/// A payment at `version`.
pub(crate) fn payment_at(payment: &Payment, version: i64) -> v1::Payment {
    let tender = payment.tender.as_ref();
    v1::Payment {
        id: payment.id.to_string(),
        order_id: payment.order().to_string(),
        restaurant_id: tender.map(|tender| tender.restaurant.to_string()).unwrap_or_default(),
        state: payment.state.as_str().to_owned(),
        amount: tender.map(|tender| money(tender.amount)),
        captured_minor: payment.captured_minor,
        refunded_minor: payment.refunded_minor,
        reason: payment.reason.clone(),
        version,
    }
}

/// A payment as it was read.
pub(crate) fn payment(read: &Versioned<Payment>) -> v1::Payment {
    payment_at(&read.value, read.version)
}

/// An amount.
pub(crate) fn money(amount: Money) -> common::v1::Money {
    common::v1::Money { amount_minor: amount.amount_minor, currency: amount.currency.to_string() }
}

/// The error of a declined card.
pub(crate) fn card_declined(reason: &str) -> Error {
    let message = format!("the card was declined ({reason}); pay with another card");
    Error::new(ErrorCode::CardDeclined, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_refused_and_tokens_are_not() {
        for number in ["4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444"] {
            let error = method(number).unwrap_err();
            assert!(!error.to_string().contains("4242"), "{error}");
        }
        assert!(method("").is_err());
        for token in ["card_ok", "tok_1234567890123456", "12345"] {
            assert_eq!(method(token).unwrap(), token);
        }
    }
}
