//! How many tickets wait for somebody who is not a cook, and for how long: cancelled ones that nobody
//! has acknowledged, and food that nobody has come for.

use std::time::Duration;

use bistro_core::Error;
use bistro_eventing::{Engine, Tick};
use bistro_store::{Key, Query, StoreExt as _};
use prometheus::{IntGauge, Registry};

use crate::ticket::{READY, Ticket, UNSEEN};

/// When they are counted.
pub(crate) const TICK: Tick = Tick { name: "gauges", every: Duration::from_secs(15) };
/// Tickets that are counted per gauge; a full count says at least this many.
const COUNTED: u32 = 1_000;

/// How many, and the age of the oldest.
struct Waiting {
    count: IntGauge,
    oldest: IntGauge,
}

pub(crate) struct Gauges {
    unseen: Waiting,
    ready: Waiting,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, Error> {
            let gauge = IntGauge::new(name, help).map_err(Error::internal)?;
            registry.register(Box::new(gauge.clone())).map_err(Error::internal)?;
            Ok(gauge)
        };
        Ok(Self {
            unseen: Waiting {
                count: gauge(
                    "bistro_kitchen_unacknowledged_tickets",
                    "Cancelled tickets that nobody has acknowledged, at most 1000",
                )?,
                oldest: gauge(
                    "bistro_kitchen_unacknowledged_age_seconds",
                    "How long ago the oldest of them was cancelled, in seconds",
                )?,
            },
            ready: Waiting {
                count: gauge(
                    "bistro_kitchen_ready_tickets",
                    "Tickets whose food is ready and not known to have left, at most 1000",
                )?,
                oldest: gauge(
                    "bistro_kitchen_ready_age_seconds",
                    "How long the oldest of them has been as it is, in seconds",
                )?,
            },
        })
    }

    pub(crate) async fn refresh(&self, engine: &Engine) -> Result<(), Error> {
        self.unseen.refresh(engine, UNSEEN).await?;
        self.ready.refresh(engine, READY).await
    }
}

impl Waiting {
    /// Counts what is in `index`, whose keys are the times of last changes.
    async fn refresh(&self, engine: &Engine, index: &'static str) -> Result<(), Error> {
        let query = Query::prefix::<Ticket>(index, &Key::new()).limit(COUNTED);
        let found = engine.store().list::<Ticket>(query).await?.items;
        let oldest = found.first().map_or(0, |one| engine.now().since(one.changed_at).as_secs());
        self.count.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        self.oldest.set(i64::try_from(oldest).unwrap_or(i64::MAX));
        Ok(())
    }
}

#[cfg(test)]
impl Gauges {
    /// Count and age of what is unacknowledged, and of what is ready.
    pub(crate) fn shown(&self) -> [(i64, i64); 2] {
        [&self.unseen, &self.ready].map(|one| (one.count.get(), one.oldest.get()))
    }
}
