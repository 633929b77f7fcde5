//! Consumes a queue: each event causes at most one Work, and is acknowledged after its commit.

use std::sync::Arc;

use bistro_bus::{BusError, Delivery};
use bistro_core::{Error, ErrorCode, Event};
use bistro_store::{Cause, MARK_LIFETIME, StoreError};
use tracing::{Instrument as _, debug, error, info_span, warn};

use crate::{Engine, Reactor, failpoint, panics::caught};

/// Consumes `queue` until the engine stops, subscribing again whenever the connection is lost.
pub(crate) async fn run(
    engine: Engine,
    reactor: Arc<dyn Reactor>,
    queue: &'static str,
) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    let mut lost = 0;
    while !stop.is_cancelled() {
        let consumed = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            consumed = consume(&engine, &reactor, queue, &mut lost) => consumed,
        };
        if let Err(cause) = consumed {
            lost += 1;
            warn!(queue, %cause, "the queue is lost; subscribing again");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(engine.backoff().delay(queue, lost)) => {}
        }
    }
    Ok(())
}

async fn consume(
    engine: &Engine,
    reactor: &Arc<dyn Reactor>,
    queue: &'static str,
    lost: &mut u32,
) -> Result<(), BusError> {
    let mut consumer = engine.bus().subscribe(queue, engine.options().prefetch).await?;
    loop {
        // The engine bounds what is under way: it delivers no more than `prefetch` unsettled.
        let delivery = consumer.next().await?;
        *lost = 0;
        let (engine, reactor) = (engine.clone(), Arc::clone(reactor));
        let tasks = engine.0.tasks.clone();
        tasks.spawn(async move { deliver(&engine, &*reactor, queue, delivery).await });
    }
}

async fn deliver(engine: &Engine, reactor: &dyn Reactor, queue: &str, delivery: Delivery) {
    let span = info_span!("handle", otel.kind = "consumer", queue, event = delivery.event.kind);
    if let Some(traceparent) = &delivery.event.traceparent {
        bistro_telemetry::continue_from(&span, traceparent);
    }
    let handled = caught("the reaction", handle(engine, reactor, queue, &delivery.event));
    let handled = handled.instrument(span.clone()).await;
    settle(engine, delivery, handled).instrument(span).await;
}

async fn handle(
    engine: &Engine,
    reactor: &dyn Reactor,
    queue: &str,
    event: &Event,
) -> Result<(), Error> {
    if engine.now().since(event.time) > MARK_LIFETIME {
        let days = MARK_LIFETIME.as_secs() / 86_400;
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!(
                "the event is older than {days} days: whether it was handled is not known any more"
            ),
        ));
    }
    let cause = Cause::Message { queue: queue.to_owned(), id: event.id.clone() };
    for round in 1.. {
        let Some(work) = reactor.on_event(engine.work(cause.clone()), event).await? else {
            return Ok(());
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

async fn settle(engine: &Engine, delivery: Delivery, handled: Result<(), Error>) {
    let (id, attempt) = (delivery.event.id.clone(), delivery.attempt);
    let (result, settled) = match handled {
        Ok(()) => {
            failpoint::pass("ack.before");
            let acked = delivery.ack().await;
            failpoint::pass("ack.after");
            ("handled", acked)
        }
        Err(cause) if is_hopeless(&cause) || attempt >= engine.options().max_attempts => {
            error!(event = id, attempt, cause = cause.chain(), "an event is given up");
            ("dead", delivery.dead_letter(&cause.chain()).await)
        }
        Err(cause) => {
            let after = engine.backoff().delay(&id, attempt);
            warn!(event = id, attempt, cause = cause.chain(), ?after, "an event is put off");
            ("retried", delivery.retry(after, &cause.chain()).await)
        }
    };
    engine.0.metrics.deliveries.with_label_values(&[result]).inc();
    if let Err(error) = settled {
        // It is delivered again, and its mark tells that it is done.
        debug!(event = id, %error, "an event could not be settled");
    }
}

/// Whether the same event can only fail again.
fn is_hopeless(cause: &Error) -> bool {
    matches!(
        cause.code(),
        ErrorCode::InvalidArgument | ErrorCode::MalformedBody | ErrorCode::TooLarge
    )
}
