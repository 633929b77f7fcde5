//! `Work`: everything that one cause changes, committed at once and at most once.

use std::fmt;

use bistro_core::{Event, IdSource, Timestamp};
use sha2::{Digest, Sha256};

use crate::{
    CallChain, CallStep, Document, DocumentRef, DueTimer, Key, MAX_DOCUMENT_BYTES, MAX_EVENT_BYTES,
    StoreError, Stored, Versioned,
};

/// Why a Work is done: exactly one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked, with an idempotency key.
    Request {
        /// Names principal, operation and idempotency key; see [`Cause::request`].
        key: String,
        /// Hash of what was asked, to refuse another body under the same key.
        body_hash: String,
    },
    /// An event was delivered to a queue.
    Message {
        /// The queue.
        queue: String,
        /// The event's id.
        id: String,
    },
    /// A document's timer fired. Committing the Work consumes the timer.
    Timer(DueTimer),
    /// A call has its outcome. Committing the Work closes the call.
    Outcome {
        /// The anchor of the Work that made the call.
        document: DocumentRef,
        /// The call's id.
        call: String,
    },
    /// A reconciler's round. Nothing but its writes' versions keeps it from happening twice.
    Tick {
        /// The reconciler and what it found to mend, with its version: `assign/dlv_…/3`. Two
        /// rounds of one name have one Work id, and so would their events and calls.
        name: String,
    },
}

impl Cause {
    /// The cause of a request: `principal` asks for `operation` under `idempotency_key`.
    #[must_use]
    pub fn request(principal: &str, operation: &str, idempotency_key: &str, body: &[u8]) -> Self {
        let named = [principal, operation, idempotency_key].join("\u{0}");
        Self::Request {
            key: hex(&Sha256::digest(named), 16),
            body_hash: hex(&Sha256::digest(body), 16),
        }
    }

    /// The text under which the anchor is marked; none when something else is consumed instead.
    #[must_use]
    pub fn mark_key(&self) -> Option<String> {
        match self {
            Self::Request { key, .. } => Some(format!("r:{key}")),
            Self::Message { queue, id } => Some(format!("m:{queue}:{id}")),
            Self::Timer(_) | Self::Outcome { .. } | Self::Tick { .. } => None,
        }
    }

    /// One word for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Message { .. } => "message",
            Self::Timer(_) => "timer",
            Self::Outcome { .. } => "outcome",
            Self::Tick { .. } => "tick",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { key, .. } => write!(f, "request {key}"),
            Self::Message { queue, id } => write!(f, "message {queue} {id}"),
            Self::Timer(timer) => {
                write!(f, "timer {} {} {}", timer.document, timer.name, timer.at.as_millis())
            }
            Self::Outcome { document, call } => write!(f, "outcome {document} {call}"),
            Self::Tick { name } => write!(f, "tick {name}"),
        }
    }
}

/// One change to one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Puts a document that must not be there yet, at version 1.
    Insert {
        /// Which.
        document: DocumentRef,
        /// Its JSON.
        data: String,
        /// Its index keys.
        keys: Vec<(&'static str, Key)>,
        /// Whether the document's id does not follow from the cause, so that a request's mark has
        /// to be found by the request's key. See [`crate::Store::mark_of_request`].
        by_request: bool,
    },
    /// Replaces the content of a document that must be at `version`.
    Replace {
        /// Which.
        document: DocumentRef,
        /// The version that was read.
        version: i64,
        /// Its new JSON.
        data: String,
        /// Its new index keys.
        keys: Vec<(&'static str, Key)>,
    },
    /// Removes a document that must be at `version`.
    Delete {
        /// Which.
        document: DocumentRef,
        /// The version that was read.
        version: i64,
    },
    /// Changes nothing, but the document must still be at `version` when the Work commits.
    Require {
        /// Which.
        document: DocumentRef,
        /// The version that was read.
        version: i64,
    },
    /// Adds `by` to an integer field if the sum is at least `at_least`, whatever the version.
    ///
    /// Otherwise it is a conflict. A field that holds no integer, or a sum beyond 64 bits, is refused
    /// too: as invalid, or, by an engine that cannot tell, as a conflict.
    Adjust {
        /// Which.
        document: DocumentRef,
        /// A top-level field of the document's JSON that holds an integer.
        field: &'static str,
        /// What to add; may be negative.
        by: i64,
        /// The least the sum may be.
        at_least: i64,
    },
}

impl Write {
    /// The document it is about.
    #[must_use]
    pub const fn document(&self) -> &DocumentRef {
        match self {
            Self::Insert { document, .. }
            | Self::Replace { document, .. }
            | Self::Delete { document, .. }
            | Self::Require { document, .. }
            | Self::Adjust { document, .. } => document,
        }
    }

    /// The document as this write leaves it, if the write says all of it.
    #[must_use]
    pub fn after(&self) -> Option<Stored> {
        let (document, version, data) = match self {
            Self::Insert { document, data, .. } => (document, 1, data),
            Self::Replace { document, version, data, .. } => (document, version + 1, data),
            Self::Delete { .. } | Self::Require { .. } | Self::Adjust { .. } => return None,
        };
        Some(Stored {
            id: document.id.clone(),
            version,
            schema: document.collection.schema,
            compatible_from: document.collection.compatible_from,
            data: data.as_str().into(),
        })
    }
}

/// Sets, moves or cancels a timer of a document that the same Work inserts or replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange {
    /// The document it belongs to.
    pub document: DocumentRef,
    /// Its name; a document has at most one timer of a name.
    pub name: &'static str,
    /// When it fires; none cancels it.
    pub at: Option<Timestamp>,
}

/// Everything that one cause changes.
///
/// Built up by a handler, committed by [`crate::Store::commit`]. The first write is the *anchor*:
/// the document that carries the mark of the cause, and with it the Work's events and calls. For
/// a message the anchor's id must follow from the message; for a request it must follow from the
/// request, or the write must be [`Work::insert_new`]. Only a Work that leaves nothing behind (a
/// tick's, say, that deletes what is too old) may begin with another kind of write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Derived from the cause alone, so that deciding twice gives the same events and calls.
    pub id: String,
    /// The role whose collections it touches.
    pub role: &'static str,
    /// Why.
    pub cause: Cause,
    /// When it was decided.
    pub time: Timestamp,
    /// The changes; the first is the anchor.
    pub writes: Vec<Write>,
    /// What others may want to know.
    pub events: Vec<Event>,
    /// Timers of the written documents.
    pub timers: Vec<TimerChange>,
    /// What others must do.
    pub calls: Vec<CallChain>,
    /// The committed answer to a request: an encoded message without token or secret.
    pub reply: Vec<u8>,
    /// W3C trace context of whoever decided.
    pub traceparent: Option<String>,
}

impl Work {
    /// An empty Work of `role`, decided at `time` because of `cause`.
    #[must_use]
    pub fn new(
        role: &'static str,
        cause: Cause,
        time: Timestamp,
        traceparent: Option<String>,
    ) -> Self {
        let id = hex(&Sha256::digest(format!("{role} {cause}")), 16);
        Self {
            id,
            role,
            cause,
            time,
            writes: Vec::new(),
            events: Vec::new(),
            timers: Vec::new(),
            calls: Vec::new(),
            reply: Vec::new(),
            traceparent,
        }
    }

    /// Where the ids come from that this Work gives to what it makes: from its id and its time.
    ///
    /// A request that is decided again at another time makes other ids; that it has one effect
    /// all the same is what [`Work::insert_new`] is for.
    #[must_use]
    pub fn ids(&self) -> IdSource {
        IdSource::from_cause(self.time, &self.id)
    }

    /// Inserts a document whose id follows from the cause.
    pub fn insert<D: Document>(&mut self, value: &D) -> Result<&mut Self, StoreError> {
        self.push_insert(value, false)
    }

    /// Inserts a document whose id does not follow from the request: the store finds the
    /// request's mark by the request's key instead.
    pub fn insert_new<D: Document>(&mut self, value: &D) -> Result<&mut Self, StoreError> {
        self.push_insert(value, true)
    }

    fn push_insert<D: Document>(
        &mut self,
        value: &D,
        by_request: bool,
    ) -> Result<&mut Self, StoreError> {
        let document = DocumentRef::of::<D>(value.id());
        let data = encode(&document, value)?;
        self.writes.push(Write::Insert { document, data, keys: value.keys(), by_request });
        Ok(self)
    }

    /// Replaces what was read as `before` with `after`.
    pub fn replace<D: Document>(
        &mut self,
        before: &Versioned<D>,
        after: &D,
    ) -> Result<&mut Self, StoreError> {
        let document = DocumentRef::of::<D>(after.id());
        let data = encode(&document, after)?;
        let (version, keys) = (before.version, after.keys());
        self.writes.push(Write::Replace { document, version, data, keys });
        Ok(self)
    }

    /// Removes what was read.
    pub fn delete<D: Document>(&mut self, read: &Versioned<D>) -> &mut Self {
        let document = DocumentRef::of::<D>(read.value.id());
        self.writes.push(Write::Delete { document, version: read.version });
        self
    }

    /// What was read must not have changed when this commits.
    pub fn require<D: Document>(&mut self, read: &Versioned<D>) -> &mut Self {
        let document = DocumentRef::of::<D>(read.value.id());
        self.writes.push(Write::Require { document, version: read.version });
        self
    }

    /// Adds `by` to `field` of document `id` if the sum is at least `at_least`.
    pub fn adjust<D: Document>(
        &mut self,
        id: impl fmt::Display,
        field: &'static str,
        by: i64,
        at_least: i64,
    ) -> &mut Self {
        let document = DocumentRef::of::<D>(id);
        self.writes.push(Write::Adjust { document, field, by, at_least });
        self
    }

    /// Tells that `subject` is now at `sequence` and that `kind` happened to it.
    pub fn event(
        &mut self,
        kind: &str,
        subject: impl fmt::Display,
        sequence: i64,
        data: Vec<u8>,
    ) -> &mut Self {
        self.events.push(Event {
            id: format!("{}/{}", self.id, self.events.len()),
            source: format!("/bistro/{}", self.role),
            kind: kind.to_owned(),
            subject: subject.to_string(),
            time: self.time,
            sequence,
            traceparent: self.traceparent.clone(),
            data,
        });
        self
    }

    /// Sets the timer `name` of document `id` to fire at `at`, moving it if it is set already.
    pub fn timer<D: Document>(
        &mut self,
        id: impl fmt::Display,
        name: &'static str,
        at: Timestamp,
    ) -> &mut Self {
        let document = DocumentRef::of::<D>(id);
        self.timers.push(TimerChange { document, name, at: Some(at) });
        self
    }

    /// Cancels the timer `name` of document `id`, if it is set.
    pub fn cancel_timer<D: Document>(
        &mut self,
        id: impl fmt::Display,
        name: &'static str,
    ) -> &mut Self {
        self.timers.push(TimerChange { document: DocumentRef::of::<D>(id), name, at: None });
        self
    }

    /// Has `steps` done by others after the commit; the outcome comes back under `label`.
    pub fn call(&mut self, label: &str, steps: Vec<CallStep>) -> &mut Self {
        self.calls.push(CallChain {
            id: format!("{}/c{}", self.id, self.calls.len()),
            label: label.to_owned(),
            time: self.time,
            steps,
            traceparent: self.traceparent.clone(),
        });
        self
    }

    /// Stores the answer to the request.
    pub fn reply(&mut self, message: Vec<u8>) -> &mut Self {
        self.reply = message;
        self
    }

    /// The document that carries the mark, the events and the calls.
    #[must_use]
    pub fn anchor(&self) -> Option<&DocumentRef> {
        self.writes.first().map(Write::document)
    }

    /// Whether the Work keeps the contract, so that every engine refuses the same ones.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |why: String| Err(StoreError::Invalid(why));
        let Some(first) = self.writes.first() else {
            return invalid("it writes nothing; acknowledge its cause instead".to_owned());
        };
        let leaves = |write: &Write| {
            matches!(write, Write::Insert { .. } | Write::Replace { .. } | Write::Delete { .. })
        };
        if matches!(self.cause, Cause::Tick { .. }) && !self.writes.iter().any(leaves) {
            return invalid(
                "nothing would tell its second attempt from its first: a tick inserts, replaces or deletes something".to_owned(),
            );
        }
        let carries = self.cause.mark_key().is_some()
            || !(self.events.is_empty() && self.calls.is_empty() && self.timers.is_empty());
        if carries && !matches!(first, Write::Insert { .. } | Write::Replace { .. }) {
            let document = first.document();
            return invalid(format!(
                "its first write, to {document}, cannot carry what it leaves behind: begin with an insert or a replace"
            ));
        }
        for (place, write) in self.writes.iter().enumerate() {
            let document = write.document();
            if document.collection.role != self.role {
                return invalid(format!("{document} does not belong to {}", self.role));
            }
            if self.writes[..place].iter().any(|other| other.document() == document) {
                return invalid(format!("it writes {document} twice"));
            }
            self.check_content(write)?;
        }
        for timer in &self.timers {
            let written = self.writes.iter().any(|write| {
                write.document() == &timer.document
                    && matches!(write, Write::Insert { .. } | Write::Replace { .. })
            });
            if !written {
                return invalid(format!(
                    "it sets a timer of {} without writing it",
                    timer.document
                ));
            }
        }
        let messages = self.events.iter().map(|event| (&event.kind, &event.data));
        let requests = self.calls.iter().flat_map(|call| &call.steps);
        for (what, data) in messages.chain(requests.map(|step| (&step.method, &step.request))) {
            check_size(what, data.len(), MAX_EVENT_BYTES)?;
        }
        Ok(())
    }

    fn check_content(&self, write: &Write) -> Result<(), StoreError> {
        let (Write::Insert { document, data, keys, .. }
        | Write::Replace { document, data, keys, .. }) = write
        else {
            return Ok(());
        };
        check_size(&document.to_string(), data.len(), MAX_DOCUMENT_BYTES)?;
        for (place, (index, _)) in keys.iter().enumerate() {
            if document.collection.index(index).is_none() {
                return Err(StoreError::Invalid(format!("{document} has no index {index}")));
            }
            if keys[..place].iter().any(|(other, _)| other == index) {
                return Err(StoreError::Invalid(format!("{document} has two keys in {index}")));
            }
        }
        let creates = matches!(write, Write::Insert { by_request: true, .. });
        if creates && !matches!(self.cause, Cause::Request { .. }) {
            return Err(StoreError::Invalid(format!("{document} is not made by a request")));
        }
        Ok(())
    }

    /// The oldest mark still kept at the time of this Work.
    #[must_use]
    pub fn oldest_mark(&self) -> Timestamp {
        self.time - crate::MARK_LIFETIME
    }
}

fn check_size(what: &str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes > limit {
        return Err(StoreError::TooLarge { what: what.to_owned(), bytes, limit });
    }
    Ok(())
}

fn encode<D: Document>(document: &DocumentRef, value: &D) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|source| StoreError::Undecodable { document: document.clone(), source })
}

fn hex(bytes: &[u8], count: usize) -> String {
    use fmt::Write as _;
    bytes.iter().take(count).fold(String::with_capacity(count * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
