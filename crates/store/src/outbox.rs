//! What a Work leaves behind for others: events to tell, calls to make, timers to fire.

use bistro_core::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use crate::DocumentRef;

/// The most bytes of protobuf an event or a call's request may carry.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Commands to other roles, one after the other, made after the commit and at least once.
///
/// Each step is made with the idempotency key [`CallChain::step_key`]. The next step is made when
/// the one before is done; the first refusal ends the chain. Either way one outcome comes back to
/// the role that asked, and the Work it causes closes the call in the same commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallChain {
    /// `<work>/c<n>`, given by [`crate::Work::call`].
    pub id: String,
    /// What the role calls this chain, to know its outcome by.
    pub label: String,
    /// When the Work was decided.
    pub time: Timestamp,
    /// The commands.
    pub steps: Vec<CallStep>,
    /// W3C trace context of the Work.
    pub traceparent: Option<String>,
}

impl CallChain {
    /// The idempotency key of step `index`.
    #[must_use]
    pub fn step_key(&self, index: usize) -> String {
        format!("{}.{index}", self.id)
    }
}

/// One command of a chain: a unary gRPC method and its encoded request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStep {
    /// The role that serves it.
    pub role: String,
    /// The method's path, `/bistro.payments.v1.Payments/Authorize`.
    pub method: String,
    /// The request message, as protobuf.
    #[serde(with = "base64_bytes")]
    pub request: Vec<u8>,
}

/// A call that is not closed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The anchor of the Work that made it.
    pub document: DocumentRef,
    /// The call.
    pub chain: CallChain,
}

/// An event that is not known to be published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// The anchor of the Work that told it.
    pub document: DocumentRef,
    /// The event.
    pub event: Event,
}

/// A timer whose moment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTimer {
    /// The document it belongs to.
    pub document: DocumentRef,
    /// Its name within the document.
    pub name: String,
    /// The moment it was set for.
    pub at: Timestamp,
}

/// Something in the outbox that is dealt with and can be forgotten without a Work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The event with this id is published.
    Event {
        /// The anchor.
        document: DocumentRef,
        /// The event's id.
        id: String,
    },
    /// The call with this id has an outcome that changes nothing.
    Call {
        /// The anchor.
        document: DocumentRef,
        /// The chain's id.
        id: String,
    },
    /// The timer fired and changes nothing.
    Timer(DueTimer),
}

/// How much a role has left undone, for metrics and `bistro verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events not known to be published (on the embedded engine: not yet handled).
    pub events: u64,
    /// When the oldest of them was told.
    pub oldest_event: Option<Timestamp>,
    /// Calls without an outcome.
    pub calls: u64,
    /// When the oldest of them was made.
    pub oldest_call: Option<Timestamp>,
    /// Timers set.
    pub timers: u64,
    /// The moment of the next (or most overdue) one.
    pub next_timer: Option<Timestamp>,
}

mod base64_bytes {
    //! Bytes as base64 text, since documents are JSON.

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}
