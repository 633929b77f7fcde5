//! The engines without the platform: for what is stored behind its back, and for bare loops.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use bistro_bus::{Bus, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::SystemClock;
use bistro_eventing::{StoreShelf, shelf_collection};
use bistro_store::{Collection, Store};
use bistro_store_embedded::Embedded;
use bistro_store_mongo::{MongoOptions, MongoStore};

use crate::{collections, platform::Platform};

/// The shelf of the bare loop, which nothing is put on: it consumes nothing.
static SHELF: Collection = shelf_collection("orders");

/// Where an engine is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A data directory that nobody else has open.
    Embedded(PathBuf),
    /// The URLs of MongoDB and RabbitMQ, and the database.
    Servers { mongo: String, database: String, rabbit: String },
}

/// An open engine.
pub(crate) struct Open {
    pub(crate) store: Arc<dyn Store>,
    /// None where a commit publishes.
    pub(crate) bus: Option<Arc<dyn Bus>>,
    embedded: Option<Embedded>,
}

impl Place {
    /// Where `platform` keeps its data, when it does not run; or, with `database`, a place beside it.
    pub(crate) fn of(platform: &Platform, database: &str) -> Self {
        match platform.servers() {
            None => Self::Embedded(platform.data_dir(database)),
            Some(servers) => Self::Servers {
                mongo: servers.mongo.url(),
                database: database.to_owned(),
                rabbit: servers.rabbit.url(),
            },
        }
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<Open> {
        let collections = collections::all();
        match self {
            Self::Embedded(folder) => {
                let engine = Embedded::open(folder, &collections, Arc::new(SystemClock))
                    .context("the embedded engine cannot be opened")?;
                Ok(Open { store: Arc::new(engine.clone()), bus: None, embedded: Some(engine) })
            }
            Self::Servers { mongo, database, rabbit } => {
                let options =
                    MongoOptions { database: database.clone(), ..MongoOptions::new(mongo) };
                let store: Arc<dyn Store> = Arc::new(
                    MongoStore::connect(options, &collections)
                        .await
                        .context("MongoDB cannot be used")?,
                );
                let options = RabbitOptions::new(rabbit, "bistro-bench", 1)
                    .context("RabbitMQ cannot be used")?;
                let shelves = {
                    let store = Arc::clone(&store);
                    Arc::new(move |_: &Queue| {
                        Arc::new(StoreShelf::new(&SHELF, Arc::clone(&store), Arc::new(SystemClock)))
                            as Arc<dyn Shelf>
                    })
                };
                let bus = RabbitBus::start(options, shelves, Arc::new(SystemClock));
                bus.declare(&[]).await.context("RabbitMQ cannot be used")?;
                Ok(Open { store, bus: Some(Arc::new(bus)), embedded: None })
            }
        }
    }
}

impl Open {
    /// Writes out what is left to write, and lets the data go.
    pub(crate) async fn close(self) {
        drop(self.store);
        if let Some(engine) = self.embedded {
            engine.close().await;
        }
    }
}

/// Runs `job` on a runtime of its own with as many threads as a platform has, and waits for it.
pub(crate) async fn on_all_processors<T: Send + 'static>(
    job: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let run = || tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(job);
    tokio::task::spawn_blocking(run).await.context("a measurement failed")?
}
