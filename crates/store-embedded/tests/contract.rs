//! The storage contract's suite on the embedded engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_core::SystemClock;
use bistro_store::Store;
use bistro_store_embedded::Embedded;
use bistro_testkit::suites::store::{COLLECTIONS, StoreFactory};
use tempfile::TempDir;

/// An engine on a data directory of its own.
struct Fixture {
    engine: Embedded,
    _data_dir: TempDir,
}

impl Fixture {
    fn start() -> Self {
        let data_dir = TempDir::new().unwrap();
        let engine = Embedded::open(data_dir.path(), COLLECTIONS, Arc::new(SystemClock)).unwrap();
        Self { engine, _data_dir: data_dir }
    }
}

impl StoreFactory for Fixture {
    const HANDS_EVENTS_OVER: bool = true;

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.engine.clone())
    }
}

bistro_testkit::store_contract!(Fixture::start());
