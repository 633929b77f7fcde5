//! Whether a cause has had its effect: marks found, added, dropped when old, and kept when their
//! document goes.

use bistro_core::Timestamp;
use bistro_store::{Cause, DocumentRef, Mark, StoreError, Work, Write};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    catalog::{Catalog, Entry},
    failure::Stop,
    keys,
    marks::{self, Damaged, StoredMark},
    writer::Tx,
};

/// Marks of removed documents that are forgotten, once old, whenever another is kept.
const FORGOTTEN: i64 = 16;

/// The mark that the cause of `work` left before, if it did.
pub(crate) fn done_before(
    tx: &Tx<'_>,
    work: &Work,
    mark_key: Option<&str>,
    anchor_marks: &[u8],
) -> Result<Option<Mark>, Stop> {
    let (Some(key), Some(anchor)) = (mark_key, work.anchor()) else {
        return Ok(None);
    };
    if let Some(mark) = find(tx.catalog, anchor, anchor_marks, key)? {
        return Ok(Some(mark));
    }
    let entry = tx.catalog.entry(anchor.collection)?;
    if let Some(mark) = orphan_mark(tx.conn, tx.catalog, entry, key)? {
        return Ok(Some(mark));
    }
    for write in &work.writes {
        if let Write::Insert { document, by_request: true, .. } = write {
            let entry = tx.catalog.entry(document.collection)?;
            if let Some(mark) = of_request(tx.conn, tx.catalog, entry, key)? {
                return Ok(Some(mark));
            }
        }
    }
    Ok(None)
}

/// The mark that a cause left in `document`.
pub(crate) fn of_document(
    conn: &Connection,
    catalog: &Catalog,
    document: &DocumentRef,
    mark_key: &str,
) -> Result<Option<Mark>, Stop> {
    let entry = catalog.entry(document.collection)?;
    let marks: Option<Vec<u8>> = conn
        .prepare_cached("SELECT marks FROM docs WHERE collection = ?1 AND id = ?2")?
        .query_row(params![entry.number, document.id], |row| row.get(0))
        .optional()?;
    if let Some(marks) = marks
        && let Some(mark) = find(catalog, document, &marks, mark_key)?
    {
        return Ok(Some(mark));
    }
    let orphan = orphan_mark(conn, catalog, entry, mark_key)?;
    Ok(orphan.filter(|mark| mark.document == *document))
}

/// The mark of the request that made a document of this collection.
pub(crate) fn of_request(
    conn: &Connection,
    catalog: &Catalog,
    entry: &Entry,
    mark_key: &str,
) -> Result<Option<Mark>, Stop> {
    // Two statements: nearly always the first one finds nothing, and that is all.
    let made: Option<(i64, String)> = conn
        .prepare_cached("SELECT doc, id FROM unique_entries WHERE ix = ?1 AND key = ?2")?
        .query_row(params![entry.requests, mark_key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((doc, id)) = made else {
        return orphan_mark(conn, catalog, entry, mark_key);
    };
    let marks: Option<Vec<u8>> = conn
        .prepare_cached("SELECT marks FROM docs WHERE doc = ?1")?
        .query_row([doc], |row| row.get(0))
        .optional()?;
    let marks = marks.unwrap_or_default();
    let document = DocumentRef { collection: entry.collection, id };
    Ok(find(catalog, &document, &marks, mark_key)?)
}

/// A mark whose document of this collection was removed.
fn orphan_mark(
    conn: &Connection,
    catalog: &Catalog,
    entry: &Entry,
    mark_key: &str,
) -> Result<Option<Mark>, Stop> {
    let found: Option<(String, Vec<u8>)> = conn
        .prepare_cached("SELECT id, mark FROM orphan_marks WHERE collection = ?1 AND key = ?2")?
        .query_row(params![entry.number, mark_key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, mark)) = found else {
        return Ok(None);
    };
    let document = DocumentRef { collection: entry.collection, id };
    Ok(find(catalog, &document, &mark, mark_key)?)
}

/// The mark under `mark_key` among those of `document`.
fn find(
    catalog: &Catalog,
    document: &DocumentRef,
    bytes: &[u8],
    mark_key: &str,
) -> Result<Option<Mark>, StoreError> {
    let marks = read(document, bytes)?;
    let Some(mark) = marks.iter().find(|mark| mark.key == mark_key) else {
        return Ok(None);
    };
    let anchor = match mark.anchor {
        Some((collection, id)) => catalog.document(collection, id.to_owned())?,
        None => document.clone(),
    };
    Ok(Some(Mark {
        reply: mark.reply.to_vec(),
        body_hash: mark.body_hash.to_owned(),
        document: anchor,
    }))
}

fn read<'a>(document: &DocumentRef, bytes: &'a [u8]) -> Result<Vec<StoredMark<'a>>, StoreError> {
    marks::read(bytes)
        .map_err(|Damaged| StoreError::not_done(format!("{document} is damaged"), Damaged))
}

/// Adds the mark of `work` to those of a document, if its cause leaves one.
pub(crate) fn add(
    marks: &mut Vec<u8>,
    catalog: &Catalog,
    work: &Work,
    by_request: bool,
    is_anchor: bool,
) -> Result<(), Stop> {
    let Some(key) = work.cause.mark_key() else {
        return Ok(());
    };
    let body_hash = match &work.cause {
        Cause::Request { body_hash, .. } => body_hash.as_str(),
        _ => "",
    };
    let anchor = match work.anchor() {
        Some(anchor) if !is_anchor => {
            let entry = catalog.entry(anchor.collection)?;
            Some((entry.number, anchor.id.as_str()))
        }
        _ => None,
    };
    StoredMark { time: work.time, key: &key, body_hash, by_request, anchor, reply: &work.reply }
        .append_to(marks);
    Ok(())
}

/// The marks of a document without those older than `oldest`.
pub(crate) fn kept(
    conn: &Connection,
    document: &DocumentRef,
    entry: &Entry,
    bytes: &[u8],
    oldest: Timestamp,
) -> Result<Vec<u8>, Stop> {
    let marks = read(document, bytes)?;
    if marks.iter().all(|mark| mark.time >= oldest) {
        return Ok(bytes.to_vec());
    }
    let mut kept = Vec::with_capacity(bytes.len());
    for mark in marks {
        if mark.time >= oldest {
            mark.append_to(&mut kept);
        } else if mark.by_request {
            keys::remove_unique(conn, entry.requests, mark.key)?;
        }
    }
    Ok(kept)
}

/// Keeps the marks of a document that is removed, and forgets some that are older than `oldest`.
pub(crate) fn orphan(
    conn: &Connection,
    document: &DocumentRef,
    entry: &Entry,
    bytes: &[u8],
    oldest: Timestamp,
) -> Result<(), Stop> {
    for mark in read(document, bytes)? {
        if mark.by_request {
            keys::remove_unique(conn, entry.requests, mark.key)?;
        }
        if mark.time < oldest {
            continue;
        }
        let mut bytes = Vec::new();
        mark.append_to(&mut bytes);
        conn.prepare_cached(
            "INSERT OR REPLACE INTO orphan_marks (collection, key, at, id, mark)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            entry.number,
            mark.key,
            mark.time.as_millis(),
            document.id,
            bytes
        ])?;
    }
    conn.prepare_cached(
        "DELETE FROM orphan_marks WHERE (collection, key) IN
         (SELECT collection, key FROM orphan_marks WHERE at < ?1 ORDER BY at LIMIT ?2)",
    )?
    .execute(params![oldest.as_millis(), FORGOTTEN])?;
    Ok(())
}
