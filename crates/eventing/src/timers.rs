//! Fires due timers: each causes one Work that consumes it.

use std::sync::Arc;

use bistro_core::Error;
use bistro_store::{Cause, DueTimer, Settled, StoreError};
use tracing::{Instrument as _, info_span, warn};

use crate::{Engine, Reactor, failpoint};

/// Timers taken up at once.
const BATCH: u32 = 128;

/// Fires timers until the engine stops.
pub(crate) async fn run(engine: Engine, reactor: Arc<dyn Reactor>) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    loop {
        let fired = match engine.store().due_timers(engine.role(), engine.now(), BATCH).await {
            Ok(due) => fire_all(&engine, &reactor, due).await,
            Err(_) if stop.is_cancelled() => return Ok(()),
            Err(error) => {
                warn!(%error, "due timers cannot be read");
                0
            }
        };
        if fired == BATCH as usize {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(engine.options().timer_interval) => {}
        }
    }
}

/// How many of `due` fired.
async fn fire_all(engine: &Engine, reactor: &Arc<dyn Reactor>, due: Vec<DueTimer>) -> usize {
    let mut firing = tokio::task::JoinSet::new();
    for timer in due {
        let (engine, reactor) = (engine.clone(), Arc::clone(reactor));
        firing.spawn(async move {
            let span = info_span!("timer", timer = timer.name, document = timer.document.id);
            failpoint::pass("timer.before");
            let fired = fire(&engine, &*reactor, &timer).instrument(span).await;
            if let Err(error) = &fired {
                warn!(timer = timer.name, document = %timer.document, cause = error.chain(), "a timer is put off");
            }
            fired.is_ok()
        });
    }
    let fired = firing.join_all().await.into_iter().filter(|fired| *fired).count();
    engine.0.metrics.timers.inc_by(fired as u64);
    fired
}

async fn fire(engine: &Engine, reactor: &dyn Reactor, timer: &DueTimer) -> Result<(), Error> {
    for round in 1.. {
        let work = engine.work(Cause::Timer(timer.clone()));
        let Some(work) = reactor.on_timer(work, timer).await? else {
            return Ok(engine.store().settle(vec![Settled::Timer(timer.clone())]).await?);
        };
        match engine.commit(work).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. }) if round < engine.options().conflict_rounds => {
                engine.after_conflict(round).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
