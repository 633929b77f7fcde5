//! As much of a store as commands need, in memory, and a bus that nothing goes over.
//!
//! The real engines are held to the contract by their own suite; here it is this role that is
//! tested, so the store keeps versions and the marks of requests and leaves out the rest.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use bistro_bus::{Bus, BusError, Consumer, DeadLetter, Depth, Listener, Queue};
use bistro_core::{Event, Page, Timestamp};
use bistro_store::{
    Backlog, Cause, Collection, Committed, DocumentRef, DueTimer, Mark, OpenCall, OutboxEvent,
    Query, Settled, Store, StoreError, Stored, Work, Write,
};
use parking_lot::Mutex;

#[derive(Clone, Default)]
struct Content {
    /// By collection and id.
    documents: BTreeMap<(String, String), Stored>,
    /// By the request's key.
    marks: HashMap<String, Mark>,
}

/// The store.
#[derive(Default)]
pub(super) struct Memory(Mutex<Content>);

fn place(document: &DocumentRef) -> (String, String) {
    (document.collection.full_name(), document.id.clone())
}

fn apply(content: &mut Content, write: &Write) -> Result<(), StoreError> {
    let document = write.document();
    let version = content.documents.get(&place(document)).map_or(0, |stored| stored.version);
    let data = match write {
        Write::Insert { data, .. } if version == 0 => data,
        Write::Replace { data, version: read, .. } if *read == version => data,
        _ => return Err(StoreError::Conflict { document: document.clone() }),
    };
    let stored = Stored {
        id: document.id.clone(),
        version: version + 1,
        schema: document.collection.schema,
        compatible_from: document.collection.compatible_from,
        data: data.as_str().into(),
    };
    content.documents.insert(place(document), stored);
    Ok(())
}

#[async_trait]
impl Store for Memory {
    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let at = (collection.full_name(), id.to_owned());
        Ok(self.0.lock().documents.get(&at).cloned())
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

    async fn find(&self, _: Query) -> Result<Page<Stored>, StoreError> {
        Err(StoreError::Invalid("there are no lists here".to_owned()))
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        work.check()?;
        let mut content = self.0.lock();
        let key = work.cause.mark_key();
        if let Some(mark) = key.as_ref().and_then(|key| content.marks.get(key)) {
            return Ok(Committed::AlreadyDone(mark.clone()));
        }
        let mut changed = content.clone();
        for write in &work.writes {
            apply(&mut changed, write)?;
        }
        if let (Some(key), Cause::Request { body_hash, .. }, Some(anchor)) =
            (key, &work.cause, work.anchor())
        {
            let mark = Mark {
                reply: work.reply.clone(),
                body_hash: body_hash.clone(),
                document: anchor.clone(),
            };
            changed.marks.insert(key, mark);
        }
        *content = changed;
        Ok(Committed::Applied)
    }

    async fn mark(&self, of: &DocumentRef, mark_key: &str) -> Result<Option<Mark>, StoreError> {
        let content = self.0.lock();
        Ok(content.marks.get(mark_key).filter(|mark| mark.document == *of).cloned())
    }

    async fn mark_of_request(
        &self,
        _: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        Ok(self.0.lock().marks.get(mark_key).cloned())
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

    async fn dead_letters(&self, queue: &str, _: u32) -> Result<Vec<DeadLetter>, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn revive(&self, queue: &str, _: &str) -> Result<bool, BusError> {
        Err(BusError::NoQueue(queue.to_owned()))
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}
