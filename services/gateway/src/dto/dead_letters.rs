//! Events that a role has given up.

use bistro_core::{Error, Timestamp};
use bistro_proto::operations::v1;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::common::{Time, page_request, unless_empty};

/// An event that a role could not handle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// Its queue, a colon, and its event's id with a colon for its slash.
    #[schema(example = "kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0")]
    id: String,
    /// The role that gave it up.
    #[schema(example = "kitchen")]
    role: String,
    /// The queue in which it waited for the role.
    #[schema(example = "kitchen.events")]
    queue: String,
    /// How often it was tried.
    attempts: u32,
    given_up_at: Time,
    /// Why: the error of the last try, with its causes.
    #[schema(example = "not_found: there is no order ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    cause: String,
    /// Until when another go can have an effect. Later it is not known any more whether it had one,
    /// and it is given up again.
    retry_until: Time,
    event: DeadEvent,
}

/// The event, as CloudEvents 1.0 has it.
#[derive(Debug, Serialize, ToSchema)]
struct DeadEvent {
    #[schema(example = "2f9c4e0b1a7d48e3906b5c1f0e8d7a62/0")]
    id: String,
    /// The role that told it.
    #[schema(example = "/bistro/orders")]
    source: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "bistro.orders.v1.OrderAccepted")]
    kind: String,
    /// The id of what it is about.
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    subject: String,
    time: Time,
    /// The subject's version after what happened.
    sequence: i64,
    /// W3C trace context of what told it.
    #[schema(example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    traceparent: Option<String>,
    /// What it says. Null in a list, and when its kind is not known here.
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
}

impl From<v1::DeadLetter> for DeadLetter {
    fn from(letter: v1::DeadLetter) -> Self {
        Self {
            id: letter.id,
            role: letter.role,
            queue: letter.queue,
            attempts: letter.attempts,
            given_up_at: Time::at(letter.given_up_at_ms),
            cause: letter.cause,
            retry_until: Time::at(letter.retry_until_ms),
            event: DeadEvent {
                id: letter.event_id,
                source: letter.source,
                kind: letter.kind,
                subject: letter.subject,
                time: Time::at(letter.time_ms),
                sequence: letter.sequence,
                traceparent: unless_empty(letter.traceparent),
                // The role has written it as JSON.
                data: RawValue::from_string(letter.data_json).ok(),
            },
        }
    }
}

/// Which dead letters are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterFilter {
    /// Only those of this role.
    #[param(required = false, example = "kitchen")]
    pub(crate) role: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    pub(crate) cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    pub(crate) limit: Option<u32>,
}

impl DeadLetterFilter {
    /// How many rows are wanted.
    pub(crate) fn rows(&self) -> Result<u32, Error> {
        let page = page_request(String::new(), self.limit)?;
        Ok(bistro_core::PageRequest::new(page.limit, None).limit)
    }
}

/// Which dead letters get another go.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"role": "kitchen"}))]
pub(crate) struct Retry {
    /// The role that gave them up.
    pub(crate) role: String,
    /// Only those of this kind.
    #[schema(example = "bistro.orders.v1.OrderAccepted")]
    pub(crate) kind: String,
    /// Only those that were given up until then; now, if it is not given.
    #[schema(format = "date-time", example = "2026-11-20T18:30:00.000Z")]
    given_up_until: Option<String>,
}

impl Retry {
    /// The moment in the role's words, to which 0 is now.
    pub(crate) fn until(&self) -> Result<i64, Error> {
        let Some(text) = &self.given_up_until else { return Ok(0) };
        let moment = text.parse::<Timestamp>().map_err(|cause| {
            Error::field("given_up_until", "write a time as RFC 3339, such as 2026-11-20T18:30:00Z")
                .caused_by(cause)
        })?;
        Ok(moment.as_millis().max(1))
    }
}

/// What got another go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryReport {
    /// How many.
    retried: u32,
    /// Whether there are more. Ask again with the same `given_up_until`.
    more: bool,
    /// What to ask again with: what is given up after it is left alone.
    given_up_until: Time,
}

impl From<v1::RetryDeadLettersResponse> for RetryReport {
    fn from(response: v1::RetryDeadLettersResponse) -> Self {
        Self {
            retried: response.retried,
            more: response.more,
            given_up_until: Time::at(response.given_up_until_ms),
        }
    }
}

/// What became of one dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetriedOne {
    /// Whether it got another go; false if it is no dead letter, or none any more.
    pub(crate) retried: bool,
}

/// Why a dead letter is dropped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The order was a test"}))]
pub(crate) struct DropReason {
    /// Why, in 1 to 200 characters. The log keeps it.
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) reason: String,
}
