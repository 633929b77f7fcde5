//! The engine's suite on a real MongoDB and a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::{FixedClock, Timestamp};
use bistro_eventing::StoreShelf;
use bistro_store::Store;
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::{
    MongoServer, RabbitServer,
    suites::{
        self,
        eventing::{COLLECTIONS, EventingFactory, SHELF_COLLECTION},
    },
};

/// A database of its own on the shared servers.
struct Fixture {
    store: MongoOptions,
    bus: String,
    clock: Arc<FixedClock>,
}

impl Fixture {
    async fn start() -> Self {
        let mut store = MongoOptions::new(MongoServer::shared().await.unwrap().url());
        store.database = format!("eventing_{}", suites::nonce());
        let bus = RabbitServer::shared().await.unwrap().url();
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_790_000_000_000)));
        Self { store, bus, clock }
    }
}

impl EventingFactory for Fixture {
    fn clock(&self) -> Arc<FixedClock> {
        self.clock.clone()
    }

    async fn open(&self) -> (Arc<dyn Store>, Arc<dyn Bus>) {
        let store = MongoStore::connect(self.store.clone(), COLLECTIONS).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let shelf: Arc<dyn Shelf> =
            Arc::new(StoreShelf::new(&SHELF_COLLECTION, store.clone(), self.clock.clone()));
        // No case here kills the server.
        let options = RabbitOptions::new(&self.bus, "suite", 7)
            .unwrap()
            .with_poll_interval(Duration::from_millis(50))
            .with_settling(Duration::ZERO);
        let shelves = Arc::new(move |_: &Queue| shelf.clone());
        (store, Arc::new(RabbitBus::start(options, shelves, self.clock.clone())))
    }
}

bistro_testkit::eventing_contract!(Fixture::start().await);
