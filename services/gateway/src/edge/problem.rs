//! Errors as problem details (RFC 9457).

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bistro_core::{Error, ErrorCode};
use bistro_runtime::error_of;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tonic::Status;
use tracing::error;
use utoipa::ToSchema;

use super::limits::seconds_up;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// How long to wait, in seconds, when whoever is unavailable does not say.
const RETRY_AFTER: u64 = 1;

/// An error on its way out. The middleware, which knows the request's id, writes it.
#[derive(Clone, Debug)]
pub(crate) struct Problem(pub(crate) Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self(error_of(&status))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:bistro:problem:invalid_argument",
    "title": "The request is not valid",
    "status": 422,
    "detail": "lines[0].quantity: must be at least 1",
    "code": "invalid_argument",
    "request_id": "req_01jd3x8k4v9q2w7r5t6y8z0abc",
    "errors": [{"field": "lines[0].quantity", "message": "must be at least 1"}]
}))]
pub(crate) struct ProblemDetails<'a> {
    /// The kind of problem as a URI: `urn:bistro:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// A short sentence, the same for every problem of this kind.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time, and how to mend it.
    detail: &'a str,
    /// The kind of problem, for programs. Never changes its meaning.
    #[schema(value_type = ErrorCodeText)]
    code: &'a str,
    /// Names this request in the platform's logs.
    request_id: &'a str,
    /// The fields that are wrong; empty if the problem is not about fields.
    errors: Vec<FieldProblem<'a>>,
}

/// One field that is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldProblem)]
struct FieldProblem<'a> {
    /// Path of the field in the body (`lines[2].quantity`), or the name of a parameter or header.
    field: &'a str,
    /// What to write instead.
    message: &'a str,
}

/// The codes, for the OpenAPI document.
struct ErrorCodeText;

impl utoipa::PartialSchema for ErrorCodeText {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for ErrorCodeText {
    fn name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }
}

/// Writes `error` into `response`, whose other headers stay.
pub(crate) fn write(error: &Error, request_id: &str, response: &mut Response) {
    let code = error.code();
    let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        error!(request_id, cause = error.chain(), "a request failed");
    }
    let details = ProblemDetails {
        kind: format!("urn:bistro:problem:{code}"),
        title: code.title(),
        status: status.as_u16(),
        detail: error.message(),
        code: code.as_str(),
        request_id,
        errors: error
            .field_errors()
            .iter()
            .map(|field| FieldProblem { field: &field.path, message: &field.message })
            .collect(),
    };
    *response.status_mut() = status;
    *response.body_mut() = serde_json::to_vec(&details).map(Body::from).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let after = error.retry_delay().map_or(RETRY_AFTER, seconds_up);
            headers.insert(header::RETRY_AFTER, after.into());
        }
        _ => {}
    }
}
