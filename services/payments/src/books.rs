//! Sums of the ledger's older entries, so that a balance is the sum of a book and of what has come
//! since: nobody reads the whole ledger to know one.
//!
//! There is a book of the whole platform and one of each restaurant. An entry is summed up once it
//! is old, all books that it is in in one Work, and in the order of the ledger; each book says up to
//! which entry it goes. So a book and the entries behind that place are always all there are, at
//! whatever moment the two are read, and no Work that moves money touches a book.

use std::{collections::BTreeMap, time::Duration};

use bistro_core::{Currency, Error, Id, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{
    Cause, Collection, Cursor, Document, Key, Query, StoreError, StoreExt as _, Versioned, Work,
};
use serde::{Deserialize, Serialize};

use crate::{
    documents::{BY_RESTAURANT, BY_TIME, Entry, ROLE},
    ledger::{self, Account, Balances, Sum},
};

/// How old an entry is when it is summed up: its time is when it was decided, and by then nobody
/// who decided so long ago can still commit.
pub(crate) const OPEN: Duration = Duration::from_hours(1);
/// Entries that one Work sums up.
pub(crate) const BATCH: u32 = 200;

/// The id of the platform's book.
const ALL: &str = "all";

type Restaurant = Id<kinds::Restaurant>;

/// The place of an entry in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) at: Timestamp,
    pub(crate) entry: Id<kinds::LedgerEntry>,
}

impl Place {
    /// Where the entry is.
    pub(crate) const fn of(entry: &Entry) -> Self {
        Self { at: entry.at, entry: entry.id }
    }
}

/// What an account comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    currency: Currency,
    account: Account,
    minor: i64,
    lines: u64,
}

/// The sum of all entries up to one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    /// Whose; none: the platform's.
    restaurant: Option<Restaurant>,
    /// The last entry that is summed up.
    until: Option<Place>,
    lines: Vec<Line>,
    /// By how much entries do not balance, signs left out; anything but 0 is a mistake.
    off_minor: i64,
}

impl Document for Book {
    const COLLECTION: &'static Collection =
        &Collection { role: ROLE, name: "books", schema: 1, compatible_from: 1, indexes: &[] };

    fn id(&self) -> String {
        id(self.restaurant)
    }
}

fn id(restaurant: Option<Restaurant>) -> String {
    restaurant.map_or_else(|| ALL.to_owned(), |restaurant| restaurant.to_string())
}

impl Book {
    const fn empty(restaurant: Option<Restaurant>) -> Self {
        Self { restaurant, until: None, lines: Vec::new(), off_minor: 0 }
    }

    /// The book of `restaurant`, or the platform's, as it is stored.
    pub(crate) async fn read(
        engine: &Engine,
        restaurant: Option<Restaurant>,
    ) -> Result<Self, StoreError> {
        let found = engine.store().load::<Self>(&id(restaurant)).await?;
        Ok(found.map_or_else(|| Self::empty(restaurant), |book| book.value))
    }

    /// The platform's book as it is stored, found by a list: its id comes before all others.
    pub(crate) async fn of_all(engine: &Engine) -> Result<Self, StoreError> {
        let found = engine.store().first::<Self>(Query::all::<Self>()).await?;
        let found = found.filter(|book| book.restaurant.is_none());
        Ok(found.map_or_else(|| Self::empty(None), |book| book.value))
    }

    /// The last entry that is summed up.
    pub(crate) const fn until(&self) -> Option<Place> {
        self.until
    }

    /// By how much its entries do not balance, signs left out.
    pub(crate) const fn off_minor(&self) -> i64 {
        self.off_minor
    }

    /// The entries that are not summed up, oldest first.
    pub(crate) fn rest(&self) -> Query {
        let (index, whose) = match self.restaurant {
            Some(restaurant) => (BY_RESTAURANT, Key::new().id(restaurant)),
            None => (BY_TIME, Key::new()),
        };
        let mut query = Query::prefix::<Entry>(index, &whose);
        query.after = self.until.map(|place| Cursor {
            key: whose.time(place.at).as_str().to_owned(),
            id: place.entry.to_string(),
        });
        query
    }

    /// What its accounts come to.
    pub(crate) fn balances(&self) -> Balances {
        let sum = |line: &Line| {
            let sum = Sum { minor: line.minor, lines: line.lines };
            ((line.currency, line.account), sum)
        };
        Balances(self.lines.iter().map(sum).collect())
    }

    /// The book with an entry that comes after all that it has.
    fn with(mut self, entry: &Entry) -> Self {
        let mut balances = self.balances();
        balances.add(entry);
        let line = |((currency, account), sum): ((Currency, Account), Sum)| {
            let Sum { minor, lines } = sum;
            Line { currency, account, minor, lines }
        };
        self.lines = balances.0.into_iter().map(line).collect();
        self.off_minor = self.off_minor.saturating_add(ledger::imbalance(entry).saturating_abs());
        self.until = Some(Place::of(entry));
        self
    }
}

/// Sums up the oldest `batch` entries of those from before `before`; false if there are fewer, or
/// somebody else has just done it.
pub(crate) async fn close(engine: &Engine, before: Timestamp, batch: u32) -> Result<bool, Error> {
    let store = engine.store();
    let all = store.load::<Book>(ALL).await?;
    let rest = all.as_deref().map_or_else(|| Book::empty(None).rest(), Book::rest);
    let found = store.list::<Entry>(rest.before(&Key::new().time(before)).limit(batch)).await?;
    let entries: Vec<&Entry> = found.items.iter().map(|entry| &entry.value).collect();
    if entries.len() < usize::try_from(batch.max(1)).unwrap_or(usize::MAX) {
        return Ok(false);
    }
    let mut by_restaurant: BTreeMap<Restaurant, Vec<&Entry>> = BTreeMap::new();
    for entry in &entries {
        by_restaurant.entry(entry.restaurant).or_default().push(entry);
    }
    let ids: Vec<String> = by_restaurant.keys().map(|restaurant| id(Some(*restaurant))).collect();
    let books = store.load_many::<Book>(&ids).await?;
    let mut work = engine.work(Cause::Tick { name: "books".to_owned() });
    enter(&mut work, all.as_ref(), None, &entries)?;
    for (restaurant, entries) in &by_restaurant {
        let book = books.iter().find(|book| book.restaurant == Some(*restaurant));
        enter(&mut work, book, Some(*restaurant), entries)?;
    }
    match engine.commit(work).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has `work` enter the entries into a book, which is made if it is not there.
fn enter(
    work: &mut Work,
    before: Option<&Versioned<Book>>,
    restaurant: Option<Restaurant>,
    entries: &[&Entry],
) -> Result<(), StoreError> {
    let book = before.map_or_else(|| Book::empty(restaurant), |before| before.value.clone());
    let book = entries.iter().fold(book, |book, entry| book.with(entry));
    match before {
        Some(before) => work.replace(before, &book)?,
        None => work.insert(&book)?,
    };
    Ok(())
}
