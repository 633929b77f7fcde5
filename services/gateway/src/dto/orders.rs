//! Orders.

use bistro_core::{Error, Id, kinds};
use bistro_proto::orders::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Money, Time, page_request, unless_empty, words},
    food::Allergen,
    ids::{OrderId, RestaurantId, UserId},
    quotes::{Amounts, Line, Moment, amounts, lines},
    reasons::{ChangeRefusal, OrderReason},
};
use crate::edge::empty_as_none;

words! {
    /// How the food reaches the customer.
    Fulfilment: "delivery", "pick_up", "dine_in";
    /// Where an order stands. The last six are ends.
    OrderState: "placed", "confirmed", "accepted", "preparing", "ready", "in_delivery",
        "completed", "rejected", "payment_failed", "expired", "cancelled", "failed";
    /// Where orders stand that are wanted; `open` is any state that is no end.
    OrderStates: "open", "placed", "confirmed", "accepted", "preparing", "ready", "in_delivery",
        "completed", "rejected", "payment_failed", "expired", "cancelled", "failed";
}

/// Whether nothing follows `state`.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(
        state,
        "completed" | "rejected" | "payment_failed" | "expired" | "cancelled" | "failed"
    )
}

/// An order to be placed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "quote": "eyJ…", "payment_method": "card_ok", "address": "1 Station Road, London"
}))]
pub(crate) struct NewOrder {
    /// The quote's token.
    quote: String,
    /// The payment provider's token for the card; never a card number.
    #[serde(default)]
    payment_method: Option<String>,
    /// Instead of `payment_method`: several that pay the total together, one after the other.
    #[serde(default)]
    tenders: Vec<NewTender>,
    /// Where to, for a delivery.
    #[serde(default)]
    address: Option<String>,
}

/// A part of the total, and what pays it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"payment_method": "card_ok", "amount_minor": 500}))]
struct NewTender {
    /// The payment provider's token.
    payment_method: String,
    /// Minor units; the last tender may leave it out: what is left.
    #[serde(default)]
    #[schema(minimum = 0)]
    amount_minor: i64,
}

/// What an order is to become.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quote": "eyJ…", "address": "2 Station Road, London"}))]
pub(crate) struct OrderChange {
    /// The token of a new quote, of the same restaurant and fulfilment.
    pub(crate) quote: String,
    /// Where to, for a delivery: needed with another drop-off; without it, where it goes now.
    #[serde(default)]
    pub(crate) address: Option<String>,
}

/// What somebody has seen to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"problem": "capture: authorization_voided"}))]
pub(crate) struct ProblemSeenTo {
    /// The order's problem, as the order has it.
    pub(crate) problem: String,
}

/// That an order takes longer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"minutes": 10, "reason": "the oven is full"}))]
pub(crate) struct Delay {
    /// Minutes later than was said.
    #[schema(minimum = 1, maximum = 240)]
    pub(crate) minutes: u32,
    /// Why; the customer reads it.
    pub(crate) reason: String,
}

impl NewOrder {
    /// The request, to be answered after `wait` seconds at the latest.
    pub(crate) fn into_request(self, wait: u32) -> Result<v1::PlaceOrderRequest, Error> {
        if self.payment_method.is_none() && self.tenders.is_empty() {
            return Err(Error::field("payment_method", "say what pays it, or send tenders"));
        }
        let tenders = self.tenders.into_iter().map(|tender| v1::Tender {
            payment_method: tender.payment_method,
            amount_minor: tender.amount_minor,
        });
        Ok(v1::PlaceOrderRequest {
            quote: self.quote,
            payment_method: self.payment_method.unwrap_or_default(),
            wait_ms: wait.saturating_mul(1000),
            address: self.address.unwrap_or_default(),
            tenders: tenders.collect(),
        })
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    #[schema(value_type = OrderId)]
    pub(crate) id: String,
    state: OrderState,
    #[schema(value_type = Option<OrderReason>)]
    reason: Option<String>,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    #[schema(example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    customer_id: String,
    fulfilment: Fulfilment,
    /// What was ordered.
    lines: Vec<Line>,
    /// What it costs.
    total: Money,
    /// What the total is made of.
    amounts: Amounts,
    /// What became of it so far, oldest first.
    timeline: Vec<TimelineEntry>,
    /// One higher with every change; also the entity tag, and the id of its events.
    #[schema(example = 3)]
    pub(crate) sequence: i64,
    /// When it was placed.
    placed_at: Time,
    /// When it expires if the restaurant has not accepted it; null if it no longer can.
    accept_by: Option<Time>,
    /// When the restaurant thinks it is ready; null if it has not said.
    ready_at: Option<Time>,
    /// Why it was last put off.
    #[schema(example = "the oven is full")]
    delayed_because: Option<String>,
    /// Where to, for a delivery. Its courier reads it in the delivery.
    #[schema(example = "1 Station Road, London")]
    address: Option<String>,
    /// The beginning of its slot; null: as soon as can be.
    scheduled_for: Option<Time>,
    /// What the customer must not eat. Shown to the customer and the restaurant.
    #[schema(value_type = Vec<Allergen>, example = json!(["milk"]))]
    allergies: Vec<String>,
    /// How often it was changed.
    #[schema(example = 0)]
    revision: u32,
    /// Whether a change of it is under way.
    changing: bool,
    #[schema(value_type = Option<ChangeRefusal>)]
    change_refused: Option<String>,
    /// What somebody has to look at: a code. Shown to support and administrators.
    #[schema(example = "capture: authorization_voided")]
    problem: Option<String>,
}

/// A step of an order.
#[derive(Debug, Serialize, ToSchema)]
struct TimelineEntry {
    state: OrderState,
    at: Time,
    /// Who or what caused it: a user's id, a role, or `timer`.
    #[schema(example = "role:payments")]
    by: String,
    #[schema(value_type = Option<OrderReason>)]
    reason: Option<String>,
}

impl From<v1::Order> for Order {
    fn from(order: v1::Order) -> Self {
        let total = order.total.map(Money::from).unwrap_or_default();
        let timeline = order.timeline.into_iter().map(|entry| TimelineEntry {
            state: entry.state.into(),
            at: Time::at(entry.at_ms),
            by: entry.by,
            reason: unless_empty(entry.reason),
        });
        Self {
            id: order.id,
            state: order.state.into(),
            reason: unless_empty(order.reason),
            restaurant_id: order.restaurant_id,
            customer_id: order.customer_id,
            fulfilment: order.fulfilment.into(),
            lines: lines(order.lines, &total.currency),
            amounts: amounts(order.amounts, &total.currency),
            total,
            timeline: timeline.collect(),
            sequence: order.sequence,
            placed_at: Time::at(order.placed_at_ms),
            accept_by: Time::unless_zero(order.accept_by_ms),
            ready_at: Time::unless_zero(order.ready_at_ms),
            delayed_because: unless_empty(order.delayed_because),
            address: unless_empty(order.address),
            scheduled_for: Time::unless_zero(order.scheduled_for_ms),
            allergies: order.allergies,
            revision: order.revision,
            changing: order.changing,
            change_refused: unless_empty(order.change_refused),
            problem: unless_empty(order.problem),
        }
    }
}

/// Which orders are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderFilter {
    /// Those of this restaurant, for its staff and administrators; with `customer_id` also for that
    /// customer and support. Without either, the asking user's own.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<RestaurantId>)]
    restaurant_id: Option<Id<kinds::Restaurant>>,
    /// Those of this customer, for the customer, support and administrators; with `restaurant_id`
    /// also for the restaurant's staff.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<UserId>)]
    customer_id: Option<Id<kinds::User>>,
    /// Those of everybody, for administrators; not with `restaurant_id` or `customer_id`.
    #[param(required = false)]
    all: bool,
    /// Only those in this state; `open`: in any that is no end.
    #[serde(deserialize_with = "empty_as_none")]
    state: Option<OrderStates>,
    /// Placed at this moment or later.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-20T00:00:00Z")]
    from: Option<Moment>,
    /// Placed before this moment.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-21T00:00:00Z")]
    to: Option<Moment>,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<OrderFilter> for v1::ListOrdersRequest {
    type Error = Error;

    fn try_from(filter: OrderFilter) -> Result<Self, Error> {
        let page = page_request(filter.cursor, filter.limit)?;
        let restaurant_id = filter.restaurant_id.map(|id| id.to_string()).unwrap_or_default();
        Ok(Self {
            restaurant_id,
            customer_id: filter.customer_id.map(|id| id.to_string()).unwrap_or_default(),
            all: filter.all,
            state: filter.state.map(OrderStates::into_inner).unwrap_or_default(),
            from_ms: Moment::millis(filter.from),
            to_ms: Moment::millis(filter.to),
            page: Some(page),
        })
    }
}

/// That a restaurant takes an order on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    /// Minutes until it is ready, as the restaurant thinks.
    #[serde(default)]
    #[schema(minimum = 1, example = 25)]
    pub(crate) minutes: Option<u32>,
}

/// Why an order is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndReason {
    /// Why; the other side reads it.
    #[schema(example = "sold_out")]
    pub(crate) reason: String,
}
