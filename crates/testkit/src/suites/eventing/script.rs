//! A role whose reactions and whose peers do as a case says, and that keeps what it was asked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event};
use bistro_eventing::{CallAnswer, Caller, Outcome, Reactor, Retry, Tick};
use bistro_store::{
    CallStep, DueTimer, OpenCall, Store, StoreError, StoreExt as _, Versioned, Work,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Record;

/// What every scripted failure says.
pub(crate) const FAILURE: &str = "the oven is full";
/// What every scripted panic says.
pub(crate) const PANIC: &str = "the oven exploded";
/// A kind that no queue is bound to, which every effect tells.
const NOTED: &str = "bistro.suite.v1.Noted";
/// What a role with ticks looks after.
static TICKS: [Tick; 1] = [Tick { name: "round", every: Duration::from_millis(10) }];

/// What a reaction does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Writes its effect down.
    Note,
    /// Writes its effect down beside others; changes nothing where there is none yet.
    Add,
    /// Writes its effect down beside others; fails where there is none yet.
    AddOrFail,
    /// Writes its effect down in another record, with what is in this one.
    Beside,
    /// Changes nothing.
    Nothing,
    /// Fails with this code.
    Fail(ErrorCode),
    /// Panics.
    Panic,
    /// Waits until the gate opens, then writes its effect down.
    Wait,
}

/// What a peer answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// It is refused with this code.
    Refused(ErrorCode),
    /// Nobody can tell.
    Unknown,
    /// Asking panics.
    Panic,
    /// Waits until the gate opens; then it is done.
    Wait,
}

/// The id of the record beside that of `id`.
pub(crate) fn beside(id: &str) -> String {
    format!("{id}/beside")
}

type Acts = Box<dyn Fn(&str, usize) -> Act + Send + Sync>;
type Replies = Box<dyn Fn(&str, usize) -> Reply + Send + Sync>;

/// What the role and its peers do. All processes of a case share one.
pub(crate) struct Script {
    acts: Acts,
    replies: Replies,
    ticks: &'static [Tick],
    /// Whether it is told of calls that are made again.
    hears_retries: bool,
    seen: Mutex<HashMap<String, usize>>,
    /// Method and key of everything asked, in order.
    asked: Mutex<Vec<(String, String)>>,
    gate: watch::Sender<bool>,
}

impl Script {
    /// Every reaction notes its effect, and everything asked is done.
    pub(crate) fn new() -> Self {
        Self {
            acts: Box::new(|_, _| Act::Note),
            replies: Box::new(|_, _| Reply::Done),
            ticks: &[],
            hears_retries: false,
            seen: Mutex::default(),
            asked: Mutex::default(),
            gate: watch::Sender::new(false),
        }
    }

    /// What reactions do, from the name of their cause and how often it was reacted to, counted
    /// from 1. An event is named by its id, a timer and a tick by their names, an outcome by its
    /// call's label, and the retry of a call by `retry` and the label.
    pub(crate) fn acts(self, acts: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        Self { acts: Box::new(acts), ..self }
    }

    /// What peers answer, from the method and how often its key was asked, counted from 1.
    pub(crate) fn replies(
        self,
        replies: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self { replies: Box::new(replies), ..self }
    }

    /// The role has a tick, `round`.
    pub(crate) fn ticking(self) -> Self {
        Self { ticks: &TICKS, ..self }
    }

    /// The role reacts to calls that are made again; to change nothing is to leave the call alone.
    pub(crate) fn hearing_retries(self) -> Self {
        Self { hears_retries: true, ..self }
    }

    /// Lets everything go on that waits, now and later.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// How often the cause of this name was reacted to.
    pub(crate) fn seen(&self, name: &str) -> usize {
        self.seen.lock().get(name).copied().unwrap_or(0)
    }

    /// The keys under which `method` was asked, in order.
    pub(crate) fn keys(&self, method: &str) -> Vec<String> {
        let asked = self.asked.lock();
        asked.iter().filter(|(asked, _)| asked == method).map(|(_, key)| key.clone()).collect()
    }

    /// Does as the script says, until there is nothing left but to note or add an effect, or not.
    async fn act(&self, name: &str) -> Result<Act, Error> {
        let nth = {
            let mut seen = self.seen.lock();
            let nth = seen.entry(name.to_owned()).or_default();
            *nth += 1;
            *nth
        };
        match (self.acts)(name, nth) {
            act @ (Act::Note | Act::Add | Act::AddOrFail | Act::Beside | Act::Nothing) => Ok(act),
            Act::Fail(code) => Err(Error::new(code, FAILURE)),
            Act::Panic => panic!("{PANIC}"),
            Act::Wait => {
                self.wait().await;
                Ok(Act::Note)
            }
        }
    }

    async fn wait(&self) {
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// The role in one process.
pub(crate) struct ScriptedRole {
    pub(crate) script: Arc<Script>,
    pub(crate) store: Arc<dyn Store>,
}

impl ScriptedRole {
    /// Writes `effect` down in the record `id`, which `read` reads, if the script says so.
    async fn react(
        &self,
        mut work: Work,
        name: &str,
        id: &str,
        effect: String,
        read: impl Future<Output = Result<Option<Versioned<Record>>, StoreError>>,
    ) -> Result<Option<Work>, Error> {
        let act = self.script.act(name).await?;
        if matches!(act, Act::Nothing) {
            return Ok(None);
        }
        let before = read.await?;
        let alone = before.as_ref().is_none_or(|before| before.effects.is_empty());
        match (act, before) {
            (Act::Add, _) if alone => return Ok(None),
            (Act::AddOrFail, _) if alone => return Err(Error::new(ErrorCode::Internal, FAILURE)),
            (Act::Beside, before) => {
                let mut effects = before.map(|before| before.value.effects).unwrap_or_default();
                effects.push(effect);
                work.insert(&Record { id: beside(id), effects })?;
            }
            (_, Some(before)) => {
                let mut after = before.value.clone();
                after.effects.push(effect);
                work.replace(&before, &after)?;
            }
            (_, None) => {
                work.insert(&Record { id: id.to_owned(), effects: vec![effect] })?;
            }
        }
        work.event(NOTED, id, 1, Vec::new());
        Ok(Some(work))
    }
}

#[async_trait]
impl Reactor for ScriptedRole {
    async fn on_event(&self, work: Work, event: &Event) -> Result<Option<Work>, Error> {
        let read = self.store.load(&event.subject);
        self.react(work, &event.id, &event.subject, event.id.clone(), read).await
    }

    async fn on_timer(&self, work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        let effect = format!("{} at {}", timer.name, timer.at);
        let read = self.store.load(&timer.document.id);
        self.react(work, &timer.name, &timer.document.id, effect, read).await
    }

    async fn on_outcome(&self, work: Work, outcome: &Outcome) -> Result<Option<Work>, Error> {
        let label = &outcome.chain.label;
        let ended = outcome.refused.as_ref().map_or("done", |refused| refused.code().as_str());
        let answers = outcome.answers.iter().map(|answer| String::from_utf8_lossy(answer));
        let answers = answers.collect::<Vec<_>>().join(" ");
        let effect = format!("{label} {ended}: {answers}");
        let read = outcome.anchor(&*self.store);
        self.react(work, label, &outcome.document.id, effect, read).await
    }

    async fn on_retry(&self, work: Work, call: &OpenCall) -> Result<Retry, Error> {
        if !self.script.hears_retries {
            return Ok(Retry::Make);
        }
        let name = format!("retry {}", call.chain.label);
        let id = &call.document.id;
        let noted = self.react(work, &name, id, name.clone(), self.store.load(id)).await?;
        Ok(noted.map_or(Retry::Leave, Retry::after))
    }

    fn ticks(&self) -> &'static [Tick] {
        self.script.ticks
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        self.script.act(tick).await.map(|_| ())
    }
}

/// The role's peers. What they do is answered with the method's name.
#[async_trait]
impl Caller for Script {
    async fn call(&self, _: &'static str, step: &CallStep, key: &str, _: Duration) -> CallAnswer {
        let nth = {
            let mut asked = self.asked.lock();
            asked.push((step.method.clone(), key.to_owned()));
            asked.iter().filter(|(_, asked)| asked == key).count()
        };
        let done = || CallAnswer::Done(step.method.clone().into_bytes());
        match (self.replies)(&step.method, nth) {
            Reply::Done => done(),
            Reply::Refused(code) => CallAnswer::Refused(Error::new(code, FAILURE)),
            Reply::Unknown => CallAnswer::Unknown(Error::new(ErrorCode::Unavailable, FAILURE)),
            Reply::Panic => panic!("{PANIC}"),
            Reply::Wait => {
                self.wait().await;
                done()
            }
        }
    }
}
