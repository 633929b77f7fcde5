//! The engine's suite on the embedded store and its bus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bistro_bus::Bus;
use bistro_bus_embedded::EmbeddedBus;
use bistro_core::{FixedClock, Timestamp};
use bistro_store::Store;
use bistro_store_embedded::Embedded;
use bistro_testkit::suites::eventing::{COLLECTIONS, EventingFactory};
use tempfile::TempDir;

/// An engine on a data directory of its own.
struct Fixture {
    engine: Embedded,
    clock: Arc<FixedClock>,
    _data_dir: TempDir,
}

impl Fixture {
    fn start() -> Self {
        let data_dir = TempDir::new().unwrap();
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_790_000_000_000)));
        let engine = Embedded::open(data_dir.path(), COLLECTIONS, clock.clone()).unwrap();
        Self { engine, clock, _data_dir: data_dir }
    }
}

impl EventingFactory for Fixture {
    fn clock(&self) -> Arc<FixedClock> {
        self.clock.clone()
    }

    async fn open(&self) -> (Arc<dyn Store>, Arc<dyn Bus>) {
        (Arc::new(self.engine.clone()), Arc::new(EmbeddedBus::new(self.engine.clone())))
    }
}

bistro_testkit::eventing_contract!(Fixture::start());
