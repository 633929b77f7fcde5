//! Errors as gRPC statuses and back, without losing the code, the fields or the time to wait.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, FieldError};
use tonic::{Code, Status, metadata::MetadataValue};
use tracing::error;

const CODE: &str = "bistro-code";
const RETRY_AFTER: &str = "bistro-retry-after-ms";
/// What an error is about, which nobody is told who is no role.
pub(super) const ABOUT: &str = "bistro-about";
const FIELDS: &str = "bistro-fields-bin";

/// The status that `error` travels as. Causes stay here, in the log.
#[must_use]
pub fn status_of(error: &Error) -> Status {
    if matches!(error.code(), ErrorCode::Internal | ErrorCode::IncompatibleSchema) {
        error!(cause = error.chain(), "a request failed");
    }
    let mut status = Status::new(Code::from_i32(error.code().grpc() as i32), error.message());
    let metadata = status.metadata_mut();
    metadata.insert(CODE, MetadataValue::from_static(error.code().as_str()));
    if let Some(after) = error.retry_delay() {
        metadata.insert(
            RETRY_AFTER,
            MetadataValue::from(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        );
    }
    if let Some(Ok(about)) = error.subject().map(MetadataValue::try_from) {
        metadata.insert(ABOUT, about);
    }
    if !error.field_errors().is_empty() {
        let pairs: Vec<(&str, &str)> = error
            .field_errors()
            .iter()
            .map(|field| (field.path.as_str(), field.message.as_str()))
            .collect();
        if let Ok(json) = serde_json::to_vec(&pairs) {
            metadata.insert_bin(FIELDS, MetadataValue::from_bytes(&json));
        }
    }
    status
}

/// The error that came as `status`.
#[must_use]
pub fn error_of(status: &Status) -> Error {
    let metadata = status.metadata();
    let code = metadata
        .get(CODE)
        .and_then(|text| text.to_str().ok())
        .and_then(ErrorCode::parse)
        .unwrap_or_else(|| ErrorCode::from_grpc(status.code() as i32));
    let fields: Vec<(String, String)> = metadata
        .get_bin(FIELDS)
        .and_then(|value| value.to_bytes().ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    let error = if fields.is_empty() {
        Error::new(code, status.message())
    } else {
        let fields = fields.into_iter().map(|(path, message)| FieldError { path, message });
        Error::fields(fields.collect())
    };
    let after = metadata
        .get(RETRY_AFTER)
        .and_then(|text| text.to_str().ok())
        .and_then(|text| text.parse().ok())
        .map(Duration::from_millis);
    let mut error = error.caused_by(status.clone());
    if let Some(about) = metadata.get(ABOUT).and_then(|id| id.to_str().ok()) {
        error = error.about(about);
    }
    match after {
        Some(after) => error.retry_after(after),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        for code in ErrorCode::ALL {
            let sent = Error::new(*code, "why").retry_after(Duration::from_millis(1500));
            let got = error_of(&status_of(&sent.about("usr_1")));
            assert_eq!(got.subject(), Some("usr_1"));
            assert_eq!((got.code(), got.message()), (*code, "why"));
            assert_eq!(got.retry_delay(), Some(Duration::from_millis(1500)));
        }
        let sent = Error::field("lines[2].quantity", "must be at least 1");
        assert_eq!(error_of(&status_of(&sent)).field_errors(), sent.field_errors());
    }

    #[test]
    fn a_foreign_status_gets_the_nearest_code() {
        let got = error_of(&Status::new(Code::Unavailable, "gone"));
        assert_eq!(got.code(), ErrorCode::Unavailable);
        // tonic says CANCELLED when its own timeout fires.
        let got = error_of(&Status::new(Code::Cancelled, "Timeout expired"));
        assert_eq!(got.code(), ErrorCode::DeadlineExceeded);
        let large = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        let got = error_of(&Status::new(Code::OutOfRange, large));
        assert_eq!(got.code(), ErrorCode::MessageTooLarge, "nobody asked for anything wrong");
    }
}
