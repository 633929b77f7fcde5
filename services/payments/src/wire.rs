//! Between payments' documents and its messages.

use bistro_core::{Error, ErrorCode, Id, IdKind, Money, PageRequest, check_card_token};
use bistro_proto::{common, payments::v1};
use bistro_store::Versioned;

use crate::documents::{Payment, Refund, RefundIntent, Tender};

/// The longest reason of a refund, in characters.
const MAX_REASON: usize = 200;
/// The longest code, in bytes.
const MAX_CODE: usize = 64;
/// The code of a reason that is none.
const OTHER: &str = "other";

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

/// Why money is given back, in the words of who asks.
pub(crate) fn reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if !(1..=MAX_REASON).contains(&text.chars().count()) {
        let why = format!("say why, in 1 to {MAX_REASON} characters");
        return Err(Error::field("reason", why));
    }
    Ok(text.to_owned())
}

/// A reason that comes from others or is told to them: one short word. Sentences, of people or of
/// a provider, may hold personal data and are neither taken nor told.
pub(crate) fn code(reason: &str) -> &str {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_code = (1..=MAX_CODE).contains(&reason.len()) && reason.bytes().all(fits);
    if is_code { reason } else { OTHER }
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
    check_card_token(&message.payment_method).map_err(|why| Error::field("payment_method", why))?;
    Ok(Tender {
        restaurant: id("restaurant_id", &message.restaurant_id)?,
        amount: Money::new(amount.amount_minor, currency),
        method: message.payment_method.clone(),
    })
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
        refunds: payment
            .answered
            .iter()
            .map(answered)
            .chain(payment.refund.iter().map(intended))
            .collect(),
        ..v1::Payment::default()
    }
}

/// A refund that the provider was not heard about yet.
fn intended(intent: &RefundIntent) -> v1::Refund {
    v1::Refund {
        number: intent.number,
        amount_minor: intent.minor,
        state: "pending".to_owned(),
        reason: intent.reason.clone(),
        refused: String::new(),
        answered_at_ms: 0,
        ..v1::Refund::default()
    }
}

/// A refund that the provider answered.
fn answered(refund: &Refund) -> v1::Refund {
    v1::Refund {
        state: if refund.refused.is_some() { "refused" } else { "done" }.to_owned(),
        refused: refund.refused.clone().unwrap_or_default(),
        answered_at_ms: refund.at.as_millis(),
        ..intended(&refund.intent)
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

/// The error of a refund that the provider refused.
pub(crate) fn refund_refused(reason: &str) -> Error {
    let message = format!(
        "the card provider refused the refund ({reason}); nothing was given back, so do it in another way"
    );
    Error::new(ErrorCode::CardDeclined, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_codes() {
        for word in ["insufficient_funds", "not_accepted_in_time", "3ds"] {
            assert_eq!(code(word), word);
        }
        for sentence in ["", "Ada's oven is cold", "No", "the order had ended", &"a".repeat(65)] {
            assert_eq!(code(sentence), OTHER, "{sentence}");
        }
    }

    #[test]
    fn the_number_of_a_card_is_no_tender() {
        let asked = |method: &str| v1::AuthorizeRequest {
            order_id: String::new(),
            restaurant_id: Id::<bistro_core::kinds::Restaurant>::from_bits(1).to_string(),
            amount: Some(common::v1::Money { amount_minor: 5, currency: "GBP".to_owned() }),
            payment_method: method.to_owned(),
            ..v1::AuthorizeRequest::default()
        };
        assert_eq!(tender(&asked("card_ok")).unwrap().method, "card_ok");
        let refused = tender(&asked("4242 4242 4242 4242")).unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "payment_method");
        assert!(!refused.to_string().contains("4242"), "{refused}");
    }
}
