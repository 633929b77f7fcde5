//! What handlers take from a request: the right to ask, ids, versions and preferences.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use bistro_core::{Error, ErrorCode, FieldError, Id, IdKind, kinds};
use http::{HeaderMap, header, request::Parts};
use tokio::time::Instant;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use super::{Edge, Problem, rules};

/// The header, and the gRPC metadata, of an idempotency key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What the middleware found out about a request.
#[derive(Clone)]
pub(crate) struct Arrived {
    /// When the asker stops waiting.
    pub(crate) deadline: Instant,
    /// The address that it is counted under.
    pub(crate) asker: IpAddr,
    /// The seconds of `Prefer: wait`, on routes that heed it.
    pub(crate) wait: Option<u32>,
    /// Whether the route needs a token and there is none.
    pub(crate) must_log_in: bool,
}

/// The right to ask the other roles, as part of one request.
pub(crate) struct Ask {
    deadline: Instant,
    key: Option<MetadataValue<Ascii>>,
}

impl Ask {
    /// `message` as a gRPC request with the request's key and the time that is left of it.
    pub(crate) fn with<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        if let Some(key) = &self.key {
            request.metadata_mut().insert(IDEMPOTENCY_KEY, key.clone());
        }
        request
    }
}

fn arrived(parts: &Parts) -> Result<&Arrived, Problem> {
    let arrived = parts.extensions.get::<Arrived>().ok_or_else(|| {
        // Only a router that was put together without the middleware could get here.
        Error::new(ErrorCode::Internal, "the request did not pass the edge")
    })?;
    if arrived.must_log_in {
        return Err(Error::unauthenticated().into());
    }
    Ok(arrived)
}

/// The right to ask for something that changes nothing.
pub(crate) struct Reading(pub(crate) Ask);

impl FromRequestParts<Edge> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        let deadline = arrived(parts)?.deadline;
        Ok(Self(Ask { deadline, key: None }))
    }
}

/// The right to change something, once per `Idempotency-Key`.
pub(crate) struct Command(pub(crate) Ask);

impl FromRequestParts<Edge> for Command {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        let deadline = arrived(parts)?.deadline;
        let key = given_key(&parts.headers)?.ok_or_else(|| {
            Error::new(
                ErrorCode::PreconditionRequired,
                "send an Idempotency-Key: a text of your own, new for each new request, the same when you repeat one",
            )
        })?;
        Ok(Self(Ask { deadline, key: Some(key) }))
    }
}

/// The right to make a change that may be repeated as it is: a key of its own if none is given.
pub(crate) struct Repeatable(pub(crate) Ask);

impl FromRequestParts<Edge> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let deadline = arrived(parts)?.deadline;
        let key = match given_key(&parts.headers)? {
            Some(key) => key,
            None => edge.new_request_id().to_string().parse().map_err(Error::internal)?,
        };
        Ok(Self(Ask { deadline, key: Some(key) }))
    }
}

fn given_key(headers: &HeaderMap) -> Result<Option<MetadataValue<Ascii>>, Error> {
    let Some(given) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let bytes = given.as_bytes();
    let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    if !(1..=255).contains(&bytes.len()) || !printable {
        return Err(Error::field("Idempotency-Key", "write 1 to 255 printable ASCII characters"));
    }
    MetadataValue::try_from(bytes).map(Some).map_err(Error::internal)
}

/// Where a request comes from, as the edge counts it: an address, or a network of IPv6.
pub(crate) struct Network(pub(crate) String);

impl FromRequestParts<Edge> for Network {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        Ok(Self(arrived(parts)?.asker.to_string()))
    }
}

/// The version that `If-Match` names.
///
/// An entity tag of ours is the version in quotes; any other strong tag, and every weak one,
/// cannot match and is answered 412.
pub(crate) struct Version(pub(crate) i64);

impl FromRequestParts<Edge> for Version {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        match version(parts)? {
            0 => Err(mismatch().into()),
            version => Ok(Self(version)),
        }
    }
}

/// As [`Version`], of something that may never have been written: until it is, its version is 0.
pub(crate) struct VersionOrNone(pub(crate) i64);

impl FromRequestParts<Edge> for VersionOrNone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        Ok(Self(version(parts)?))
    }
}

/// The version that `If-Match` names; 0 or more.
fn version(parts: &Parts) -> Result<i64, Error> {
    debug_assert!(
        parts
            .extensions
            .get::<MatchedPath>()
            .is_some_and(|route| rules::needs_version(&parts.method, route.as_str())),
        "a route that takes a version is missing in the rules"
    );
    let Some(tag) = parts.headers.get(header::IF_MATCH) else {
        return Err(Error::new(
            ErrorCode::PreconditionRequired,
            "send If-Match with the ETag of what you read, so that nobody's change is lost",
        ));
    };
    let text = tag.to_str().unwrap_or_default().trim();
    let strong = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let weak = text.starts_with("W/\"");
    match strong.filter(|tag| !tag.contains('"')) {
        Some(tag) => match tag.parse() {
            Ok(version) if version >= 0 => Ok(version),
            // No version of ours: nothing can be at it.
            _ => Err(mismatch()),
        },
        None if weak => Err(mismatch()),
        None => Err(Error::field("If-Match", "write one ETag as you got it, such as \"3\"")),
    }
}

fn mismatch() -> Error {
    Error::new(
        ErrorCode::VersionMismatch,
        "If-Match is no ETag of this thing's; read it again and send its ETag",
    )
}

/// The id in the path's `{id}`.
pub(crate) struct At<K>(pub(crate) Id<K>);

impl<K: IdKind> FromRequestParts<Edge> for At<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        Ok(Self(id(&path(parts, edge).await?, "id")?))
    }
}

/// The restaurant and the user of a membership's path.
pub(crate) struct MemberAt {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) user: Id<kinds::User>,
}

impl FromRequestParts<Edge> for MemberAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let path = path(parts, edge).await?;
        Ok(Self { restaurant: id(&path, "id")?, user: id(&path, "user_id")? })
    }
}

/// The ticket and the place on it of an item's path.
pub(crate) struct LineAt {
    pub(crate) ticket: Id<kinds::Ticket>,
    pub(crate) line: u32,
}

impl FromRequestParts<Edge> for LineAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let path = path(parts, edge).await?;
        let line = parameter(&path, "line").parse().map_err(|_| {
            Error::field("line", "write the item's place on the ticket: a number from 0")
        })?;
        Ok(Self { ticket: id(&path, "id")?, line })
    }
}

/// The role in the path's `{role}`; any text.
pub(crate) struct RoleAt(pub(crate) String);

impl FromRequestParts<Edge> for RoleAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        Ok(Self(parameter(&path(parts, edge).await?, "role").to_owned()))
    }
}

/// The dead letter's id in the path's `{id}`; any text.
pub(crate) struct LetterAt(pub(crate) String);

impl FromRequestParts<Edge> for LetterAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        Ok(Self(parameter(&path(parts, edge).await?, "id").to_owned()))
    }
}

async fn path(parts: &mut Parts, edge: &Edge) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, edge)
        .await
        .map_err(|rejection| Error::field("path", rejection.body_text()).into())
}

fn parameter<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

fn id<K: IdKind>(path: &RawPathParams, name: &str) -> Result<Id<K>, Error> {
    parameter(path, name).parse::<Id<K>>().map_err(|cause| {
        let wrong = FieldError { path: name.to_owned(), message: cause.to_string() };
        Error::fields(vec![wrong]).caused_by(cause)
    })
}

/// The seconds that the asker prefers to wait for the outcome.
pub(crate) struct Wait(pub(crate) Option<u32>);

impl FromRequestParts<Edge> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        Ok(Self(arrived(parts)?.wait))
    }
}

/// The sequence of the last event that a stream's reader has seen; none if it begins.
pub(crate) struct LastEventId(pub(crate) Option<i64>);

impl FromRequestParts<Edge> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("last-event-id") else {
            return Ok(Self(None));
        };
        value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|sequence| *sequence >= 0)
            .map(|sequence| Self(Some(sequence)))
            .ok_or_else(|| {
                Error::field("Last-Event-ID", "write the id of the last event that you have seen")
                    .into()
            })
    }
}

/// The id of the last event that a stream's reader has seen, where ids are cursors; empty if it
/// begins.
pub(crate) struct LastEventCursor(pub(crate) String);

impl FromRequestParts<Edge> for LastEventCursor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("last-event-id") else {
            return Ok(Self(String::new()));
        };
        match value.to_str() {
            Ok(text) if text.len() <= 255 => Ok(Self(text.to_owned())),
            _ => Err(Error::field(
                "Last-Event-ID",
                "write the id of the last event that you have seen",
            )
            .into()),
        }
    }
}
