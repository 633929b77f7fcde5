//! Reads: by id, by index, and the marks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::Page;
use bistro_store::{Collection, Cursor, DocumentRef, Mark, Order, Query, StoreError, Stored};
use mongodb::{
    bson::{Bson, Document, RawDocument, RawDocumentBuf, doc},
    options::{FindOptions, Hint, ReadConcern},
};
use tokio::time::Instant;

use crate::{
    commit::mark_in,
    engine::Engine,
    error::{has_no_snapshot, of_read},
    json::to_json,
};

/// How long to wait for a snapshot that is recent enough.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(10);

/// What of an envelope a document is read from.
fn fields() -> Document {
    doc! { "v": 1, "s": 1, "cf": 1, "d": 1 }
}

/// It has not been deleted.
fn there() -> Document {
    doc! { "gone": { "$exists": false } }
}

/// The same of an envelope that was read with its `gone`.
fn is_there(envelope: &RawDocumentBuf) -> bool {
    !matches!(envelope.get("gone"), Ok(Some(_)))
}

fn raw(engine: &Engine, collection: &Collection) -> mongodb::Collection<RawDocumentBuf> {
    engine.envelopes(collection).clone_with_type()
}

/// An envelope that is not as this crate writes it.
#[derive(Debug, thiserror::Error)]
#[error("its envelope is damaged")]
struct Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>);

fn stored(collection: &'static Collection, envelope: &RawDocument) -> Result<Stored, StoreError> {
    let id = envelope.get_str("_id").unwrap_or_default();
    let read = || -> Result<Stored, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Stored {
            id: id.to_owned(),
            version: envelope.get_i64("v")?,
            schema: u32::try_from(envelope.get_i64("s")?)?,
            compatible_from: u32::try_from(envelope.get_i64("cf")?)?,
            data: to_json(envelope.get_document("d")?)?.into(),
        })
    };
    read().map_err(|source| {
        let document = DocumentRef { collection, id: id.to_owned() };
        StoreError::not_done(format!("{document} cannot be read"), Unreadable(source))
    })
}

/// Begins to read the documents of `filter` as they were at one moment.
///
/// A read of a majority lets writers in between two of its rows, and so may show a part of a
/// Work; a read of a snapshot does not. Just after its collection or an index was made there is
/// no snapshot to read from; it comes with the next majority.
async fn rows(
    engine: &Engine,
    collection: &Collection,
    filter: Document,
    options: FindOptions,
) -> Result<mongodb::Cursor<RawDocumentBuf>, mongodb::error::Error> {
    let until = engine.patience();
    loop {
        let found = raw(engine, collection)
            .find(filter.clone())
            .with_options(options.clone())
            .read_concern(ReadConcern::snapshot())
            .await;
        match found {
            Err(error) if has_no_snapshot(&error) && Instant::now() < until => {
                tokio::time::sleep(SNAPSHOT_PAUSE).await;
            }
            other => return other,
        }
    }
}

/// The document, if it is there.
pub(crate) async fn get(
    engine: Arc<Engine>,
    collection: &'static Collection,
    id: String,
) -> Result<Option<Stored>, StoreError> {
    // By nothing but the id: the server finds that without planning.
    let mut projection = fields();
    projection.insert("gone", 1);
    let found = raw(&engine, collection).find_one(doc! { "_id": id }).projection(projection).await;
    let envelope = found.map_err(|error| of_read(&error))?.filter(is_there);
    envelope.map(|envelope| stored(collection, &envelope)).transpose()
}

/// Those that are there, in the order of `ids`.
pub(crate) async fn get_many(
    engine: Arc<Engine>,
    collection: &'static Collection,
    ids: Vec<String>,
) -> Result<Vec<Stored>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut filter = there();
    filter.insert("_id", doc! { "$in": &ids });
    let read = async {
        let options = FindOptions::builder().projection(fields()).build();
        let mut rows = rows(&engine, collection, filter, options).await?;
        let mut found = HashMap::with_capacity(ids.len());
        while rows.advance().await? {
            match stored(collection, rows.current()) {
                Ok(row) => found.insert(row.id.clone(), row),
                Err(error) => return Ok(Err(error)),
            };
        }
        Ok(Ok(found))
    };
    let found = read.await.map_err(|error| of_read(&error))??;
    Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
}

/// One page of a list.
pub(crate) async fn find(engine: Arc<Engine>, query: Query) -> Result<Page<Stored>, StoreError> {
    let collection = query.collection;
    engine.check_open(collection)?;
    let limit = query.limit.max(1);
    let Some(range) = Range::of(&query)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let mut projection = fields();
    if let Some(index) = query.index {
        projection.insert(format!("k.{index}"), 1);
    }
    let read = async {
        let options = FindOptions::builder()
            .projection(projection)
            .hint(Hint::Name(range.hint))
            .sort(range.sort)
            // One more tells whether there is a next page, and one may be outside.
            .limit(i64::from(limit) + 2)
            .batch_size(limit.saturating_add(3))
            .min(range.min)
            .max(range.max)
            .build();
        let mut rows = rows(&engine, collection, there(), options).await?;
        let (mut items, mut last, mut more) = (Vec::new(), String::new(), false);
        while rows.advance().await? {
            let envelope = rows.current();
            let row = match stored(collection, envelope) {
                Ok(row) => row,
                Err(error) => return Ok(Err(error)),
            };
            let key = key_in(envelope, query.index);
            if !range.inside.contains(key, &row.id) {
                continue;
            }
            if items.len() == limit as usize {
                more = true;
                break;
            }
            key.clone_into(&mut last);
            items.push(row);
        }
        Ok(Ok((items, last, more)))
    };
    let (items, key, more) =
        read.await.map_err(|error: mongodb::error::Error| of_read(&error))??;
    let next = items.last().filter(|_| more).map(|last| {
        let id = last.id.clone();
        Cursor { key, id }.encode_for(&query)
    });
    Ok(Page { items, next })
}

fn key_in<'a>(envelope: &'a RawDocument, index: Option<&str>) -> &'a str {
    let keys = envelope.get_document("k").ok();
    let key = index.and_then(|index| keys?.get_str(index).ok());
    key.unwrap_or_default()
}

/// A place between two rows: before every row with this key and id, or with larger ones.
type Place = (String, String);

/// The smallest text that is larger than this one.
fn next_text(text: &str) -> String {
    format!("{text}\0")
}

/// From a place on, and up to another one if there is an end.
struct Inside {
    lower: Place,
    upper: Option<Place>,
}

impl Inside {
    /// What a page of `query` may hold; none when that is nothing.
    fn of(query: &Query) -> Option<Self> {
        let (mut lower, mut upper) = match query.index {
            None => (Place::default(), None),
            Some(_) => (
                (query.lower.clone(), String::new()),
                query.upper.clone().map(|upper| (upper, String::new())),
            ),
        };
        if let Some(after) = &query.after {
            let (key, id) = (after.key.clone(), &after.id);
            match query.order {
                Order::Ascending => lower = lower.max((key, next_text(id))),
                Order::Descending => {
                    let place = (key, id.clone());
                    upper = Some(upper.map_or_else(|| place.clone(), |end| end.min(place.clone())));
                }
            }
        }
        let some = upper.as_ref().is_none_or(|upper| lower < *upper);
        some.then_some(Self { lower, upper })
    }

    fn contains(&self, key: &str, id: &str) -> bool {
        let from = (self.lower.0.as_str(), self.lower.1.as_str());
        let before = |upper: &Place| (key, id) < (upper.0.as_str(), upper.1.as_str());
        (key, id) >= from && self.upper.as_ref().is_none_or(before)
    }
}

/// The part of an index that a page is read from.
struct Range {
    inside: Inside,
    hint: String,
    sort: Document,
    min: Document,
    max: Option<Document>,
}

impl Range {
    /// None when nothing can be in it.
    fn of(query: &Query) -> Result<Option<Self>, StoreError> {
        let Some(inside) = Inside::of(query) else {
            return Ok(None);
        };
        let direction = if query.order == Order::Descending { -1 } else { 1 };
        let (lower, upper) = (&inside.lower, inside.upper.as_ref());
        let Some(name) = query.index else {
            let bound = |(_, id): &Place| doc! { "_id": id };
            return Ok(Some(Self {
                hint: "_id_".to_owned(),
                sort: doc! { "_id": direction },
                min: bound(lower),
                max: upper.map(bound),
                inside,
            }));
        };
        let collection = query.collection;
        let index = collection.index(name).ok_or_else(|| {
            StoreError::Invalid(format!("{} has no index {name}", collection.full_name()))
        })?;
        let field = format!("k.{name}");
        let (sort, min, max) = if index.unique {
            // It holds no ids: it may give the row that the cursor names once more.
            let end = |(key, id): &Place| {
                if id.is_empty() { key.clone() } else { next_text(key) }
            };
            (
                doc! { &field: direction },
                doc! { &field: &lower.0 },
                upper.map(|upper| doc! { &field: end(upper) }),
            )
        } else {
            let bound = |(key, id): &Place| doc! { &field: key, "_id": id };
            (doc! { &field: direction, "_id": direction }, bound(lower), upper.map(bound))
        };
        Ok(Some(Self { inside, hint: format!("k_{name}"), sort, min, max }))
    }
}

/// The mark of this key in `document`.
pub(crate) async fn mark(
    engine: Arc<Engine>,
    document: DocumentRef,
    key: String,
) -> Result<Option<Mark>, StoreError> {
    let filter = doc! { "_id": &document.id, "causes.k": &key };
    marked(&engine, &document, filter, &key).await
}

/// The mark of the request with this key that made a document of `collection`.
pub(crate) async fn mark_of_request(
    engine: Arc<Engine>,
    collection: &'static Collection,
    key: String,
) -> Result<Option<Mark>, StoreError> {
    let somewhere = DocumentRef { collection, id: String::new() };
    marked(&engine, &somewhere, doc! { "rk": &key }, &key).await
}

async fn marked(
    engine: &Engine,
    document: &DocumentRef,
    filter: Document,
    key: &str,
) -> Result<Option<Mark>, StoreError> {
    let found = engine
        .envelopes(document.collection)
        .find_one(filter)
        .projection(doc! { "causes": { "$elemMatch": { "k": Bson::from(key) } } })
        .await;
    match found.map_err(|error| of_read(&error))? {
        Some(envelope) => mark_in(document, &envelope),
        None => Ok(None),
    }
}
