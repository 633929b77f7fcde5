//! Reads: a small pool of connections, and the statements that run on them.
//!
//! A read takes some tens of microseconds, less than handing it to another thread, so it runs
//! where it is asked. Each statement is a read transaction of its own and sees every commit that
//! was answered before it.

use std::path::PathBuf;

use bistro_core::{Page, Timestamp};
use bistro_store::{Cursor, Order, Query, StoreError, Stored};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Value};

use crate::{
    catalog::Entry,
    failure::{Stop, closed, not_read},
    schema,
};

/// Connections kept for later; more are opened when more read at once, and closed again.
const KEPT: usize = 4;

/// The connections that read.
pub(crate) struct Readers {
    path: PathBuf,
    /// None once the engine is closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Some(Vec::new())) }
    }

    /// Runs `read` on a connection.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = match &mut *self.idle.lock() {
            Some(idle) => idle.pop(),
            None => return Err(closed()),
        };
        let conn = match idle {
            Some(conn) => conn,
            None => schema::open_reader(&self.path).map_err(not_read)?,
        };
        let result = read(&conn).map_err(not_read);
        // A connection that failed may be the reason; the next read opens another.
        if result.is_ok()
            && let Some(idle) = &mut *self.idle.lock()
            && idle.len() < KEPT
        {
            idle.push(conn);
        }
        result
    }

    /// Runs `read`, which may also find something wrong with what it read.
    pub(crate) fn try_with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Stop>,
    ) -> Result<T, StoreError> {
        self.with(|conn| match read(conn) {
            Ok(value) => Ok(Ok(value)),
            Err(Stop::Refused(error)) => Ok(Err(error)),
            Err(Stop::Failed(error)) => Err(error),
        })?
    }

    /// Closes every connection as soon as it is idle.
    pub(crate) fn close(&self) {
        self.idle.lock().take();
    }
}

const DOCUMENT: &str = "docs.id, docs.version, docs.schema, docs.compatible_from, docs.data";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        version: row.get(1)?,
        schema: row.get(2)?,
        compatible_from: row.get(3)?,
        data: row.get::<_, String>(4)?.into(),
    })
}

/// One document.
pub(crate) fn get(
    conn: &Connection,
    collection: i64,
    id: &str,
) -> rusqlite::Result<Option<Stored>> {
    conn.prepare_cached(&format!("SELECT {DOCUMENT} FROM docs WHERE collection = ?1 AND id = ?2"))?
        .query_row(params![collection, id], stored)
        .optional()
}

/// Several documents at one moment.
pub(crate) fn get_many(
    conn: &Connection,
    collection: i64,
    ids: &[String],
) -> rusqlite::Result<Vec<Stored>> {
    let tx = conn.unchecked_transaction()?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(get(&tx, collection, id)?);
    }
    tx.finish()?;
    Ok(found)
}

/// Which index a list runs over.
pub(crate) enum Over {
    /// The whole collection, by id.
    Ids,
    /// An index by its number.
    Index { number: i64, is_unique: bool },
}

/// One page of a list.
pub(crate) fn find(
    conn: &Connection,
    entry: &Entry,
    over: &Over,
    query: &Query,
) -> rusqlite::Result<Page<Stored>> {
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    // One row more tells whether there is a next page.
    let rows_wanted = i64::from(query.limit) + 1;
    let mut rows: Vec<(Stored, String)> = match over {
        Over::Ids => {
            let (sql, after) = by_id(query);
            conn.prepare_cached(&sql)?
                .query_map(params![entry.number, after, rows_wanted], |row| {
                    Ok((stored(row)?, String::new()))
                })?
                .collect::<rusqlite::Result<_>>()?
        }
        Over::Index { number, is_unique } => {
            let sql = by_key(query, *is_unique);
            let after = query.after.as_ref();
            // A blob is larger than every text: no upper end.
            let upper = query.upper.clone().map_or_else(|| Value::Blob(Vec::new()), Value::Text);
            conn.prepare_cached(&sql)?
                .query_map(
                    params![
                        number,
                        query.lower,
                        upper,
                        after.map(|cursor| &cursor.key),
                        after.map(|cursor| &cursor.id),
                        rows_wanted
                    ],
                    |row| Ok((stored(row)?, row.get(5)?)),
                )?
                .collect::<rusqlite::Result<_>>()?
        }
    };
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| has_more)
        .map(|(last, key)| Cursor { key: key.clone(), id: last.id.clone() }.encode_for(query));
    Ok(Page { items: rows.into_iter().map(|(stored, _)| stored).collect(), next })
}

fn by_id(query: &Query) -> (String, Option<&str>) {
    let (sign, direction) = match query.order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    let after = query.after.as_ref().map(|cursor| cursor.id.as_str());
    let beyond = if after.is_some() { format!("AND id {sign} ?2") } else { String::new() };
    let sql = format!(
        "SELECT {DOCUMENT} FROM docs WHERE collection = ?1 {beyond} ORDER BY id {direction}
         LIMIT ?3"
    );
    (sql, after)
}

fn by_key(query: &Query, is_unique: bool) -> String {
    let table = if is_unique { "unique_entries" } else { "entries" };
    // A cursor lies within the bounds, so it takes the place of the one on its side.
    let bounds = match (query.order, query.after.is_some()) {
        (_, false) => "e.key >= ?2 AND e.key < ?3",
        (Order::Ascending, true) => "(e.key, e.id) > (?4, ?5) AND e.key < ?3",
        (Order::Descending, true) => "e.key >= ?2 AND (e.key, e.id) < (?4, ?5)",
    };
    let direction = match query.order {
        Order::Ascending => "ASC",
        Order::Descending => "DESC",
    };
    format!(
        "SELECT {DOCUMENT}, e.key FROM {table} AS e CROSS JOIN docs ON docs.doc = e.doc
         WHERE e.ix = ?1 AND {bounds} ORDER BY e.key {direction}, e.id {direction} LIMIT ?6"
    )
}

/// Timers of a role that are due, the most overdue first: collection, document, name, moment.
pub(crate) fn due_timers(
    conn: &Connection,
    role: i64,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<(i64, String, String, i64)>> {
    conn.prepare_cached(
        "SELECT docs.collection, docs.id, timers.name, timers.at
         FROM timers CROSS JOIN docs ON docs.doc = timers.doc
         WHERE timers.role = ?1 AND timers.at <= ?2 ORDER BY timers.at LIMIT ?3",
    )?
    .query_map(params![role, now.as_millis(), limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?
    .collect()
}

/// Calls of a role made before a moment, oldest first: collection, anchor, chain.
pub(crate) fn open_calls(
    conn: &Connection,
    role: i64,
    before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<(i64, String, String)>> {
    conn.prepare_cached(
        "SELECT collection, anchor, chain FROM calls
         WHERE role = ?1 AND at < ?2 ORDER BY at, call LIMIT ?3",
    )?
    .query_map(params![role, before.as_millis(), limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?
    .collect()
}

/// How many rows of `timers` or `calls` a role has, and the least moment among them.
pub(crate) fn count(
    conn: &Connection,
    table: &str,
    role: i64,
) -> rusqlite::Result<(u64, Option<Timestamp>)> {
    conn.prepare_cached(&format!("SELECT count(*), min(at) FROM {table} WHERE role = ?1"))?
        .query_row([role], |row| {
            let count: i64 = row.get(0)?;
            let least: Option<i64> = row.get(1)?;
            Ok((u64::try_from(count).unwrap_or(0), least.map(Timestamp::from_millis)))
        })
}
