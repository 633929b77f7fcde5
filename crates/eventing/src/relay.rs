//! Publishes the events of committed Works, where the store does not do so by itself.

use bistro_core::Error;
use bistro_store::{OutboxEvent, Settled};
use tokio::sync::mpsc;
use tracing::warn;

use crate::{Engine, failpoint, gauges::age};

/// Events published at once.
const BATCH: u32 = 256;

/// Publishes events as commits hand them over.
pub(crate) async fn run(
    engine: Engine,
    mut events: mpsc::UnboundedReceiver<OutboxEvent>,
) -> Result<(), Error> {
    let quiet = engine.0.quiet.clone();
    let mut batch = Vec::with_capacity(BATCH as usize);
    loop {
        tokio::select! {
            // What is under way when the engine stops still commits, and that is published too.
            biased;
            taken = events.recv_many(&mut batch, BATCH as usize) => if taken == 0 { return Ok(()) },
            () = quiet.cancelled() => return Ok(()),
        }
        publish(&engine, std::mem::take(&mut batch)).await;
    }
}

/// Publishes what a lost process, or a lost broker, left behind. One process at a time does.
pub(crate) async fn sweep(engine: Engine) -> Result<(), Error> {
    if engine.store().publishes_at_commit() {
        engine.0.stop.cancelled().await;
        return Ok(());
    }
    let stop = engine.0.stop.clone();
    loop {
        if let Err(error) = sweep_once(&engine).await {
            warn!(cause = error.chain(), "the outbox cannot be swept");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(engine.options().sweep_interval) => {}
        }
    }
}

async fn sweep_once(engine: &Engine) -> Result<(), Error> {
    let before = engine.now() - engine.options().sweep_age;
    let left = engine.store().unpublished(engine.role(), before, BATCH).await?;
    let oldest = left.first().map(|oldest| oldest.event.time);
    engine.0.metrics.unpublished_age.set(age(engine.now(), oldest));
    if !left.is_empty() {
        publish(engine, left).await;
    }
    Ok(())
}

async fn publish(engine: &Engine, batch: Vec<OutboxEvent>) {
    failpoint::pass("publish.before");
    let events = batch.iter().map(|entry| entry.event.clone()).collect();
    let results = engine.bus().publish(events).await;
    failpoint::pass("publish.after");
    let mut settled = Vec::with_capacity(batch.len());
    for (entry, result) in batch.into_iter().zip(results) {
        match result {
            Ok(()) => {
                settled.push(Settled::Event { document: entry.document, id: entry.event.id });
            }
            Err(error) => warn!(event = entry.event.id, %error, "an event is left to the sweeper"),
        }
    }
    failpoint::pass("mark.before");
    if let Err(error) = engine.store().settle(settled).await {
        // They are published again, and consumers know them by their marks.
        warn!(%error, "published events cannot be settled");
    }
    failpoint::pass("mark.after");
}
