//! Makes the calls of committed Works, and brings their outcomes back as causes of new ones.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::Error;
use bistro_store::{
    CallStep, Cause, DocumentRef, OpenCall, Settled, StoreError, Stored, Work, Write,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span, warn};

use crate::{Engine, Outcome, Reactor, Retry, failpoint, panics::caught};

/// What another role answered to a command.
#[derive(Debug)]
pub enum CallAnswer {
    /// It is done; this is the encoded answer.
    Done(Vec<u8>),
    /// It was refused, and will be however often it is asked.
    Refused(Error),
    /// It may have been done or not: ask again with the same key.
    Unknown(Error),
}

/// Makes one step of a call: a unary gRPC command with an idempotency key.
#[async_trait]
pub trait Caller: Send + Sync + 'static {
    /// Asks `step.role` for `step.method`, under `key`, as the role `from`.
    async fn call(
        &self,
        from: &'static str,
        step: &CallStep,
        key: &str,
        deadline: Duration,
    ) -> CallAnswer;
}

/// The calls that this process is making, so that its sweeper leaves them alone.
#[derive(Default)]
pub(crate) struct CallsUnderWay(Mutex<HashSet<String>>);

/// A call to make.
pub(crate) struct Made {
    pub(crate) call: OpenCall,
    /// The anchor as the commit left it, when it was this process that committed.
    pub(crate) anchor: Option<Stored>,
}

/// One of them; however it ends, the sweeper may take the call up again then.
struct UnderWay {
    engine: Engine,
    id: String,
}

impl UnderWay {
    /// None when this process is making the call already.
    fn begin(engine: &Engine, id: &str) -> Option<Self> {
        if !engine.0.calls.0.lock().insert(id.to_owned()) {
            return None;
        }
        engine.0.metrics.calls_under_way.inc();
        Some(Self { engine: engine.clone(), id: id.to_owned() })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.engine.0.metrics.calls_under_way.dec();
        self.engine.0.calls.0.lock().remove(&self.id);
    }
}

/// Makes calls as commits hand them over.
pub(crate) async fn run(
    engine: Engine,
    reactor: Arc<dyn Reactor>,
    mut made: mpsc::UnboundedReceiver<Made>,
) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    loop {
        let made = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            made = made.recv() => made,
        };
        let Some(made) = made else { return Ok(()) };
        begin(&engine, &reactor, made).await;
    }
}

/// Takes up the calls that a lost process left behind.
pub(crate) async fn sweep(engine: Engine, reactor: Arc<dyn Reactor>) -> Result<(), Error> {
    const BATCH: u32 = 256;
    let stop = engine.0.stop.clone();
    let mut first = true;
    loop {
        // What is open at the start was left by a process that is gone: no need to wait.
        let age = if first { Duration::ZERO } else { engine.options().sweep_age };
        first = false;
        match engine.store().open_calls(engine.role(), engine.now() - age, BATCH).await {
            Ok(calls) => {
                for call in calls {
                    begin(&engine, &reactor, Made { call, anchor: None }).await;
                }
            }
            Err(error) => warn!(%error, "open calls cannot be read"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(engine.options().sweep_interval) => {}
        }
    }
}

async fn begin(engine: &Engine, reactor: &Arc<dyn Reactor>, made: Made) {
    let Made { call, anchor } = made;
    let Some(under_way) = UnderWay::begin(engine, &call.chain.id) else { return };
    let Ok(permit) = Arc::clone(&engine.0.call_permits).acquire_owned().await else { return };
    if engine.0.stop.is_cancelled() {
        // Nobody would wait for it: it is left to the next process.
        return;
    }
    let (engine, reactor) = (engine.clone(), Arc::clone(reactor));
    let tasks = engine.0.tasks.clone();
    tasks.spawn(async move {
        let span = info_span!("call", label = call.chain.label);
        if let Some(traceparent) = &call.chain.traceparent {
            bistro_telemetry::continue_from(&span, traceparent);
        }
        let made = caught("the reaction", make(&engine, &*reactor, &call, anchor));
        let result = made.instrument(span).await;
        drop((permit, under_way));
        let word = match result {
            Ok(word) => word,
            Err(error) => {
                warn!(call = call.chain.id, cause = error.chain(), "a call is left to the sweeper");
                "put_off"
            }
        };
        engine.0.metrics.calls.with_label_values(&[word]).inc();
    });
}

async fn make(
    engine: &Engine,
    reactor: &dyn Reactor,
    call: &OpenCall,
    anchor: Option<Stored>,
) -> Result<&'static str, Error> {
    // Who committed the call makes it for the first time, and knows it by its anchor.
    if anchor.is_none() && !may_retry(engine, reactor, call).await? {
        return Ok("left");
    }
    let mut outcome = Outcome {
        document: call.document.clone(),
        chain: call.chain.clone(),
        answers: Vec::with_capacity(call.chain.steps.len()),
        refused: None,
        known: Mutex::new(anchor),
    };
    for (index, step) in call.chain.steps.iter().enumerate() {
        match make_step(engine, step, &call.chain.step_key(index)).await {
            CallAnswer::Done(answer) => outcome.answers.push(answer),
            CallAnswer::Refused(error) => {
                outcome.refused = Some(error);
                break;
            }
            CallAnswer::Unknown(error) => return Err(error),
        }
    }
    failpoint::pass("outcome.before");
    let word = if outcome.refused.is_some() { "refused" } else { "done" };
    conclude(engine, reactor, outcome).await?;
    Ok(word)
}

/// Whether a call may be made that may have been made before; what the role writes down of that is
/// committed then.
async fn may_retry(engine: &Engine, reactor: &dyn Reactor, call: &OpenCall) -> Result<bool, Error> {
    for round in 1.. {
        let cause = Cause::Tick { name: format!("retry/{}", call.chain.id) };
        let work = match reactor.on_retry(engine.work(cause), call).await? {
            Retry::Make => return Ok(true),
            Retry::Leave => return Ok(false),
            Retry::After(work) => *work,
        };
        match engine.commit(work).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) if round < engine.options().conflict_rounds => {
                engine.after_conflict(round).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Asks until there is an answer or patience ends; always with the same key.
async fn make_step(engine: &Engine, step: &CallStep, key: &str) -> CallAnswer {
    const TRIES: u32 = 6;
    let mut attempt = 0;
    loop {
        attempt += 1;
        failpoint::pass("call.before");
        let caller = &engine.0.parts.caller;
        let answer = caught("the call", async {
            Ok(caller.call(engine.role(), step, key, engine.options().call_timeout).await)
        });
        // A caller that panicked may have been heard before.
        let answer = answer.await.unwrap_or_else(CallAnswer::Unknown);
        failpoint::pass("call.after");
        match answer {
            CallAnswer::Unknown(error) if attempt < TRIES && !engine.0.stop.is_cancelled() => {
                warn!(method = step.method, attempt, cause = error.chain(), "asking again");
                tokio::time::sleep(engine.backoff().delay(key, attempt)).await;
            }
            known => return known,
        }
    }
}

/// Whether the commit of what a reaction decided fails when `document` has changed since.
fn meets_changes(reaction: &Result<Option<Work>, Error>, document: &DocumentRef) -> bool {
    let Ok(Some(work)) = reaction else { return false };
    work.writes.iter().any(|write| {
        write.document() == document
            && matches!(write, Write::Replace { .. } | Write::Delete { .. } | Write::Require { .. })
    })
}

async fn conclude(engine: &Engine, reactor: &dyn Reactor, outcome: Outcome) -> Result<(), Error> {
    let cause =
        Cause::Outcome { document: outcome.document.clone(), call: outcome.chain.id.clone() };
    for round in 1.. {
        let known = outcome.known.lock().is_some();
        let reaction = reactor.on_outcome(engine.work(cause.clone()), &outcome).await;
        if known && outcome.known.lock().is_none() && !meets_changes(&reaction, &outcome.document) {
            // What it was shown may have changed since, and nobody would notice.
            continue;
        }
        let Some(work) = reaction? else {
            let settled = Settled::Call { document: outcome.document, id: outcome.chain.id };
            return Ok(engine.store().settle(vec![settled]).await?);
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
