//! The messaging contract's suite on the embedded bus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_bus::Bus;
use bistro_bus_embedded::EmbeddedBus;
use bistro_core::SystemClock;
use bistro_store_embedded::Embedded;
use bistro_testkit::suites::bus::BusFactory;
use tempfile::TempDir;

/// A bus on a data directory of its own.
struct Fixture {
    bus: EmbeddedBus,
    _data_dir: TempDir,
}

impl Fixture {
    fn start() -> Self {
        let data_dir = TempDir::new().unwrap();
        let engine = Embedded::open(data_dir.path(), &[], Arc::new(SystemClock)).unwrap();
        Self { bus: EmbeddedBus::new(engine), _data_dir: data_dir }
    }
}

impl BusFactory for Fixture {
    async fn open(&self) -> Arc<dyn Bus> {
        Arc::new(self.bus.clone())
    }
}

bistro_testkit::bus_contract!(Fixture::start());
