//! Couriers, their shifts and where they are.

use bistro_core::{Error, Id, kinds};
use bistro_proto::delivery::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request},
    ids::{CourierId, UserId},
    point::Point,
};
use crate::sse::Live;

/// A new courier: the asking user, or whom an administrator names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bob", "capacity": 2}))]
pub(crate) struct NewCourier {
    /// How customers see the courier.
    name: String,
    /// Deliveries that may be under way at once; 1 if not given. Couriers may say what the
    /// platform's configuration allows (`delivery.max_capacity`, 50 unless set).
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    capacity: Option<u32>,
    /// Who becomes a courier, for administrators: a user with the role `courier`. The asking user
    /// if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    user_id: Option<Id<kinds::User>>,
}

impl NewCourier {
    /// Whether somebody is named.
    pub(crate) const fn names_somebody(&self) -> bool {
        self.user_id.is_some()
    }
}

impl From<NewCourier> for v1::CreateCourierRequest {
    fn from(new: NewCourier) -> Self {
        Self {
            name: new.name,
            capacity: new.capacity.unwrap_or(0),
            user_id: new.user_id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

/// A courier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Courier {
    #[schema(value_type = CourierId)]
    id: String,
    #[schema(value_type = UserId)]
    user_id: String,
    /// How customers see the courier.
    #[schema(example = "Bob")]
    name: String,
    /// Whether the courier takes deliveries.
    on_duty: bool,
    /// Deliveries under way.
    load: u32,
    /// Deliveries that may be under way at once.
    capacity: u32,
    /// Where the courier was last; null if that is long ago.
    position: Option<Point>,
    /// When that was.
    position_at: Option<Time>,
    /// Whether the courier has left for good.
    deleted: bool,
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
            position: courier.position.map(Into::into),
            position_at: Time::unless_zero(courier.position_at_ms),
            deleted: courier.deleted,
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

/// What a courier is changed to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bob", "capacity": 3}))]
pub(crate) struct CourierChange {
    /// How customers see the courier.
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) name: String,
    /// Deliveries that may be under way at once. Couriers may say what the platform's configuration
    /// allows (`delivery.max_capacity`, 50 unless set) or an administrator gave them.
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) capacity: u32,
}

impl CourierChange {
    /// The roles' words for it; an empty `id` is the asker's own.
    pub(crate) fn of(self, id: String, version: i64) -> v1::UpdateCourierRequest {
        v1::UpdateCourierRequest { id, version, name: self.name, capacity: self.capacity }
    }
}

/// Which couriers are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CourierFilter {
    /// Only those on duty.
    #[param(required = false)]
    on_duty: bool,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<CourierFilter> for v1::ListCouriersRequest {
    type Error = Error;

    fn try_from(filter: CourierFilter) -> Result<Self, Error> {
        let page = page_request(filter.cursor, filter.limit)?;
        Ok(Self { on_duty: filter.on_duty, page: Some(page) })
    }
}

/// A time that a courier was on duty.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shift {
    /// When it began.
    from: Time,
    /// Null while it lasts.
    to: Option<Time>,
    /// Brought in it.
    #[schema(example = 7)]
    deliveries: u32,
}

impl From<v1::Shift> for Shift {
    fn from(shift: v1::Shift) -> Self {
        Self {
            from: Time::at(shift.from_ms),
            to: Time::unless_zero(shift.to_ms),
            deliveries: shift.deliveries,
        }
    }
}

/// Where the courier of an order was, and when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CourierPosition {
    /// Where.
    position: Point,
    /// When.
    at: Time,
}

impl Live for v1::CourierPosition {
    const EVENT: &'static str = "position";
    type Data = CourierPosition;

    fn id(&self) -> String {
        self.at_ms.to_string()
    }

    fn data(self) -> Option<CourierPosition> {
        Some(CourierPosition { position: self.position?.into(), at: Time::at(self.at_ms) })
    }
}
