//! Reads JSON bodies, and says which field is wrong.

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, Request},
};
use bistro_core::{Error, ErrorCode};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::{Edge, Problem};

/// Bytes beyond the limit that are read and thrown away before a body is refused: who is still
/// writing when the connection closes would not read why.
const LINGER: usize = 16 << 20;

/// A JSON body. An empty one is read as `{}`, so that what is missing is named.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Edge> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = read(request, edge).await?;
        if body.is_empty() {
            return Ok(Self(parse(b"{}")?));
        }
        if !is_json {
            let message = "send the body as JSON, with Content-Type: application/json";
            return Err(Error::new(ErrorCode::MalformedBody, message).into());
        }
        Ok(Self(parse(&body)?))
    }
}

/// A body that is handed on as it came in.
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<Edge> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, Problem> {
        Ok(Self(read(request, edge).await?))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or(kind).trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(request: Request, edge: &Edge) -> Result<Bytes, Error> {
    let limit = edge.body_limit;
    let beyond = announced(request.headers()).saturating_sub(limit as u64);
    // Who waits to be told to go on, or has a great deal to say, is told at once.
    let waits = request.headers().contains_key(header::EXPECT);
    if beyond > LINGER as u64 || (beyond > 0 && waits) {
        return Err(too_large(limit));
    }
    let body = request.into_body();
    let Ok(collected) = timeout(edge.body_timeout, collect(body, limit)).await else {
        let message = "the body did not arrive in time; send all of it at once";
        return Err(Error::new(ErrorCode::RequestTimeout, message));
    };
    collected
}

/// The length that is announced; 0 if none is.
fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let (mut held, mut seen) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(_) if seen > limit => break,
            Err(cause) => {
                let message = format!("the body broke off: {cause}");
                return Err(Error::new(ErrorCode::MalformedBody, message));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > limit.saturating_add(LINGER) {
            break;
        }
        if seen > limit {
            held = BytesMut::new();
        } else if held.is_empty() && body.is_end_stream() {
            // Nearly every body comes in one piece.
            return Ok(data);
        } else {
            held.extend_from_slice(&data);
        }
    }
    if seen > limit { Err(too_large(limit)) } else { Ok(held.freeze()) }
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
}

/// Reads `body`: 400 if it is no JSON, 422 with the field's path if it is another thing.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let read = serde_json::from_slice(body).map_err(|cause| match cause.classify() {
        Category::Data => explain::<T>(body).unwrap_or_else(|| Error::field("body", said(&cause))),
        Category::Syntax | Category::Eof | Category::Io => {
            Error::new(ErrorCode::MalformedBody, format!("the body is not JSON: {cause}"))
        }
    })?;
    // A derived reader takes a list of the fields' values in their order, too; no document does.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::field("body", "write an object: {\"name\": value}"));
    }
    Ok(read)
}

/// Reads `body` again to learn where it is wrong; keeping track of the path costs too much to be
/// done for bodies that are right.
fn explain<T: DeserializeOwned>(body: &[u8]) -> Option<Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let wrong = serde_path_to_error::deserialize::<_, T>(&mut reader).err()?;
    let path = wrong.path().to_string();
    let message = said(wrong.inner());
    let path = match named_field(&message, &["missing field `", "unknown field `"]) {
        // The path then ends at the object, not at the field; an unknown field may be in both.
        Some(name) if path == "." => name.to_owned(),
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path,
        Some(name) => format!("{path}.{name}"),
        None if path == "." => "body".to_owned(),
        None => path,
    };
    Some(Error::field(path, message))
}

/// What `cause` says, without the place in the text.
fn said(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

pub(super) fn named_field<'a>(message: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    let rest = beginnings.iter().find_map(|beginning| message.strip_prefix(beginning))?;
    rest.split('`').next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether and how it is read matters")]
    struct Basket {
        name: String,
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether and how it is read matters")]
    struct Line {
        quantity: u32,
    }

    fn wrong(body: &str) -> (String, String) {
        let error = parse::<Basket>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        let field = &error.field_errors()[0];
        (field.path.clone(), field.message.clone())
    }

    #[test]
    fn the_wrong_field_is_named_by_its_path() {
        let cases = [
            (r#"{"name":"a","lines":[{"quantity":1},{"quantity":-1}]}"#, "lines[1].quantity"),
            (r#"{"name":"a","lines":[{}]}"#, "lines[0].quantity"),
            (r#"{"name":"a","lines":[{"quantity":1,"size":2}]}"#, "lines[0].size"),
            (r#"{"name":"a","lines":[],"note":"x"}"#, "note"),
            (r#"{"name":7,"lines":[]}"#, "name"),
            (r#"{"lines":[]}"#, "name"),
            ("[]", "body"),
            (r#" ["a",[]]"#, "body"),
        ];
        for (body, path) in cases {
            assert_eq!(wrong(body).0, path, "{body}");
        }
        let (_, message) = wrong(r#"{"name":"a","lines":[],"note":"x"}"#);
        assert!(message.contains("expected `name` or `lines`"), "{message}");
        assert!(!message.contains("line 1"), "{message}");
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["{", "{\"name\":}", "nonsense", "{} {}"] {
            let error = parse::<Basket>(body.as_bytes()).unwrap_err();
            let malformed = error.code() == ErrorCode::MalformedBody;
            // Reading stops at the first thing that is wrong: a missing field may come first.
            assert!(malformed || body == "{} {}", "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_with_a_sentence(body in "\\PC*") {
            if let Err(error) = parse::<Basket>(body.as_bytes()) {
                prop_assert!(!error.message().is_empty());
            }
        }
    }
}
