//! Documents read as their types.

use bistro_core::{Error, Id, IdKind, Page};

use crate::{Document, Query, Store, StoreError, Stored};

/// A document with the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<D> {
    /// The document.
    pub value: D,
    /// Its version; what a Work that changes it names.
    pub version: i64,
}

impl<D> std::ops::Deref for Versioned<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.value
    }
}

impl<D: Document> Versioned<D> {
    /// Reads a stored document.
    pub fn read(stored: &Stored) -> Result<Self, StoreError> {
        Ok(Self { value: D::read(stored)?, version: stored.version })
    }
}

/// Typed reads on any [`Store`].
pub trait StoreExt {
    /// The document `id`, if it is there.
    fn load<D: Document>(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Option<Versioned<D>>, StoreError>> + Send;

    /// The document `id`, or the error that says there is no such `what`.
    fn require<D: Document, K: IdKind>(
        &self,
        what: &str,
        id: Id<K>,
    ) -> impl Future<Output = Result<Versioned<D>, Error>> + Send;

    /// One page of a list.
    fn list<D: Document>(
        &self,
        query: Query,
    ) -> impl Future<Output = Result<Page<Versioned<D>>, StoreError>> + Send;

    /// The first document of a list.
    fn first<D: Document>(
        &self,
        query: Query,
    ) -> impl Future<Output = Result<Option<Versioned<D>>, StoreError>> + Send;

    /// The documents that are there among `ids`, in the order of `ids`.
    fn load_many<D: Document>(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<Versioned<D>>, StoreError>> + Send;
}

impl<S: Store + ?Sized> StoreExt for S {
    async fn load<D: Document>(&self, id: &str) -> Result<Option<Versioned<D>>, StoreError> {
        self.get(D::COLLECTION, id).await?.as_ref().map(Versioned::read).transpose()
    }

    async fn require<D: Document, K: IdKind>(
        &self,
        what: &str,
        id: Id<K>,
    ) -> Result<Versioned<D>, Error> {
        let found = self.load(&id.to_string()).await?;
        found.ok_or_else(|| Error::not_found(format_args!("{what} {id}")))
    }

    async fn list<D: Document>(&self, query: Query) -> Result<Page<Versioned<D>>, StoreError> {
        let page = self.find(query).await?;
        Ok(Page { items: read_all(&page.items)?, next: page.next })
    }

    async fn first<D: Document>(&self, query: Query) -> Result<Option<Versioned<D>>, StoreError> {
        Ok(self.list(query.limit(1)).await?.items.pop())
    }

    async fn load_many<D: Document>(
        &self,
        ids: &[String],
    ) -> Result<Vec<Versioned<D>>, StoreError> {
        read_all(&self.get_many(D::COLLECTION, ids).await?)
    }
}

fn read_all<D: Document>(rows: &[crate::Stored]) -> Result<Vec<Versioned<D>>, StoreError> {
    rows.iter().map(|row| Ok(Versioned { value: D::read(row)?, version: row.version })).collect()
}
