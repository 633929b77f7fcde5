//! Looks every now and then at what waits in a role's queues, for its gauges.

use std::time::Duration;

use bistro_bus::{BusError, Depth};
use bistro_core::{Error, Timestamp};
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::Engine;

/// How long one queue may take to be counted.
const PATIENCE: Duration = Duration::from_secs(10);
/// Looking takes at most one part in this many of the time: when much waits, counting it is dear.
const SHARE: u32 = 20;

/// Looks until the engine stops.
pub(crate) async fn run(engine: Engine, queues: Vec<&'static str>) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    let mut oldest_parked = None;
    loop {
        let began = Instant::now();
        match look(&engine, &queues).await {
            Ok(depth) => {
                engine.0.metrics.parked.set(gauge(depth.parked));
                engine.0.metrics.dead.set(gauge(depth.dead));
                oldest_parked = depth.oldest_parked;
            }
            // The gauges keep what was seen last: a part of it would be less than there is.
            Err(error) => debug!(%error, "what waits cannot be counted"),
        }
        let age = age(engine.now(), oldest_parked);
        engine.0.metrics.parked_age.set(age);
        let pause = engine.options().gauge_interval.max(began.elapsed() * SHARE);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What waits in all of `queues`.
async fn look(engine: &Engine, queues: &[&str]) -> Result<Depth, BusError> {
    let mut all = Depth::default();
    for queue in queues {
        let late = |late| BusError::not_done(format!("{queue} was not counted in time"), late);
        let depth = timeout(PATIENCE, engine.bus().depth(queue)).await.map_err(late)??;
        all.ready += depth.ready;
        all.parked += depth.parked;
        all.dead += depth.dead;
        all.oldest_parked = all.oldest_parked.into_iter().chain(depth.oldest_parked).min();
    }
    Ok(all)
}

/// Whole seconds since `oldest`; 0 when there is nothing.
pub(crate) fn age(now: Timestamp, oldest: Option<Timestamp>) -> i64 {
    oldest.map_or(0, |oldest| gauge(now.since(oldest).as_secs()))
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
