//! Processes that use the embedded engine are killed: nothing acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_core::SystemClock;
use bistro_store::Store;
use bistro_store_embedded::Embedded;
use bistro_testkit::suites::store::COLLECTIONS;
use tempfile::TempDir;

fn place() -> (String, TempDir) {
    let data_dir = TempDir::new().unwrap();
    (data_dir.path().display().to_string(), data_dir)
}

async fn open(place: String) -> Arc<dyn Store> {
    Arc::new(Embedded::open(place, COLLECTIONS, Arc::new(SystemClock)).unwrap())
}

bistro_testkit::store_crash!(place(), open);
