//! Runs a role's reconcilers every now and then, in one process at a time where that is cheap.

use std::sync::Arc;

use bistro_core::Error;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tracing::{Instrument as _, info_span, warn};

use crate::{Engine, Reactor, Tick, panics::caught};

/// Ticks until the engine stops.
pub(crate) async fn run(
    engine: Engine,
    reactor: Arc<dyn Reactor>,
    tick: Tick,
) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    let holder = format!("{}-{:016x}", std::process::id(), instance(&engine));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(tick.every) => {}
        }
        let (role, now) = (engine.role(), engine.now());
        let lease = engine.store().lease(role, tick.name, &holder, now, tick.every * 2).await;
        match lease {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                warn!(tick = tick.name, %error, "the lease cannot be taken");
                continue;
            }
        }
        let span = info_span!("tick", tick = tick.name);
        let round = caught("the round", reactor.on_tick(tick.name)).instrument(span);
        if let Err(error) = engine.0.tasks.track_future(round).await {
            warn!(tick = tick.name, cause = error.chain(), "a reconciler's round failed");
        }
    }
}

/// Tells the engines of one process, and processes of equal number on two machines, apart.
fn instance(engine: &Engine) -> u64 {
    let place = std::ptr::from_ref(&*engine.0).addr() as u64;
    let now = engine.now().as_millis().cast_unsigned();
    SmallRng::seed_from_u64(place ^ now).random()
}
