//! Killed, halted and cut off: the outage and crash suites on a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::{Clock as _, SystemClock};
use bistro_testkit::{RabbitServer, suites::bus::MemoryShelf};

/// Every handle of this process has the same shelf; names in it are those of one case's queues.
/// The crash suite parks nothing, so its clients need not share one.
static SHELF: LazyLock<Arc<MemoryShelf>> = LazyLock::new(Arc::default);

async fn open(url: String) -> Arc<dyn Bus> {
    let seed = SystemClock.now().as_millis().cast_unsigned();
    let options = RabbitOptions::new(&url, "suite", seed).unwrap();
    let shelves = Arc::new(|_: &Queue| SHELF.clone() as Arc<dyn Shelf>);
    let clock = Arc::new(SystemClock);
    Arc::new(RabbitBus::start(options, shelves, clock))
}

async fn place() -> (String, RabbitServer) {
    let server = RabbitServer::start().await.unwrap();
    (server.url(), server)
}

bistro_testkit::bus_outage!(RabbitServer, open);
bistro_testkit::bus_crash!(place().await, open);
