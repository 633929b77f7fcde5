//! The order as it is stored.

use bistro_core::{Fulfilment, GeoPoint, Id, Money, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::{bill::Bill, state::State};

/// Orders of one customer, by time.
pub(crate) const BY_CUSTOMER: &str = "by_customer";
/// Orders of one customer at one restaurant, by time. Who works there reads them here, and learns
/// nothing of the customer's others, not even from a cursor that there are any.
pub(crate) const BY_CUSTOMER_AND_RESTAURANT: &str = "by_customer_and_restaurant";
/// Orders of one restaurant, by time.
pub(crate) const BY_RESTAURANT: &str = "by_restaurant";
/// Orders of one restaurant that have not ended, by time. Before there were lists of all of them
/// the key had the state before the time: a prefix of the restaurant alone finds those too.
pub(crate) const OPEN_BY_RESTAURANT: &str = "open_by_restaurant";
/// Orders of one restaurant that have ended, by state and time.
pub(crate) const ENDED_BY_RESTAURANT: &str = "ended_by_restaurant";
/// Orders of one customer that have ended, by state and time.
pub(crate) const ENDED_BY_CUSTOMER: &str = "ended_by_customer";
/// Orders in one state, by time.
pub(crate) const BY_STATE: &str = "by_state";
/// Orders that somebody has to look at, by the time they came into their state.
pub(crate) const WITH_PROBLEM: &str = "with_problem";

pub(crate) static ORDERS: Collection = Collection {
    role: "orders",
    name: "orders",
    schema: 1,
    compatible_from: 1,
    indexes: &[
        Index::new(BY_CUSTOMER),
        Index::new(BY_CUSTOMER_AND_RESTAURANT),
        Index::new(BY_RESTAURANT),
        Index::new(OPEN_BY_RESTAURANT),
        Index::new(ENDED_BY_RESTAURANT),
        Index::new(ENDED_BY_CUSTOMER),
        Index::new(BY_STATE),
        Index::new(WITH_PROBLEM),
    ],
};

/// One line of an order, at the price it was quoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) item: Id<kinds::Item>,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    /// Of one, with its choices.
    pub(crate) unit_price_minor: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) choices: Vec<Choice>,
    /// Hundredths of a per cent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tax_rate: u32,
    /// What the customer wrote. Personal: erased with the customer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
    /// Of the item and its choices, in the words of [`bistro_core::Allergen`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allergens: Vec<String>,
    /// Where it is cooked; empty when nobody has said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) station: String,
}

/// An option that was chosen with an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) price_minor: i64,
}

/// A part of the total, and what pays it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tender {
    /// The provider's token.
    pub(crate) payment_method: String,
    pub(crate) amount_minor: i64,
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

/// Whose reasons in an [`Entry`] are codes, and no person's words.
const SPEAK_IN_CODES: [&str; 4] = ["catalog", "delivery", "payments", "timer"];

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

/// What is ordered: all that a quote says and a change of the order replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    /// What the total is made of; orders of before it was written down have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bill: Option<Bill>,
    /// Where it goes. Personal: erased with the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drop_off: Option<GeoPoint>,
    /// The beginning of its slot; none: as soon as can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scheduled_for: Option<Timestamp>,
    /// What the customer must not eat. Personal: erased with the customer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allergies: Vec<String>,
    /// What pays it; orders of before it was written down have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tenders: Vec<Tender>,
}

impl Content {
    /// What the total is made of.
    pub(crate) fn bill(&self) -> Bill {
        self.bill.clone().unwrap_or_else(|| Bill::plain(self.total.amount_minor))
    }

    /// Whether people wrote anything that the kitchen has to know.
    pub(crate) fn has_notes(&self) -> bool {
        !self.allergies.is_empty() || self.lines.iter().any(|line| !line.note.is_empty())
    }
}

/// How far a change of an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Stock and money for it are being taken.
    Taking,
    /// As that, and its time is up: whatever is taken goes back.
    GivenUp,
    /// Stock is taken, and the card provider has not decided. What payments tells of versions of
    /// the payment up to this one is not about the change.
    Authorizing {
        /// The payment's version when it said so.
        seen: i64,
    },
    /// It is decided, and the others are being told which of the two to keep.
    Settling,
}

/// A change of an order that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) stage: Stage,
    /// Counts what was ever proposed for the order, so that no number is used twice.
    pub(crate) revision: u32,
    /// What the order is to become; none once it is decided.
    pub(crate) content: Option<Content>,
    /// Whether counted stock is held for it.
    pub(crate) counted: bool,
    /// Whether it holds a place in another slot than the order does.
    pub(crate) slot_held: bool,
    /// Where the order is to go from then on; none: where it goes now. Personal: erased with the
    /// customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is known by itself, and stored so")]
pub(crate) struct Order {
    pub(crate) id: Id<kinds::Order>,
    /// The name of the principal who placed it.
    pub(crate) customer: String,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    #[serde(flatten)]
    pub(crate) content: Content,
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
    /// Why it was last put off; empty if it was not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) delayed_because: String,
    /// Whether the call that reserves and authorizes still has to bring its outcome: until then
    /// it is that outcome which makes good, since only it knows what was done.
    pub(crate) placing: bool,
    /// Whether that call may have been made more than once: then its outcome, which is that of one
    /// attempt, does not say what another one did.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) retried: bool,
    /// Whether counted stock is held for it. What was cooked stays held, however the order ended.
    pub(crate) stock_held: bool,
    /// Whether it holds a place in its slot.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) slot_held: bool,
    pub(crate) paid: Paid,
    /// The revision that catalog and payments keep.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) revision: u32,
    /// The highest revision that was proposed to them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) proposed: u32,
    /// How often it was changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) changes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<Change>,
    /// Why the last change of it was refused: a code; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) change_refused: String,
    /// The highest version of the ticket that was heard of while it mattered.
    pub(crate) ticket_seen: i64,
    /// The trace that the order was placed in: what happens to it later belongs there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// What somebody has to look at; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) problem: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
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

    /// The order without what is personal; none if there is nothing personal in it.
    pub(crate) fn erased(&self) -> Option<Self> {
        let mut order = self.clone();
        order.address.clear();
        order.delayed_because.clear();
        if let Some(change) = &mut order.change {
            change.address = None;
        }
        let changed = order.change.as_mut().and_then(|change| change.content.as_mut());
        for content in [Some(&mut order.content), changed].into_iter().flatten() {
            content.drop_off = None;
            content.allergies.clear();
            content.lines.iter_mut().for_each(|line| line.note.clear());
            // Payments keeps what it still needs.
            content.tenders.iter_mut().for_each(|tender| tender.payment_method.clear());
        }
        // What people wrote when they ended it may be about the customer, whoever they are. Roles
        // and timers say codes.
        let says_codes = |by: &str| SPEAK_IN_CODES.contains(&by);
        for entry in order.timeline.iter_mut().filter(|entry| !says_codes(&entry.by)) {
            entry.reason.clear();
        }
        (order != *self).then_some(order)
    }
}

impl Document for Order {
    const COLLECTION: &'static Collection = &ORDERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let placed = self.placed_at;
        let both = Key::new().text(&self.customer).id(self.restaurant);
        let mut keys = vec![
            (BY_CUSTOMER, Key::new().text(&self.customer).time(placed)),
            (BY_CUSTOMER_AND_RESTAURANT, both.time(placed)),
            (BY_RESTAURANT, Key::new().id(self.restaurant).time(placed)),
            (BY_STATE, Key::new().text(self.state.as_str()).time(placed)),
        ];
        // What is only kept of orders that have ended costs nothing while one is placed.
        let state = self.state.as_str();
        let of_restaurant = Key::new().id(self.restaurant);
        if self.state.is_end() {
            let of_customer = Key::new().text(&self.customer);
            keys.push((ENDED_BY_RESTAURANT, of_restaurant.text(state).time(placed)));
            keys.push((ENDED_BY_CUSTOMER, of_customer.text(state).time(placed)));
        } else {
            keys.push((OPEN_BY_RESTAURANT, of_restaurant.time(placed)));
        }
        if !self.problem.is_empty() {
            keys.push((WITH_PROBLEM, Key::new().time(self.since())));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use bistro_store::Stored;

    use super::*;

    /// An order as it was stored before there were options and taxes.
    fn old_order() -> Order {
        let data = format!(
            r#"{{"id":"{order}","customer":"usr_ada","restaurant":"{restaurant}",
            "lines":[{{"item":"{item}","name":"Naan","quantity":2,"unit_price_minor":250}}],
            "total":{{"amount_minor":500,"currency":"GBP"}},"fulfilment":"delivery",
            "address":"1 High Street","state":"confirmed",
            "timeline":[{{"state":"placed","at":5,"by":"usr_ada"}}],"placed_at":5,
            "confirm_by":null,"accept_by":9,"ready_at":null,"placing":false,"stock_held":true,
            "paid":"authorized","ticket_seen":0}}"#,
            order = Id::<kinds::Order>::from_bits(1),
            restaurant = Id::<kinds::Restaurant>::from_bits(2),
            item = Id::<kinds::Item>::from_bits(3),
        );
        let stored = Stored {
            id: Id::<kinds::Order>::from_bits(1).to_string(),
            version: 3,
            schema: 1,
            compatible_from: 1,
            data: data.as_str().into(),
        };
        Order::read(&stored).unwrap()
    }

    #[test]
    fn an_order_of_before_there_were_options_and_taxes_reads() {
        let order = old_order();
        assert_eq!((order.revision, order.slot_held, order.content.has_notes()), (0, false, false));
        let bill = order.content.bill();
        assert_eq!((bill.subtotal_minor, bill.tax_minor(), bill.tip_minor), (500, 0, 0));
        // And an older program reads what this one writes of such an order.
        let again: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&order).unwrap()).unwrap();
        assert_eq!(again["lines"][0]["unit_price_minor"], 250);
        assert_eq!(again["total"]["amount_minor"], 500);
        assert!(again.get("change").is_none());
        assert!(again.get("retried").is_none());
    }

    #[test]
    fn nobodys_words_about_a_person_stay() {
        let words = "Ada of flat 3 shouted at us";
        let entry = |by: &str, reason: &str| {
            let (state, at) = (State::Cancelled, Timestamp::from_millis(6));
            Entry { state, at, by: by.to_owned(), reason: reason.to_owned() }
        };
        let order = Order {
            delayed_because: words.to_owned(),
            timeline: vec![
                entry("catalog", "sold_out"),
                entry("delivery", "customer_absent"),
                entry("usr_bob", words),
                entry("operator", words),
                entry("usr_ada", words),
            ],
            ..old_order()
        };
        let erased = order.erased().unwrap();
        assert!(!serde_json::to_string(&erased).unwrap().contains(words));
        let reasons: Vec<_> = erased.timeline.iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!(reasons, ["sold_out", "customer_absent", "", "", ""]);
        assert_eq!(erased.erased(), None, "once is enough");
    }
}
