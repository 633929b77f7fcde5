//! Forgetting what is dealt with: published events many at a time, the rest at once.
//!
//! Clearing events one by one costs as much as committing them did. So settled events are
//! remembered here, and go with the next write of their document or with the next sweep. What is
//! remembered is lost with the process: then they are published a second time, which consumers
//! have to bear anyway.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::Timestamp;
use bistro_store::{DocumentRef, Settled, StoreError};
use mongodb::bson::doc;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{change::Change, engine::Engine, error::DriverError};

/// So many settled events start a sweep.
const SWEEP_AT: usize = 64;
/// The longest that a settled event waits for a sweep.
const SWEEP_AFTER: Duration = Duration::from_millis(100);
/// The pause after a sweep that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// The most events remembered while MongoDB is away; what is more will be published again.
const MOST: usize = 65_536;
/// The most events that one statement takes out.
const AT_ONCE: usize = 256;

/// A document, as a key of a map.
type Place = (&'static str, &'static str, String);

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
    count: usize,
    events: HashMap<Place, (DocumentRef, Vec<String>)>,
}

/// Events that are settled and not swept yet.
#[derive(Default)]
pub(crate) struct Pending {
    remembered: Mutex<Remembered>,
    some: Notify,
    many: Notify,
    sweeping: tokio::sync::Mutex<()>,
}

impl Pending {
    fn remember(&self, document: DocumentRef, ids: Vec<String>) {
        let mut remembered = self.remembered.lock();
        if remembered.count >= MOST {
            return;
        }
        remembered.count += ids.len();
        let count = remembered.count;
        let entry = remembered.events.entry(place(&document));
        entry.or_insert_with(|| (document, Vec::new())).1.extend(ids);
        drop(remembered);
        self.some.notify_one();
        if count >= SWEEP_AT {
            self.many.notify_one();
        }
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

    /// Makes the sweeper look.
    pub(crate) fn wake(&self) {
        self.some.notify_one();
        self.many.notify_one();
    }

    fn take(&self) -> Vec<(DocumentRef, Vec<String>)> {
        let mut remembered = self.remembered.lock();
        std::mem::take(&mut *remembered).events.into_values().collect()
    }
}

/// Forgets `settled`: events soon, the rest now.
pub(crate) async fn settle(engine: &Arc<Engine>, settled: Vec<Settled>) -> Result<(), StoreError> {
    let mut now: HashMap<Place, Dealt> = HashMap::new();
    for one in settled {
        match one {
            Settled::Event { document, id } => engine.pending.remember(document, vec![id]),
            Settled::Call { document, id } => dealt(&mut now, document).calls.push(id),
            Settled::Timer(timer) => {
                let firing = (timer.name, timer.at);
                dealt(&mut now, timer.document).timers.push(firing);
            }
        }
    }
    if now.is_empty() {
        return Ok(());
    }
    let forget = async move |engine: Arc<Engine>| {
        for dealt in now.into_values() {
            forget(&engine, dealt).await?;
        }
        Ok(())
    };
    engine.read("settle", forget).await
}

async fn forget(engine: &Engine, dealt: Dealt) -> Result<(), StoreError> {
    let change = Change::new()
        .drop_calls(&dealt.calls)
        .drop_firings(&dealt.timers);
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
pub(crate) async fn sweep(engine: &Engine) -> Result<(), StoreError> {
    let _one_at_a_time = engine.pending.sweeping.lock().await;
    let mut left = engine.pending.take().into_iter();
    while let Some(first) = left.next() {
        // One statement for documents of one collection.
        let collection = first.0.collection;
        let mut batch = vec![first];
        let mut others = Vec::new();
        let mut count = batch[0].1.len();
        for entry in left {
            if entry.0.collection == collection && count < AT_ONCE {
                count += entry.1.len();
                batch.push(entry);
            } else {
                others.push(entry);
            }
        }
        if let Err(error) = take_out(engine, &batch).await {
            for (document, ids) in batch.into_iter().chain(others) {
                engine.pending.remember(document, ids);
            }
            return Err(DriverError::from(&error).unknown("published events could not be cleared"));
        }
        left = others.into_iter();
    }
    Ok(())
}

async fn take_out(
    engine: &Engine,
    batch: &[(DocumentRef, Vec<String>)],
) -> mongodb::error::Result<()> {
    let documents: Vec<&str> = batch.iter().map(|(document, _)| document.id.as_str()).collect();
    let events: Vec<String> = batch.iter().flat_map(|(_, ids)| ids.clone()).collect();
    let filter = doc! { "_id": { "$in": documents }, "out.id": { "$in": &events } };
    let change = Change::new().drop_events(&events);
    engine
        .envelopes(batch[0].0.collection)
        .update_many(filter, change.into_pipeline())
        // What is lost with a primary is cleared again after it was published again.
        .write_concern(mongodb::options::WriteConcern::nodes(1))
        .await?;
    Ok(())
}

/// Sweeps in the background for as long as the store is open.
pub(crate) async fn sweep_forever(engine: std::sync::Weak<Engine>, pending: Arc<Pending>) {
    loop {
        pending.some.notified().await;
        tokio::select! {
            () = pending.many.notified() => {}
            () = tokio::time::sleep(SWEEP_AFTER) => {}
        }
        let Some(engine) = engine.upgrade() else {
            return;
        };
        if let Err(error) = sweep(&engine).await {
            tracing::warn!(error = %bistro_core::Error::from(error).chain(), "sweep failed");
            drop(engine);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
