//! The documents that the storage cases write, and short ways to write them.

use std::sync::Arc;

use bistro_store::{
    Cause, Collection, Committed, Document, Index, Key, Mark, Store, StoreError, StoreExt as _,
    Versioned, Work,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::suites::{at, nonce};

/// The role that owns most of the documents.
pub const ROLE: &str = "suite";

const fn collection(name: &'static str, indexes: &'static [Index]) -> Collection {
    Collection { role: ROLE, name, schema: 1, compatible_from: 1, indexes }
}

static NOTES: Collection = collection("notes", &[]);
static ITEMS: Collection = collection("items", &[Index::new("label")]);
static MEMBERS: Collection =
    collection("members", &[Index::unique("email"), Index::unique("handle")]);
static ROWS: Collection = collection("rows", &[Index::new("rank"), Index::new("word")]);

/// The same collection as a program declares it that knows no words.
static ROWS_BEFORE_WORDS: Collection = collection("rows", &[Index::new("rank")]);

/// Roles with one collection each, for what an engine tells of a role as a whole.
static JOBS: [Collection; 8] = [
    jobs("suite_a"),
    jobs("suite_b"),
    jobs("suite_c"),
    jobs("suite_d"),
    jobs("suite_e"),
    jobs("suite_f"),
    jobs("suite_g"),
    jobs("suite_h"),
];

const fn jobs(role: &'static str) -> Collection {
    Collection { role, ..collection("jobs", &[]) }
}

/// Every collection that the cases use; what an engine under test is opened with.
pub static COLLECTIONS: &[&Collection] = &[
    &NOTES, &ITEMS, &MEMBERS, &ROWS, &JOBS[0], &JOBS[1], &JOBS[2], &JOBS[3], &JOBS[4], &JOBS[5],
    &JOBS[6], &JOBS[7],
];

/// A document with any JSON in it and no index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Its id.
    pub id: String,
    /// Anything.
    pub body: Value,
}

impl Document for Note {
    const COLLECTION: &'static Collection = &NOTES;

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// A counted item, listed by label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// How many are left.
    pub free: i64,
    /// What it is called.
    pub label: String,
}

impl Document for Item {
    const COLLECTION: &'static Collection = &ITEMS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![("label", Key::new().text(&self.label))]
    }
}

/// Somebody with an e-mail address and perhaps a handle, neither of which two may share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The address.
    pub email: Option<String>,
    /// The handle.
    pub handle: Option<String>,
}

impl Document for Member {
    const COLLECTION: &'static Collection = &MEMBERS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let email = self.email.iter().map(|text| ("email", text));
        let handle = self.handle.iter().map(|text| ("handle", text));
        email.chain(handle).map(|(index, text)| (index, Key::new().text(text))).collect()
    }
}

/// A row of a list: in the index `rank` by (list, rank), in `word` by (list, word, rank) if it
/// has a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// The list it is in.
    pub list: String,
    /// Its place.
    pub rank: i64,
    /// Its word.
    pub word: Option<String>,
}

impl Document for Row {
    const COLLECTION: &'static Collection = &ROWS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let in_list = || Key::new().text(&self.list);
        let mut keys = vec![("rank", in_list().int(self.rank))];
        if let Some(word) = &self.word {
            keys.push(("word", in_list().text(word).int(self.rank)));
        }
        keys
    }
}

/// A row as a program writes it that does not know the index `word`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowBeforeWords(pub Row);

impl Document for RowBeforeWords {
    const COLLECTION: &'static Collection = &ROWS_BEFORE_WORDS;

    fn id(&self) -> String {
        self.0.id()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = self.0.keys();
        keys.retain(|(index, _)| *index == "rank");
        keys
    }
}

/// A document of a role of its own, the `N`th.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job<const N: usize> {
    /// Its id.
    pub id: String,
    /// Anything.
    pub state: i64,
}

impl<const N: usize> Document for Job<N> {
    const COLLECTION: &'static Collection = &JOBS[N];

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// The names of one run of one case.
#[derive(Clone, Debug)]
pub struct Names(String);

impl Names {
    /// Names that nothing else uses.
    #[must_use]
    pub fn new() -> Self {
        Self(nonce())
    }

    /// The name `what`.
    #[must_use]
    pub fn id(&self, what: impl std::fmt::Display) -> String {
        format!("{}-{what}", self.0)
    }

    /// The cause of a request under the key `what`.
    #[must_use]
    pub fn request(&self, what: impl std::fmt::Display) -> Cause {
        Cause::request("usr_suite", "suite.Do", &self.id(what), b"body")
    }

    /// The cause of the message `what`.
    #[must_use]
    pub fn message(&self, what: impl std::fmt::Display) -> Cause {
        Cause::Message { queue: "suite.work".to_owned(), id: self.id(what) }
    }

    /// A Work of the main role that the request `what` causes.
    #[must_use]
    pub fn work(&self, what: impl std::fmt::Display) -> Work {
        Work::new(ROLE, self.request(what), at(0), None)
    }

    /// A Work of the main role that the message `what` causes.
    #[must_use]
    pub fn message_work(&self, what: impl std::fmt::Display) -> Work {
        Work::new(ROLE, self.message(what), at(0), None)
    }

    /// A note with a number in it.
    #[must_use]
    pub fn note(&self, what: impl std::fmt::Display, body: impl Into<Value>) -> Note {
        Note { id: self.id(what), body: body.into() }
    }

    /// An item of which `free` are left.
    #[must_use]
    pub fn item(&self, what: impl std::fmt::Display, free: i64) -> Item {
        Item { id: self.id(what), free, label: self.0.clone() }
    }

    /// A row of this run's list.
    #[must_use]
    pub fn row(&self, what: impl std::fmt::Display, rank: i64) -> Row {
        Row { id: self.id(what), list: self.0.clone(), rank, word: None }
    }

    /// The key of this run's list.
    #[must_use]
    pub fn list(&self) -> Key {
        Key::new().text(&self.0)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Commits a Work that has to be applied.
pub(crate) async fn apply(store: &Arc<dyn Store>, work: Work) {
    let shown = format!("{work:?}");
    match store.commit(work).await {
        Ok(Committed::Applied) => {}
        other => panic!("{other:?} instead of Applied, for {shown:.2000}"),
    }
}

/// Commits a Work whose cause must have had its effect; gives the mark.
pub(crate) async fn already_done(store: &Arc<dyn Store>, work: Work) -> Mark {
    let shown = format!("{work:?}");
    match store.commit(work).await {
        Ok(Committed::AlreadyDone(mark)) => mark,
        other => panic!("{other:?} instead of AlreadyDone, for {shown:.2000}"),
    }
}

/// Commits a Work that must conflict at the document `id`.
pub(crate) async fn conflicts_at(store: &Arc<dyn Store>, work: Work, id: &str) {
    match store.commit(work).await {
        Err(StoreError::Conflict { document }) => assert_eq!(document.id, id),
        other => panic!("{other:?} instead of a conflict at {id}"),
    }
}

/// Inserts `value` by a request of its own and reads it back.
pub(crate) async fn put<D: Document>(store: &Arc<dyn Store>, value: &D) -> Versioned<D> {
    let cause = Cause::request("usr_suite", "suite.Put", &nonce(), b"");
    let mut work = Work::new(D::COLLECTION.role, cause, at(0), None);
    work.insert(value).unwrap();
    apply(store, work).await;
    read(store, &value.id()).await
}

/// Replaces what was read by a request of its own.
pub(crate) async fn swap<D: Document>(
    store: &Arc<dyn Store>,
    before: &Versioned<D>,
    after: &D,
) -> Result<Committed, StoreError> {
    let cause = Cause::request("usr_suite", "suite.Swap", &nonce(), b"");
    let mut work = Work::new(D::COLLECTION.role, cause, at(0), None);
    work.replace(before, after)?;
    store.commit(work).await
}

/// Removes what was read by a request of its own, whose anchor is a note.
pub(crate) async fn remove<D: Document>(
    store: &Arc<dyn Store>,
    read: &Versioned<D>,
) -> Result<Committed, StoreError> {
    let names = Names::new();
    let mut work = names.work("remove");
    work.insert(&names.note("removed", read.value.id()))?;
    work.delete(read);
    store.commit(work).await
}

/// Reads a document that must be there.
pub(crate) async fn read<D: Document>(store: &Arc<dyn Store>, id: &str) -> Versioned<D> {
    store.load::<D>(id).await.unwrap().unwrap_or_else(|| panic!("{id} is not there"))
}

/// Whether a document is there.
pub(crate) async fn exists<D: Document>(store: &Arc<dyn Store>, id: &str) -> bool {
    store.load::<D>(id).await.unwrap().is_some()
}
