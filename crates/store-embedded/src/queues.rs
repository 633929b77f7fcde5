//! The queues in memory: which messages are in whose hands, and who waits for more.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bistro_core::{Event, Timestamp};
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::messages;

/// Messages read from the file at once.
const BATCH: u32 = 64;

/// A message in a consumer's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in the file; names it when it is settled.
    pub seq: i64,
    /// 1 the first time; one more after each retry.
    pub attempt: u32,
    /// The event.
    pub event: Event,
}

/// What a committed group did to the queues.
pub(crate) enum Effect {
    /// The queue has new messages.
    Ready(Arc<QueueState>),
    /// A message is gone for good.
    Gone(Arc<QueueState>, i64),
    /// A message was put off until this moment.
    Parked(Arc<QueueState>, i64, i64),
    /// Queues or bindings changed.
    Declared,
}

/// The effects of one group, in order.
pub(crate) type Effects = Vec<Effect>;

type Bindings = HashMap<String, Arc<[Arc<QueueState>]>>;

/// Every declared queue.
#[derive(Default)]
pub(crate) struct Queues {
    by_name: RwLock<HashMap<String, Arc<QueueState>>>,
    bindings: RwLock<Bindings>,
}

impl Queues {
    /// The queue of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<QueueState>> {
        self.by_name.read().get(name).cloned()
    }

    /// The queues bound to a kind.
    pub(crate) fn bound(&self, kind: &str) -> Option<Arc<[Arc<QueueState>]>> {
        self.bindings.read().get(kind).cloned()
    }

    /// Reads queues and bindings from the file.
    pub(crate) fn load(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut by_name = self.by_name.write();
        let mut bound: HashMap<String, Vec<Arc<QueueState>>> = HashMap::new();
        for (number, name, kind) in messages::bindings(conn)? {
            let queue = by_name
                .entry(name)
                .or_insert_with_key(|name| Arc::new(QueueState::new(number, name.clone())));
            if let Some(kind) = kind {
                bound.entry(kind).or_default().push(Arc::clone(queue));
            }
        }
        let bound = bound.into_iter().map(|(kind, queues)| (kind, queues.into()));
        *self.bindings.write() = bound.collect();
        Ok(())
    }

    /// Tells the queues what a durable group did.
    pub(crate) fn apply(&self, conn: &Connection, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Ready(queue) => {
                    let was = std::mem::replace(&mut queue.notes.lock().fresh, true);
                    if !was {
                        queue.ready.notify_one();
                    }
                }
                Effect::Gone(queue, seq) => queue.notes.lock().gone.push(seq),
                Effect::Parked(queue, seq, moment) => {
                    queue.notes.lock().parked.push((moment, seq));
                    queue.ready.notify_one();
                }
                Effect::Declared => {
                    // The bindings are durable; without them in memory the next open has them.
                    if let Err(error) = self.load(conn) {
                        tracing::error!(%error, "the queues' bindings cannot be read again");
                    }
                }
            }
        }
    }

    /// Wakes every waiting consumer, so that it sees that the engine is closed.
    pub(crate) fn wake_all(&self) {
        for queue in self.by_name.read().values() {
            queue.ready.notify_waiters();
            queue.ready.notify_one();
        }
    }
}

/// One queue, shared by its consumers in this process.
pub(crate) struct QueueState {
    pub(crate) number: i64,
    pub(crate) name: String,
    /// Woken when there may be something to take.
    pub(crate) ready: Notify,
    /// What the writer has to say; a lock of its own, held for a moment only, so that commits
    /// never wait for a consumer that reads the file.
    notes: Mutex<Notes>,
    hands: Mutex<Hands>,
}

#[derive(Default)]
struct Notes {
    fresh: bool,
    gone: Vec<i64>,
    parked: Vec<(i64, i64)>,
}

/// What was read from the file and is not settled.
struct Hands {
    /// Everything up to here that was never put off has been read.
    read_to: i64,
    /// Whether there may be messages after it.
    more: bool,
    /// Every message put off has been read up to this moment and number.
    due_to: (i64, i64),
    /// The moment of the next one after it, or earlier.
    next_due: Option<i64>,
    waiting: VecDeque<Message>,
    /// Given back; read again from the file when their turn comes.
    returned: VecDeque<i64>,
    taken: HashSet<i64>,
    /// Those of the taken that are not in the file any more.
    settled: HashSet<i64>,
}

/// What `take` found.
pub(crate) enum Taken {
    Message(Message),
    /// Nothing now; something may be due at this moment.
    Nothing(Option<Timestamp>),
}

impl QueueState {
    fn new(number: i64, name: String) -> Self {
        Self {
            number,
            name,
            ready: Notify::new(),
            notes: Mutex::default(),
            hands: Mutex::new(Hands {
                read_to: 0,
                more: true,
                due_to: (i64::MIN, 0),
                next_due: Some(i64::MIN),
                waiting: VecDeque::new(),
                returned: VecDeque::new(),
                taken: HashSet::new(),
                settled: HashSet::new(),
            }),
        }
    }

    /// The next message, if there is one; it is in the caller's hands then.
    pub(crate) fn take(&self, conn: &Connection, now: Timestamp) -> rusqlite::Result<Taken> {
        let mut hands = self.hands.lock();
        hands.heed(&self.notes);
        let found = hands.next(conn, self.number, now)?;
        let Some(message) = found else {
            return Ok(Taken::Nothing(hands.next_due.map(Timestamp::from_millis)));
        };
        hands.taken.insert(message.seq);
        // One wake-up per group is enough when whoever takes one message wakes the next taker.
        if hands.has_more() {
            self.ready.notify_one();
        }
        Ok(Taken::Message(message))
    }

    /// Gives a message back: it is delivered again at once.
    pub(crate) fn give_back(&self, seq: i64) {
        let mut hands = self.hands.lock();
        hands.heed(&self.notes);
        hands.taken.remove(&seq);
        if !hands.settled.remove(&seq) {
            hands.returned.push_back(seq);
            self.ready.notify_one();
        }
    }

    /// Whether a taken message is not in the file any more.
    pub(crate) fn is_settled(&self, seq: i64) -> bool {
        let mut hands = self.hands.lock();
        hands.heed(&self.notes);
        hands.settled.contains(&seq)
    }

    /// Forgets a message that was settled.
    pub(crate) fn forget(&self, seq: i64) {
        let mut hands = self.hands.lock();
        hands.heed(&self.notes);
        hands.taken.remove(&seq);
        hands.settled.remove(&seq);
    }
}

impl Hands {
    /// Takes in what the writer said.
    fn heed(&mut self, notes: &Mutex<Notes>) {
        let notes = std::mem::take(&mut *notes.lock());
        self.more |= notes.fresh;
        for seq in notes.gone {
            if self.taken.contains(&seq) {
                self.settled.insert(seq);
            } else {
                self.waiting.retain(|message| message.seq != seq);
                self.returned.retain(|returned| *returned != seq);
            }
        }
        for (moment, seq) in notes.parked {
            // Whoever held it holds it no longer: it is read again when it is due.
            self.taken.remove(&seq);
            self.waiting.retain(|message| message.seq != seq);
            self.returned.retain(|returned| *returned != seq);
            // The clock may have gone back: then what was read before is read again.
            if (moment, seq) <= self.due_to {
                self.due_to = (moment, seq - 1);
            }
            self.next_due = Some(self.next_due.map_or(moment, |next| next.min(moment)));
        }
    }

    fn has_more(&self) -> bool {
        self.more || !self.waiting.is_empty() || !self.returned.is_empty()
    }

    fn next(
        &mut self,
        conn: &Connection,
        queue: i64,
        now: Timestamp,
    ) -> rusqlite::Result<Option<Message>> {
        while let Some(seq) = self.returned.front().copied() {
            let message = messages::one(conn, queue, seq)?;
            self.returned.pop_front();
            if message.is_some() {
                return Ok(message);
            }
        }
        if self.waiting.is_empty() && self.next_due.is_some_and(|due| due <= now.as_millis()) {
            self.read_due(conn, queue, now)?;
        }
        if self.waiting.is_empty() && self.more {
            let fresh = messages::fresh(conn, queue, self.read_to, BATCH)?;
            self.more = fresh.len() >= BATCH as usize;
            self.read_to = fresh.last().map_or(self.read_to, |last| last.seq);
            self.waiting.extend(fresh);
        }
        Ok(self.waiting.pop_front())
    }

    fn read_due(&mut self, conn: &Connection, queue: i64, now: Timestamp) -> rusqlite::Result<()> {
        let due = messages::due(conn, queue, self.due_to, now, BATCH)?;
        let mut due_to = self.due_to;
        for (message, moment) in due {
            due_to = (moment, message.seq);
            let held = self.taken.contains(&message.seq)
                || self.returned.contains(&message.seq)
                || self.waiting.iter().any(|other| other.seq == message.seq);
            if !held {
                self.waiting.push_back(message);
            }
        }
        self.next_due = messages::next_due(conn, queue, due_to)?;
        self.due_to = due_to;
        Ok(())
    }
}
