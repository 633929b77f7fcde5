//! How many orders are in each state, and how long the oldest has been: which are stuck. And how
//! many somebody has to look at, ended or not.

use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_store::{Key, Query, StoreExt as _};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use crate::{
    documents::{BY_STATE, Order, WITH_PROBLEM},
    state::State,
};

/// Orders that are counted per gauge; a full count says at least this many.
const COUNTED: u32 = 1_000;

pub(crate) struct Gauges {
    open: IntGaugeVec,
    oldest: IntGaugeVec,
    problems: IntGauge,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, Error> {
            let gauge =
                IntGaugeVec::new(Opts::new(name, help), &["state"]).map_err(Error::internal)?;
            registry.register(Box::new(gauge.clone())).map_err(Error::internal)?;
            Ok(gauge)
        };
        let problems = IntGauge::new(
            "bistro_orders_problems",
            "Orders that somebody has to look at, ended or not, at most 1000",
        )
        .map_err(Error::internal)?;
        registry.register(Box::new(problems.clone())).map_err(Error::internal)?;
        Ok(Self {
            open: gauge("bistro_orders_open", "Orders that have not ended, at most 1000 a state")?,
            oldest: gauge(
                "bistro_orders_oldest_age_seconds",
                "How long the oldest order has been in its state, in seconds",
            )?,
            problems,
        })
    }

    pub(crate) async fn refresh(&self, engine: &Engine) -> Result<(), Error> {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        for state in State::ALL.iter().filter(|state| !state.is_end()) {
            let prefix = Key::new().text(state.as_str());
            let query = Query::prefix::<Order>(BY_STATE, &prefix).limit(COUNTED);
            let orders = engine.store().list::<Order>(query).await?.items;
            let ages = orders.iter().map(|order| engine.now().since(order.since()).as_secs());
            let oldest = ages.max().unwrap_or(0);
            let labels = &[state.as_str()];
            self.open.with_label_values(labels).set(number(orders.len()));
            self.oldest.with_label_values(labels).set(i64::try_from(oldest).unwrap_or(i64::MAX));
        }
        let problems = Query::prefix::<Order>(WITH_PROBLEM, &Key::new()).limit(COUNTED);
        self.problems.set(number(engine.store().find(problems).await?.items.len()));
        Ok(())
    }
}
