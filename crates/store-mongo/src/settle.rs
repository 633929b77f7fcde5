//! Forgetting what is dealt with: published events many at a time, the rest at once.
//!
//! Clearing events one by one costs as much as committing them did. So settled events are
//! remembered here, and go with the next write of their document or with the next sweep, of which
//! there is one at a time: whoever settles meanwhile shares the following one. What is remembered
//! when the process dies is published a second time, which consumers have to bear anyway.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bistro_core::Timestamp;
use bistro_store::{DocumentRef, Settled, StoreError};
use mongodb::bson::doc;
use parking_lot::Mutex;

use crate::{change::Change, engine::Engine, error::DriverError};

/// So many settled events need not wait for company.
const SWEEP_AT: usize = 64;
/// For how long a sweep waits for more when the one before had several: under load there will be.
const COMPANY: Duration = Duration::from_millis(5);
/// The most events remembered while MongoDB is away; what is more will be published again.
const MOST: usize = 65_536;
/// The most events that one statement takes out.
const AT_ONCE: usize = 256;

/// A document, as a key of a map.
type Place = (&'static str, &'static str, String);

/// A document and the ids of settled events in it.
type Entry = (DocumentRef, Vec<String>);

fn place(document: &DocumentRef) -> Place {
    let collection = document.collection;
    (collection.role, collection.name, document.id.clone())
}

/// Events of the documents of a Work that are known to be published.
#[derive(Default)]
pub(crate) struct Published(HashMap<Place, Vec<String>>);

impl Published {
    pub(crate) fn of(&self, document: &DocumentRef) -> &[String] {
        if self.0.is_empty() {
            return &[];
        }
        self.0.get(&place(document)).map_or(&[], Vec::as_slice)
    }
}

#[derive(Default)]
struct Remembered {
    /// How many there are.
    count: usize,
    /// How many there have been.
    ever: u64,
    events: HashMap<Place, Entry>,
}

/// Events that are settled and not swept yet.
#[derive(Default)]
pub(crate) struct Pending {
    remembered: Mutex<Remembered>,
    sweeping: tokio::sync::Mutex<()>,
    /// How many events the last sweep took out.
    last: AtomicUsize,
    /// Of the events there have been, so many are taken out.
    swept: AtomicU64,
}

impl Pending {
    fn remember(&self, document: DocumentRef, ids: Vec<String>) {
        let mut remembered = self.remembered.lock();
        if remembered.count >= MOST {
            return;
        }
        remembered.count += ids.len();
        remembered.ever += ids.len() as u64;
        let entry = remembered.events.entry(place(&document));
        entry.or_insert_with(|| (document, Vec::new())).1.extend(ids);
    }

    fn count(&self) -> usize {
        self.remembered.lock().count
    }

    fn ever(&self) -> u64 {
        self.remembered.lock().ever
    }

    /// The settled events of `documents`.
    pub(crate) fn published<'a>(
        &self,
        documents: impl Iterator<Item = &'a DocumentRef>,
    ) -> Published {
        let remembered = self.remembered.lock();
        if remembered.count == 0 {
            return Published::default();
        }
        let found = documents.filter_map(|document| {
            let (place, (_, ids)) = remembered.events.get_key_value(&place(document))?;
            Some((place.clone(), ids.clone()))
        });
        Published(found.collect())
    }

    /// Forgets what a commit has taken out.
    pub(crate) fn forget(&self, swept: Published) {
        let mut remembered = self.remembered.lock();
        for (place, ids) in swept.0 {
            let Some((_, kept)) = remembered.events.get_mut(&place) else {
                continue;
            };
            let before = kept.len();
            kept.retain(|id| !ids.contains(id));
            let (after, gone) = (kept.len(), kept.is_empty());
            if gone {
                remembered.events.remove(&place);
            }
            remembered.count -= before - after;
        }
    }

    /// All of them, and how many there have been.
    fn take(&self) -> (Vec<Entry>, u64) {
        let mut remembered = self.remembered.lock();
        remembered.count = 0;
        let taken = std::mem::take(&mut remembered.events);
        (taken.into_values().collect(), remembered.ever)
    }
}

/// Forgets `settled`.
pub(crate) async fn settle(engine: &Arc<Engine>, settled: Vec<Settled>) -> Result<(), StoreError> {
    let mut rest: HashMap<Place, Dealt> = HashMap::new();
    let mut events = false;
    for one in settled {
        match one {
            Settled::Event { document, id } => {
                engine.pending.remember(document, vec![id]);
                events = true;
            }
            Settled::Call { document, id } => dealt(&mut rest, document).calls.push(id),
            Settled::Timer(timer) => {
                let firing = (timer.name, timer.at);
                dealt(&mut rest, timer.document).timers.push(firing);
            }
        }
    }
    if !rest.is_empty() {
        let forget = async move |engine: Arc<Engine>| {
            for dealt in rest.into_values() {
                forget(&engine, dealt).await?;
            }
            Ok(())
        };
        engine.read("settle", forget).await?;
    }
    if events {
        sweep(engine).await?;
    }
    Ok(())
}

async fn forget(engine: &Engine, dealt: Dealt) -> Result<(), StoreError> {
    let change = Change::new().drop_calls(&dealt.calls).drop_firings(&dealt.timers);
    let done = engine
        .envelopes(dealt.document.collection)
        .update_one(doc! { "_id": &dealt.document.id }, change.into_pipeline())
        .await;
    done.map_err(|error| DriverError::from(&error).unknown("MongoDB did not say"))?;
    Ok(())
}

/// What of one document is dealt with.
struct Dealt {
    document: DocumentRef,
    calls: Vec<String>,
    timers: Vec<(String, Timestamp)>,
}

fn dealt(all: &mut HashMap<Place, Dealt>, document: DocumentRef) -> &mut Dealt {
    all.entry(place(&document)).or_insert_with(|| Dealt {
        document,
        calls: Vec::new(),
        timers: Vec::new(),
    })
}

/// Takes every settled event out of its document. After it returns without an error, nothing
/// that was settled before it was called is there.
pub(crate) async fn sweep(engine: &Arc<Engine>) -> Result<(), StoreError> {
    let wanted = engine.pending.ever();
    if engine.pending.swept.load(Ordering::Acquire) >= wanted {
        return Ok(());
    }
    let swept = tokio::spawn(sweep_through(Arc::clone(engine), wanted));
    match tokio::time::timeout(engine.options.operation_timeout, swept).await {
        Ok(Ok(done)) => done,
        Ok(Err(failed)) => Err(StoreError::unknown("the sweep was cut off", failed)),
        Err(_) => Err(StoreError::Unknown {
            message: "MongoDB did not answer in time".to_owned(),
            source: None,
        }),
    }
}

/// Returns when the first `wanted` events that there have been are taken out.
async fn sweep_through(engine: Arc<Engine>, wanted: u64) -> Result<(), StoreError> {
    let pending = &engine.pending;
    let _one_at_a_time = pending.sweeping.lock().await;
    if pending.swept.load(Ordering::Acquire) >= wanted {
        // Whoever swept before took these along.
        return Ok(());
    }
    if pending.last.load(Ordering::Relaxed) > 1 && pending.count() < SWEEP_AT {
        tokio::time::sleep(COMPANY).await;
    }
    let _permit = engine.enter(engine.patience()).await?;
    let (taken, ever) = pending.take();
    let count = taken.iter().map(|(_, ids)| ids.len()).sum();
    pending.last.store(count, Ordering::Relaxed);
    let mut batches = batches(taken).into_iter();
    while let Some(batch) = batches.next() {
        if let Err(error) = take_out(&engine, &batch).await {
            for (document, ids) in batches.flatten().chain(batch) {
                pending.remember(document, ids);
            }
            return Err(DriverError::from(&error).unknown("published events could not be cleared"));
        }
    }
    pending.swept.store(ever, Ordering::Release);
    Ok(())
}

/// What one statement takes out: of one collection, and not too much.
fn batches(taken: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut by_collection: HashMap<String, Vec<Entry>> = HashMap::new();
    for entry in taken {
        let collection = entry.0.collection.full_name();
        by_collection.entry(collection).or_default().push(entry);
    }
    let mut batches = Vec::new();
    for entries in by_collection.into_values() {
        let mut batch = Vec::new();
        let mut count = 0;
        for entry in entries {
            count += entry.1.len();
            batch.push(entry);
            if count >= AT_ONCE {
                batches.push(std::mem::take(&mut batch));
                count = 0;
            }
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
    }
    batches
}

async fn take_out(engine: &Engine, batch: &[Entry]) -> mongodb::error::Result<()> {
    let documents: Vec<&str> = batch.iter().map(|(document, _)| document.id.as_str()).collect();
    let events: Vec<String> = batch.iter().flat_map(|(_, ids)| ids.clone()).collect();
    let filter = doc! { "_id": { "$in": documents }, "out.id": { "$in": &events } };
    let change = Change::new().drop_events(&events);
    engine.envelopes(batch[0].0.collection).update_many(filter, change.into_pipeline()).await?;
    Ok(())
}
