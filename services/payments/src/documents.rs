//! What payments stores: one payment per order, and the ledger's entries.

use bistro_core::{Currency, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, DocumentRef, Index, Key};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Kind, Line},
    states::State,
    upgrade,
};

/// The role that owns these collections.
pub(crate) const ROLE: &str = "payments";

/// Payments that wait for the provider, by what they wait for and since when.
pub(crate) const UNSETTLED: &str = "unsettled";
/// Payments by restaurant and when they were made; ledger entries by restaurant and time.
pub(crate) const BY_RESTAURANT: &str = "restaurant";
/// Payments by restaurant, state and when they were made.
pub(crate) const BY_STATE: &str = "state";
/// Payments that say something of a person's, by whose they are.
pub(crate) const PERSONAL: &str = "personal";
/// Ledger entries by time.
pub(crate) const BY_TIME: &str = "time";

/// Who is to be paid, in what, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bill {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) currency: Currency,
    /// None when whoever asked for the authorization did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Id<kinds::User>>,
}

/// A total of the order: what it was placed with, or changed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    /// 0 for what the order was placed with, higher for each change of it.
    pub(crate) number: u32,
    pub(crate) minor: i64,
    /// Of it, what is a tip.
    pub(crate) tip_minor: i64,
}

/// What a tender pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// A part of the order's total at this revision, or all of it.
    Order(u32),
    /// A tip after the fact.
    Tip,
}

/// Who charges a tender: the one that was asked first, whatever is configured by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProviderName {
    /// Moves no money.
    Sandbox,
    /// Stripe.
    Stripe,
}

impl ProviderName {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Stripe => "stripe",
        }
    }
}

/// What is to become of a tender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Its money is to be set aside.
    Hold,
    /// Its money is to be taken.
    Capture,
    /// What is set aside is to be given back.
    Release,
    /// Nothing any more: its money was to be taken, and the provider holds none of it.
    Nothing,
}

/// One card, and what it pays: a state machine of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tender {
    /// Counts the payment's tenders from 1; part of the provider's keys.
    pub(crate) number: u32,
    pub(crate) purpose: Purpose,
    pub(crate) minor: i64,
    /// The provider's token for the card. Personal: forgotten with the customer.
    pub(crate) method: String,
    pub(crate) provider: ProviderName,
    pub(crate) state: State,
    pub(crate) wish: Wish,
    /// The provider's name for the authorization.
    pub(crate) authorization: Option<String>,
    pub(crate) captured_minor: i64,
    pub(crate) refunded_minor: i64,
    /// How often it became authorized: once at most.
    pub(crate) authorizations: u32,
    /// How often it became captured: once at most.
    pub(crate) captures: u32,
    /// Why it failed, is given back, or was asked for in vain.
    pub(crate) reason: String,
    /// Since when the provider may have been asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked_at: Option<Timestamp>,
    /// When the provider said that it is authorized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorized_at: Option<Timestamp>,
    /// When the provider said that it is captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captured_at: Option<Timestamp>,
}

/// What a refund takes from one tender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) tender: u32,
    pub(crate) minor: i64,
    /// Whether the provider has given it back.
    #[serde(default)]
    pub(crate) done: bool,
    /// The provider's name for it, once it has said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Why it came back after it was done; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) returned: Option<String>,
}

impl Part {
    /// What is to be taken from this tender.
    pub(crate) const fn of(tender: u32, minor: i64) -> Self {
        Self { tender, minor, done: false, name: None, returned: None }
    }

    /// Whether the money went back, and stayed there.
    pub(crate) const fn is_given(&self) -> bool {
        self.done && self.returned.is_none()
    }
}

/// A refund that is decided and not known to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefundIntent {
    /// Counts the payment's refunds from 1; part of the provider's key.
    pub(crate) number: u32,
    pub(crate) minor: i64,
    /// Why, in the words of who asked. Personal: it stays in this document, and is forgotten with
    /// the customer.
    #[serde(default)]
    pub(crate) reason: String,
    /// In the order in which the provider is asked.
    pub(crate) parts: Vec<Part>,
    /// Since when the provider may have been asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked_at: Option<Timestamp>,
}

impl RefundIntent {
    /// The parts that were given back; all of them if none was.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Part> {
        let gave = self.parts.iter().any(Part::is_given);
        self.parts.iter().filter(move |part| !gave || part.is_given())
    }
}

/// A refund that the provider has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refund {
    /// Its amount is what was given back, if anything was. Its parts are those that were done, also
    /// if they came back.
    #[serde(flatten)]
    pub(crate) intent: RefundIntent,
    /// Why the provider refused it or the rest of it, or why it came back; none when all the money
    /// went back.
    pub(crate) refused: Option<String>,
    pub(crate) at: Timestamp,
}

/// The payment of one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// The order's sibling, so that an order has one at most.
    pub(crate) id: Id<kinds::Payment>,
    /// None when a void came before the authorization.
    pub(crate) bill: Option<Bill>,
    /// Every total that was asked for, oldest first.
    pub(crate) revisions: Vec<Revision>,
    /// The revision that counts: the first, until another one is kept.
    pub(crate) kept: u32,
    /// Revisions up to this one were kept or given up, also those that were never asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<u32>,
    /// Why all of it was voided; none while it was not.
    pub(crate) voided: Option<String>,
    /// Of every revision, and tips; numbered as they lie.
    pub(crate) tenders: Vec<Tender>,
    pub(crate) refund: Option<RefundIntent>,
    /// Refunds that were answered, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) answered: Vec<Refund>,
    /// Refunds ever decided.
    pub(crate) refunds: u32,
    /// How often the provider was asked in vain for what it is to do now.
    pub(crate) attempts: u32,
    /// When the provider is asked again.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
    /// Whether who paid it was erased: it keeps no card and nobody's words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) erased: bool,
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

    /// When it was made: with its order.
    pub(crate) fn created_at(&self) -> Timestamp {
        self.id.time()
    }

    /// Every refund that was ever decided, oldest first.
    pub(crate) fn every_refund(&self) -> impl Iterator<Item = &RefundIntent> {
        self.answered.iter().map(|refund| &refund.intent).chain(&self.refund)
    }

    /// Since when the provider may have been asked for the tender, at the earliest.
    pub(crate) fn asked_at(&self, tender: &Tender) -> Timestamp {
        tender.asked_at.unwrap_or_else(|| self.created_at())
    }
}

impl Document for Payment {
    const COLLECTION: &'static Collection = &Collection {
        role: ROLE,
        name: "payments",
        // 2: several tenders. A program that knows one card only would misread them.
        schema: 2,
        compatible_from: 2,
        indexes: &[
            Index::new(UNSETTLED),
            Index::new(BY_RESTAURANT),
            Index::new(BY_STATE),
            Index::new(PERSONAL),
        ],
    };

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = Vec::new();
        if let Some(what) = self.waits_for() {
            keys.push((UNSETTLED, Key::new().text(what.as_str()).time(self.changed_at)));
        }
        if let Some(bill) = &self.bill {
            let of_restaurant = Key::new().id(bill.restaurant);
            let of_state = of_restaurant.clone().text(self.state().as_str());
            keys.push((BY_RESTAURANT, of_restaurant.time(self.created_at())));
            keys.push((BY_STATE, of_state.time(self.created_at())));
            if let Some(customer) = bill.customer.filter(|_| self.is_personal()) {
                keys.push((PERSONAL, Key::new().id(customer)));
            }
        }
        keys
    }

    fn upgrade(_schema: u32, json: serde_json::Value) -> serde_json::Value {
        upgrade::payment(json)
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
        // 2: tips. A program that does not know their account cannot read their entries.
        schema: 2,
        compatible_from: 2,
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
