//! The processes of one run of one case: a store, a bus and an engine each, over the same data.

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, DeadLetter, Depth, Queue};
use bistro_core::{Clock as _, Error, Event, FixedClock};
use bistro_eventing::{Engine, Options, Parts, Reactor, shelf_collection};
use bistro_store::{
    CallStep, Cause, Collection, Committed, Document, Store, StoreExt as _, Versioned, Work,
};
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    EventingFactory,
    script::{Script, ScriptedRole},
};
use crate::suites::{bus::leak, eventually, nonce};

/// The role whose engines are tested.
pub(crate) const ROLE: &str = "suite";
/// What a case that wants everything to come back lets pass at each look; longer than any backoff.
const STRIDE: Duration = Duration::from_secs(30);

static RECORDS: Collection =
    Collection { role: ROLE, name: "records", schema: 1, compatible_from: 1, indexes: &[] };

/// Where parked and dead events are kept.
pub static SHELF_COLLECTION: Collection = shelf_collection(ROLE);

/// Every collection that the cases use; what a store under test is opened with.
pub static COLLECTIONS: &[&Collection] = &[&RECORDS, &SHELF_COLLECTION];

/// What was done to one subject: each effect that was committed, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// The effects, by name.
    pub effects: Vec<String>,
}

impl Document for Record {
    const COLLECTION: &'static Collection = &RECORDS;

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// The names that a case uses, its clock, and what its role does.
pub(crate) struct Scene {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) script: Arc<Script>,
    queue: Queue,
    nonce: String,
}

impl Scene {
    /// A scene in which the role and its peers do as `script` says.
    pub(crate) fn new(factory: &impl EventingFactory, script: Script) -> Self {
        let nonce = nonce();
        let kind: &'static str = leak(format!("bistro.suite.v1.K{}", nonce.replace('-', "x")));
        let queue =
            Queue { name: leak(format!("suite.{nonce}")), role: ROLE, kinds: vec![kind].leak() };
        Self { clock: factory.clock(), script: Arc::new(script), queue, nonce }
    }

    /// The queue that the role consumes.
    pub(crate) fn queue(&self) -> &'static str {
        self.queue.name
    }

    /// The kind of event that the queue gets.
    pub(crate) fn kind(&self) -> &'static str {
        self.queue.kinds[0]
    }

    /// An id of this run.
    pub(crate) fn id(&self, what: impl std::fmt::Display) -> String {
        format!("{}-{what}", self.nonce)
    }

    /// Event `number` about `subject`, told now.
    pub(crate) fn event(&self, number: usize, subject: &str) -> Event {
        Event {
            id: format!("{}/{number}", self.nonce),
            source: format!("/bistro/{ROLE}"),
            kind: self.kind().to_owned(),
            subject: self.id(subject),
            time: self.clock.now(),
            sequence: 1,
            traceparent: None,
            data: Vec::new(),
        }
    }

    /// A process that has everything and whose engine was not started.
    pub(crate) async fn open(&self, factory: &impl EventingFactory, options: Options) -> Process {
        let (store, bus) = factory.open().await;
        self.assemble(store, bus, options).await
    }

    /// A process over this store and bus.
    pub(crate) async fn assemble(
        &self,
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        options: Options,
    ) -> Process {
        bus.declare(std::slice::from_ref(&self.queue)).await.unwrap();
        let registry = Registry::new();
        let parts = Parts {
            role: ROLE,
            store: Arc::clone(&store),
            bus: Arc::clone(&bus),
            caller: Arc::clone(&self.script) as _,
            clock: Arc::clone(&self.clock) as _,
            options,
        };
        let engine = Engine::new(parts, &registry).unwrap();
        let role = ScriptedRole { script: Arc::clone(&self.script), store: Arc::clone(&store) };
        Process {
            engine,
            store,
            bus,
            registry,
            queue: self.queue(),
            reactor: Arc::new(role),
            tasks: JoinSet::new(),
        }
    }

    /// A process whose engine runs.
    pub(crate) async fn start(&self, factory: &impl EventingFactory, options: Options) -> Process {
        self.open(factory, options).await.started()
    }

    /// Waits for `wanted` while time passes in large strides, so that whatever is put off, and is
    /// bound to come back, does.
    pub(crate) async fn in_time<T: std::fmt::Debug>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut() -> T,
        wanted: impl Fn(&T) -> bool,
    ) -> T {
        let later = async || {
            self.clock.advance(STRIDE);
            ask().await
        };
        eventually(what, later, wanted).await
    }
}

/// Options with which nothing takes long.
pub(crate) fn quick() -> Options {
    Options {
        backoff_base: Duration::from_millis(5),
        backoff_cap: Duration::from_millis(100),
        sweep_interval: Duration::from_millis(20),
        timer_interval: Duration::from_millis(10),
        timer_pause: Duration::from_millis(5),
        gauge_interval: Duration::from_millis(20),
        ..Options::default()
    }
}

/// One process.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    registry: Registry,
    queue: &'static str,
    reactor: Arc<dyn Reactor>,
    tasks: JoinSet<Result<(), Error>>,
}

impl Process {
    /// The same process with its engine running on another runtime: when that one is shut down,
    /// the engine is gone at once, as with a process that was killed.
    pub(crate) fn started_on(self, runtime: &Handle) -> Self {
        let _entered = runtime.enter();
        self.started()
    }

    /// The same process with its engine running.
    pub(crate) fn started(mut self) -> Self {
        self.tasks = self.engine.start(&self.reactor, &[self.queue]);
        self
    }

    /// None of the engine's tasks has ended, which would end a real process.
    pub(crate) fn is_well(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a task of the engine ended: {ended:?}");
        }
    }

    /// Stops the engine and waits for its tasks.
    pub(crate) async fn stop(mut self) {
        assert!(self.engine.stop(crate::suites::PATIENCE).await, "something was still under way");
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    /// Publishes events that all have to be taken.
    pub(crate) async fn publish(&self, events: Vec<Event>) {
        for result in self.bus.publish(events).await {
            result.unwrap();
        }
    }

    /// What was done to the subject `id`.
    pub(crate) async fn effects(&self, id: &str) -> Vec<String> {
        let record = self.store.load::<Record>(id).await.unwrap();
        record.map(|record| record.value.effects.clone()).unwrap_or_default()
    }

    /// Waits until the subject `id` has `count` effects; gives them.
    pub(crate) async fn has_effects(&self, id: &str, count: usize) -> Vec<String> {
        let ask = async || self.effects(id).await;
        eventually("the effects", ask, |effects| effects.len() >= count).await
    }

    /// What is in the role's queue.
    pub(crate) async fn depth(&self) -> Depth {
        self.bus.depth(self.queue).await.unwrap()
    }

    /// The dead letters of the role's queue.
    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.bus.dead_letters(self.queue, None, 100).await.unwrap()
    }

    /// Commits a Work of a request of its own, which `fill` fills.
    pub(crate) async fn commit(&self, fill: impl FnOnce(&mut Work)) {
        let cause = Cause::request("usr_suite", "suite.Do", &nonce(), b"");
        let mut work = self.engine.work(cause);
        fill(&mut work);
        assert_eq!(self.engine.commit(work).await.unwrap(), Committed::Applied);
    }

    /// Commits a Work that inserts an empty record and has `steps` done.
    pub(crate) async fn ask(&self, id: &str, label: &str, steps: &[&str]) {
        let steps = steps.iter().map(|method| CallStep {
            role: "peer".to_owned(),
            method: (*method).to_owned(),
            request: Vec::new(),
        });
        let steps = steps.collect();
        self.commit(|work| {
            work.insert(&empty(id)).unwrap();
            work.call(label, steps);
        })
        .await;
    }

    /// Reads the record `id`, which has to be there.
    pub(crate) async fn record(&self, id: &str) -> Versioned<Record> {
        self.store.load::<Record>(id).await.unwrap().unwrap()
    }

    /// Waits until no call of the role is open.
    pub(crate) async fn no_call_is_open(&self) {
        let ask = async || self.store.backlog(ROLE).await.unwrap().calls;
        eventually("no call is open", ask, |calls| *calls == 0).await;
    }

    /// The gauge or counter `bistro_suite_<what>`, the sum of its series.
    pub(crate) fn metric(&self, what: &str) -> i64 {
        let name = format!("bistro_{ROLE}_{what}");
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let series = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(&name)).then(|| value.parse().unwrap())
        });
        let values: Vec<i64> = series.collect();
        assert!(!values.is_empty(), "there is no metric {name} in\n{text}");
        values.into_iter().sum()
    }
}

/// A record with no effects.
pub(crate) fn empty(id: &str) -> Record {
    Record { id: id.to_owned(), effects: Vec::new() }
}
