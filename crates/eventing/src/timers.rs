//! Fires due timers: each causes one Work that consumes it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bistro_core::{Error, Timestamp};
use bistro_store::{Cause, DueTimer, Settled, StoreError};
use tracing::{Instrument as _, info_span, warn};

use crate::{Backoff, Engine, Reactor, failpoint, panics::caught};

/// Timers taken up at once.
const BATCH: usize = 128;
/// The most timers that are read at once, those that are put off among them.
const MOST: usize = 1024;
/// The longest that a timer is put off: it is late already.
const LONGEST: Duration = Duration::from_secs(10);

/// Fires timers until the engine stops.
///
/// Looking costs a query for every collection of the role, and a platform that nobody uses looks
/// all day. So a look also shows what is due until the next one, and each of those is fired at its
/// moment; whoever sets a timer that is due sooner says so.
pub(crate) async fn run(engine: Engine, reactor: Arc<dyn Reactor>) -> Result<(), Error> {
    let stop = engine.0.stop.clone();
    let mut put_off = PutOff::default();
    while !stop.is_cancelled() {
        let now = engine.now();
        let mut next = now + engine.options().timer_interval;
        let limit = (BATCH + put_off.0.len()).min(MOST);
        let shown =
            engine.store().due_timers(engine.role(), next, u32::try_from(limit).unwrap_or(1));
        let more = match shown.await {
            Ok(shown) => {
                let full = shown.len() >= limit;
                let later = shown.iter().map(|timer| timer.at).find(|at| *at > now);
                let due = put_off.sort(shown, full, now);
                let fired = fire_all(&engine, &reactor, due, &mut put_off).await;
                next = later.into_iter().chain(put_off.first()).fold(next, Ord::min);
                fired >= BATCH && full
            }
            Err(_) if stop.is_cancelled() => return Ok(()),
            Err(error) => {
                warn!(%error, "due timers cannot be read");
                false
            }
        };
        if more {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = rest(&engine, next) => {}
        }
    }
    Ok(())
}

/// Waits for the moment `next`, or until a timer is set that may be due sooner; a little in any
/// case.
async fn rest(engine: &Engine, next: Timestamp) {
    let pause = engine.options().timer_pause;
    tokio::time::sleep(pause).await;
    let left = next.since(engine.now());
    tokio::select! {
        () = engine.0.timer_set.notified() => {}
        () = tokio::time::sleep(left) => {}
    }
}

/// Timers whose reaction failed, and when each is tried again. Lost with the process: the next one
/// tries them at once.
#[derive(Default)]
struct PutOff(HashMap<String, (u32, Timestamp)>);

impl PutOff {
    /// Those of the `shown` that are to be tried now. Unless the list is `full`, what is not on it
    /// is consumed, moved or cancelled, and forgotten here.
    fn sort(&mut self, mut shown: Vec<DueTimer>, full: bool, now: Timestamp) -> Vec<DueTimer> {
        if !full && !self.0.is_empty() {
            let there: HashSet<String> = shown.iter().map(firing).collect();
            self.0.retain(|timer, _| there.contains(timer));
        }
        shown.retain(|timer| {
            timer.at <= now && self.0.get(&firing(timer)).is_none_or(|(_, until)| *until <= now)
        });
        shown
    }

    /// When the first of them is tried again.
    fn first(&self) -> Option<Timestamp> {
        self.0.values().map(|(_, until)| *until).min()
    }

    /// Notes that `timer` failed once more.
    fn failed(&mut self, engine: &Engine, timer: &DueTimer) {
        let name = firing(timer);
        let backoff = Backoff { cap: engine.backoff().cap.min(LONGEST), ..engine.backoff() };
        let (attempts, until) = self.0.entry(name.clone()).or_default();
        *attempts += 1;
        *until = engine.now() + backoff.delay(&name, *attempts);
    }
}

/// Names one firing: a timer that is set again is another one.
fn firing(timer: &DueTimer) -> String {
    Cause::Timer(timer.clone()).to_string()
}

/// How many of `due` fired.
async fn fire_all(
    engine: &Engine,
    reactor: &Arc<dyn Reactor>,
    due: Vec<DueTimer>,
    put_off: &mut PutOff,
) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for timer in due {
        let (engine, reactor) = (engine.clone(), Arc::clone(reactor));
        let tracker = engine.0.tasks.clone();
        tasks.spawn(tracker.track_future(async move {
            let span = info_span!("timer", timer = timer.name, document = timer.document.id);
            failpoint::pass("timer.before");
            let fired = caught("the reaction", fire(&engine, &*reactor, &timer));
            (fired.instrument(span).await, timer)
        }));
    }
    let mut fired = 0;
    for (result, timer) in tasks.join_all().await {
        match result {
            Ok(()) => fired += 1,
            Err(error) => {
                warn!(timer = timer.name, document = %timer.document, cause = error.chain(), "a timer is put off");
                put_off.failed(engine, &timer);
            }
        }
    }
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
