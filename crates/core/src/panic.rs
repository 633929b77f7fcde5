//! What a panic said, as an error.

use std::any::Any;

/// Somebody panicked. Its text is for the log: a panic may quote anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} panicked: {said}")]
pub struct Panicked {
    what: String,
    said: String,
}

impl Panicked {
    /// `what` panicked with `payload`, as `catch_unwind` gives it.
    #[must_use]
    pub fn new(what: impl Into<String>, payload: &(dyn Any + Send)) -> Self {
        // What `panic!` was given is a text, unless somebody took pains.
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        Self { what: what.into(), said: said.to_owned() }
    }
}
