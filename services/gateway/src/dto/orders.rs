//! Quotes and orders.

use bistro_core::{Error, Id, kinds};
use bistro_proto::orders::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::common::{Money, Time, page_request, unless_empty, words};
use crate::edge::empty_as_none;

words! {
    /// How the food reaches the customer.
    Fulfilment: "delivery", "pick_up", "dine_in";
    /// Where an order stands. The last six are ends.
    OrderState: "placed", "confirmed", "accepted", "preparing", "ready", "in_delivery",
        "completed", "rejected", "payment_failed", "expired", "cancelled", "failed";
}

/// Whether nothing follows `state`.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(
        state,
        "completed" | "rejected" | "payment_failed" | "expired" | "cancelled" | "failed"
    )
}

/// A basket to be priced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "restaurant_id": "rst_01jd3x8k4v9q2w7r5t6y8z0abc",
    "fulfilment": "delivery",
    "lines": [{"item_id": "itm_01jd3x8k4v9q2w7r5t6y8z0abc", "quantity": 2}]
}))]
pub(crate) struct NewQuote {
    /// Where from.
    #[schema(value_type = String)]
    restaurant_id: Id<kinds::Restaurant>,
    /// How it reaches the customer.
    fulfilment: Fulfilment,
    /// What, and how many of it.
    lines: Vec<NewLine>,
}

/// A line of a basket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLine {
    /// The item.
    #[schema(value_type = String)]
    item_id: Id<kinds::Item>,
    /// How many of it.
    #[schema(minimum = 1)]
    quantity: u32,
}

impl From<NewQuote> for v1::CreateQuoteRequest {
    fn from(quote: NewQuote) -> Self {
        let lines = quote.lines.into_iter().map(|line| v1::LineRequest {
            item_id: line.item_id.to_string(),
            quantity: line.quantity,
            ..v1::LineRequest::default()
        });
        Self {
            restaurant_id: quote.restaurant_id.to_string(),
            lines: lines.collect(),
            fulfilment: quote.fulfilment.into_inner(),
            ..Self::default()
        }
    }
}

/// A priced basket, which can be ordered at this price for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quote {
    /// Send it as `quote` to place the order.
    token: String,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    fulfilment: Fulfilment,
    lines: Vec<Line>,
    total: Money,
    /// Until when it can be ordered at this price.
    expires_at: Time,
}

impl From<v1::Quote> for Quote {
    fn from(quote: v1::Quote) -> Self {
        let total = quote.total.map(Money::from).unwrap_or_default();
        Self {
            token: quote.token,
            restaurant_id: quote.restaurant_id,
            fulfilment: quote.fulfilment.into(),
            lines: lines(quote.lines, &total.currency),
            total,
            expires_at: Time::at(quote.expires_at_ms),
        }
    }
}

/// A line of a quote or an order.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    #[schema(example = "itm_01jd3x8k4v9q2w7r5t6y8z0abc")]
    item_id: String,
    #[schema(example = "Margherita")]
    name: String,
    #[schema(example = 2)]
    quantity: u32,
    /// The price of one.
    unit_price: Money,
}

fn lines(lines: Vec<v1::QuoteLine>, currency: &str) -> Vec<Line> {
    lines
        .into_iter()
        .map(|line| Line {
            item_id: line.item_id,
            name: line.name,
            quantity: line.quantity,
            unit_price: Money {
                amount_minor: line.unit_price_minor,
                currency: currency.to_owned(),
            },
        })
        .collect()
}

/// An order to be placed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "quote": "eyJ…", "payment_method": "tok_visa", "address": "1 Station Road, London"
}))]
pub(crate) struct NewOrder {
    /// The quote's token.
    quote: String,
    /// The payment provider's token for the card; never a card number.
    payment_method: String,
    /// Where to, for a delivery.
    #[serde(default)]
    address: Option<String>,
}

impl NewOrder {
    /// The request, to be answered after `wait` seconds at the latest.
    pub(crate) fn into_request(self, wait: u32) -> v1::PlaceOrderRequest {
        v1::PlaceOrderRequest {
            quote: self.quote,
            payment_method: self.payment_method,
            wait_ms: wait.saturating_mul(1000),
            address: self.address.unwrap_or_default(),
            ..v1::PlaceOrderRequest::default()
        }
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    pub(crate) id: String,
    state: OrderState,
    /// Why it ended early.
    reason: Option<String>,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    #[schema(example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    customer_id: String,
    fulfilment: Fulfilment,
    lines: Vec<Line>,
    total: Money,
    /// What became of it so far, oldest first.
    timeline: Vec<TimelineEntry>,
    /// One higher with every change; also the entity tag, and the id of its events.
    #[schema(example = 3)]
    pub(crate) sequence: i64,
    placed_at: Time,
    /// When it expires if the restaurant has not accepted it; null if it no longer can.
    accept_by: Option<Time>,
    /// When the restaurant thinks it is ready; null if it has not said.
    ready_at: Option<Time>,
    /// Where to, for a delivery. Its courier reads it in the delivery.
    address: Option<String>,
}

/// A step of an order.
#[derive(Debug, Serialize, ToSchema)]
struct TimelineEntry {
    state: OrderState,
    at: Time,
    /// Who or what caused it: a user's id, a role, or `timer`.
    #[schema(example = "role:payments")]
    by: String,
    /// Why, when it ended early.
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
            total,
            timeline: timeline.collect(),
            sequence: order.sequence,
            placed_at: Time::at(order.placed_at_ms),
            accept_by: Time::unless_zero(order.accept_by_ms),
            ready_at: Time::unless_zero(order.ready_at_ms),
            address: unless_empty(order.address),
        }
    }
}

/// Which orders are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderFilter {
    /// Those of this restaurant; without it, the asking user's own.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>)]
    restaurant_id: Option<Id<kinds::Restaurant>>,
    /// Only those in this state.
    #[serde(deserialize_with = "empty_as_none")]
    state: Option<OrderState>,
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
            state: filter.state.map(OrderState::into_inner).unwrap_or_default(),
            page: Some(page),
            ..Self::default()
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
