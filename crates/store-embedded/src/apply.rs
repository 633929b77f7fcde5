//! One Work inside a transaction: its mark first, then its preconditions, then its effects.

use bistro_core::Timestamp;
use bistro_store::{
    CallChain, Cause, Committed, DocumentRef, Mark, StoreError, TimerChange, Work, Write,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    adjust::adjusted,
    catalog::{Catalog, Entry},
    failure::Stop,
    keys::{self, NewKey},
    marking, messages,
    writer::Tx,
};

/// What a write needs to know of the document as it is.
struct Row {
    doc: i64,
    version: i64,
    keys: String,
    marks: Vec<u8>,
}

/// Does all of `work`; whoever calls undoes it when this fails.
pub(crate) fn apply(tx: &mut Tx<'_>, work: &Work) -> Result<Committed, Stop> {
    let mark_key = work.cause.mark_key();
    let anchor =
        work.anchor().ok_or_else(|| StoreError::Invalid("it writes nothing".to_owned()))?;
    let mut anchor_row = row(tx.conn, tx.catalog.entry(anchor.collection)?, anchor)?;
    let anchor_marks = anchor_row.as_ref().map_or(&[][..], |row| &row.marks);
    if let Some(done) = marking::done_before(tx, work, mark_key.as_deref(), anchor_marks)? {
        if let Cause::Message { queue, id } = &work.cause {
            messages::consume(tx, queue, id)?;
        }
        return Ok(Committed::AlreadyDone(done));
    }
    if !consume_cause(tx, &work.cause)? {
        return Ok(Committed::AlreadyDone(Mark {
            reply: Vec::new(),
            body_hash: String::new(),
            document: anchor.clone(),
        }));
    }

    let mut writing = Writing {
        conn: tx.conn,
        catalog: tx.catalog,
        work,
        mark_key: mark_key.as_deref(),
        oldest_mark: work.oldest_mark(),
        new_keys: Vec::new(),
        written: Vec::with_capacity(work.writes.len()),
    };
    for (place, write) in work.writes.iter().enumerate() {
        let document = write.document();
        let entry = tx.catalog.entry(document.collection)?;
        let found = if place == 0 { anchor_row.take() } else { row(tx.conn, entry, document)? };
        writing.write(write, entry, found, place == 0)?;
    }
    // Keys come last, so that a document may take over a key which the same Work frees.
    for key in &writing.new_keys {
        key.add(tx.conn)?;
    }
    for change in &work.timers {
        writing.set_timer(change)?;
    }
    for chain in &work.calls {
        add_call(tx, anchor, chain)?;
    }
    for event in &work.events {
        messages::fan_out(tx, event)?;
    }
    Ok(Committed::Applied)
}

/// Consumes what a message, a timer or an outcome leaves in the file; false when it is gone.
fn consume_cause(tx: &mut Tx<'_>, cause: &Cause) -> Result<bool, Stop> {
    match cause {
        Cause::Request { .. } | Cause::Tick { .. } => Ok(true),
        Cause::Message { queue, id } => {
            // Its mark tells whether it is done, not its row: the row may have been given up.
            messages::consume(tx, queue, id)?;
            Ok(true)
        }
        Cause::Timer(timer) => remove_timer(tx, timer),
        Cause::Outcome { document, call } => close_call(tx, document, call),
    }
}

/// Removes a timer that is still set for this moment; whether it was.
pub(crate) fn remove_timer(tx: &Tx<'_>, timer: &bistro_store::DueTimer) -> Result<bool, Stop> {
    let entry = tx.catalog.entry(timer.document.collection)?;
    let removed = tx
        .conn
        .prepare_cached(
            "DELETE FROM timers WHERE name = ?3 AND at = ?4
             AND doc = (SELECT doc FROM docs WHERE collection = ?1 AND id = ?2)",
        )?
        .execute(params![entry.number, timer.document.id, timer.name, timer.at.as_millis()])?;
    Ok(removed > 0)
}

/// Closes a call; whether it was open.
pub(crate) fn close_call(tx: &Tx<'_>, document: &DocumentRef, call: &str) -> Result<bool, Stop> {
    let entry = tx.catalog.entry(document.collection)?;
    let closed = tx
        .conn
        .prepare_cached("DELETE FROM calls WHERE id = ?1 AND collection = ?2 AND anchor = ?3")?
        .execute(params![call, entry.number, document.id])?;
    Ok(closed > 0)
}

fn add_call(tx: &Tx<'_>, anchor: &DocumentRef, chain: &CallChain) -> Result<(), Stop> {
    let entry = tx.catalog.entry(anchor.collection)?;
    let json = serde_json::to_string(chain)
        .map_err(|source| StoreError::Undecodable { document: anchor.clone(), source })?;
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO calls (id, role, at, collection, anchor, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            chain.id,
            entry.role,
            chain.time.as_millis(),
            entry.number,
            anchor.id,
            json
        ])?;
    Ok(())
}

fn row(conn: &Connection, entry: &Entry, document: &DocumentRef) -> rusqlite::Result<Option<Row>> {
    conn.prepare_cached(
        "SELECT doc, version, keys, marks FROM docs WHERE collection = ?1 AND id = ?2",
    )?
    .query_row(params![entry.number, document.id], |row| {
        Ok(Row { doc: row.get(0)?, version: row.get(1)?, keys: row.get(2)?, marks: row.get(3)? })
    })
    .optional()
}

/// The writes of one Work, as they are made.
struct Writing<'a> {
    conn: &'a Connection,
    catalog: &'a Catalog,
    work: &'a Work,
    mark_key: Option<&'a str>,
    oldest_mark: Timestamp,
    new_keys: Vec<NewKey<'a>>,
    /// The numbers of the documents inserted and replaced.
    written: Vec<(&'a DocumentRef, i64)>,
}

impl<'a> Writing<'a> {
    fn write(
        &mut self,
        write: &'a Write,
        entry: &'a Entry,
        found: Option<Row>,
        is_anchor: bool,
    ) -> Result<(), Stop> {
        let document = write.document();
        let conflict = || StoreError::Conflict { document: document.clone() };
        match write {
            Write::Insert { data, keys, by_request, .. } => {
                if found.is_some() {
                    return Err(conflict().into());
                }
                self.insert(document, entry, data, keys, *by_request, is_anchor)
            }
            Write::Replace { version, data, keys, .. } => {
                let row = found.filter(|row| row.version == *version);
                let row = row.ok_or_else(conflict)?;
                self.replace(document, entry, &row, data, keys, is_anchor)
            }
            Write::Delete { version, .. } => {
                let row = found.filter(|row| row.version == *version);
                self.delete(document, entry, &row.ok_or_else(conflict)?)
            }
            Write::Require { version, .. } => match found {
                Some(row) if row.version == *version => Ok(()),
                _ => Err(conflict().into()),
            },
            Write::Adjust { field, by, at_least, .. } => {
                let row = found.ok_or_else(conflict)?;
                let data: String = self
                    .conn
                    .prepare_cached("SELECT data FROM docs WHERE doc = ?1")?
                    .query_row([row.doc], |found| found.get(0))?;
                let data = adjusted(document, &data, field, *by, *at_least)?;
                let marks =
                    marking::kept(self.conn, document, entry, &row.marks, self.oldest_mark)?;
                self.conn
                    .prepare_cached(
                        "UPDATE docs SET version = version + 1, marks = ?2, data = ?3
                         WHERE doc = ?1",
                    )?
                    .execute(params![row.doc, marks, data])?;
                Ok(())
            }
        }
    }

    fn insert(
        &mut self,
        document: &'a DocumentRef,
        entry: &'a Entry,
        data: &str,
        keys: &'a [(&'static str, bistro_store::Key)],
        by_request: bool,
        is_anchor: bool,
    ) -> Result<(), Stop> {
        let mut marks = Vec::new();
        if is_anchor || by_request {
            marking::add(&mut marks, self.catalog, self.work, by_request, is_anchor)?;
        }
        let encoded = keys::encode(entry, document, keys)?;
        self.conn
            .prepare_cached(
                "INSERT INTO docs
                 (collection, id, version, schema, compatible_from, keys, marks, data)
                 VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                entry.number,
                document.id,
                entry.collection.schema,
                entry.collection.compatible_from,
                encoded,
                marks,
                data
            ])?;
        let doc = self.conn.last_insert_rowid();
        self.written.push((document, doc));
        if by_request && let Some(key) = self.mark_key {
            self.new_keys.push(NewKey::of_request(document, entry, doc, key));
        }
        for (name, key) in keys {
            self.new_keys.push(NewKey::new(self.catalog, entry, document, doc, name, key)?);
        }
        Ok(())
    }

    fn replace(
        &mut self,
        document: &'a DocumentRef,
        entry: &'a Entry,
        row: &Row,
        data: &str,
        keys: &'a [(&'static str, bistro_store::Key)],
        is_anchor: bool,
    ) -> Result<(), Stop> {
        let mut marks = marking::kept(self.conn, document, entry, &row.marks, self.oldest_mark)?;
        if is_anchor {
            marking::add(&mut marks, self.catalog, self.work, false, true)?;
        }
        let encoded = keys::encode(entry, document, keys)?;
        if encoded != row.keys {
            self.change_keys(document, entry, row, keys)?;
        }
        self.conn
            .prepare_cached(
                "UPDATE docs SET version = version + 1, schema = ?2, compatible_from = ?3,
                 keys = ?4, marks = ?5, data = ?6 WHERE doc = ?1",
            )?
            .execute(params![
                row.doc,
                entry.collection.schema,
                entry.collection.compatible_from,
                encoded,
                marks,
                data
            ])?;
        self.written.push((document, row.doc));
        Ok(())
    }

    /// Removes the keys that are no longer there, and remembers the ones to add.
    fn change_keys(
        &mut self,
        document: &'a DocumentRef,
        entry: &'a Entry,
        row: &Row,
        keys: &'a [(&'static str, bistro_store::Key)],
    ) -> Result<(), Stop> {
        let old: Vec<_> = keys::decode(&row.keys).collect();
        for (index, key) in &old {
            let stays = keys
                .iter()
                .any(|(name, new)| entry.index(name) == Some(*index) && new.as_str() == *key);
            if !stays {
                keys::remove(self.conn, self.catalog, *index, key, &document.id)?;
            }
        }
        for (name, key) in keys {
            let new = NewKey::new(self.catalog, entry, document, row.doc, name, key)?;
            if !old.contains(&new.place()) {
                self.new_keys.push(new);
            }
        }
        Ok(())
    }

    fn delete(&self, document: &DocumentRef, entry: &Entry, row: &Row) -> Result<(), Stop> {
        self.conn.prepare_cached("DELETE FROM docs WHERE doc = ?1")?.execute([row.doc])?;
        for (index, key) in keys::decode(&row.keys) {
            keys::remove(self.conn, self.catalog, index, key, &document.id)?;
        }
        marking::orphan(self.conn, document, entry, &row.marks, self.oldest_mark)?;
        self.conn.prepare_cached("DELETE FROM timers WHERE doc = ?1")?.execute([row.doc])?;
        Ok(())
    }

    fn set_timer(&self, change: &TimerChange) -> Result<(), Stop> {
        let written = self.written.iter().find(|(document, _)| **document == change.document);
        let Some((document, doc)) = written else {
            // `Work::check` refuses a timer of a document that the Work does not write.
            return Err(StoreError::Invalid(format!(
                "it sets a timer of {} without writing it",
                change.document
            ))
            .into());
        };
        match change.at {
            Some(at) => self
                .conn
                .prepare_cached(
                    "INSERT INTO timers (doc, name, role, at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (doc, name) DO UPDATE SET at = excluded.at",
                )?
                .execute(params![
                    doc,
                    change.name,
                    self.catalog.entry(document.collection)?.role,
                    at.as_millis()
                ])?,
            None => self
                .conn
                .prepare_cached("DELETE FROM timers WHERE doc = ?1 AND name = ?2")?
                .execute(params![doc, change.name])?,
        };
        Ok(())
    }
}
