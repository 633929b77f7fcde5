//! The order as it is stored.

use bistro_core::{Fulfilment, Id, Money, Timestamp, kinds};
use bistro_proto::orders::v1::QuoteLine;
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::state::State;

/// Orders of one customer, by time.
pub(crate) const BY_CUSTOMER: &str = "by_customer";
/// Orders of one restaurant, by time.
pub(crate) const BY_RESTAURANT: &str = "by_restaurant";
/// Orders of one restaurant in one state, by time; only those that have not ended.
pub(crate) const OPEN_BY_RESTAURANT: &str = "open_by_restaurant";
/// Orders in one state, by the time they came into it; only those that have not ended.
pub(crate) const OPEN_BY_STATE: &str = "open_by_state";

/// Orders that somebody has to look at, by the time they came into their state.
pub(crate) const WITH_PROBLEM: &str = "with_problem";

pub(crate) static ORDERS: Collection = Collection {
    role: "orders",
    name: "orders",
    schema: 1,
    compatible_from: 1,
    indexes: &[
        Index::new(BY_CUSTOMER),
        Index::new(BY_RESTAURANT),
        Index::new(OPEN_BY_RESTAURANT),
        Index::new(OPEN_BY_STATE),
        Index::new(WITH_PROBLEM),
    ],
};

/// One line of an order, at the price it was quoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) item: Id<kinds::Item>,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    pub(crate) unit_price_minor: i64,
}

impl From<&Line> for QuoteLine {
    fn from(line: &Line) -> Self {
        Self {
            item_id: line.item.to_string(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            counted: false,
            ..Self::default()
        }
    }
}

/// That the order came into a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) state: State,
    pub(crate) at: Timestamp,
    /// A principal's name, a role, or `timer`.
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// What is known of the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Paid {
    /// There is nothing to give back: the call that authorizes it has no outcome yet, or the card
    /// was declined.
    NotYet,
    /// It may be authorized: the provider has not decided, or nobody can tell.
    Pending,
    /// Authorized, and whatever followed from it.
    Authorized,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: Id<kinds::Order>,
    /// The name of the principal who placed it.
    pub(crate) customer: String,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    pub(crate) fulfilment: Fulfilment,
    /// Personal: erased with the customer.
    pub(crate) address: String,
    pub(crate) state: State,
    pub(crate) timeline: Vec<Entry>,
    pub(crate) placed_at: Timestamp,
    /// When it fails if it is not confirmed; none once it is, or has ended.
    #[serde(default)]
    pub(crate) confirm_by: Option<Timestamp>,
    /// When it expires if it is not accepted; none unless it waits for that.
    pub(crate) accept_by: Option<Timestamp>,
    pub(crate) ready_at: Option<Timestamp>,
    /// Whether the call that reserves and authorizes still has to bring its outcome: until then
    /// it is that outcome which makes good, since only it knows what was done.
    pub(crate) placing: bool,
    /// Whether counted stock is held for it. What was cooked stays held, however the order ended.
    pub(crate) stock_held: bool,
    pub(crate) paid: Paid,
    /// The highest version of the ticket that was heard of while it mattered.
    pub(crate) ticket_seen: i64,
    /// The trace that the order was placed in: what happens to it later belongs there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// What somebody has to look at; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) problem: String,
}

impl Order {
    /// When it came into its present state.
    pub(crate) fn since(&self) -> Timestamp {
        self.timeline.last().map_or(self.placed_at, |entry| entry.at)
    }

    /// When its next timer fires at the latest.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.confirm_by.or(self.accept_by)
    }

    /// Whether it ended early, and its stock was used all the same.
    pub(crate) fn has_used_stock(&self) -> bool {
        self.stock_held && self.state.is_failure()
    }

    /// Why it ended early; empty if it did not.
    pub(crate) fn reason(&self) -> &str {
        self.timeline.last().map_or("", |entry| &entry.reason)
    }
}

impl Document for Order {
    const COLLECTION: &'static Collection = &ORDERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let placed = self.placed_at;
        let mut keys = vec![
            (BY_CUSTOMER, Key::new().text(&self.customer).time(placed)),
            (BY_RESTAURANT, Key::new().id(self.restaurant).time(placed)),
        ];
        if !self.state.is_end() {
            let state = self.state.as_str();
            let of_restaurant = Key::new().id(self.restaurant).text(state).time(placed);
            keys.push((OPEN_BY_RESTAURANT, of_restaurant));
            keys.push((OPEN_BY_STATE, Key::new().text(state).time(self.since())));
        }
        if !self.problem.is_empty() {
            keys.push((WITH_PROBLEM, Key::new().time(self.since())));
        }
        keys
    }
}
