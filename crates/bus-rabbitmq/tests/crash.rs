//! Processes that use RabbitMQ, and RabbitMQ itself, are killed, halted and cut off.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::SystemClock;
use bistro_testkit::{RabbitServer, suites::bus::MemoryShelf};

async fn place() -> (String, ()) {
    let server = RabbitServer::shared().await.unwrap();
    (server.url(), ())
}

/// One shelf for the whole process, as a role's store would be.
async fn open(url: String) -> Arc<dyn Bus> {
    static SHELF: OnceLock<Arc<dyn Shelf>> = OnceLock::new();
    let shelf = SHELF.get_or_init(|| Arc::new(MemoryShelf::default()));
    let shelves = Arc::new(|_: &Queue| shelf.clone());
    // Cases that kill the server wait by themselves until a new queue outlives it.
    let options = RabbitOptions::new(&url, "crash", 1).unwrap().with_settling(Duration::ZERO);
    Arc::new(RabbitBus::start(options, shelves, Arc::new(SystemClock)))
}

bistro_testkit::bus_crash!(place().await, open);
bistro_testkit::bus_outage!(RabbitServer, open);
