//! Processes that use MongoDB, and MongoDB itself, are killed, halted and cut off.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_store::Store;
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::{
    MongoServer,
    suites::{nonce, store::COLLECTIONS},
};

/// The server's URL and a database of its own.
async fn place() -> (String, ()) {
    let server = MongoServer::shared().await.unwrap();
    (format!("{} crash-{}", server.url(), nonce()), ())
}

async fn open(place: String) -> Arc<dyn Store> {
    let (url, database) = place.split_once(' ').unwrap();
    connect(url, database).await
}

async fn open_url(url: String) -> Arc<dyn Store> {
    connect(&url, "outage").await
}

async fn connect(url: &str, database: &str) -> Arc<dyn Store> {
    let mut options = MongoOptions::new(url);
    database.clone_into(&mut options.database);
    Arc::new(MongoStore::connect(options, COLLECTIONS).await.unwrap())
}

bistro_testkit::store_crash!(place().await, open);
bistro_testkit::store_outage!(MongoServer, open_url);
