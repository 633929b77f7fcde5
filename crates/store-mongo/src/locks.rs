//! Locks that let Works of this process take turns at a document that many of them touch.
//!
//! MongoDB undoes a transaction that meets another one at a document, so that a crowd at one
//! document would spend itself on being undone. Taking turns in this process leaves only the
//! other processes to meet. Nothing rests on these locks but speed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bistro_store::DocumentRef;
use tokio::sync::{Mutex, MutexGuard};

/// Enough for two busy documents to share one rarely.
const STRIPES: usize = 1024;

/// One lock for each of a fixed number of sets of documents.
pub(crate) struct Locks(Vec<Mutex<()>>);

impl Locks {
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }

    /// Waits, in the order of asking, until it is this caller's turn at all of `documents`.
    pub(crate) async fn acquire<'a>(
        &self,
        documents: impl Iterator<Item = &'a DocumentRef>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let mut stripes: Vec<usize> = documents.map(stripe).collect();
        // One order for all, or two callers could wait for each other.
        stripes.sort_unstable();
        stripes.dedup();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.0[stripe].lock().await);
        }
        guards
    }
}

fn stripe(document: &DocumentRef) -> usize {
    let mut hasher = DefaultHasher::new();
    (document.collection.role, document.collection.name).hash(&mut hasher);
    document.id.hash(&mut hasher);
    usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0)
}
