//! What a role has left undone: due timers, open calls, unpublished events, and how many.

use std::sync::Arc;

use bistro_core::Timestamp;
use bistro_store::{Backlog, Collection, DocumentRef, DueTimer, OpenCall, OutboxEvent, StoreError};
use mongodb::bson::{DateTime, Document, doc};

use crate::{
    engine::Engine,
    envelope::{Damaged, date, entries, entry_time, moment, read_call, read_event, read_timer},
    error::of_read,
};

/// The most documents of a collection that are counted, so that counting a backlog costs little
/// when the backlog is large.
const COUNTED: i64 = 10_000;

/// A list of an envelope, and the field that holds its earliest moment.
#[derive(Clone, Copy)]
struct Side {
    list: &'static str,
    oldest: &'static str,
}

const EVENTS: Side = Side { list: "out", oldest: "told" };
const CALLS: Side = Side { list: "calls", oldest: "called" };
const TIMERS: Side = Side { list: "timers", oldest: "due" };

/// Timers of `role` that are due at `now`.
pub(crate) async fn due_timers(
    engine: Arc<Engine>,
    role: String,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueTimer>, StoreError> {
    // Due is what is not after now.
    let end = Timestamp::from_millis(now.as_millis().saturating_add(1));
    earliest(&engine, &role, TIMERS, end, limit, read_timer).await
}

/// Calls of `role` made before `before` that are not closed.
pub(crate) async fn open_calls(
    engine: Arc<Engine>,
    role: String,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<OpenCall>, StoreError> {
    let read = |entry: &Document, document| {
        let chain = read_call(entry)?;
        Ok(OpenCall { document, chain })
    };
    earliest(&engine, &role, CALLS, before, limit, read).await
}

/// Events of `role` told before `before` that are not settled.
pub(crate) async fn unpublished(
    engine: Arc<Engine>,
    role: String,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<OutboxEvent>, StoreError> {
    let read = |entry: &Document, document| {
        let event = read_event(entry)?;
        Ok(OutboxEvent { document, event })
    };
    earliest(&engine, &role, EVENTS, before, limit, read).await
}

/// The `limit` earliest entries of before `end` in the documents of `role`.
async fn earliest<T>(
    engine: &Engine,
    role: &str,
    side: Side,
    end: Timestamp,
    limit: u32,
    read: impl Fn(&Document, DocumentRef) -> Result<T, Damaged>,
) -> Result<Vec<T>, StoreError> {
    let mut found: Vec<(Timestamp, T)> = Vec::new();
    if limit == 0 {
        return Ok(Vec::new());
    }
    for collection in engine.collections(role) {
        // The `limit` earliest entries are in no more documents than that, and in the earliest.
        for envelope in first_documents(engine, collection, side, end, limit).await? {
            let id = envelope.get_str("_id").unwrap_or_default().to_owned();
            let document = DocumentRef { collection, id };
            let mut one = || -> Result<(), Damaged> {
                for entry in entries(&envelope, side.list)? {
                    let at = entry_time(entry)?;
                    if at < end {
                        found.push((at, read(entry, document.clone())?));
                    }
                }
                Ok(())
            };
            one().map_err(|damaged| damaged.of(&document))?;
        }
    }
    // Stable: of one moment, in the order in which the document has them.
    found.sort_by_key(|(at, _)| *at);
    found.truncate(limit as usize);
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

async fn first_documents(
    engine: &Engine,
    collection: &Collection,
    side: Side,
    end: Timestamp,
    limit: u32,
) -> Result<Vec<Document>, StoreError> {
    let read = async {
        let mut rows = engine
            .envelopes(collection)
            .find(doc! { side.oldest: { "$lt": date(end) } })
            .sort(doc! { side.oldest: 1 })
            .limit(i64::from(limit))
            .projection(doc! { side.list: 1 })
            .await?;
        let mut found = Vec::new();
        while rows.advance().await? {
            found.push(rows.deserialize_current()?);
        }
        Ok(found)
    };
    read.await.map_err(|error: mongodb::error::Error| of_read(&error))
}

/// What `role` has left undone.
pub(crate) async fn backlog(engine: Arc<Engine>, role: String) -> Result<Backlog, StoreError> {
    let mut backlog = Backlog::default();
    for collection in engine.collections(&role) {
        let (count, first) = count(&engine, collection, EVENTS).await?;
        backlog.events += count;
        backlog.oldest_event = earlier(backlog.oldest_event, first);
        let (count, first) = self::count(&engine, collection, CALLS).await?;
        backlog.calls += count;
        backlog.oldest_call = earlier(backlog.oldest_call, first);
        let (count, first) = self::count(&engine, collection, TIMERS).await?;
        backlog.timers += count;
        backlog.next_timer = earlier(backlog.next_timer, first);
    }
    Ok(backlog)
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// How many entries there are in the earliest [`COUNTED`] documents, and the earliest moment.
async fn count(
    engine: &Engine,
    collection: &Collection,
    side: Side,
) -> Result<(u64, Option<Timestamp>), StoreError> {
    let pipeline = [
        doc! { "$match": { side.oldest: { "$gte": DateTime::MIN } } },
        doc! { "$sort": { side.oldest: 1 } },
        doc! { "$limit": COUNTED },
        doc! { "$group": {
            "_id": null,
            "count": { "$sum": { "$size": format!("${}", side.list) } },
            "first": { "$min": format!("${}", side.oldest) },
        } },
    ];
    let read = async {
        let mut rows = engine.envelopes(collection).aggregate(pipeline).await?;
        if rows.advance().await? { rows.deserialize_current().map(Some) } else { Ok(None) }
    };
    let group = read.await.map_err(|error| of_read(&error))?.unwrap_or_default();
    let count = group.get_i32("count").map(i64::from).or_else(|_| group.get_i64("count"));
    let first = group.get_datetime("first").ok().map(|at| moment(*at));
    Ok((u64::try_from(count.unwrap_or(0)).unwrap_or(0), first))
}
