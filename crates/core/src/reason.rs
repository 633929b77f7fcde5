//! Codes that say why an order ended early, why a change of it was refused, and why a payment stands
//! where it does.
//!
//! The roles write them, and the public API's document lists them from here. Each role's tests look
//! that what it writes is in its list.

/// A code, and what it says in half a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The code.
    pub code: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const CLOSED: Reason = Reason::new("closed", "the restaurant was closed by then");
const SOLD_OUT: Reason = Reason::new("sold_out", "something of it was sold out by then");
const NOT_FOUND: Reason = Reason::new("not_found", "something of it was not on the menu any more");
const CARD_DECLINED: Reason = Reason::new("card_declined", "the card was declined");
const VOIDED: Reason =
    Reason::new("voided", "the card provider had voided it, so that no money is set aside");
const OTHER_TENDER_REFUSED: Reason =
    Reason::new("other_tender_refused", "another card that pays for it was refused");
const NOT_CONFIRMED_IN_TIME: Reason =
    Reason::new("not_confirmed_in_time", "stock and payment were not both seen to in time");
const NOT_ACCEPTED_IN_TIME: Reason =
    Reason::new("not_accepted_in_time", "the restaurant did not accept it in time");
const OTHER: Reason = Reason::new("other", "something that no code says");

impl Reason {
    const fn new(code: &'static str, meaning: &'static str) -> Self {
        Self { code, meaning }
    }

    /// Why an order ended early, as far as roles and timers say it.
    pub const ORDER: &'static [Self] = &[
        CLOSED,
        SOLD_OUT,
        NOT_FOUND,
        CARD_DECLINED,
        VOIDED,
        OTHER_TENDER_REFUSED,
        NOT_CONFIRMED_IN_TIME,
        NOT_ACCEPTED_IN_TIME,
        Self::new("customer_absent", "the courier found nobody who would take it"),
        Self::new("wrong_address", "the courier did not find the address"),
        Self::new("food_damaged", "the food was damaged on its way"),
        Self::new("courier_unable", "the courier could not go on"),
        OTHER,
    ];

    /// Why a change of an order was refused.
    pub const CHANGE: &'static [Self] = &[
        CLOSED,
        SOLD_OUT,
        NOT_FOUND,
        CARD_DECLINED,
        VOIDED,
        OTHER_TENDER_REFUSED,
        NOT_CONFIRMED_IN_TIME,
        OTHER,
    ];

    /// Why a payment, or one of its tenders, failed, is given back or is waited for.
    pub const PAYMENT: &'static [Self] = &[
        CARD_DECLINED,
        Self::new("insufficient_funds", "there is not enough money on the card"),
        Self::new("unknown_card", "the sandbox has no such card"),
        Self::new("processing_error", "the card provider could not do it at that moment"),
        Self::new("currency_not_supported", "the card provider has no such amount of the currency"),
        Self::new("unexpected_state", "it stood otherwise at the card provider"),
        Self::new("refused", "the card provider refused, without a code"),
        Self::new("pending", "the card provider has taken the capture up, and is asked again"),
        VOIDED,
        Self::new(
            "authorization_voided",
            "a capture failed for good: the card provider holds no money any more, and none was \
             taken",
        ),
        OTHER_TENDER_REFUSED,
        Self::new("not_kept", "the order was changed, and this paid for what it was before"),
        Self::new("not_answered", "the card provider said nothing of a tip for too long"),
        Self::new("by_customer", "the customer cancelled the order"),
        Self::new("by_restaurant", "the restaurant rejected the order"),
        Self::new("by_staff", "the restaurant or an administrator cancelled the order"),
        Self::new("stock_refused", "the order was rejected, for want of stock or being closed"),
        Self::new("payment_refused", "the payment as a whole was refused"),
        NOT_CONFIRMED_IN_TIME,
        NOT_ACCEPTED_IN_TIME,
        Self::new("delivery_failed", "the courier could not bring the order"),
        Self::new("rejected", "the order was rejected before its money was known to be set aside"),
        Self::new("payment_failed", "the same, of an order whose payment had failed"),
        Self::new("expired", "the same, of an order that had expired"),
        Self::new("cancelled", "the same, of an order that was cancelled"),
        Self::new("failed", "the same, of an order that had failed"),
        OTHER,
    ];

    /// Whether `code` is described in `reasons`.
    #[must_use]
    pub fn is_among(reasons: &[Self], code: &str) -> bool {
        reasons.iter().any(|reason| reason.code == code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_a_word_and_stands_once_in_its_list() {
        for reasons in [Reason::ORDER, Reason::CHANGE, Reason::PAYMENT] {
            let codes: BTreeSet<&str> = reasons.iter().map(|reason| reason.code).collect();
            assert_eq!(codes.len(), reasons.len(), "{reasons:?}");
            for Reason { code, meaning } in reasons {
                assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
                assert!(meaning.len() > 10 && !meaning.ends_with('.'), "{code}: {meaning}");
                assert!(Reason::is_among(reasons, code));
            }
            assert!(!Reason::is_among(reasons, "the soup was cold"));
        }
    }
}
