//! What can go wrong in a store, told apart by what the caller may do next.

use bistro_core::{Error, ErrorCode};

use crate::DocumentRef;

/// A cause from below, whatever its type.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a read or a commit did not succeed.
///
/// After every variant but [`StoreError::Unknown`] the Work did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition did not hold: the document is at another version, is there already, is not
    /// there, or an adjustment's guard failed. Read again, decide again.
    #[error("{document} changed at the same time")]
    Conflict {
        /// The document whose precondition failed.
        document: DocumentRef,
    },
    /// Another document has this key in a unique index.
    #[error("another document has the same {index} as {document}")]
    Duplicate {
        /// The document that was not written.
        document: DocumentRef,
        /// The unique index.
        index: String,
    },
    /// The Work breaks the contract; it would on every engine.
    #[error("the work is not valid: {0}")]
    Invalid(String),
    /// Something is larger than the contract allows.
    #[error("{what} takes {bytes} bytes; the most is {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A cursor that this query did not give.
    #[error("the cursor is not one that this list gave; begin again without one")]
    BadCursor,
    /// The document was written by a newer program that says this one cannot read it.
    #[error("{document} needs a program that knows schema {needs}; this one knows {knows}")]
    IncompatibleSchema {
        /// The document.
        document: DocumentRef,
        /// The oldest schema number that can read it.
        needs: u32,
        /// The newest that this program knows.
        knows: u32,
    },
    /// The document's JSON is not what its type expects.
    #[error("{document} cannot be read")]
    Undecodable {
        /// The document.
        document: DocumentRef,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// It did not happen, and may later: the engine is away, full or failing.
    #[error("the store could not do it: {message}")]
    NotDone {
        /// What happened.
        message: String,
        /// Why.
        #[source]
        source: Option<Source>,
    },
    /// It may have happened: commit the same Work again to know.
    #[error("whether the store did it is not known: {message}")]
    Unknown {
        /// What happened.
        message: String,
        /// Why.
        #[source]
        source: Option<Source>,
    },
}

impl StoreError {
    /// [`StoreError::NotDone`] with its cause.
    pub fn not_done(
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::NotDone { message: message.into(), source: Some(Box::new(source)) }
    }

    /// [`StoreError::Unknown`] with its cause.
    pub fn unknown(
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unknown { message: message.into(), source: Some(Box::new(source)) }
    }

    /// Whether reading and deciding again may succeed at once.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (code, message) = match &error {
            StoreError::Conflict { .. } => {
                (ErrorCode::Conflict, "others keep changing this; try again")
            }
            StoreError::Duplicate { index, .. } => {
                let message = format!("something with the same {index} exists already");
                return Self::new(ErrorCode::AlreadyExists, message).caused_by(error);
            }
            StoreError::TooLarge { .. } => {
                return Self::new(ErrorCode::TooLarge, error.to_string()).caused_by(error);
            }
            StoreError::BadCursor => return Self::field("cursor", error.to_string()),
            StoreError::IncompatibleSchema { .. } => {
                return Self::new(ErrorCode::IncompatibleSchema, error.to_string());
            }
            StoreError::Invalid(_) | StoreError::Undecodable { .. } => {
                return Self::internal(error);
            }
            StoreError::NotDone { .. } => {
                (ErrorCode::Unavailable, "the store is away for the moment; nothing was changed")
            }
            StoreError::Unknown { .. } => (
                ErrorCode::OutcomeUnknown,
                "it may have been done; repeat it with the same idempotency key",
            ),
        };
        Self::new(code, message).caused_by(error)
    }
}
