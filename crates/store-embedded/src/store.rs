//! The engine as a [`Store`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Page, Timestamp};
use bistro_store::{
    Backlog, Collection, Committed, DocumentRef, DueTimer, Mark, OpenCall, OutboxEvent, Query,
    Settled, Store, StoreError, Stored, Work,
};

use crate::{
    Embedded, apply,
    failure::Stop,
    marking, messages,
    reads::{self, Over},
    writer::Tx,
};

#[async_trait]
impl Store for Embedded {
    /// Yes: a message of a queue is a row of the same file.
    fn publishes_at_commit(&self) -> bool {
        true
    }

    async fn get(
        &self,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let number = self.engine.catalog.entry(collection)?.number;
        let readers = &self.engine.readers;
        readers.with(|conn| reads::get(conn, number, id))
    }

    async fn get_many(
        &self,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        let number = self.engine.catalog.entry(collection)?.number;
        let readers = &self.engine.readers;
        readers.with(|conn| reads::get_many(conn, number, ids))
    }

    async fn find(&self, query: Query) -> Result<Page<Stored>, StoreError> {
        let entry = self.engine.catalog.entry(query.collection)?;
        let over = match query.index {
            None => Over::Ids,
            Some(name) => {
                let number = entry.index(name).ok_or_else(|| {
                    let collection = query.collection.full_name();
                    StoreError::Invalid(format!("{collection} has no index {name}"))
                })?;
                Over::Index { number, is_unique: self.engine.catalog.is_unique(number) }
            }
        };
        let readers = &self.engine.readers;
        readers.with(|conn| reads::find(conn, entry, &over, &query))
    }

    async fn commit(&self, work: Work) -> Result<Committed, StoreError> {
        work.check()?;
        self.engine.write(move |tx| apply::apply(tx, &work)).await
    }

    async fn mark(
        &self,
        document: &DocumentRef,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let catalog = &self.engine.catalog;
        let readers = &self.engine.readers;
        readers.try_with(|conn| marking::of_document(conn, catalog, document, mark_key))
    }

    async fn mark_of_request(
        &self,
        collection: &'static Collection,
        mark_key: &str,
    ) -> Result<Option<Mark>, StoreError> {
        let catalog = &self.engine.catalog;
        let entry = catalog.entry(collection)?;
        let readers = &self.engine.readers;
        readers.try_with(|conn| marking::of_request(conn, catalog, entry, mark_key))
    }

    async fn due_timers(
        &self,
        role: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTimer>, StoreError> {
        let catalog = &self.engine.catalog;
        let Some(role) = catalog.role(role) else {
            return Ok(Vec::new());
        };
        let readers = &self.engine.readers;
        let rows = readers.with(|conn| reads::due_timers(conn, role, now, limit))?;
        rows.into_iter()
            .map(|(collection, id, name, at)| {
                Ok(DueTimer {
                    document: catalog.document(collection, id)?,
                    name,
                    at: Timestamp::from_millis(at),
                })
            })
            .collect()
    }

    async fn open_calls(
        &self,
        role: &str,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCall>, StoreError> {
        let catalog = &self.engine.catalog;
        let Some(role) = catalog.role(role) else {
            return Ok(Vec::new());
        };
        let readers = &self.engine.readers;
        let rows = readers.with(|conn| reads::open_calls(conn, role, before, limit))?;
        rows.into_iter()
            .map(|(collection, anchor, chain)| {
                let document = catalog.document(collection, anchor)?;
                match serde_json::from_str(&chain) {
                    Ok(chain) => Ok(OpenCall { document, chain }),
                    Err(source) => Err(StoreError::Undecodable { document, source }),
                }
            })
            .collect()
    }

    /// None, ever: an event is in its queues as soon as it is committed.
    async fn unpublished(
        &self,
        _role: &str,
        _before: Timestamp,
        _limit: u32,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn settle(&self, settled: Vec<Settled>) -> Result<(), StoreError> {
        self.engine.write(move |tx| settled.iter().try_for_each(|one| forget(tx, one))).await
    }

    async fn lease(
        &self,
        role: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        let mut leases = self.engine.leases.lock();
        let lease = (role.to_owned(), name.to_owned());
        let is_held =
            leases.get(&lease).is_some_and(|(other, until)| other != holder && *until > now);
        if !is_held {
            leases.insert(lease, (holder.to_owned(), now + lifetime));
        }
        Ok(!is_held)
    }

    async fn backlog(&self, role: &str) -> Result<Backlog, StoreError> {
        let number = self.engine.catalog.role(role);
        let source = format!("/bistro/{role}");
        let readers = Arc::clone(&self.engine.readers);
        // It counts rows: after a long outage that takes long enough to be out of the way.
        let counted = tokio::task::spawn_blocking(move || {
            readers.with(|conn| {
                let (events, oldest_event) = messages::untold(conn, &source)?;
                let mut backlog = Backlog { events, oldest_event, ..Backlog::default() };
                if let Some(role) = number {
                    (backlog.calls, backlog.oldest_call) = reads::count(conn, "calls", role)?;
                    (backlog.timers, backlog.next_timer) = reads::count(conn, "timers", role)?;
                }
                Ok(backlog)
            })
        });
        counted
            .await
            .unwrap_or_else(|error| Err(StoreError::not_done("the backlog was not counted", error)))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.engine
            .write(|tx| {
                tx.conn.prepare_cached("UPDATE pulse SET beats = beats + 1")?.execute([])?;
                Ok(())
            })
            .await?;
        self.engine.readers.with(|conn| conn.query_row("SELECT beats FROM pulse", [], |_| Ok(())))
    }
}

fn forget(tx: &mut Tx<'_>, settled: &Settled) -> Result<(), Stop> {
    match settled {
        // It is in its queues, which forget it when it is handled.
        Settled::Event { .. } => Ok(()),
        Settled::Call { document, id } => apply::close_call(tx, document, id).map(drop),
        Settled::Timer(timer) => apply::remove_timer(tx, timer).map(drop),
    }
}
