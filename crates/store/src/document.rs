//! What a stored document is: its collection, id, version, schema and index keys.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Key, StoreError};

/// The most bytes of JSON a document may take. A document near this size is a mistake of design;
/// the limit leaves MongoDB's 16 MiB room for marks and outbox.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// A declared index over the keys that [`Document::keys`] computes under its name.
///
/// # What is in it
/// A document's keys are computed by the program that inserts or replaces it, and stored with it.
/// Nothing else computes keys: not an adjustment, not a read (which upgrades only what it gives),
/// and no engine, which cannot look into documents. Opening a store makes an index that is new, and
/// fills it with nothing. Hence
/// * of what is stored already, a **new index** holds what was replaced since. A list over it
///   leaves the rest out, and says nothing of it; a new unique index does not hinder what collides
///   with the rest;
/// * where **keys are computed in another way**, what is stored already stays at its old keys until
///   it is replaced;
/// * an older program that replaces a document takes it out of the indexes which that program does
///   not know: while both run, as in a rolling upgrade, a new index does not hold everything;
/// * an index does not change whether it is **unique**: that is refused when the store is opened.
///   Give the new one another name;
/// * an index that is declared **no longer** loses each document when that is replaced.
///
/// # What a change asks for
/// Where documents are stored that must be found, each has to be replaced by itself, at the version
/// it was read at, before anybody relies on the list: by Works of its role that go through the
/// collection page by page ([`crate::Query::all`]). No program does that by itself. Where nothing is
/// stored that matters, begin with an empty database.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// Lower-case letters and underscores.
    pub name: &'static str,
    /// Whether two documents may not have the same key.
    pub unique: bool,
}

impl Index {
    /// An index in which keys may repeat.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, unique: false }
    }

    /// An index in which they may not.
    #[must_use]
    pub const fn unique(name: &'static str) -> Self {
        Self { name, unique: true }
    }
}

/// A set of documents of one type, owned by one role.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// The role that owns it; only that role's Works touch it.
    pub role: &'static str,
    /// Its name within the role.
    pub name: &'static str,
    /// The schema number that this program writes.
    pub schema: u32,
    /// The oldest schema number a program may know and still read what this one writes.
    pub compatible_from: u32,
    /// Its indexes.
    pub indexes: &'static [Index],
}

impl Collection {
    /// `role.name`, unique on the platform.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.role, self.name)
    }

    /// The declared index of this name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

/// One document, by collection and id.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentRef {
    /// Where it is.
    pub collection: &'static Collection,
    /// Its id.
    pub id: String,
}

impl DocumentRef {
    /// The document `id` of type `D`.
    pub fn of<D: Document>(id: impl fmt::Display) -> Self {
        Self { collection: D::COLLECTION, id: id.to_string() }
    }
}

impl fmt::Display for DocumentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}/{}", self.collection.role, self.collection.name, self.id)
    }
}

impl fmt::Debug for DocumentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A document as an engine holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// 1 when inserted, one more with every change.
    pub version: i64,
    /// The schema number it was written with.
    pub schema: u32,
    /// The oldest schema number that may read it.
    pub compatible_from: u32,
    /// Its content, as JSON text.
    pub data: Arc<str>,
}

/// A type whose values are stored.
///
/// Its JSON holds only what both engines keep: objects, arrays, texts, booleans, null, integers
/// that fit `i64`, and finite floating-point numbers. Object keys hold no `.`, no NUL and do not
/// begin with `$`.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Where it is stored.
    const COLLECTION: &'static Collection;

    /// Its id, which never changes.
    fn id(&self) -> String;

    /// Its key in each index it appears in; it may be left out of any. Keys are computed from
    /// nothing but the document, and never from a field that [`crate::Work::adjust`] changes.
    /// What a change of them asks for: [`Index`].
    fn keys(&self) -> Vec<(&'static str, Key)> {
        Vec::new()
    }

    /// Brings the JSON of an older schema up to the present one.
    #[must_use]
    fn upgrade(_schema: u32, json: serde_json::Value) -> serde_json::Value {
        json
    }

    /// Reads a stored document, upgrading an older schema.
    ///
    /// Refuses data that says it is too new for this program.
    fn read(stored: &Stored) -> Result<Self, StoreError> {
        let collection = Self::COLLECTION;
        if stored.compatible_from > collection.schema {
            return Err(StoreError::IncompatibleSchema {
                document: DocumentRef { collection, id: stored.id.clone() },
                needs: stored.compatible_from,
                knows: collection.schema,
            });
        }
        let decoded = if stored.schema < collection.schema {
            serde_json::from_str(&stored.data)
                .map(|json| Self::upgrade(stored.schema, json))
                .and_then(serde_json::from_value)
        } else {
            serde_json::from_str(&stored.data)
        };
        decoded.map_err(|source| StoreError::Undecodable {
            document: DocumentRef { collection, id: stored.id.clone() },
            source,
        })
    }
}
