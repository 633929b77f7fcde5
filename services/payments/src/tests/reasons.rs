//! The codes that payments itself writes as reasons are those that the public API describes.

use bistro_core::Reason;

use crate::{
    changes::{NOT_ANSWERED, NOT_KEPT},
    errands::{AUTHORIZATION_VOIDED, NOT_DONE, OTHER_REFUSED, VOIDED},
    stripe::{NOT_SUPPORTED, UNEXPECTED_STATE},
    wire,
};

#[test]
fn every_code_is_described() {
    let codes = [
        AUTHORIZATION_VOIDED,
        NOT_ANSWERED,
        NOT_DONE,
        NOT_KEPT,
        NOT_SUPPORTED,
        OTHER_REFUSED,
        UNEXPECTED_STATE,
        VOIDED,
        wire::OTHER,
    ];
    for code in codes {
        assert!(Reason::is_among(Reason::PAYMENT, code), "{code}");
        // None is taken for a sentence on its way to orders.
        assert_eq!(wire::code(code), code);
    }
}

#[test]
fn what_orders_takes_over_is_described_there_too() {
    // Of totals that were pending: `settling` tells orders why they are refused.
    for code in [OTHER_REFUSED, VOIDED, wire::OTHER, "card_declined"] {
        for reasons in [Reason::ORDER, Reason::CHANGE] {
            assert!(Reason::is_among(reasons, code), "{code}");
        }
    }
}
