//! A role's engine over the embedded store and its bus, for the role's own tests.

use std::sync::Arc;

use anyhow::Result;
use bistro_bus_embedded::EmbeddedBus;
use bistro_core::Clock;
use bistro_eventing::{Caller, Engine, Options, Parts};
use bistro_store::Collection;
use bistro_store_embedded::Embedded;
use prometheus::Registry;
use tempfile::TempDir;

/// An engine that commits and whose background tasks were not started, on data that goes away with
/// this value.
pub struct RoleEngine {
    /// The engine.
    pub engine: Engine,
    _data_dir: TempDir,
}

impl RoleEngine {
    /// Opens `collections` of `role`; its calls are made by `caller`, its time is `clock`'s.
    pub fn open(
        role: &'static str,
        collections: &[&'static Collection],
        caller: Arc<dyn Caller>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let data_dir = TempDir::new()?;
        let store = Embedded::open(data_dir.path(), collections, Arc::clone(&clock))?;
        let parts = Parts {
            role,
            store: Arc::new(store.clone()),
            bus: Arc::new(EmbeddedBus::new(store)),
            caller,
            clock,
            options: Options::default(),
        };
        Ok(Self { engine: Engine::new(parts, &Registry::new())?, _data_dir: data_dir })
    }
}
