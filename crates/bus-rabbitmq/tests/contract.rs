//! The messaging contract's suite against a real RabbitMQ.

use std::sync::Arc;

use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::SystemClock;
use bistro_testkit::{
    RabbitServer,
    suites::bus::{BusFactory, MemoryShelf},
};

/// Handles with connections of their own each, onto the shared server, and one shelf for all.
struct Factory {
    url: String,
    shelf: Arc<dyn Shelf>,
}

impl Factory {
    async fn new() -> Self {
        let server = RabbitServer::shared().await.unwrap();
        Self {
            url: server.url(),
            shelf: Arc::new(MemoryShelf::default()),
        }
    }
}

impl BusFactory for Factory {
    async fn open(&self) -> Arc<dyn Bus> {
        let options = RabbitOptions::new(&self.url, "contract", 1).unwrap();
        let shelf = self.shelf.clone();
        let shelves = Arc::new(move |_: &Queue| shelf.clone());
        Arc::new(RabbitBus::start(options, shelves, Arc::new(SystemClock)))
    }
}

bistro_testkit::bus_contract!(Factory::new().await);
