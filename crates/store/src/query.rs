//! Lists: an equality prefix, a range, an order and a cursor over one declared index.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::PageRequest;
use sha2::{Digest as _, Sha256};

use crate::{Collection, Document, Key, StoreError};

/// Which end of an index a list begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Ascending,
    /// Largest key first.
    Descending,
}

/// A place in a list: after the row with this key and id.
///
/// Because it names a place and not a count, rows that come and go elsewhere never make a list
/// skip or repeat one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's key in the list's index.
    pub key: String,
    /// The row's id, which orders rows of equal key.
    pub id: String,
}

impl Cursor {
    /// The opaque text a client is given.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\u{0}{}", self.key, self.id))
    }

    /// The same text with the name of `query`'s list, so that it is refused in another one.
    #[must_use]
    pub fn encode_for(&self, query: &Query) -> String {
        format!("{}.{}", query.list(), self.encode())
    }

    /// Reads the text back, whichever list it is of.
    pub fn decode(text: &str) -> Result<Self, StoreError> {
        let place = text.split_once('.').map_or(text, |(_, place)| place);
        let bytes = URL_SAFE_NO_PAD.decode(place).map_err(|_| StoreError::BadCursor)?;
        let plain = String::from_utf8(bytes).map_err(|_| StoreError::BadCursor)?;
        let (key, id) = plain.split_once('\u{0}').ok_or(StoreError::BadCursor)?;
        Ok(Self { key: key.to_owned(), id: id.to_owned() })
    }
}

/// A list of documents in the order of one index.
#[derive(Clone, Debug)]
pub struct Query {
    /// Where.
    pub collection: &'static Collection,
    /// The index; none lists the whole collection by id.
    pub index: Option<&'static str>,
    /// The smallest encoded key wanted.
    pub lower: String,
    /// The smallest encoded key no longer wanted; none means there is no end.
    pub upper: Option<String>,
    /// The order of keys, and of ids within a key.
    pub order: Order,
    /// Rows wanted.
    pub limit: u32,
    /// Begin after this row.
    pub after: Option<Cursor>,
}

impl Query {
    /// Every document of type `D` whose key in `index` begins with `prefix`.
    #[must_use]
    pub fn prefix<D: Document>(index: &'static str, prefix: &Key) -> Self {
        Self {
            collection: D::COLLECTION,
            index: Some(index),
            lower: prefix.as_str().to_owned(),
            upper: prefix.end_of_prefix(),
            order: Order::Ascending,
            limit: PageRequest::DEFAULT_LIMIT,
            after: None,
        }
    }

    /// Every document of type `D` whose key in `index` begins with `prefix` and then a text that
    /// begins with `beginning`.
    #[must_use]
    pub fn beginning<D: Document>(index: &'static str, prefix: &Key, beginning: &str) -> Self {
        let (lower, upper) = prefix.texts_beginning(beginning);
        Self { lower, upper, ..Self::prefix::<D>(index, prefix) }
    }

    /// Every document of type `D`, by id.
    #[must_use]
    pub fn all<D: Document>() -> Self {
        Self {
            collection: D::COLLECTION,
            index: None,
            lower: String::new(),
            upper: None,
            order: Order::Ascending,
            limit: PageRequest::DEFAULT_LIMIT,
            after: None,
        }
    }

    /// Only keys from `key` on (inclusive).
    #[must_use]
    pub fn from(mut self, key: &Key) -> Self {
        key.as_str().clone_into(&mut self.lower);
        self
    }

    /// Only keys before `key` (exclusive).
    #[must_use]
    pub fn before(mut self, key: &Key) -> Self {
        self.upper = Some(key.as_str().to_owned());
        self
    }

    /// Largest key first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// At most `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// A short name of the list that this is a part of: the same for every page of it.
    fn list(&self) -> String {
        let named = format!("{}/{}", self.collection.full_name(), self.index.unwrap_or_default());
        URL_SAFE_NO_PAD.encode(&Sha256::digest(named)[..3])
    }

    /// The page that a client asks for; refuses a cursor from another list.
    pub fn page(mut self, request: &PageRequest) -> Result<Self, StoreError> {
        self.limit = request.limit;
        if let Some(text) = &request.cursor {
            if text.split_once('.').is_some_and(|(list, _)| list != self.list()) {
                return Err(StoreError::BadCursor);
            }
            let cursor = Cursor::decode(text)?;
            let too_small = cursor.key < self.lower;
            let too_large = self.upper.as_ref().is_some_and(|upper| cursor.key >= *upper);
            if too_small || too_large {
                return Err(StoreError::BadCursor);
            }
            self.after = Some(cursor);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_rubbish_is_refused() {
        let cursor = Cursor { key: Key::new().text("a").int(3).as_str().into(), id: "x".into() };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for rubbish in ["", "!!", "YWJj", ".", "x.", "a.b.c"] {
            assert!(matches!(Cursor::decode(rubbish), Err(StoreError::BadCursor)), "{rubbish}");
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        static LISTS: Collection = Collection {
            role: "tests",
            name: "lists",
            schema: 1,
            compatible_from: 1,
            indexes: &[],
        };
        let query = |index| Query {
            collection: &LISTS,
            index,
            lower: String::new(),
            upper: None,
            order: Order::Ascending,
            limit: 10,
            after: None,
        };
        let cursor = Cursor { key: "k".to_owned(), id: "x".to_owned() };
        let text = cursor.encode_for(&query(Some("name")));
        assert_eq!(Cursor::decode(&text).unwrap(), cursor);
        let page = |query: Query| query.page(&PageRequest::new(5, Some(text.clone())));
        assert_eq!(page(query(Some("name"))).unwrap().after, Some(cursor.clone()));
        assert_eq!(page(query(Some("name")).descending()).unwrap().after, Some(cursor));
        assert!(matches!(page(query(None)), Err(StoreError::BadCursor)));
    }
}
