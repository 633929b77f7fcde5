//! The audit trail, and the catalogue of errors.

use bistro_core::{Error, ErrorCode, FieldError, Timestamp};
use bistro_proto::accounts::v1;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request, unless_empty},
    ids::ActivityId,
};
use crate::edge::empty_as_none;

/// Characters of an actor or a subject at most.
const MAX_NAME: usize = 64;

/// What somebody did, or tried to do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activity {
    /// Its own id, by which entries of one moment are told apart.
    #[schema(value_type = ActivityId)]
    id: String,
    at: Time,
    /// Who: a user's id, `operator`, or `anonymous`.
    #[schema(example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    actor: String,
    /// Whether the actor was support, an administrator or the operator.
    privileged: bool,
    /// Method and route.
    #[schema(example = "POST /api/v1/orders/{id}/cancel")]
    action: String,
    /// The id of what it was done to; null if the request named and made nothing.
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    subject: Option<String>,
    /// Further ids that the request named or made.
    #[schema(example = json!(["rst_01jd3x8k4v9q2w7r5t6y8z0abc"]))]
    also: Vec<String>,
    /// The HTTP status of the answer; null if the asker went away before there was one.
    #[schema(example = 200)]
    status: Option<u32>,
    /// The code of the problem it was refused with; null if it was not.
    #[schema(example = json!(null))]
    code: Option<String>,
    /// Names the request in the platform's logs.
    #[schema(example = "req_01jd3x8k4v9q2w7r5t6y8z0abc")]
    request_id: String,
    /// As much of the asker's address as the platform keeps.
    #[schema(example = "192.0.2.0/24")]
    address: Option<String>,
}

impl From<v1::Activity> for Activity {
    fn from(entry: v1::Activity) -> Self {
        Self {
            id: entry.id,
            at: Time::at(entry.at_ms),
            actor: entry.actor,
            privileged: entry.privileged,
            action: entry.action,
            subject: unless_empty(entry.subject),
            also: entry.also,
            status: (entry.status != 0).then_some(entry.status),
            code: unless_empty(entry.code),
            request_id: entry.request_id,
            address: unless_empty(entry.address),
        }
    }
}

/// A moment in a query.
#[derive(Clone, Copy, Debug)]
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Which entries of the audit trail are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActivityFilter {
    /// Only what this one did: a user's id, `operator` or `anonymous`.
    #[param(required = false, max_length = 64, example = "operator")]
    actor: String,
    /// Only requests that named or made the thing with this id, be it their `subject` or `also`
    /// among them. Not together with `actor`.
    #[param(required = false, max_length = 64, example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    subject: String,
    /// Only from this moment on; RFC 3339.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = "date-time", example = "2026-11-20T00:00:00Z")]
    from: Option<Moment>,
    /// Only before this moment; RFC 3339.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = "date-time", example = "2026-11-21T00:00:00Z")]
    until: Option<Moment>,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<ActivityFilter> for v1::ListActivityRequest {
    type Error = Error;

    fn try_from(filter: ActivityFilter) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        for (path, text) in [("actor", &filter.actor), ("subject", &filter.subject)] {
            if text.chars().count() > MAX_NAME {
                let message = format!("write at most {MAX_NAME} characters");
                wrong.push(FieldError { path: path.to_owned(), message });
            }
        }
        let mut millis = |path: &str, moment: Option<Moment>| {
            let millis = moment.map_or(0, |Moment(at)| at.as_millis());
            if millis < 0 {
                let message = "write a moment after 1970".to_owned();
                wrong.push(FieldError { path: path.to_owned(), message });
            }
            millis
        };
        let (from_ms, until_ms) = (millis("from", filter.from), millis("until", filter.until));
        if !wrong.is_empty() {
            return Err(Error::fields(wrong));
        }
        Ok(Self {
            actor: filter.actor,
            subject: filter.subject,
            from_ms,
            until_ms,
            page: Some(page_request(filter.cursor, filter.limit)?),
        })
    }
}

/// Everything that can go wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorCatalogue {
    /// One for each code.
    errors: Vec<ErrorEntry>,
}

/// One kind of problem.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorEntry {
    /// The `code` of its problem details. Never changes its meaning.
    #[schema(example = "version_mismatch")]
    code: &'static str,
    /// The HTTP status.
    #[schema(example = 412)]
    status: u16,
    /// A short sentence, the same for every problem of this kind.
    #[schema(example = "The thing changed since it was read")]
    title: &'static str,
    /// What it means.
    #[schema(example = "`If-Match` names another version than the present one.")]
    meaning: &'static str,
    /// How to mend it.
    #[schema(
        example = "Read it again, make the change again, and send its new `ETag` as `If-Match`."
    )]
    remedy: &'static str,
    /// Whether the same request, with the same `Idempotency-Key`, may succeed later.
    retryable: bool,
}

impl ErrorCatalogue {
    /// All of them.
    pub(crate) fn all() -> Self {
        let entry = |code: &ErrorCode| ErrorEntry {
            code: code.as_str(),
            status: code.http(),
            title: code.title(),
            meaning: code.meaning(),
            remedy: code.remedy(),
            retryable: code.is_retryable(),
        };
        Self { errors: ErrorCode::ALL.iter().map(entry).collect() }
    }
}
