//! As much of a store as this role needs, in memory, and a bus that nothing goes over.
//!
//! The real engines are held to the contract by their own suite; here it is this role that is
//! tested, so the store keeps versions, unique indexes and marks and leaves out the rest.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_bus::{Bus, BusError, Consumer, DeadLetter, DeadPlace, Depth, Listener, Queue};
use bistro_core::{Event, Page, Timestamp};
use bistro_store::{
    Backlog, Collection, Committed, Cursor, DocumentRef, DueTimer, Key, Mark, OpenCall,
    OutboxEvent, Query, Settled, Store, StoreError, Stored, Work, Write,
};
use parking_lot::Mutex;
use tokio::sync::Barrier;

#[derive(Clone)]
struct Row {
    stored: Stored,
    keys: Vec<(&'static str, Key)>,
    marks: Vec<(String, Mark)>,
}

type Rows = BTreeMap<(String, String), Row>;

/// The store. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Memory {
    rows: Arc<Mutex<Rows>>,
    /// Commits wait here for each other, so that a test decides that they race.
    pub(super) gate: Arc<Mutex<Option<Arc<Barrier>>>>,
}

fn place(document: &DocumentRef) -> (String, String) {
    (document.collection.full_name(), document.id.clone())
}

fn apply(rows: &mut Rows, work: &Work) -> Result<(), StoreError> {
    for write in &work.writes {
        let document = write.document();
        let conflict = || StoreError::Conflict { document: document.clone() };
        let at = place(document);
        let version = rows.get(&at).map_or(0, |row| row.stored.version);
        let (data, keys) = match write {
            Write::Insert { data, keys, .. } if version == 0 => (data, keys),
            Write::Replace { version: read, data, keys, .. } if *read == version => (data, keys),
            Write::Delete { version: read, .. } if *read == version => {
                rows.remove(&at);
                continue;
            }
            Write::Require { version: read, .. } if *read == version => continue,
            _ => return Err(conflict()),
        };
        for (index, key) in keys {
            let unique = document.collection.index(index).is_some_and(|index| index.unique);
            let taken = |(other, row): (&(String, String), &Row)| {
                other.0 == at.0 && other.1 != at.1 && row.keys.contains(&(*index, key.clone()))
            };
            if unique && rows.iter().any(taken) {
                let index = (*index).to_owned();
                return Err(StoreError::Duplicate { document: document.clone(), index });
            }
        }
        let stored = Stored {
            id: document.id.clone(),
            version: version + 1,
            schema: document.collection.schema,
            compatible_from: document.collection.compatible_from,
            data: data.as_str().into(),
        };
        let marks = rows.get(&at).map(|row| row.marks.clone()).unwrap_or_default();
        rows.insert(at, Row { stored, keys: keys.clone(), marks });
    }
    Ok(())
}

impl Memory {
    /// Everything that is stored, as text.
    pub(super) fn dump(&self) -> String {
        let rows = self.rows.lock();
        let row = |((collection, id), row): (&(String, String), &Row)| {
            format!("{collection}/{id} {} {:?}\n", row.stored.data, row.marks)
        };
        rows.iter().map(row).collect()
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let at = (collection.full_name(), id.to_owned());
        Ok(self.rows.lock().get(&at).map(|row| row.stored.clone()))
    }

    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.get(collection, id).await?);
        }
        Ok(found)
    }

    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError> {
        let collection = query.collection.full_name();
        let descends = query.order == bistro_store::Order::Descending;
        let rows = self.rows.lock();
        let mut found: Vec<(Cursor, Stored)> = Vec::new();
        for ((_, id), row) in rows.iter().filter(|((of, _), _)| *of == collection) {
            let key = match query.index {
                None => Some(String::new()),
                Some(index) => row
                    .keys
                    .iter()
                    .find(|(name, _)| *name == index)
                    .map(|(_, key)| key.as_str().to_owned()),
            };
            let Some(key) = key else { continue };
            let cursor = Cursor { key, id: id.clone() };
            let after = query.after.as_ref().is_none_or(|after| {
                let order = (&cursor.key, &cursor.id).cmp(&(&after.key, &after.id));
                if descends { order.is_lt() } else { order.is_gt() }
            });
            let below = query.upper.as_ref().is_none_or(|upper| cursor.key < *upper);
            if after && below && cursor.key >= query.lower {
                found.push((cursor, row.stored.clone()));
            }
        }
        found.sort_by(|(a, _), (b, _)| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        if descends {
            found.reverse();
        }
        let limit = query.limit as usize;
        let next = (found.len() > limit).then(|| found[limit - 1].0.encode_for(&query));
        Ok(Page { items: found.into_iter().take(limit).map(|(_, stored)| stored).collect(), next })
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        work.check()?;
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.wait().await;
        }
        let mark_key = work.cause.mark_key();
        let mut rows = self.rows.lock();
        if let Some(key) = &mark_key {
            let marked = rows.values().flat_map(|row| &row.marks).find(|(of, _)| of == key);
            if let Some((_, mark)) = marked {
                return Ok(Committed::AlreadyDone(mark.clone()));
            }
        }
        let mut changed = rows.clone();
        apply(&mut changed, &work)?;
        if let (Some(key), Some(document)) = (mark_key, work.anchor()) {
            let bistro_store::Cause::Request { body_hash, .. } = &work.cause else {
                return Err(StoreError::Invalid("only requests are expected here".to_owned()));
            };
            let mark = Mark {
                reply: work.reply.clone(),
                body_hash: body_hash.clone(),
                document: document.clone(),
            };
            if let Some(row) = changed.get_mut(&place(document)) {
                row.marks.push((key, mark));
            }
        }
        *rows = changed;
        Ok(Committed::Applied)
    }

    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let rows = self.rows.lock();
        let marks = rows.get(&place(document)).map(|row| row.marks.as_slice()).unwrap_or_default();
        Ok(marks.iter().find(|(key, _)| key == mark_key).map(|(_, mark)| mark.clone()))
    }

    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let (of, rows) = (collection.full_name(), self.rows.lock());
        let marks =
            rows.iter().filter(|((other, _), _)| *other == of).flat_map(|(_, row)| &row.marks);
        Ok(marks.into_iter().find(|(key, _)| key == mark_key).map(|(_, mark)| mark.clone()))
    }

    async fn due_timers(&self, _: &str, _: Timestamp, _: u32) -> Result<Vec<DueTimer>, StoreError> {
        Ok(Vec::new())
    }

    async fn open_calls(&self, _: &str, _: Timestamp, _: u32) -> Result<Vec<OpenCall>, StoreError> {
        Ok(Vec::new())
    }

    async fn unpublished(
        &self,
        _: &str,
        _: Timestamp,
        _: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn settle(&self, _: Vec<Settled>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lease(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Timestamp,
        _: Duration,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn backlog(&self, _: &str) -> Result<Backlog, StoreError> {
        Ok(Backlog::default())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A bus without queues.
pub(super) struct NoBus;

#[async_trait]
impl Bus for NoBus {
    async fn declare(&self, _: &[Queue]) -> Result<(), BusError> {
        Ok(())
    }

    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>> {
        events.iter().map(|_| Ok(())).collect()
    }

    async fn subscribe(&self, queue: &str, _: u16) -> Result<Box<dyn Consumer>, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn broadcast(&self, _: &str, _: &[u8]) -> Result<(), BusError> {
        Ok(())
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        Err(BusError::NoQueue(topic.to_owned()))
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn dead_letters(
        &self,
        queue: &str,
        _: Option<&DeadPlace>,
        _: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn dead_letter(&self, queue: &str, _: &str) -> Result<Option<DeadLetter>, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn discard(&self, queue: &str, _: &str) -> Result<bool, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn revive(&self, queue: &str, _: &str) -> Result<bool, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}
