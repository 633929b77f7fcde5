//! Which number stands in the file for which role, collection and index.

use std::{collections::HashMap, path::Path};

use bistro_store::{Collection, DocumentRef, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::OpenError;

/// The name of the index, in each collection, of the requests that made its documents. It cannot
/// be declared: names have no tilde.
const REQUEST_INDEX: &str = "~request";

/// A declared collection and its numbers.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) collection: &'static Collection,
    pub(crate) number: i64,
    pub(crate) role: i64,
    /// The index of request keys.
    pub(crate) requests: i64,
    indexes: Vec<(&'static str, i64)>,
}

impl Entry {
    /// The number of a declared index.
    pub(crate) fn index(&self, name: &str) -> Option<i64> {
        self.indexes.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }
}

/// Every declared collection, and which numbered indexes are unique (declared or not).
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    entries: Vec<Entry>,
    by_name: HashMap<(&'static str, &'static str), usize>,
    by_number: HashMap<i64, usize>,
    roles: HashMap<String, i64>,
    unique: HashMap<i64, bool>,
}

impl Catalog {
    /// Reads the numbers from the file, giving new ones to what is new.
    pub(crate) fn load(
        conn: &mut Connection,
        path: &Path,
        collections: &[&'static Collection],
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        let mut catalog = Self::default();
        let tx = conn.transaction().map_err(failed)?;
        for collection in collections {
            catalog.declare(&tx, collection).map_err(failed)?;
        }
        catalog.unique = read_unique(&tx).map_err(failed)?;
        tx.commit().map_err(failed)?;
        for entry in &catalog.entries {
            for (name, number) in &entry.indexes {
                let declared = entry.collection.index(name).map(|index| index.unique);
                if catalog.unique.get(number).copied() != declared {
                    return Err(OpenError::IndexChanged {
                        collection: entry.collection.full_name(),
                        index: (*name).to_owned(),
                    });
                }
            }
        }
        Ok(catalog)
    }

    fn declare(
        &mut self,
        conn: &Connection,
        collection: &'static Collection,
    ) -> rusqlite::Result<()> {
        let name = (collection.role, collection.name);
        if self.by_name.contains_key(&name) {
            return Ok(());
        }
        let role = number(conn, "roles", "role", &[("name", &collection.role)])?;
        let number_of = number(
            conn,
            "collections",
            "collection",
            &[("role", &role), ("name", &collection.name)],
        )?;
        let index_number = |index: &str, is_unique: bool| -> rusqlite::Result<i64> {
            conn.execute(
                "INSERT INTO indexes (collection, name, is_unique) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
                params![number_of, index, is_unique],
            )?;
            conn.query_row(
                "SELECT ix FROM indexes WHERE collection = ?1 AND name = ?2",
                params![number_of, index],
                |row| row.get(0),
            )
        };
        let mut indexes = Vec::with_capacity(collection.indexes.len());
        for index in collection.indexes {
            indexes.push((index.name, index_number(index.name, index.unique)?));
        }
        self.by_name.insert(name, self.entries.len());
        self.by_number.insert(number_of, self.entries.len());
        self.roles.insert(collection.role.to_owned(), role);
        self.entries.push(Entry {
            collection,
            number: number_of,
            role,
            requests: index_number(REQUEST_INDEX, true)?,
            indexes,
        });
        Ok(())
    }

    /// The numbers of a collection; an error when it was not given to `open`.
    pub(crate) fn entry(&self, collection: &'static Collection) -> Result<&Entry, StoreError> {
        self.by_name
            .get(&(collection.role, collection.name))
            .map(|place| &self.entries[*place])
            .ok_or_else(|| {
                StoreError::Invalid(format!(
                    "{} was not declared when the store was opened",
                    collection.full_name()
                ))
            })
    }

    /// The document `id` of the collection with this number.
    pub(crate) fn document(&self, collection: i64, id: String) -> Result<DocumentRef, StoreError> {
        match self.by_number.get(&collection) {
            Some(place) => Ok(DocumentRef { collection: self.entries[*place].collection, id }),
            None => Err(StoreError::Invalid(format!(
                "{id} belongs to a collection that this program does not declare"
            ))),
        }
    }

    /// The number of a role, if it has a collection.
    pub(crate) fn role(&self, name: &str) -> Option<i64> {
        self.roles.get(name).copied()
    }

    /// Whether the index with this number is unique.
    pub(crate) fn is_unique(&self, index: i64) -> bool {
        self.unique.get(&index).copied().unwrap_or(false)
    }
}

fn read_unique(conn: &Connection) -> rusqlite::Result<HashMap<i64, bool>> {
    conn.prepare("SELECT ix, is_unique FROM indexes")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The number of the row with these columns, inserted if it is missing.
fn number(
    conn: &Connection,
    table: &str,
    key: &str,
    columns: &[(&str, &dyn rusqlite::ToSql)],
) -> rusqlite::Result<i64> {
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = columns.iter().map(|(_, value)| *value).collect();
    let wanted = names.join(" = ? AND ") + " = ?";
    let found = conn
        .query_row(&format!("SELECT {key} FROM {table} WHERE {wanted}"), values.as_slice(), |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(number) = found {
        return Ok(number);
    }
    let places = vec!["?"; names.len()].join(", ");
    conn.execute(
        &format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", ")),
        values.as_slice(),
    )?;
    Ok(conn.last_insert_rowid())
}
