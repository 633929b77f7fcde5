//! What comes back: an answer, a problem, or nothing.

use std::time::Duration;

use http::StatusCode;
use hyper_util::client::legacy;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// An answer that is not a problem.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status: 2xx.
    pub status: StatusCode,
    /// The entity tag, without its quotes.
    pub etag: Option<String>,
    /// The body; null when there was none.
    pub body: Value,
}

impl Answer {
    /// The body as `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        serde_json::from_value(self.body).map_err(|source| ClientError::Unreadable { source })
    }

    /// A text of the body, by JSON pointer; empty if it is not there.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A problem detail (RFC 9457) as the platform writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// The sentence.
    pub detail: String,
    /// Under which the platform's log has it.
    pub request_id: String,
    /// The fields that are wrong.
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FieldProblem {
    /// The field's path.
    pub field: String,
    /// What to write instead.
    pub message: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The platform refused, or failed.
    #[error("{} ({}, request {})", problem.detail, problem.code, problem.request_id)]
    Problem {
        /// What it says.
        problem: Problem,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nothing came back: it may have happened, unless there was no connection at all.
    #[error("{url} does not answer")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came back is not what the API describes.
    #[error("the answer cannot be read")]
    Unreadable {
        /// Why.
        source: serde_json::Error,
    },
    /// The URL, the token or the path cannot be sent.
    #[error("{0}")]
    Unsendable(String),
}

impl ClientError {
    /// The problem's code, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether there was nobody to connect to, so that nothing was sent.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::NoAnswer { source, .. } => {
                source.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
            }
            _ => false,
        }
    }

    /// Whether the same request with the same key may be answered later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => {
                problem.status >= 500 || problem.status == 429 || problem.code == "conflict"
            }
            Self::NoAnswer { .. } => true,
            Self::Unreadable { .. } | Self::Unsendable(_) => false,
        }
    }
}

impl From<ClientError> for bistro_core::Error {
    fn from(error: ClientError) -> Self {
        use bistro_core::ErrorCode;
        let code = match &error {
            ClientError::Problem { problem, .. } => {
                ErrorCode::parse(&problem.code).unwrap_or(ErrorCode::Internal)
            }
            ClientError::NoAnswer { .. } => ErrorCode::Unavailable,
            ClientError::Unreadable { .. } => ErrorCode::Internal,
            ClientError::Unsendable(_) => ErrorCode::InvalidArgument,
        };
        Self::new(code, error.to_string()).caused_by(error)
    }
}
