//! The contract that every storage engine keeps.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Page, Timestamp};

use crate::{
    Backlog, Collection, DocumentRef, DueTimer, OpenCall, OutboxEvent, Query, Settled, StoreError,
    Stored, Work,
};

/// How long a mark is kept at least: longer than any parked message or dead letter may wait.
pub const MARK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// That a cause has had its effect, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stored answer; empty when there was none.
    pub reply: Vec<u8>,
    /// The hash of the request's body; empty when the cause was not a request.
    pub body_hash: String,
    /// The anchor.
    pub document: DocumentRef,
}

/// What became of a commit that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it happened now.
    Applied,
    /// It, or another Work of the same cause, had happened before; nothing was changed now.
    AlreadyDone(Mark),
}

/// An engine that keeps documents.
///
/// # Guarantees
/// * **Atomic.** All of a Work happens or none of it, at one moment, for every reader.
/// * **Durable.** What `commit` reports survives the loss of the process, and of the machine's
///   power as far as the disk keeps what it says it flushed.
/// * **At most once.** Committing Works of one cause has one effect: the first. Each later commit
///   returns [`Committed::AlreadyDone`] with the first one's answer, also when it decided
///   something else, and also when the first one's outcome was [`StoreError::Unknown`].
/// * **Guarded.** A Work commits only if each `Replace`, `Delete` and `Require` finds its version,
///   each `Insert` finds nothing, each `Adjust` keeps its guard, and no unique index gets a second
///   document with one key. Otherwise it fails as a whole. The check of the mark comes first.
/// * **No write skew through `Require`.** Of two Works that each require what the other one
///   changes, one fails.
/// * **Adjust does not wait for luck.** Any number of concurrent adjustments of one document all
///   succeed while their guards hold; it raises the version, so that a concurrent `Replace` fails.
/// * **Reads are committed reads**, and a process reads what it has seen committed.
/// * **Lists are stable.** A page begins exactly after the row its cursor names, whatever came or
///   went meanwhile; a row that stays, and keeps its key, is given exactly once.
/// * **Nothing is left half-told.** The events, calls and timers of a Work exist if and only if
///   its writes do. They are given by `unpublished`, `open_calls` and `due_timers` until settled.
///   An engine whose messaging shares its file hands events over at the commit and gives none.
///
/// # Cancellation
/// Dropping the future of `commit` leaves the outcome unknown, not the engine inconsistent.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether a commit hands its events to the queues by itself, so that nothing has to publish
    /// them.
    fn publishes_at_commit(&self) -> bool {
        false
    }

    /// The document, if it is there.
    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError>;

    /// The documents that are there among `ids`, in the order of `ids`.
    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError>;

    /// One page of a list.
    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError>;

    /// Does all of `work`, or none of it.
    async fn commit(&self, work: Work) -> Result<Committed, StoreError>;

    /// The mark that a cause with this [`crate::Cause::mark_key`] left in `document`.
    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError>;

    /// The mark of the request that made a document of `collection` by [`Work::insert_new`].
    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError>;

    /// Timers of `role` that are due at `now`, the most overdue first.
    async fn due_timers(
        &self,
        role: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTimer>, StoreError>;

    /// Calls of `role` made before `before` that are not closed, oldest first.
    async fn open_calls(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCall>, StoreError>;

    /// Events of `role` told before `before` that are not settled, oldest first.
    async fn unpublished(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError>;

    /// Forgets what is dealt with. Changes no version; what is gone already is no error. Another
    /// handle may still be given a settled event for a moment.
    async fn settle(&self, settled: Vec<Settled>) -> Result<(), StoreError>;

    /// Takes or renews the lease `name` of `role` for `holder`; false while another holds it.
    /// For efficiency only: nothing may rely on there being one holder.
    async fn lease(
        &self,
        role: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<bool, StoreError>;

    /// What `role` has left undone.
    async fn backlog(&self, role: &str) -> Result<Backlog, StoreError>;

    /// Whether the engine answers and would take a commit now.
    async fn ping(&self) -> Result<(), StoreError>;
}
