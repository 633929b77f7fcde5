//! Couriers and deliveries.

use bistro_core::Error;
use bistro_proto::delivery::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::common::{Time, page_request, unless_empty, words};
use crate::edge::empty_as_none;

words! {
    /// Where a delivery stands.
    DeliveryState: "pending", "assigned", "picked_up", "delivered", "failed", "cancelled";
    /// The state of a delivery that a courier has to do something for.
    ActiveDeliveryState: "assigned", "picked_up";
    /// What kind of reason a delivery failed for.
    FailureCode: "customer_absent", "wrong_address", "food_damaged", "courier_unable", "other";
}

/// A new courier: the asking user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bob", "capacity": 2}))]
pub(crate) struct NewCourier {
    /// How customers see the courier.
    name: String,
    /// Deliveries that may be under way at once; 1 if not given.
    #[serde(default)]
    #[schema(minimum = 1)]
    capacity: Option<u32>,
}

impl From<NewCourier> for v1::CreateCourierRequest {
    fn from(new: NewCourier) -> Self {
        Self { name: new.name, capacity: new.capacity.unwrap_or(0) }
    }
}

/// A courier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Courier {
    #[schema(example = "cou_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    user_id: String,
    name: String,
    /// Whether the courier takes deliveries.
    on_duty: bool,
    /// Deliveries under way.
    load: u32,
    /// Deliveries that may be under way at once.
    capacity: u32,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Courier> for Courier {
    fn from(courier: v1::Courier) -> Self {
        Self {
            id: courier.id,
            user_id: courier.user_id,
            name: courier.name,
            on_duty: courier.on_duty,
            load: courier.load,
            capacity: courier.capacity,
            version: courier.version,
        }
    }
}

/// Whether a courier is to take deliveries.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DutyChange {
    /// True to take deliveries.
    pub(crate) on_duty: bool,
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(example = "dlv_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    order_id: String,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    state: DeliveryState,
    /// Null while nobody has it.
    courier_id: Option<String>,
    /// Why it failed, in the courier's words.
    reason: Option<String>,
    /// What kind of reason that is; it becomes the reason of the order.
    reason_code: Option<FailureCode>,
    /// Where to. Only `GET /api/v1/deliveries/{id}` shows it, and only to the courier who has the
    /// delivery, while it is under way; null otherwise.
    #[schema(example = "1 Station Road, London")]
    address: Option<String>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
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
            version: delivery.version,
            created_at: Time::at(delivery.created_at_ms),
        }
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryFilter {
    /// Only those in this state.
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
