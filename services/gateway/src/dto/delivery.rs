//! Deliveries.

use bistro_core::Error;
use bistro_proto::delivery::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request, unless_empty, words},
    ids::{CourierId, DeliveryId, OrderId, RestaurantId},
    point::Point,
};
use crate::{edge::empty_as_none, sse::Live};

words! {
    /// Where a delivery stands.
    DeliveryState: "pending", "assigned", "picked_up", "delivered", "failed", "cancelled";
    /// The state of a delivery that a courier has to do something for, or could.
    ActiveDeliveryState: "assigned", "picked_up", "pending";
    /// What kind of reason a delivery failed for.
    FailureCode: "customer_absent", "wrong_address", "food_damaged", "courier_unable", "other";
}

/// Whether nothing follows the `state` of a delivery.
pub(crate) fn delivery_has_ended(state: &str) -> bool {
    matches!(state, "delivered" | "failed" | "cancelled")
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(value_type = DeliveryId)]
    id: String,
    #[schema(value_type = OrderId)]
    order_id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    state: DeliveryState,
    /// Null while nobody has it.
    #[schema(value_type = Option<CourierId>)]
    courier_id: Option<String>,
    /// Why it failed, in the words of who said so; null when its customer is erased.
    #[schema(example = "Nobody opened the door")]
    reason: Option<String>,
    /// What kind of reason that is; it becomes the reason of the order.
    reason_code: Option<FailureCode>,
    /// Where to. Only `GET /api/v1/deliveries/{id}` shows it, and only to the courier who has the
    /// delivery, while it is under way; null otherwise.
    #[schema(example = "1 Station Road, London")]
    address: Option<String>,
    /// Where from; null if nobody said.
    from: Option<Point>,
    /// Where to; shown as `address` is.
    to: Option<Point>,
    /// What the customer tells the courier at the door. Only the customer is shown it, at
    /// `GET /api/v1/orders/{id}/delivery`.
    #[schema(example = json!(null))]
    code: Option<String>,
    /// Whether a drop-off has to be proven by the code.
    code_needed: bool,
    /// Other deliveries that the courier brings on the same way.
    #[schema(value_type = Vec<DeliveryId>)]
    with: Vec<String>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
    changed_at: Time,
}

impl From<v1::DeliveryRecord> for Delivery {
    fn from(delivery: v1::DeliveryRecord) -> Self {
        Self {
            id: delivery.id,
            order_id: delivery.order_id,
            restaurant_id: delivery.restaurant_id,
            state: delivery.state.into(),
            courier_id: unless_empty(delivery.courier_id),
            reason: unless_empty(delivery.reason),
            reason_code: unless_empty(delivery.reason_code).map(Into::into),
            address: unless_empty(delivery.address),
            from: delivery.from.map(Into::into),
            to: delivery.to.map(Into::into),
            code: unless_empty(delivery.code),
            code_needed: delivery.code_needed,
            with: delivery.with,
            version: delivery.version,
            created_at: Time::at(delivery.created_at_ms),
            changed_at: Time::at(delivery.changed_at_ms),
        }
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryFilter {
    /// Only those in this state; `pending`: what nobody has yet, to be claimed.
    #[serde(deserialize_with = "empty_as_none")]
    state: Option<ActiveDeliveryState>,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<DeliveryFilter> for v1::ListDeliveriesRequest {
    type Error = Error;

    fn try_from(filter: DeliveryFilter) -> Result<Self, Error> {
        let page = page_request(filter.cursor, filter.limit)?;
        Ok(Self {
            state: filter.state.map(ActiveDeliveryState::into_inner).unwrap_or_default(),
            page: Some(page),
        })
    }
}

/// Why a delivery failed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "customer_absent", "reason": "Nobody opened the door"}))]
pub(crate) struct FailReason {
    /// Why. It stays with the delivery.
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) reason: String,
    /// What kind of reason it is: what the customer and the restaurant are told. `other` if not
    /// given.
    #[serde(default)]
    pub(crate) code: Option<FailureCode>,
}

/// What proves a drop-off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "4711"}))]
pub(crate) struct DropOffProof {
    /// The four digits that the customer tells the courier, where `code_needed` says so.
    #[serde(default)]
    #[schema(pattern = "^[0-9]{4}$")]
    pub(crate) code: Option<String>,
}

impl Live for v1::DeliveryChange {
    const EVENT: &'static str = "delivery";
    type Data = Delivery;

    fn id(&self) -> String {
        self.cursor.clone()
    }

    fn data(self) -> Option<Delivery> {
        self.delivery.map(Into::into)
    }
}
