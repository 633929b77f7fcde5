//! Records of the roles, for checks over all of them.

use std::collections::BTreeMap;

use bistro_proto::common::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    common::{Time, unless_empty},
    ids::{OrderId, RestaurantId},
};

/// The roles whose records can be read.
pub(crate) const AUDITED_ROLES: [&str; 6] =
    ["accounts", "catalog", "orders", "payments", "kitchen", "delivery"];

/// A page of a role's records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The records. They carry ids and numbers, never personal data.
    items: Vec<AuditRow>,
    /// Send it as `cursor` for the next page; null on the last one.
    #[schema(example = "b3BhcXVl")]
    next_cursor: Option<String>,
    /// What the role has left undone; on the first page only.
    backlog: Option<AuditBacklog>,
}

/// One record.
#[derive(Debug, Serialize, ToSchema)]
struct AuditRow {
    /// The id of what the record is about.
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    /// What it is: `order`, `payment`, `ledger_entry`, `ticket`, `delivery`, `reservation`, `item`.
    #[schema(example = "order")]
    kind: String,
    /// Its state, in the words of its state machine.
    #[schema(example = "completed")]
    state: String,
    /// The order it belongs to.
    #[schema(value_type = Option<OrderId>)]
    order_id: Option<String>,
    /// The restaurant it belongs to.
    #[schema(value_type = Option<RestaurantId>)]
    restaurant_id: Option<String>,
    /// Numbers by name, such as `amount_minor` or `free`.
    #[schema(example = json!({"amount_minor": 1295}))]
    numbers: BTreeMap<String, i64>,
    /// ISO 4217 code of the amounts among the numbers.
    #[schema(example = "GBP")]
    currency: Option<String>,
    changed_at: Time,
    /// When something is due to happen to it at the latest.
    due_at: Option<Time>,
}

/// What a role has left undone.
#[derive(Debug, Serialize, ToSchema)]
struct AuditBacklog {
    /// Events that are not published yet.
    unpublished: u64,
    oldest_unpublished_at: Option<Time>,
    /// Calls to other roles whose outcome is open.
    open_calls: u64,
    oldest_call_at: Option<Time>,
    /// Timers that are set.
    timers: u64,
    next_timer_at: Option<Time>,
    /// Messages that wait in the role's queues.
    queued: u64,
    /// Messages that are put by to be tried again.
    parked: u64,
    oldest_parked_at: Option<Time>,
    /// Dead letters.
    dead: u64,
    /// The engine's clock when this was read.
    now: Time,
}

impl From<v1::AuditPage> for AuditPage {
    fn from(page: v1::AuditPage) -> Self {
        Self {
            items: page.rows.into_iter().map(AuditRow::from).collect(),
            next_cursor: unless_empty(page.next_cursor),
            backlog: page.backlog.map(AuditBacklog::from),
        }
    }
}

impl From<v1::AuditRow> for AuditRow {
    fn from(row: v1::AuditRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            order_id: unless_empty(row.order_id),
            restaurant_id: unless_empty(row.restaurant_id),
            numbers: row.numbers.into_iter().collect(),
            currency: unless_empty(row.currency),
            changed_at: Time::at(row.changed_at_ms),
            due_at: Time::unless_zero(row.due_at_ms),
        }
    }
}

impl From<v1::AuditBacklog> for AuditBacklog {
    fn from(backlog: v1::AuditBacklog) -> Self {
        Self {
            unpublished: backlog.unpublished,
            oldest_unpublished_at: Time::unless_zero(backlog.oldest_unpublished_ms),
            open_calls: backlog.open_calls,
            oldest_call_at: Time::unless_zero(backlog.oldest_call_ms),
            timers: backlog.timers,
            next_timer_at: Time::unless_zero(backlog.next_timer_ms),
            queued: backlog.queued,
            parked: backlog.parked,
            oldest_parked_at: Time::unless_zero(backlog.oldest_parked_ms),
            dead: backlog.dead,
            now: Time::at(backlog.now_ms),
        }
    }
}
