//! The store itself: opening it, and each promise of the contract handed to who keeps it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Page, Timestamp};
use bistro_store::{
    Backlog, Collection, Committed, DocumentRef, DueTimer, Mark, OpenCall, OutboxEvent, Query,
    Settled, Store, StoreError, Stored, Work,
};
use mongodb::{
    Client,
    bson::{Document, doc},
};

use crate::{
    MongoOptions, commit,
    engine::Engine,
    envelope::date,
    error::{DriverError, is_duplicate, of_read},
    index, outbox, read, settle,
};

/// The oldest server whose update expressions and transactions this engine is tried with.
const OLDEST_SERVER: i32 = 5;

/// [`Store`] on MongoDB.
///
/// Handles are cheap to clone and share one connection pool. The collections of a role live in
/// one database, each in the MongoDB collection `<role>.<name>`.
///
/// Beyond the contract: the counts of [`Store::backlog`] stop at the ten thousand most urgent
/// documents of each collection. Callers that settle events at the same time share one statement,
/// so that a publisher is fastest when it settles many events with one call, or from many tasks.
#[derive(Clone)]
pub struct MongoStore {
    engine: Arc<Engine>,
}

impl MongoStore {
    /// Connects, and makes the indexes of `collections` that are not there yet.
    ///
    /// Fails when there is no primary within the server selection timeout, when the server is
    /// older than MongoDB 5, or when it is not a member of a replica set (one member will do),
    /// without which there are no transactions.
    pub async fn connect(
        options: MongoOptions,
        collections: &[&'static Collection],
    ) -> Result<Self, StoreError> {
        let client = Client::with_options(options.to_client().await?)
            .map_err(|error| DriverError::from(&error).not_done("MongoDB cannot be used"))?;
        let engine = Arc::new(Engine::new(client, options, collections));
        check_server(&engine).await?;
        index::make(&engine, collections).await?;
        Ok(Self { engine })
    }
}

async fn check_server(engine: &Engine) -> Result<(), StoreError> {
    let admin = engine.client.database("admin");
    let ask =
        async |command: Document| admin.run_command(command).await.map_err(|error| of_read(&error));
    let refused = |message: String| StoreError::NotDone { message, source: None };
    let hello = ask(doc! { "hello": 1 }).await?;
    let sharded = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if !sharded && !hello.contains_key("setName") {
        return Err(refused(
            "MongoDB is not a replica set; start it with --replSet and initiate it (one member will do)"
                .to_owned(),
        ));
    }
    let build = ask(doc! { "buildInfo": 1 }).await?;
    let version = build.get_str("version").unwrap_or("0").to_owned();
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.unwrap_or(0) < OLDEST_SERVER {
        return Err(refused(format!(
            "MongoDB {version} is too old; the oldest that will do is {OLDEST_SERVER}.0"
        )));
    }
    Ok(())
}

#[async_trait]
impl Store for MongoStore {
    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let id = id.to_owned();
        self.engine.read("get", |engine| read::get(engine, collection, id)).await
    }

    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        let ids = ids.to_vec();
        self.engine.read("get_many", |engine| read::get_many(engine, collection, ids)).await
    }

    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError> {
        self.engine.read("find", |engine| read::find(engine, query)).await
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        commit::commit(Arc::clone(&self.engine), work).await
    }

    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let (document, key) = (document.clone(), mark_key.to_owned());
        self.engine.read("mark", |engine| read::mark(engine, document, key)).await
    }

    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let key = mark_key.to_owned();
        let read = |engine| read::mark_of_request(engine, collection, key);
        self.engine.read("mark_of_request", read).await
    }

    async fn due_timers(
        &self,
        role: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTimer>, StoreError> {
        let role = role.to_owned();
        let read = |engine| outbox::due_timers(engine, role, now, limit);
        self.engine.read("due_timers", read).await
    }

    async fn open_calls(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCall>, StoreError> {
        let role = role.to_owned();
        let read = |engine| outbox::open_calls(engine, role, before, limit);
        self.engine.read("open_calls", read).await
    }

    async fn unpublished(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        // What is settled here is not to be given out again.
        settle::sweep(&self.engine).await?;
        let role = role.to_owned();
        let read = |engine| outbox::unpublished(engine, role, before, limit);
        self.engine.read("unpublished", read).await
    }

    async fn settle(&self, settled: Vec<Settled>) -> Result<(), StoreError> {
        settle::settle(&self.engine, settled).await
    }

    async fn lease(
        &self,
        role: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        let leases = format!("{role}.leases");
        let mine_or_over = doc! {
            "_id": name,
            "$or": [{ "holder": holder }, { "until": { "$lte": date(now) } }],
        };
        let take = doc! { "$set": { "holder": holder, "until": date(now + lifetime) } };
        let take = async move |engine: Arc<Engine>| {
            let leases = engine.database.collection::<Document>(&leases);
            match leases.update_one(mine_or_over, take).upsert(true).await {
                Ok(_) => Ok(true),
                // It is there, and the filter did not let the update see it.
                Err(error) if is_duplicate(&error) => Ok(false),
                Err(error) => Err(of_read(&error)),
            }
        };
        self.engine.read("lease", take).await
    }

    async fn backlog(&self, role: &str) -> Result<Backlog, StoreError> {
        settle::sweep(&self.engine).await?;
        let role = role.to_owned();
        self.engine.read("backlog", |engine| outbox::backlog(engine, role)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.engine.read("ping", ping).await
    }
}

/// Asks for a primary, which is what takes commits.
async fn ping(engine: Arc<Engine>) -> Result<(), StoreError> {
    let hello = engine.database.run_command(doc! { "hello": 1 }).await;
    let hello = hello.map_err(|error| of_read(&error))?;
    if hello.get_bool("isWritablePrimary").unwrap_or(false) {
        return Ok(());
    }
    Err(StoreError::NotDone {
        message: "MongoDB has no primary that takes commits".to_owned(),
        source: None,
    })
}
