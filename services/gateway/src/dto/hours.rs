//! Opening hours by the restaurant's wall clock.

use std::collections::BTreeMap;

use bistro_proto::catalog::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// By the restaurant's wall clock. Parts of a day are written like `11:30-14:30`; one that ends
/// before it begins goes on past midnight.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({
    "weekly": [
        ["11:30-14:30", "17:00-23:00"], ["17:00-23:00"], ["17:00-23:00"], ["17:00-23:00"],
        ["17:00-01:00"], ["12:00-01:00"], []
    ],
    "exceptions": {"2026-12-24": ["11:30-15:00"], "2026-12-25": []}
}))]
pub(crate) struct OpeningHours {
    /// Seven days from Monday, each with its parts; none at all: always.
    weekly: Vec<Vec<String>>,
    /// By date, in place of the weekly hours.
    exceptions: BTreeMap<String, Vec<String>>,
}

impl From<OpeningHours> for v1::Hours {
    fn from(hours: OpeningHours) -> Self {
        let day = |spans| v1::DayHours { spans };
        Self {
            weekly: hours.weekly.into_iter().map(day).collect(),
            exceptions: hours
                .exceptions
                .into_iter()
                .map(|(date, spans)| (date, day(spans)))
                .collect(),
        }
    }
}

impl From<v1::Hours> for OpeningHours {
    fn from(hours: v1::Hours) -> Self {
        Self {
            weekly: hours.weekly.into_iter().map(|day| day.spans).collect(),
            exceptions: hours.exceptions.into_iter().map(|(date, day)| (date, day.spans)).collect(),
        }
    }
}
