//! The file's tables, and how every connection to it is set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::OpenError;

/// The schema number of the file that this program writes (`PRAGMA user_version`).
const FILE_SCHEMA: i64 = 1;
/// Statements a connection keeps prepared; more than the engine has.
const STATEMENTS: usize = 96;

/// Tables are rowid tables where rows are large (a clustered b-tree holds whole rows in its inner
/// pages and has almost no fan-out then), and clustered where rows are small. Names that repeat in
/// every row are numbers here.
const TABLES: &str = "
CREATE TABLE roles (role INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE collections (
    collection INTEGER PRIMARY KEY, role INTEGER NOT NULL, name TEXT NOT NULL,
    UNIQUE (role, name)
) STRICT;
CREATE TABLE indexes (
    ix INTEGER PRIMARY KEY, collection INTEGER NOT NULL, name TEXT NOT NULL,
    is_unique INTEGER NOT NULL, UNIQUE (collection, name)
) STRICT;
CREATE TABLE docs (
    doc INTEGER PRIMARY KEY, collection INTEGER NOT NULL, id TEXT NOT NULL,
    version INTEGER NOT NULL, schema INTEGER NOT NULL, compatible_from INTEGER NOT NULL,
    keys TEXT NOT NULL, marks BLOB NOT NULL, data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX docs_by_id ON docs (collection, id);
CREATE TABLE entries (
    ix INTEGER NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, doc INTEGER NOT NULL,
    PRIMARY KEY (ix, key, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE unique_entries (
    ix INTEGER NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, doc INTEGER NOT NULL,
    PRIMARY KEY (ix, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE orphan_marks (
    collection INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, id TEXT NOT NULL,
    mark BLOB NOT NULL, PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX orphan_marks_by_time ON orphan_marks (at);
CREATE TABLE timers (
    doc INTEGER NOT NULL, name TEXT NOT NULL, role INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (doc, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_by_time ON timers (role, at);
CREATE TABLE calls (
    call INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, role INTEGER NOT NULL, at INTEGER NOT NULL,
    collection INTEGER NOT NULL, anchor TEXT NOT NULL, chain TEXT NOT NULL
) STRICT;
CREATE INDEX calls_by_time ON calls (role, at);
CREATE TABLE queues (queue INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE bindings (
    kind TEXT NOT NULL, queue INTEGER NOT NULL, PRIMARY KEY (kind, queue)
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    queue INTEGER NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, source TEXT NOT NULL,
    kind TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL, sequence INTEGER NOT NULL,
    traceparent TEXT, attempt INTEGER NOT NULL, not_before INTEGER, since INTEGER, cause TEXT,
    data BLOB NOT NULL, PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_event ON messages (queue, event);
CREATE INDEX messages_parked ON messages (queue, not_before) WHERE not_before IS NOT NULL;
CREATE TABLE dead (
    dead INTEGER PRIMARY KEY, queue INTEGER NOT NULL, event TEXT NOT NULL, source TEXT NOT NULL,
    kind TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL, sequence INTEGER NOT NULL,
    traceparent TEXT, attempts INTEGER NOT NULL, died INTEGER NOT NULL, cause TEXT NOT NULL,
    data BLOB NOT NULL, UNIQUE (queue, event)
) STRICT;
CREATE INDEX dead_by_time ON dead (queue, died);
CREATE TABLE pulse (one INTEGER PRIMARY KEY, beats INTEGER NOT NULL) STRICT;
INSERT INTO pulse VALUES (1, 0);
";

/// Opens the connection that writes, making the tables when the file is new.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    let found: i64 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > FILE_SCHEMA {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: FILE_SCHEMA });
    }
    set_up_writer(&conn, found == 0).map_err(failed)?;
    Ok(conn)
}

fn set_up_writer(conn: &Connection, is_new: bool) -> rusqlite::Result<()> {
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit is flushed before it is answered.
    conn.pragma_update(None, "synchronous", "FULL")?;
    // The checkpointer does it, off the path of commits.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cache_size", -16 * 1024)?;
    keep_statements(conn)?;
    // No other connection takes the write lock but for a moment at a checkpoint.
    conn.busy_timeout(std::time::Duration::from_millis(50))?;
    if is_new {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FILE_SCHEMA}; COMMIT;"
        ))?;
    }
    Ok(())
}

/// Has every statement prepared once and for all parameters: by default SQLite prepares some of
/// them anew whenever a parameter's value changes, which costs more than running them.
fn keep_statements(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Opens a connection that reads.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    // A reader's cache is dropped at every commit by another connection; a large one is no use.
    conn.pragma_update(None, "cache_size", -2 * 1024)?;
    keep_statements(&conn)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(conn)
}

/// Opens the connection that moves committed pages from the log into the file.
pub(crate) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cache_size", -64)?;
    Ok(conn)
}
