//! A document's index keys: kept in its row, and as entries in the index tables.

use bistro_store::{DocumentRef, Key, StoreError};
use rusqlite::{Connection, ErrorCode, params};

use crate::{
    catalog::{Catalog, Entry},
    failure::Stop,
};

/// Ends the index's number and the key in a row's text; encoded keys hold no NUL.
const END: char = '\u{0}';

/// The keys as they are kept in a document's row, so that its next write knows what to remove.
pub(crate) fn encode(
    entry: &Entry,
    document: &DocumentRef,
    keys: &[(&'static str, Key)],
) -> Result<String, StoreError> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (name, key) in keys {
        let index = index_of(entry, document, name)?;
        // Writing to a String cannot fail.
        let _ = write!(text, "{index}{END}{}{END}", key.as_str());
    }
    Ok(text)
}

/// The index numbers and keys in a row's text.
pub(crate) fn decode(text: &str) -> impl Iterator<Item = (i64, &str)> {
    let mut parts = text.split_terminator(END);
    std::iter::from_fn(move || Some((parts.next()?.parse().ok()?, parts.next()?)))
}

fn index_of(entry: &Entry, document: &DocumentRef, name: &str) -> Result<i64, StoreError> {
    entry.index(name).ok_or_else(|| StoreError::Invalid(format!("{document} has no index {name}")))
}

/// An index entry to be added.
pub(crate) struct NewKey<'a> {
    document: &'a DocumentRef,
    doc: i64,
    index: i64,
    name: &'a str,
    key: &'a str,
    is_unique: bool,
}

impl<'a> NewKey<'a> {
    pub(crate) fn new(
        catalog: &Catalog,
        entry: &Entry,
        document: &'a DocumentRef,
        doc: i64,
        name: &'a str,
        key: &'a Key,
    ) -> Result<Self, StoreError> {
        let index = index_of(entry, document, name)?;
        Ok(Self {
            document,
            doc,
            index,
            name,
            key: key.as_str(),
            is_unique: catalog.is_unique(index),
        })
    }

    /// The entry by which a request finds what it made.
    pub(crate) fn of_request(
        document: &'a DocumentRef,
        entry: &Entry,
        doc: i64,
        mark_key: &'a str,
    ) -> Self {
        Self {
            document,
            doc,
            index: entry.requests,
            name: "request",
            key: mark_key,
            is_unique: true,
        }
    }

    /// Index and key.
    pub(crate) const fn place(&self) -> (i64, &'a str) {
        (self.index, self.key)
    }

    /// Adds the entry, or refuses the second document of one key.
    pub(crate) fn add(&self, conn: &Connection) -> Result<(), Stop> {
        let sql = if self.is_unique {
            "INSERT INTO unique_entries (ix, key, id, doc) VALUES (?1, ?2, ?3, ?4)"
        } else {
            "INSERT INTO entries (ix, key, id, doc) VALUES (?1, ?2, ?3, ?4)"
        };
        let added = conn.prepare_cached(sql)?.execute(params![
            self.index,
            self.key,
            self.document.id,
            self.doc
        ]);
        match added {
            Ok(_) => Ok(()),
            Err(error)
                if self.is_unique
                    && error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
            {
                Err(StoreError::Duplicate {
                    document: self.document.clone(),
                    index: self.name.to_owned(),
                }
                .into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes the entry of document `id` under `key`.
pub(crate) fn remove(
    conn: &Connection,
    catalog: &Catalog,
    index: i64,
    key: &str,
    id: &str,
) -> rusqlite::Result<()> {
    if catalog.is_unique(index) {
        return remove_unique(conn, index, key);
    }
    conn.prepare_cached("DELETE FROM entries WHERE ix = ?1 AND key = ?2 AND id = ?3")?
        .execute(params![index, key, id])
        .map(drop)
}

/// Removes the entry under `key` of a unique index.
pub(crate) fn remove_unique(conn: &Connection, index: i64, key: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM unique_entries WHERE ix = ?1 AND key = ?2")?
        .execute(params![index, key])
        .map(drop)
}
