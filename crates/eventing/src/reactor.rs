//! What a role does when it is told something: the functions it gives to its engine.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event};
use bistro_store::{
    CallChain, Document, DocumentRef, DueTimer, OpenCall, Store, StoreError, StoreExt as _, Stored,
    Versioned, Work,
};
use parking_lot::Mutex;

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// The anchor of the Work that made the call.
    pub document: DocumentRef,
    /// The call.
    pub chain: CallChain,
    /// The encoded answers of the steps that were done.
    pub answers: Vec<Vec<u8>>,
    /// Why the step after them was refused; none when all were done.
    pub refused: Option<Error>,
    /// The anchor as the Work left it, until it is shown.
    pub(crate) known: Mutex<Option<Stored>>,
}

impl Outcome {
    /// The anchor of the Work that made the call.
    ///
    /// The first time it may be shown as that Work left it, without a read. If it has changed since,
    /// the reaction's Work meets a conflict, and the reaction runs again with what `store` has. So it
    /// does when it fails, finds nothing to change, or gives a Work that is not held to the version
    /// it was shown: it replaces, deletes or requires something else.
    pub async fn anchor<D: Document>(
        &self,
        store: &dyn Store,
    ) -> Result<Option<Versioned<D>>, StoreError> {
        let known = self.known.lock().take();
        match known {
            Some(stored) => Versioned::read(&stored).map(Some),
            None => store.load(&self.document.id).await,
        }
    }
}

/// What becomes of a call that may have been made before.
#[derive(Debug)]
pub enum Retry {
    /// It is made again, from its first step.
    Make,
    /// It is made again once this is committed.
    After(Box<Work>),
    /// It has had its outcome, and is left alone.
    Leave,
}

impl Retry {
    /// Makes the call again once `work` is committed.
    #[must_use]
    pub fn after(work: Work) -> Self {
        Self::After(Box::new(work))
    }
}

/// Something a role looks after every now and then.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Its name within the role.
    pub name: &'static str,
    /// How often.
    pub every: Duration,
}

/// A role's reactions. Each gets an empty Work with its cause set, reads what it needs, and gives
/// the Work back filled; or `None` when nothing has to change, which settles the cause.
///
/// A reaction has no effect of its own. It may run any number of times for one cause, also at the
/// same time as itself. Events come in any order: a stale one changes nothing, and one that
/// overtakes what it follows leaves a tombstone.
#[async_trait]
pub trait Reactor: Send + Sync + 'static {
    /// An event was delivered to one of the role's queues.
    async fn on_event(&self, _work: Work, event: &Event) -> Result<Option<Work>, Error> {
        Err(unexpected("event", &event.kind))
    }

    /// A timer of one of the role's documents fired. The Work consumes it.
    async fn on_timer(&self, _work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        Err(unexpected("timer", &timer.name))
    }

    /// A call is about to be made that may have been made before: by a process that is lost or is
    /// slow, and may be making it still. An outcome says nothing of such attempts; a role that has
    /// to know of them writes them down here, at the version that the outcome's Work replaces.
    async fn on_retry(&self, _work: Work, _call: &OpenCall) -> Result<Retry, Error> {
        Ok(Retry::Make)
    }

    /// A call has its outcome. The Work closes it.
    async fn on_outcome(&self, _work: Work, outcome: &Outcome) -> Result<Option<Work>, Error> {
        Err(unexpected("outcome", &outcome.chain.label))
    }

    /// What the role looks after.
    fn ticks(&self) -> &'static [Tick] {
        &[]
    }

    /// A tick's round: commits what it finds to mend by itself.
    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        Err(unexpected("tick", tick))
    }
}

fn unexpected(what: &str, name: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("the role has no reaction to the {what} {name}"))
}
