//! A store that loses the outcome of commits, with and without having done them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Page, Timestamp};
use bistro_store::{
    Backlog, Collection, Committed, DocumentRef, DueTimer, Mark, OpenCall, OutboxEvent, Query,
    Settled, Store, StoreError, Stored, Work,
};
use parking_lot::Mutex;
use rand::{RngExt as _, rngs::StdRng};

/// What becomes of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing goes wrong.
    None,
    /// It is done, and the answer is lost.
    Answer,
    /// It is not done, and nobody can tell.
    Request,
    /// It is not done, and that is said.
    Away,
}

enum Losses {
    Random(Box<StdRng>),
    Script(VecDeque<Loss>),
}

/// A store in front of another one whose commits are lost: at random, two out of three, or as a
/// script says. Reads are not touched.
pub struct Flaky {
    inner: Arc<dyn Store>,
    losses: Mutex<Losses>,
}

impl Flaky {
    /// Loses commits to `inner` as `rng` decides.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, rng: StdRng) -> Self {
        Self { inner, losses: Mutex::new(Losses::Random(Box::new(rng))) }
    }

    /// Loses the first commits to `inner` like this, and none after them.
    #[must_use]
    pub fn scripted(inner: Arc<dyn Store>, losses: impl IntoIterator<Item = Loss>) -> Self {
        Self { inner, losses: Mutex::new(Losses::Script(losses.into_iter().collect())) }
    }

    /// What becomes of the next commit.
    #[must_use]
    pub fn loss(&self) -> Loss {
        match &mut *self.losses.lock() {
            Losses::Random(rng) => match rng.random_range(0..3) {
                0 => Loss::None,
                1 => Loss::Answer,
                _ => Loss::Request,
            },
            Losses::Script(losses) => losses.pop_front().unwrap_or(Loss::None),
        }
    }

    /// Commits with this loss; a lost request or answer is reported as [`StoreError::Unknown`].
    pub async fn commit_with(&self, work: Work, loss: Loss) -> Result<Committed, StoreError> {
        if loss == Loss::Away {
            let message = "the store is away".to_owned();
            return Err(StoreError::NotDone { message, source: None });
        }
        if loss == Loss::Request {
            return Err(unknown("the request was lost"));
        }
        let done = self.inner.commit(work).await;
        if loss == Loss::Answer {
            return Err(unknown("the answer was lost"));
        }
        done
    }
}

fn unknown(message: &str) -> StoreError {
    StoreError::Unknown { message: message.to_owned(), source: None }
}

#[async_trait]
impl Store for Flaky {
    fn publishes_at_commit(&self) -> bool {
        self.inner.publishes_at_commit()
    }

    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        self.inner.get(collection, id).await
    }

    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        self.inner.get_many(collection, ids).await
    }

    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError> {
        self.inner.find(query).await
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        let loss = self.loss();
        self.commit_with(work, loss).await
    }

    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        self.inner.mark(document, mark_key).await
    }

    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        self.inner.mark_of_request(collection, mark_key).await
    }

    async fn due_timers(
        &self,
        role: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTimer>, StoreError> {
        self.inner.due_timers(role, now, limit).await
    }

    async fn open_calls(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCall>, StoreError> {
        self.inner.open_calls(role, before, limit).await
    }

    async fn unpublished(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        self.inner.unpublished(role, before, limit).await
    }

    async fn settle(&self, settled: Vec<Settled>) -> Result<(), StoreError> {
        self.inner.settle(settled).await
    }

    async fn lease(
        &self,
        role: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        self.inner.lease(role, name, holder, now, lifetime).await
    }

    async fn backlog(&self, role: &str) -> Result<Backlog, StoreError> {
        self.inner.backlog(role).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
