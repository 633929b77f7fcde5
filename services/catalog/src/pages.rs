//! Pages of lists: as many rows as are asked for, or fewer where they are long, so that every page
//! fits into a message.

use bistro_core::Error;
use bistro_store::{Cursor, Document, Query, Store, StoreExt as _, Versioned};

use crate::service::Catalog;

/// Rows that are read at once: no more than a few are read that do not fit.
const AT_ONCE: u32 = 50;

impl Catalog {
    /// The rows of the page that `query` asks for, and the cursor of the next one; fewer if their
    /// `size` says so.
    pub(crate) async fn page<D: Document>(
        &self,
        query: Query,
        size: impl Fn(&D) -> usize + Send + Sync,
    ) -> Result<(Vec<Versioned<D>>, String), Error> {
        read(self.engine.store(), query, self.message_bytes / 4, size).await
    }
}

/// The rows of the page that `query` asks for, as far as they fit into `most` bytes; but one at
/// least. The cursor of the next page is empty on the last.
async fn read<D: Document>(
    store: &dyn Store,
    mut query: Query,
    most: usize,
    size: impl Fn(&D) -> usize + Send + Sync,
) -> Result<(Vec<Versioned<D>>, String), Error> {
    let mut left = query.limit;
    let mut rows: Vec<Versioned<D>> = Vec::new();
    let mut bytes = 0;
    loop {
        query.limit = left.min(AT_ONCE);
        let page = store.list::<D>(query.clone()).await?;
        left -= query.limit;
        for row in page.items {
            bytes += size(&row);
            match rows.last() {
                Some(last) if bytes > most => {
                    let next = after(&query, &last.value);
                    return Ok((rows, next));
                }
                _ => rows.push(row),
            }
        }
        match page.next {
            Some(next) if left > 0 => query.after = Some(Cursor::decode(&next)?),
            next => return Ok((rows, next.unwrap_or_default())),
        }
    }
}

/// The cursor of the page that begins after `row`.
fn after<D: Document>(query: &Query, row: &D) -> String {
    let mut keys = row.keys().into_iter();
    let key = keys.find(|(index, _)| query.index == Some(*index)).map(|(_, key)| key);
    let key = key.map(|key| key.as_str().to_owned()).unwrap_or_default();
    Cursor { key, id: row.id() }.encode_for(query)
}

#[cfg(test)]
mod tests {
    use bistro_core::PageRequest;

    use super::*;
    use crate::{
        documents::{BY_NAME, Item, keys_of},
        samples::{HERE, item},
        tests::Bench,
    };

    /// The pages of all items, of which each takes ten bytes.
    async fn pages(bench: &Bench, limit: u32, most: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor = None;
        loop {
            let query = Query::prefix::<Item>(BY_NAME, &keys_of(HERE));
            let query = query.page(&PageRequest::new(limit, cursor)).unwrap();
            let store = bench.catalog.engine.store();
            let (rows, next) = read::<Item>(store, query, most, |_| 10).await.unwrap();
            pages.push(rows.iter().map(|row| row.name.clone()).collect());
            if next.is_empty() {
                return pages;
            }
            cursor = Some(next);
        }
    }

    #[tokio::test]
    async fn every_row_is_in_one_page_however_long() {
        let bench = Bench::empty();
        bench
            .put(|work| {
                for id in 0..120 {
                    work.insert(&item(1000 + id)).unwrap();
                }
            })
            .await;
        let all: Vec<String> = (1000..1120).map(|id| format!("dish {id}")).collect();
        for (limit, most, first) in [
            (200, 10_000, 120),
            (120, 10_000, 120),
            (119, 10_000, 119),
            (60, 10_000, 60),
            (200, 700, 70),
            (200, 500, 50),
            (20, 59, 5),
            (200, 0, 1),
        ] {
            let pages = pages(&bench, limit, most).await;
            assert_eq!(pages.concat(), all, "{limit} rows in {most} bytes");
            assert_eq!(pages[0].len(), first, "{limit} rows in {most} bytes");
        }
    }
}
