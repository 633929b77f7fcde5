//! The role's commands, over the embedded engine and a card provider that keeps what it was asked.

mod asking;
mod bench;
mod books;
mod commands;
mod entries;
mod erasing;
mod forgetting;
mod lapses;
mod money;
mod reasons;
mod returns;
mod revisions;
mod strict;
mod stripe;

use bistro_core::{Currency, Id, Timestamp, kinds};

use crate::{
    changes::{self, Wanted},
    documents::{Bill, Payment, ProviderName, Revision},
};

#[test]
fn the_queue_names_kinds_as_the_protocols_do() {
    use prost::Name as _;
    assert_eq!(crate::QUEUE.kinds, [bistro_proto::accounts::v1::UserErased::full_name()]);
}

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// An order that was placed now.
pub(crate) fn order() -> Id<kinds::Order> {
    Id::from_bits((1_800_000_000_000 << 80) | 1)
}

/// What is to be set aside at `revision`, of which `tip` is a tip, by the sandbox's good card.
pub(crate) fn wanted(revision: u32, tip: i64, cards: &[i64]) -> Wanted {
    let minor = cards.iter().sum();
    Wanted {
        bill: Bill { restaurant: Id::from_bits(3), currency: Currency::GBP, customer: None },
        revision: Revision { number: revision, minor, tip_minor: tip },
        cards: cards.iter().map(|minor| ("card_ok".to_owned(), *minor)).collect(),
        provider: ProviderName::Sandbox,
    }
}

/// A pending payment of `minor` by one card.
pub(crate) fn one_card(minor: i64) -> Payment {
    changes::pending(order(), &wanted(0, 0, &[minor]), NOW)
}
