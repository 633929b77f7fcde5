//! What lies in MongoDB after Works, as whoever looks into the database finds it, and that the
//! questions a role asks all the time are answered from indexes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bistro_core::{Clock as _, SystemClock, Timestamp};
use bistro_store::{
    Backlog, CallStep, Cause, Collection, Committed, Document, DocumentRef, Index, Key, Query,
    Settled, Store as _, StoreError, StoreExt as _, Versioned, Work,
};
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::{MongoServer, suites::nonce, wait};
use mongodb::{
    Client, Database,
    bson::{Bson, DateTime, Document as BsonDocument, doc},
};
use serde::{Deserialize, Serialize};

static TABLES: Collection = Collection {
    role: "room",
    name: "tables",
    schema: 3,
    compatible_from: 2,
    indexes: &[Index::new("size"), Index::unique("label")],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Table {
    id: String,
    size: i64,
    label: String,
}

impl Document for Table {
    const COLLECTION: &'static Collection = &TABLES;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![("size", Key::new().int(self.size)), ("label", Key::new().text(&self.label))]
    }
}

fn table(id: &str, size: i64) -> Table {
    Table { id: id.to_owned(), size, label: format!("${id}") }
}

struct Room {
    store: MongoStore,
    database: Database,
}

impl Room {
    async fn open() -> Self {
        let server = MongoServer::shared().await.unwrap();
        let mut options = MongoOptions::new(server.url());
        options.database = format!("room-{}", nonce());
        let database =
            Client::with_uri_str(server.url()).await.unwrap().database(&options.database);
        let store = MongoStore::connect(options, &[&TABLES]).await.unwrap();
        Self { store, database }
    }

    async fn apply(&self, work: Work) {
        assert_eq!(self.store.commit(work).await.unwrap(), Committed::Applied);
    }

    async fn read(&self, id: &str) -> Versioned<Table> {
        self.store.load(id).await.unwrap().unwrap()
    }

    async fn envelope(&self, id: &str) -> BsonDocument {
        let envelopes = self.database.collection("room.tables");
        envelopes.find_one(doc! { "_id": id }).await.unwrap().unwrap()
    }

    /// The stages of the plan with which MongoDB answers `find`.
    async fn plan(&self, find: BsonDocument) -> String {
        let explain = doc! { "explain": find, "verbosity": "queryPlanner" };
        let answer = self.database.run_command(explain).await.unwrap();
        answer
            .get_document("queryPlanner")
            .unwrap()
            .get_document("winningPlan")
            .unwrap()
            .to_string()
    }
}

fn requested(key: &str, time: Timestamp) -> Work {
    Work::new("room", Cause::request("usr", "room.Do", key, b"body"), time, None)
}

fn keys(envelope: &BsonDocument) -> Vec<&str> {
    envelope.keys().map(String::as_str).collect()
}

/// Just after a collection or an index was made there is no snapshot of it to read from.
#[tokio::test(flavor = "multi_thread")]
async fn lists_answer_at_once_on_a_new_database() {
    for round in 0..20 {
        let room = Room::open().await;
        let id = format!("t{round}");
        assert!(room.store.load_many::<Table>(std::slice::from_ref(&id)).await.unwrap().is_empty());
        let all = Query::prefix::<Table>("size", &Key::new());
        assert!(room.store.list::<Table>(all.clone()).await.unwrap().items.is_empty());
        let mut work = requested("make", SystemClock.now());
        work.insert_new(&table(&id, 4)).unwrap();
        room.apply(work).await;
        assert_eq!(room.store.list::<Table>(all).await.unwrap().items.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_can_be_read_by_people_and_empties_again() {
    let room = Room::open().await;
    let now = SystemClock.now();
    let mut work = requested("make", now);
    work.insert_new(&table("t1", 4)).unwrap();
    work.event("bistro.room.v1.Made", "t1", 1, vec![0, 255]);
    work.call(
        "tell",
        vec![CallStep { role: "orders".to_owned(), method: "/a/B".to_owned(), request: vec![1] }],
    );
    work.timer::<Table>("t1", "tidy", now + Duration::from_mins(1));
    room.apply(work.clone()).await;

    let envelope = room.envelope("t1").await;
    assert_eq!(
        keys(&envelope),
        [
            "_id", "v", "s", "cf", "d", "k", "rk", "out", "told", "calls", "called", "timers",
            "due", "causes"
        ]
    );
    let content = doc! { "id": "t1", "size": 4_i64, "label": "$t1" };
    assert_eq!(envelope.get_document("d").unwrap(), &content);
    assert_eq!((envelope.get_i64("s").unwrap(), envelope.get_i64("cf").unwrap()), (3, 2));
    assert_eq!(envelope.get_datetime("told").unwrap(), &DateTime::from_millis(now.as_millis()));

    // A change with everything settled leaves the document, its keys and its marks.
    let document = DocumentRef::of::<Table>("t1");
    let (event, call) = (work.events[0].id.clone(), work.calls[0].id.clone());
    let settled = vec![
        Settled::Event { document: document.clone(), id: event },
        Settled::Call { document, id: call },
    ];
    room.store.settle(settled).await.unwrap();
    let before = room.read("t1").await;
    let mut work = requested("change", now);
    work.replace(&before, &table("t1", 6)).unwrap();
    work.cancel_timer::<Table>("t1", "tidy");
    room.apply(work).await;
    let envelope = room.envelope("t1").await;
    assert_eq!(keys(&envelope), ["_id", "v", "s", "cf", "d", "k", "rk", "causes"]);
    assert_eq!(envelope.get_i64("v").unwrap(), 2);
    assert_eq!(envelope.get_array("causes").unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_drops_the_marks_that_are_too_old() {
    let room = Room::open().await;
    let day = Duration::from_hours(24);
    let now = SystemClock.now();
    let mut made = requested("make", now);
    made.insert_new(&table("t1", 4)).unwrap();
    room.apply(made.clone()).await;
    for (days, left) in [(1, 2), (30, 3), (31, 3), (62, 1)] {
        let before = room.read("t1").await;
        let mut work = requested(&format!("day {days}"), now + day * days);
        work.replace(&before, &table("t1", i64::from(days))).unwrap();
        room.apply(work).await;
        let envelope = room.envelope("t1").await;
        assert_eq!(envelope.get_array("causes").unwrap().len(), left, "{days}");
        // The request's key goes with its mark.
        assert_eq!(envelope.contains_key("rk"), days <= 30, "{days}");
    }
    let key = made.cause.mark_key().unwrap();
    let mark = room.store.mark_of_request(&TABLES, &key).await.unwrap();
    assert_eq!(mark, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_leaves_its_marks_for_their_lifetime() {
    let room = Room::open().await;
    let now = SystemClock.now();
    let mut work = requested("make", now);
    work.insert_new(&table("t1", 4)).unwrap();
    work.insert(&table("t2", 4)).unwrap();
    work.timer::<Table>("t1", "tidy", now);
    room.apply(work).await;
    let (first, second) = (room.read("t1").await, room.read("t2").await);
    let mut work = requested("clear", now);
    work.replace(&second, &table("t2", 8)).unwrap();
    work.delete(&first);
    room.apply(work).await;
    let envelope = room.envelope("t1").await;
    assert_eq!(keys(&envelope), ["_id", "v", "s", "cf", "rk", "causes", "gone"]);
    let gone = envelope.get_datetime("gone").unwrap();
    let left = gone.timestamp_millis() - now.as_millis();
    let lifetime = i64::try_from(bistro_store::MARK_LIFETIME.as_millis()).unwrap();
    assert!((lifetime..lifetime + 60_000).contains(&left), "{left}");
    // MongoDB removes what is past that moment.
    let indexes = room.database.run_command(doc! { "listIndexes": "room.tables" }).await;
    let indexes = indexes.unwrap().to_string();
    assert!(indexes.contains("expireAfterSeconds"), "{indexes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_asks_all_the_time_is_read_from_indexes_in_order() {
    let room = Room::open().await;
    let now = SystemClock.now();
    for number in 0..50 {
        let mut work = requested(&number.to_string(), now);
        work.insert_new(&table(&format!("t{number}"), number)).unwrap();
        work.event("bistro.room.v1.Made", number, 1, Vec::new());
        work.timer::<Table>(format!("t{number}"), "tidy", now);
        room.apply(work).await;
    }
    for field in ["told", "called", "due"] {
        let plan = room
            .plan(doc! {
                "find": "room.tables",
                "filter": { field: { "$lt": DateTime::from_millis(now.as_millis()) } },
                "sort": { field: 1 },
                "limit": 10,
            })
            .await;
        assert!(plan.contains("IXSCAN") && !plan.contains("\"SORT\""), "{plan}");
    }
    let plan = room
        .plan(doc! {
            "find": "room.tables",
            "filter": { "gone": { "$exists": false } },
            "sort": { "k.size": -1, "_id": -1 },
            "hint": "k_size",
            "min": { "k.size": Key::new().int(3).as_str(), "_id": "" },
            "max": { "k.size": Key::new().int(30).as_str(), "_id": "t30" },
            "limit": 10,
        })
        .await;
    assert!(plan.contains("IXSCAN") && !plan.contains("\"SORT\""), "{plan}");
    let plan =
        room.plan(doc! { "find": "room.tables", "filter": { "rk": Bson::from("r:1") } }).await;
    assert!(plan.contains("IXSCAN"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_unique_index_neither_skip_nor_repeat() {
    let room = Room::open().await;
    let now = SystemClock.now();
    for number in 0..25 {
        let mut work = requested(&number.to_string(), now);
        work.insert_new(&table(&format!("t{number:02}"), 1)).unwrap();
        room.apply(work).await;
    }
    for descending in [false, true] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let query = Query::prefix::<Table>("label", &Key::new());
            let query = if descending { query.descending() } else { query };
            let request = bistro_core::PageRequest::new(7, cursor);
            let page = room.store.find(query.page(&request).unwrap()).await.unwrap();
            seen.extend(page.items.into_iter().map(|row| row.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut wanted: Vec<String> = (0..25).map(|number| format!("t{number:02}")).collect();
        if descending {
            wanted.reverse();
        }
        assert_eq!(seen, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_fit_into_one_mongodb_document_is_refused_for_good() {
    let room = Room::open().await;
    let mut work = requested("large", SystemClock.now());
    work.insert_new(&table("t1", 4)).unwrap();
    for _ in 0..7 {
        work.event("bistro.room.v1.Made", "t1", 1, vec![0; bistro_store::MAX_EVENT_BYTES]);
    }
    let refused = room.store.commit(work).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_publishers_shares_its_sweeps() {
    let room = Room::open().await;
    let publishers: Vec<_> = (0..64)
        .map(|publisher| {
            let store = room.store.clone();
            tokio::spawn(async move {
                for number in 0..30 {
                    let id = format!("t{publisher}-{number}");
                    let mut work = requested(&id, SystemClock.now());
                    work.insert_new(&table(&id, 1)).unwrap();
                    work.event("bistro.room.v1.Made", &id, 1, Vec::new());
                    let document = DocumentRef::of::<Table>(&id);
                    let id = work.events[0].id.clone();
                    assert_eq!(store.commit(work).await.unwrap(), Committed::Applied);
                    // Each for itself, and nobody waits before going on.
                    let store = store.clone();
                    let settled = vec![Settled::Event { document, id }];
                    tokio::spawn(async move { store.settle(settled).await.unwrap() });
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let later = SystemClock.now() + Duration::from_hours(1);
    wait::until("all is settled", Duration::from_secs(30), async || {
        let left = room.store.unpublished("room", later, 10_000).await;
        match left {
            Ok(left) if left.is_empty() => Ok(()),
            other => Err(other.map(|left| left.len())),
        }
    })
    .await;
    assert_eq!(room.store.backlog("room").await.unwrap(), Backlog::default());
}
