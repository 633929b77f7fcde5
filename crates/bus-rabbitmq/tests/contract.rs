//! The messaging contract's suite on a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::{Clock as _, SystemClock};
use bistro_testkit::{
    RabbitServer,
    suites::bus::{BusFactory, MemoryShelf},
};

/// Handles on one server that share a shelf.
struct Fixture {
    url: String,
    shelf: Arc<dyn Shelf>,
}

impl Fixture {
    async fn start() -> Self {
        Self {
            url: RabbitServer::shared().await.unwrap().url(),
            shelf: Arc::new(MemoryShelf::default()),
        }
    }
}

impl BusFactory for Fixture {
    async fn open(&self) -> Arc<dyn Bus> {
        let seed = SystemClock.now().as_millis().cast_unsigned();
        // No case here kills the server.
        let options =
            RabbitOptions::new(&self.url, "suite", seed).unwrap().with_settling(Duration::ZERO);
        let common = self.shelf.clone();
        let shelves = Arc::new(move |_: &Queue| common.clone());
        Arc::new(RabbitBus::start(options, shelves, Arc::new(SystemClock)))
    }
}

bistro_testkit::bus_contract!(Fixture::start().await);
