//! Opens the engines that the configuration names.

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, Queue};
use bistro_bus_embedded::EmbeddedBus;
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_config::{Config, SecretUrl};
use bistro_core::{Clock, Error, ErrorCode};
use bistro_eventing::{SHELF, StoreShelf};
use bistro_store::{Collection, Store};
use bistro_store_embedded::Embedded;
use bistro_store_mongo::{MongoOptions, MongoStore};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::roles;

/// Between two attempts to reach a broker that does not answer yet.
const PAUSE: Duration = Duration::from_millis(500);

/// The engines of this process.
pub(crate) struct Backends {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    embedded: Option<Embedded>,
}

impl Backends {
    /// Opens them for `collections`. `name` is what the servers' own tools call this process.
    pub(crate) async fn open(
        config: &Config,
        collections: &[&'static Collection],
        clock: &Arc<dyn Clock>,
        name: &str,
    ) -> Result<Self, Error> {
        match (&config.store, &config.bus) {
            (bistro_config::Store::Mongodb(store), bistro_config::Bus::Amqp(bus)) => {
                servers(config, store, bus, collections, clock, name).await
            }
            // The configuration only lets matching pairs through.
            _ => embedded(config, collections, clock),
        }
    }

    /// Declares the queues of every role; a broker that does not answer yet is given `patience`.
    pub(crate) async fn declare_queues(&self, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        loop {
            let Err(error) = self.bus.declare(&roles::queues()).await else { return Ok(()) };
            let error = Error::from(error);
            if error.code() != ErrorCode::Unavailable || Instant::now() >= deadline {
                return Err(error);
            }
            warn!(cause = error.chain(), "the queues cannot be declared yet");
            sleep(PAUSE).await;
        }
    }

    /// Writes out what is left to write, and lets the data go.
    pub(crate) async fn close(self) {
        drop(self.store);
        drop(self.bus);
        if let Some(engine) = self.embedded {
            engine.close().await;
        }
    }
}

fn embedded(
    config: &Config,
    collections: &[&'static Collection],
    clock: &Arc<dyn Clock>,
) -> Result<Backends, Error> {
    let engine = Embedded::open(&config.data_dir, collections, Arc::clone(clock))
        .map_err(|cause| Error::new(ErrorCode::Unavailable, cause.to_string()).caused_by(cause))?;
    Ok(Backends {
        store: Arc::new(engine.clone()),
        bus: Arc::new(EmbeddedBus::new(engine.clone())),
        embedded: Some(engine),
    })
}

async fn servers(
    config: &Config,
    store: &SecretUrl,
    bus: &SecretUrl,
    collections: &[&'static Collection],
    clock: &Arc<dyn Clock>,
    name: &str,
) -> Result<Backends, Error> {
    let options = MongoOptions {
        database: config.store_options.database.clone(),
        max_pool_size: config.store_options.max_pool_size,
        min_pool_size: config.store_options.min_pool_size,
        server_selection_timeout: config.store_options.server_selection_timeout,
        ..MongoOptions::new(store.expose())
    };
    let store: Arc<dyn Store> = Arc::new(MongoStore::connect(options, collections).await?);
    // Processes reconnect at different moments when each has a seed of its own.
    let seed = u64::from(std::process::id()) ^ clock.now().as_millis().cast_unsigned();
    let options = RabbitOptions::new(bus.expose(), name, seed)
        .map_err(|cause| Error::new(ErrorCode::InvalidArgument, cause.to_string()))?
        .with_publish_timeout(config.bus_options.confirm_timeout);
    let shelves = {
        let (store, clock) = (Arc::clone(&store), Arc::clone(clock));
        Arc::new(move |queue: &Queue| {
            let collection = shelf_of(queue.role);
            Arc::new(StoreShelf::new(collection, Arc::clone(&store), Arc::clone(&clock)))
                as Arc<dyn bistro_bus::Shelf>
        })
    };
    let bus = Arc::new(RabbitBus::start(options, shelves, Arc::clone(clock)));
    Ok(Backends { store, bus, embedded: None })
}

/// The shelf of `role`.
///
/// # Panics
/// If a role has a queue and no shelf: a mistake in its table row, found by the first test.
fn shelf_of(role: &str) -> &'static Collection {
    let row = roles::TABLE.iter().find(|row| row.name == role);
    let shelf = row.and_then(|row| row.collections.iter().find(|one| one.name == SHELF));
    #[expect(clippy::expect_used, reason = "a test checks every row of the table")]
    shelf.expect("a role with a queue has a shelf")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_role_with_a_queue_has_a_shelf() {
        for queue in crate::roles::queues() {
            assert_eq!(super::shelf_of(queue.role).role, queue.role);
        }
    }
}
