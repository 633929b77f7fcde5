//! What every operation shares: the client, the collections, and the gate in front of the pool.

use std::{collections::HashMap, sync::Arc};

use bistro_store::{Collection, StoreError};
use mongodb::{Client, Database, bson::Document};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tracing::Instrument as _;

use crate::{MongoOptions, locks::Locks, settle::Pending};

/// What every operation shares.
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) options: MongoOptions,
    /// The collections that are open, by role.
    pub(crate) roles: HashMap<&'static str, Vec<&'static Collection>>,
    pub(crate) locks: Locks,
    pub(crate) pending: Pending,
    /// As many as there are connections, so that whoever waits for one has sent nothing yet and
    /// can be told so.
    gate: Semaphore,
}

impl Engine {
    pub(crate) fn new(
        client: Client,
        options: MongoOptions,
        collections: &[&'static Collection],
    ) -> Self {
        let mut roles: HashMap<_, Vec<_>> = HashMap::new();
        for collection in collections {
            roles.entry(collection.role).or_default().push(*collection);
        }
        Self {
            database: client.database(&options.database),
            client,
            gate: Semaphore::new(usize::try_from(options.max_pool_size.max(1)).unwrap_or(1)),
            options,
            roles,
            locks: Locks::new(),
            pending: Pending::default(),
        }
    }

    /// The MongoDB collection that holds `collection`.
    pub(crate) fn envelopes(&self, collection: &Collection) -> mongodb::Collection<Document> {
        self.database.collection(&collection.full_name())
    }

    /// The open collections of `role`.
    pub(crate) fn collections(&self, role: &str) -> &[&'static Collection] {
        self.roles.get(role).map_or(&[], Vec::as_slice)
    }

    /// Refuses a collection that was not opened, or not with all of its indexes.
    pub(crate) fn check_open(&self, collection: &Collection) -> Result<(), StoreError> {
        let is_open = |open: &&Collection| {
            open.name == collection.name
                && collection.indexes.iter().all(|index| open.indexes.contains(index))
        };
        if self.collections(collection.role).iter().any(is_open) {
            return Ok(());
        }
        Err(StoreError::Invalid(format!("{} was not opened", collection.full_name())))
    }

    /// Until when an operation that begins now may wait without having sent anything.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.options.operation_timeout / 2
    }

    /// Waits for a connection to be free.
    pub(crate) async fn enter(&self, until: Instant) -> Result<SemaphorePermit<'_>, StoreError> {
        match timeout_at(until, self.gate.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy("every connection to MongoDB is in use")),
        }
    }

    /// Runs a read, and waits for it no longer than the operation timeout.
    ///
    /// Like a commit it runs in a task of its own: a driver's future may not be dropped half-way,
    /// and the caller may be.
    pub(crate) async fn read<T, F>(
        self: &Arc<Self>,
        what: &'static str,
        read: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (engine, reading) = (Arc::clone(self), read(Arc::clone(self)));
        let span = tracing::debug_span!("mongodb", db.operation.name = what);
        let task = tokio::spawn(
            async move {
                let _permit = engine.enter(engine.patience()).await?;
                reading.await
            }
            .instrument(span),
        );
        match tokio::time::timeout(self.options.operation_timeout, task).await {
            Ok(Ok(done)) => done,
            Ok(Err(failed)) => Err(StoreError::not_done("the read was cut off", failed)),
            Err(_) => Err(busy("MongoDB did not answer in time")),
        }
    }
}

/// Nothing was sent, or nothing that changes anything.
pub(crate) fn busy(message: &str) -> StoreError {
    StoreError::NotDone { message: message.to_owned(), source: None }
}
