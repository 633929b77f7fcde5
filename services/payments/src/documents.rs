//! What payments stores: one payment per order, and the ledger's entries.

use bistro_core::{Currency, Id, Money, Timestamp, kinds};
use bistro_store::{Collection, Document, DocumentRef, Index, Key};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Kind, Line},
    states::State,
};

/// The role that owns these collections.
pub(crate) const ROLE: &str = "payments";

/// Payments that wait for the provider, by what they wait for and since when.
pub(crate) const UNSETTLED: &str = "unsettled";
/// Ledger entries by restaurant and time.
pub(crate) const BY_RESTAURANT: &str = "restaurant";
/// Ledger entries by time.
pub(crate) const BY_TIME: &str = "time";

/// What is to be paid, to whom, with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tender {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) amount: Money,
    /// The provider's token for the card.
    pub(crate) method: String,
}

/// A refund that is decided and not known to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefundIntent {
    /// Counts the payment's refunds from 1; part of the provider's key.
    pub(crate) number: u32,
    pub(crate) minor: i64,
    /// Why, in the words of who asked. It may hold personal data, so it stays in this document.
    #[serde(default)]
    pub(crate) reason: String,
}

/// A refund that the provider has answered for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refund {
    #[serde(flatten)]
    pub(crate) intent: RefundIntent,
    /// Why the provider refused it; none when the money went back.
    pub(crate) refused: Option<String>,
    pub(crate) at: Timestamp,
}

/// The payment of one order. It waits for at most one answer of the provider at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// The order's sibling, so that an order has one at most.
    pub(crate) id: Id<kinds::Payment>,
    /// None when a void came before the authorization.
    pub(crate) tender: Option<Tender>,
    pub(crate) state: State,
    /// The provider's name for the authorization.
    pub(crate) authorization: Option<String>,
    pub(crate) captured_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) refund: Option<RefundIntent>,
    /// Refunds that were answered, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) answered: Vec<Refund>,
    /// Refunds ever decided.
    pub(crate) refunds: u32,
    /// How often it became authorized: once at most.
    pub(crate) authorizations: u32,
    /// How often it became captured: once at most.
    pub(crate) captures: u32,
    /// Why it failed, was voided or is refused by the provider for now.
    pub(crate) reason: String,
    /// How often the provider was asked in vain for what it is to do now.
    pub(crate) attempts: u32,
    /// When the provider is asked again.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
}

impl Payment {
    /// The order it pays.
    pub(crate) fn order(&self) -> Id<kinds::Order> {
        self.id.sibling()
    }

    /// Where the payment of `order` is.
    pub(crate) fn reference(order: Id<kinds::Order>) -> DocumentRef {
        DocumentRef::of::<Self>(order.sibling::<kinds::Payment>())
    }

    /// What can still be refunded, minor units.
    pub(crate) const fn refundable(&self) -> i64 {
        self.captured_minor - self.refunded_minor
    }

    /// What it waits for the provider to do; none when it waits for nothing.
    pub(crate) const fn waits_for(&self) -> Option<&'static str> {
        match (self.state, &self.refund) {
            (State::Pending, _) => Some("authorization"),
            (State::CaptureFailed, _) => Some("capture"),
            (_, Some(_)) => Some("refund"),
            (_, None) => None,
        }
    }
}

impl Document for Payment {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "payments",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(UNSETTLED)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let key = |what| (UNSETTLED, Key::new().text(what).time(self.changed_at));
        self.waits_for().map(key).into_iter().collect()
    }
}

/// A posting in the ledger: inserted once, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Follows from the movement, so that one movement is posted once.
    pub(crate) id: Id<kinds::LedgerEntry>,
    pub(crate) kind: Kind,
    pub(crate) order: Id<kinds::Order>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) currency: Currency,
    /// Their sum is 0.
    pub(crate) lines: Vec<Line>,
    pub(crate) at: Timestamp,
}

impl Document for Entry {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "ledger",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new(BY_RESTAURANT), Index::new(BY_TIME)],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![
            (BY_RESTAURANT, Key::new().id(self.restaurant).time(self.at)),
            (BY_TIME, Key::new().time(self.at)),
        ]
    }
}
