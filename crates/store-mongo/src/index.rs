//! The indexes of a collection, made when it is opened.

use std::time::Duration;

use bistro_store::{Collection, StoreError};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

use crate::{engine::Engine, error::DriverError};

/// Collections whose indexes are made at once.
const AT_ONCE: usize = 4;

/// Makes what is missing; what is there already is left alone.
pub(crate) async fn make(
    engine: &Engine,
    collections: &[&'static Collection],
) -> Result<(), StoreError> {
    let missing: Vec<_> =
        collections.iter().map(|collection| make_of(engine, collection)).collect();
    stream::iter(missing).buffer_unordered(AT_ONCE).try_collect().await
}

async fn make_of(engine: &Engine, collection: &'static Collection) -> Result<(), StoreError> {
    let made = engine.envelopes(collection).create_indexes(models(collection)).await;
    made.map(|_| ()).map_err(|error| {
        let what = format!("the indexes of {} cannot be made", collection.full_name());
        DriverError::from(&error).not_done(what)
    })
}

fn models(collection: &Collection) -> Vec<IndexModel> {
    let mut models: Vec<IndexModel> = collection
        .indexes
        .iter()
        .map(|index| {
            let field = format!("k.{}", index.name);
            let keys = if index.unique {
                doc! { &field: 1 }
            } else {
                doc! { &field: 1, "_id": 1 }
            };
            let mut options = named(&format!("k_{}", index.name));
            options.unique = index.unique.then_some(true);
            // A document that is left out of an index takes no room in it.
            options.partial_filter_expression = Some(doc! { &field: { "$exists": true } });
            model(keys, options)
        })
        .collect();
    let mut request = sparse("rk");
    request.unique = Some(true);
    models.push(model(doc! { "rk": 1 }, request));
    for field in ["told", "called", "due"] {
        models.push(model(doc! { field: 1 }, sparse(field)));
    }
    let mut gone = sparse("gone");
    gone.expire_after = Some(Duration::ZERO);
    models.push(model(doc! { "gone": 1 }, gone));
    models
}

fn named(name: &str) -> IndexOptions {
    IndexOptions::builder().name(name.to_owned()).build()
}

fn sparse(name: &str) -> IndexOptions {
    let mut options = named(name);
    options.sparse = Some(true);
    options
}

fn model(keys: Document, options: IndexOptions) -> IndexModel {
    IndexModel::builder().keys(keys).options(options).build()
}
