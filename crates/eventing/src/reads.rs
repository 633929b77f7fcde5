//! Counts what a role reads of its store: reads cost nearly as much as commits where the store is a
//! server, and nobody sees one that was added.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Page, Timestamp};
use bistro_store::{
    Backlog, Collection, Committed, DocumentRef, DueTimer, Mark, OpenCall, OutboxEvent, Query,
    Settled, Store, StoreError, Stored, Work,
};
use prometheus::{IntCounter, IntCounterVec};

/// Every word of the label.
pub(crate) const OPERATIONS: &[&str] = &["get", "get_many", "find", "mark"];

/// A store whose reads are counted; otherwise it is the store.
pub(crate) struct Counted {
    store: Arc<dyn Store>,
    get: IntCounter,
    get_many: IntCounter,
    find: IntCounter,
    mark: IntCounter,
}

impl Counted {
    /// Counts what is read of `store`, by operation.
    pub(crate) fn new(store: Arc<dyn Store>, reads: &IntCounterVec) -> Self {
        let of = |operation: &str| reads.with_label_values(&[operation]);
        let (get, get_many) = (of("get"), of("get_many"));
        Self { store, get, get_many, find: of("find"), mark: of("mark") }
    }
}

#[async_trait]
impl Store for Counted {
    fn publishes_at_commit(&self) -> bool {
        self.store.publishes_at_commit()
    }

    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        self.get.inc();
        self.store.get(collection, id).await
    }

    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        self.get_many.inc();
        self.store.get_many(collection, ids).await
    }

    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError> {
        self.find.inc();
        self.store.find(query).await
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        self.store.commit(work).await
    }

    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        self.mark.inc();
        self.store.mark(document, mark_key).await
    }

    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        self.mark.inc();
        self.store.mark_of_request(collection, mark_key).await
    }

    async fn due_timers(
        &self,
        role: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTimer>, StoreError> {
        self.store.due_timers(role, now, limit).await
    }

    async fn open_calls(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCall>, StoreError> {
        self.store.open_calls(role, before, limit).await
    }

    async fn unpublished(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        self.store.unpublished(role, before, limit).await
    }

    async fn settle(&self, settled: Vec<Settled>) -> Result<(), StoreError> {
        self.store.settle(settled).await
    }

    async fn lease(
        &self,
        role: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        self.store.lease(role, name, holder, now, lifetime).await
    }

    async fn backlog(&self, role: &str) -> Result<Backlog, StoreError> {
        self.store.backlog(role).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}
