//! Parked events and dead letters as documents of the role they were delivered to.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bistro_bus::{BusError, DeadLetter, DeadPlace, Parked, Shelf, ShelfCounts};
use bistro_core::{Clock, Event, Timestamp};
use bistro_store::{
    Cause, Collection, Cursor, DocumentRef, Index, Key, Order, Query, Store, StoreError, Work,
    Write,
};
use serde::{Deserialize, Serialize};

const BY_MOMENT: &str = "by_moment";
const INDEXES: &[Index] = &[Index::new(BY_MOMENT)];

/// The name of every role's collection of shelved events.
pub const SHELF: &str = "shelf";

/// The collection in which `role` keeps the events that it could not handle.
#[must_use]
pub const fn shelf_collection(role: &'static str) -> Collection {
    Collection { role, name: SHELF, schema: 1, compatible_from: 1, indexes: INDEXES }
}

/// An event on the shelf: parked until a moment, or dead.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shelved {
    queue: String,
    dead: bool,
    attempt: u32,
    /// Parked: not before this. Dead: given up at this.
    moment: Timestamp,
    since: Timestamp,
    cause: String,
    id: String,
    source: String,
    kind: String,
    subject: String,
    time: Timestamp,
    sequence: i64,
    traceparent: Option<String>,
    data: String,
}

impl Shelved {
    fn key(queue: &str, dead: bool) -> Key {
        Key::new().text(queue).int(i64::from(dead))
    }

    fn of(queue: String, event: Event) -> Self {
        Self {
            queue,
            dead: false,
            attempt: 0,
            moment: event.time,
            since: event.time,
            cause: String::new(),
            id: event.id,
            source: event.source,
            kind: event.kind,
            subject: event.subject,
            time: event.time,
            sequence: event.sequence,
            traceparent: event.traceparent,
            data: STANDARD.encode(event.data),
        }
    }

    fn event(&self) -> Result<Event, BusError> {
        let data = STANDARD.decode(&self.data).map_err(|_| {
            BusError::Malformed(format!("the shelved event {} is damaged", self.id))
        })?;
        Ok(Event {
            id: self.id.clone(),
            source: self.source.clone(),
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            time: self.time,
            sequence: self.sequence,
            traceparent: self.traceparent.clone(),
            data,
        })
    }

    fn parked(&self) -> Result<Parked, BusError> {
        Ok(Parked {
            queue: self.queue.clone(),
            event: self.event()?,
            attempt: self.attempt,
            not_before: self.moment,
            since: self.since,
            cause: self.cause.clone(),
        })
    }

    fn dead_letter(&self) -> Result<DeadLetter, BusError> {
        Ok(DeadLetter {
            queue: self.queue.clone(),
            event: self.event()?,
            attempts: self.attempt,
            at: self.moment,
            cause: self.cause.clone(),
        })
    }
}

/// A shelved event as it was read.
struct Found {
    id: String,
    version: i64,
    shelved: Shelved,
}

/// A [`Shelf`] over the store of one role.
pub struct StoreShelf {
    role: &'static str,
    collection: &'static Collection,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl StoreShelf {
    /// The shelf of the role that owns `collection`, which is made by [`shelf_collection`].
    #[must_use]
    pub fn new(
        collection: &'static Collection,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { role: collection.role, collection, store, clock }
    }

    async fn read(&self, queue: &str, event: &str) -> Result<Option<Found>, BusError> {
        let id = format!("{queue}/{event}");
        match self.store.get(self.collection, &id).await.map_err(away)? {
            Some(row) => Ok(Some(found(&row)?)),
            None => Ok(None),
        }
    }

    /// Puts `shelved` where it belongs, over whatever is there for the same event.
    async fn put(
        &self,
        merge: impl Fn(Option<&Shelved>) -> Shelved,
        queue: &str,
        event: &str,
    ) -> Result<(), BusError> {
        loop {
            let before = self.read(queue, event).await?;
            let after = merge(before.as_ref().map(|found| &found.shelved));
            if self.write(before, &after, event).await? {
                return Ok(());
            }
        }
    }

    /// Writes `after` over `before`, or anew. False when somebody else changed it first.
    async fn write(
        &self,
        before: Option<Found>,
        after: &Shelved,
        event: &str,
    ) -> Result<bool, BusError> {
        let id = format!("{}/{event}", after.queue);
        let document = DocumentRef { collection: self.collection, id };
        let data =
            serde_json::to_string(after).map_err(|error| BusError::Malformed(error.to_string()))?;
        let key = Shelved::key(&after.queue, after.dead).time(after.moment);
        let keys = vec![(BY_MOMENT, key)];
        let write = match before {
            Some(found) => Write::Replace { document, version: found.version, data, keys },
            None => Write::Insert { document, data, keys, by_request: false },
        };
        self.commit(write, event).await
    }

    /// False when somebody else changed the document first.
    async fn commit(&self, write: Write, event: &str) -> Result<bool, BusError> {
        let cause = Cause::Tick { name: format!("shelf/{event}") };
        let mut work = Work::new(self.role, cause, self.clock.now(), None);
        work.writes.push(write);
        match self.store.commit(work).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(away(error)),
        }
    }

    async fn remove(&self, found: &Found, event: &str) -> Result<bool, BusError> {
        let document = DocumentRef { collection: self.collection, id: found.id.clone() };
        self.commit(Write::Delete { document, version: found.version }, event).await
    }

    async fn list(
        &self,
        queue: &str,
        dead: bool,
        until: Option<Timestamp>,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<Found>, BusError> {
        let prefix = Shelved::key(queue, dead);
        let query = Query {
            collection: self.collection,
            index: Some(BY_MOMENT),
            lower: prefix.as_str().to_owned(),
            upper: match until {
                Some(moment) => prefix.clone().time(moment).end_of_prefix(),
                None => prefix.clone().end_of_prefix(),
            },
            order: Order::Ascending,
            limit,
            after: after.map(|place| Cursor {
                key: prefix.time(place.at).as_str().to_owned(),
                id: format!("{queue}/{}", place.event),
            }),
        };
        self.store.find(query).await.map_err(away)?.items.iter().map(found).collect()
    }
}

fn found(row: &bistro_store::Stored) -> Result<Found, BusError> {
    let shelved = serde_json::from_str(&row.data)
        .map_err(|error| BusError::Malformed(format!("shelved event {}: {error}", row.id)))?;
    Ok(Found { id: row.id.clone(), version: row.version, shelved })
}

fn away(error: StoreError) -> BusError {
    match error {
        unknown @ StoreError::Unknown { .. } => {
            BusError::unknown("the store that keeps parked events did not say", unknown)
        }
        other => BusError::not_done("the store that keeps parked events is away", other),
    }
}

/// The most rows that are counted; beyond it a count says at least this many.
const COUNTED: u32 = 10_000;

#[async_trait]
impl Shelf for StoreShelf {
    async fn park(&self, parked: Parked) -> Result<(), BusError> {
        let (queue, event) = (parked.queue.clone(), parked.event.id.clone());
        let merge = |before: Option<&Shelved>| Shelved {
            attempt: parked.attempt,
            moment: parked.not_before,
            since: before.filter(|one| !one.dead).map_or(parked.since, |one| one.since),
            cause: parked.cause.clone(),
            ..Shelved::of(parked.queue.clone(), parked.event.clone())
        };
        self.put(merge, &queue, &event).await
    }

    async fn due(&self, queue: &str, now: Timestamp, limit: u32) -> Result<Vec<Parked>, BusError> {
        let rows = self.list(queue, false, Some(now), None, limit).await?;
        rows.iter().map(|row| row.shelved.parked()).collect()
    }

    async fn unpark(&self, queue: &str, event: &str) -> Result<(), BusError> {
        while let Some(row) = self.read(queue, event).await? {
            if row.shelved.dead || self.remove(&row, event).await? {
                break;
            }
        }
        Ok(())
    }

    async fn bury(&self, dead: DeadLetter) -> Result<(), BusError> {
        let (queue, event) = (dead.queue.clone(), dead.event.id.clone());
        let merge = |_: Option<&Shelved>| Shelved {
            dead: true,
            attempt: dead.attempts,
            moment: dead.at,
            cause: dead.cause.clone(),
            ..Shelved::of(dead.queue.clone(), dead.event.clone())
        };
        self.put(merge, &queue, &event).await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let rows = self.list(queue, true, None, after, limit).await?;
        rows.iter().map(|row| row.shelved.dead_letter()).collect()
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        let row = self.read(queue, event).await?.filter(|row| row.shelved.dead);
        row.map(|row| row.shelved.dead_letter()).transpose()
    }

    async fn revive(&self, queue: &str, event: &str, now: Timestamp) -> Result<bool, BusError> {
        loop {
            let Some(row) = self.read(queue, event).await?.filter(|row| row.shelved.dead) else {
                return Ok(false);
            };
            let after =
                Shelved { dead: false, attempt: 1, moment: now, since: now, ..row.shelved.clone() };
            if self.write(Some(row), &after, event).await? {
                return Ok(true);
            }
        }
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        while let Some(row) = self.read(queue, event).await?.filter(|row| row.shelved.dead) {
            if self.remove(&row, event).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn counts(&self, queue: &str) -> Result<ShelfCounts, BusError> {
        let parked = self.list(queue, false, None, None, COUNTED).await?;
        let dead = self.list(queue, true, None, None, COUNTED).await?;
        Ok(ShelfCounts {
            parked: parked.len() as u64,
            oldest_parked: parked.iter().map(|row| row.shelved.since).min(),
            dead: dead.len() as u64,
        })
    }
}
