//! One role's engine: commits, and starts what a commit leaves behind.

use std::{sync::Arc, time::Duration};

use bistro_bus::Bus;
use bistro_core::{Clock, Error, Timestamp};
use bistro_store::{
    CallChain, Cause, Committed, Document, Key, OpenCall, OutboxEvent, Store, StoreError, Work,
};
use prometheus::Registry;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    Backoff, Caller, ListWatcher, Options, Reactor, Watcher,
    calls::{CallsUnderWay, Made},
    consume, failpoint, gauges,
    lists::Lists,
    metrics::Metrics,
    reads::Counted,
    relay, ticks, timers,
    wake::Wakeups,
};

/// What an engine works with.
pub struct Parts {
    /// The role.
    pub role: &'static str,
    /// Where its documents are.
    pub store: Arc<dyn Store>,
    /// How it is told and tells.
    pub bus: Arc<dyn Bus>,
    /// Makes its calls.
    pub caller: Arc<dyn Caller>,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// How patient it is.
    pub options: Options,
}

/// One role's engine. Clones are handles of the same one.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) metrics: Metrics,
    pub(crate) wakeups: Wakeups,
    lists: Lists,
    pub(crate) calls: CallsUnderWay,
    pub(crate) call_permits: Arc<Semaphore>,
    pub(crate) outbox: mpsc::UnboundedSender<OutboxEvent>,
    outbox_end: parking_lot::Mutex<Option<mpsc::UnboundedReceiver<OutboxEvent>>>,
    /// Told of timers that are due before the next look for them.
    pub(crate) timer_set: Notify,
    made_calls: mpsc::UnboundedSender<Made>,
    made_calls_end: parking_lot::Mutex<Option<mpsc::UnboundedReceiver<Made>>>,
    /// Told to end the streams that never end by themselves.
    streams: CancellationToken,
    /// Told to stop taking up new things.
    pub(crate) stop: CancellationToken,
    /// What is under way.
    pub(crate) tasks: TaskTracker,
    /// Told that nothing is under way any more: the relay publishes the last events and ends.
    pub(crate) quiet: CancellationToken,
    /// The relay.
    relaying: TaskTracker,
}

impl Engine {
    /// An engine that commits; nothing runs in the background until [`Engine::start`].
    pub fn new(parts: Parts, registry: &Registry) -> Result<Self, Error> {
        let metrics = Metrics::register(parts.role, registry)?;
        let store = Arc::new(Counted::new(parts.store, &metrics.reads));
        let parts = Parts { store, ..parts };
        let (outbox, outbox_end) = mpsc::unbounded_channel();
        let (made_calls, made_calls_end) = mpsc::unbounded_channel();
        let call_permits = Arc::new(Semaphore::new(parts.options.concurrent_calls));
        Ok(Self(Arc::new(Inner {
            parts,
            metrics,
            wakeups: Wakeups::default(),
            lists: Lists::default(),
            calls: CallsUnderWay::default(),
            call_permits,
            timer_set: Notify::new(),
            outbox,
            outbox_end: parking_lot::Mutex::new(Some(outbox_end)),
            made_calls,
            made_calls_end: parking_lot::Mutex::new(Some(made_calls_end)),
            streams: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            quiet: CancellationToken::new(),
            relaying: TaskTracker::new(),
        })))
    }

    /// Starts consuming `queues`, making calls, publishing, firing timers, ticking and counting.
    ///
    /// Each background task runs until [`Engine::stop`]; one that ends sooner says why through
    /// its entry in the result, and the process should not go on without it.
    pub fn start(
        &self,
        reactor: &Arc<dyn Reactor>,
        queues: &[&'static str],
    ) -> tokio::task::JoinSet<Result<(), Error>> {
        let mut tasks = tokio::task::JoinSet::new();
        for queue in queues {
            tasks.spawn(consume::run(self.clone(), Arc::clone(reactor), queue));
        }
        if let Some(made) = self.0.made_calls_end.lock().take() {
            tasks.spawn(crate::calls::run(self.clone(), Arc::clone(reactor), made));
        }
        tasks.spawn(crate::calls::sweep(self.clone(), Arc::clone(reactor)));
        if let Some(events) = self.0.outbox_end.lock().take() {
            tasks.spawn(self.0.relaying.track_future(relay::run(self.clone(), events)));
        }
        tasks.spawn(relay::sweep(self.clone()));
        tasks.spawn(timers::run(self.clone(), Arc::clone(reactor)));
        for tick in reactor.ticks() {
            tasks.spawn(ticks::run(self.clone(), Arc::clone(reactor), *tick));
        }
        if !queues.is_empty() {
            tasks.spawn(gauges::run(self.clone(), queues.to_vec()));
        }
        tasks
    }

    /// Ends the streams that never end by themselves. Everything else goes on, so that requests
    /// under way get what they wait for; then comes [`Engine::stop`].
    pub fn end_streams(&self) {
        self.0.streams.cancel();
    }

    /// Stops taking up new things and waits, `patience` at most, for what is under way: events,
    /// calls, timers, ticks, and the publishing of what they told.
    /// True when all of it ended.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.end_streams();
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.relaying.close();
        let ended = tokio::time::timeout(patience, async {
            self.0.tasks.wait().await;
            self.0.quiet.cancel();
            self.0.relaying.wait().await;
        });
        let ended = ended.await.is_ok();
        // What is left is published by the sweeper of the next process.
        self.0.quiet.cancel();
        ended
    }

    /// Cancelled when the process is about to stop: streams that never end by themselves end then,
    /// and so do tasks that no request under way depends on.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.streams.clone()
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.0.parts.role
    }

    /// Where the role's documents are.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    /// How the role is told and tells.
    #[must_use]
    pub fn bus(&self) -> &dyn Bus {
        &*self.0.parts.bus
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.parts.options
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { base: self.options().backoff_base, cap: self.options().backoff_cap }
    }

    /// Wakes the holder whenever the document `id` may have changed. Who watches before the commit
    /// that makes or changes the document is shown what it became, and need not read it.
    #[must_use]
    pub fn watch(&self, id: String) -> Watcher {
        self.0.wakeups.watch(id)
    }

    /// Wakes the holder whenever a document of type `D` may have changed whose key in `index`
    /// begins with `prefix`.
    #[must_use]
    pub fn watch_list<D: Document>(&self, index: &'static str, prefix: &Key) -> ListWatcher {
        self.0.lists.follow::<D>(index, prefix)
    }

    /// An empty Work of this role, because of `cause`.
    #[must_use]
    pub fn work(&self, cause: Cause) -> Work {
        Work::new(self.role(), cause, self.now(), bistro_telemetry::current_traceparent())
    }

    /// Commits `work`; an unknown outcome is resolved by committing it again. Then its events are
    /// on their way, its calls are being made, and whoever watches its documents is awake.
    pub async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        failpoint::pass("commit.before");
        let metrics = &self.0.metrics;
        let timer = metrics.commit_seconds.start_timer();
        let kind = work.cause.kind();
        let outlook = self.0.wakeups.outlook(&work);
        let lists = self.0.lists.touched(&work);
        let anchor = work.anchor().cloned();
        let calls = made(&work);
        let event_count = work.events.len();
        let relays = !self.store().publishes_at_commit();
        let events = if relays { work.events.clone() } else { Vec::new() };
        let first_timer = work.timers.iter().filter_map(|timer| timer.at).min();
        // There the commit also takes its cause out of the queue.
        let marks = !relays && matches!(work.cause, Cause::Message { .. });

        if marks {
            failpoint::pass("mark.before");
        }
        let committed = self.commit_until_known(work).await;
        timer.observe_duration();
        if marks {
            failpoint::pass("mark.after");
        }
        failpoint::pass("commit.after");
        if committed.is_ok() {
            for followed in &lists {
                followed.send_replace(());
            }
        }
        match &committed {
            Ok(Committed::Applied) => {
                metrics.works.with_label_values(&[kind]).inc();
                metrics.events.inc_by(event_count as u64);
                if let Some(document) = anchor {
                    self.hand_over(&document, calls, events);
                }
                let next_look = self.now() + self.options().timer_interval;
                if first_timer.is_some_and(|at| at < next_look) {
                    self.0.timer_set.notify_one();
                }
                self.0.wakeups.wake(outlook);
            }
            Err(StoreError::Conflict { .. }) => metrics.conflicts.inc(),
            Ok(Committed::AlreadyDone(_)) => self.0.wakeups.wake_to_read(outlook),
            Err(_) => {}
        }
        committed
    }

    fn hand_over(
        &self,
        document: &bistro_store::DocumentRef,
        calls: Vec<Made>,
        events: Vec<bistro_core::Event>,
    ) {
        // A closed channel means that the engine is stopping: the sweeper of the next process
        // finds what is not handed over.
        for made in calls {
            let _ = self.0.made_calls.send(made);
        }
        for event in events {
            let _ = self.0.outbox.send(OutboxEvent { document: document.clone(), event });
        }
    }

    /// Commits until the outcome is known, a few times.
    ///
    /// Once an attempt may have been carried out, a later one that was not says nothing about it:
    /// the outcome stays unknown until the store has told what the mark says.
    async fn commit_until_known(&self, work: Work) -> Result<Committed, StoreError> {
        const TRIES: u32 = 5;
        let (mut attempt, mut doubt) = (0, None);
        loop {
            attempt += 1;
            let unknown = match (self.store().commit(work.clone()).await, doubt.take()) {
                (Err(unknown @ StoreError::Unknown { .. }), _)
                | (Err(StoreError::NotDone { .. }), Some(unknown)) => unknown,
                (known, _) => return known,
            };
            if attempt == TRIES {
                return Err(unknown);
            }
            warn!(work = work.id, attempt, error = %unknown, "a commit's outcome is unknown; asking again");
            tokio::time::sleep(self.backoff().delay(&work.id, attempt)).await;
            doubt = Some(unknown);
        }
    }

    /// Lets others go first, a little longer each round.
    pub(crate) async fn after_conflict(&self, round: u32) {
        let backoff = Backoff { base: Duration::from_micros(500), cap: Duration::from_millis(100) };
        tokio::time::sleep(backoff.delay(self.role(), round)).await;
    }
}

/// The calls that `work` makes, each with what the commit leaves of the anchor.
fn made(work: &Work) -> Vec<Made> {
    let Some(anchor) = work.writes.first() else { return Vec::new() };
    let make = |chain: &CallChain| Made {
        call: OpenCall { document: anchor.document().clone(), chain: chain.clone() },
        anchor: anchor.after(),
    };
    work.calls.iter().map(make).collect()
}
