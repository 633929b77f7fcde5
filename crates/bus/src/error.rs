//! What can go wrong in messaging, told apart by what the caller may do next.

use bistro_core::{Error, ErrorCode};

/// Why something did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The engine is away; what was asked did not happen, and may later.
    #[error("the message bus could not do it: {message}")]
    NotDone {
        /// What happened.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It may have happened: publish the same event again, it has the same id.
    #[error("whether the message bus did it is not known: {message}")]
    Unknown {
        /// What happened.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A queue that should take the event is not there.
    #[error("no queue took {kind} {id}; declare the queues again")]
    Unroutable {
        /// The event's kind.
        kind: String,
        /// The event's id.
        id: String,
    },
    /// A queue that was not declared.
    #[error("there is no queue {0}")]
    NoQueue(String),
    /// The event is larger than the contract allows.
    #[error("event {id} carries {bytes} bytes; the most is {limit}")]
    TooLarge {
        /// The event's id.
        id: String,
        /// How much it carries.
        bytes: usize,
        /// How much it may carry.
        limit: usize,
    },
    /// A message that is not an event of ours.
    #[error("a message cannot be read: {0}")]
    Malformed(String),
    /// This many broadcasts were missed.
    #[error("{0} broadcasts were missed")]
    Lagged(u64),
}

impl BusError {
    /// [`BusError::NotDone`] with its cause.
    pub fn not_done(
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::NotDone { message: message.into(), source: Some(Box::new(source)) }
    }

    /// [`BusError::Unknown`] with its cause.
    pub fn unknown(
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unknown { message: message.into(), source: Some(Box::new(source)) }
    }
}

impl From<BusError> for Error {
    fn from(error: BusError) -> Self {
        let code = match &error {
            BusError::NotDone { .. } | BusError::Unroutable { .. } | BusError::Lagged(_) => {
                ErrorCode::Unavailable
            }
            BusError::Unknown { .. } => ErrorCode::OutcomeUnknown,
            BusError::TooLarge { .. } => ErrorCode::TooLarge,
            BusError::NoQueue(_) | BusError::Malformed(_) => ErrorCode::Internal,
        };
        Self::new(code, error.to_string()).caused_by(error)
    }
}
