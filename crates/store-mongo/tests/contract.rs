//! The storage contract's suite against a real MongoDB.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_store::Store;
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::{
    MongoServer,
    suites::store::{COLLECTIONS, StoreFactory},
};

/// Handles with a connection pool of their own each, onto the data that all cases share.
struct Factory {
    options: MongoOptions,
}

impl Factory {
    async fn new() -> Self {
        let server = MongoServer::shared().await.unwrap();
        let mut options = MongoOptions::new(server.url());
        "contract".clone_into(&mut options.database);
        Self { options }
    }
}

impl StoreFactory for Factory {
    const HANDS_EVENTS_OVER: bool = false;

    async fn open(&self) -> Arc<dyn Store> {
        let store = MongoStore::connect(self.options.clone(), COLLECTIONS).await;
        Arc::new(store.unwrap())
    }
}

bistro_testkit::store_contract!(Factory::new().await);
