//! The storage contract: typed documents, queries on declared indexes, and [`Work`], the one way
//! to change anything.
//!
//! Every engine keeps what the docs of [`Store`] promise, and `bistro-testkit`'s suite holds each
//! of them to it. Read, decide, commit: nothing is locked between a read and its commit, and a
//! [`StoreError::Conflict`] means read again and decide again.

mod document;
mod error;
mod key;
mod outbox;
mod query;
mod store;
mod typed;
mod work;

pub use document::{Collection, Document, DocumentRef, Index, MAX_DOCUMENT_BYTES, Stored};
pub use error::StoreError;
pub use key::Key;
pub use outbox::{
    Backlog, CallChain, CallStep, DueTimer, MAX_EVENT_BYTES, OpenCall, OutboxEvent, Settled,
};
pub use query::{Cursor, Order, Query};
pub use store::{Committed, MARK_LIFETIME, Mark, Store};
pub use typed::{StoreExt, Versioned};
pub use work::{Cause, TimerChange, Work, Write};
