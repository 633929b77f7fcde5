//! Processes that use the embedded bus are killed: nothing acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_bus::Bus;
use bistro_bus_embedded::EmbeddedBus;
use bistro_core::SystemClock;
use bistro_store_embedded::Embedded;
use tempfile::TempDir;

fn place() -> (String, TempDir) {
    let data_dir = TempDir::new().unwrap();
    (data_dir.path().display().to_string(), data_dir)
}

async fn open(place: String) -> Arc<dyn Bus> {
    let engine = Embedded::open(place, &[], Arc::new(SystemClock)).unwrap();
    Arc::new(EmbeddedBus::new(engine))
}

bistro_testkit::bus_crash!(place(), open);
