//! What a commit says, and what is stored, when MongoDB dies, halts, or loses a connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bistro_core::{Clock as _, SystemClock};
use bistro_store::{
    Cause, Collection, Committed, Document, Store as _, StoreError, StoreExt as _, Work,
};
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::{FaultProxy, MongoServer, wait};
use serde::{Deserialize, Serialize};

/// The longest that anything which is bound to happen may take.
const PATIENCE: Duration = Duration::from_mins(1);

static SALES: Collection = collection("sales");
static STOCK: Collection = collection("stock");

const fn collection(name: &'static str) -> Collection {
    Collection { role: "shop", name, schema: 1, compatible_from: 1, indexes: &[] }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sale {
    id: String,
}

impl Document for Sale {
    const COLLECTION: &'static Collection = &SALES;

    fn id(&self) -> String {
        self.id.clone()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stock {
    id: String,
    sold: i64,
}

impl Document for Stock {
    const COLLECTION: &'static Collection = &STOCK;

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// The Work that sells `id`: one document, or two when it is counted in `stock`.
fn sale(id: &str, stock: Option<&str>) -> Work {
    let cause = Cause::Message { queue: "shop.sell".to_owned(), id: id.to_owned() };
    let mut work = Work::new("shop", cause, SystemClock.now(), None);
    work.insert(&Sale { id: id.to_owned() }).unwrap();
    work.event("shop.v1.Sold", id, 1, vec![7]);
    if let Some(stock) = stock {
        work.adjust::<Stock>(stock, "sold", 1, 0);
    }
    work
}

fn options(url: &str) -> MongoOptions {
    let mut options = MongoOptions::new(url);
    options.server_selection_timeout = Duration::from_secs(1);
    options.connect_timeout = Duration::from_secs(1);
    options.operation_timeout = Duration::from_secs(4);
    options
}

async fn open(options: MongoOptions) -> MongoStore {
    MongoStore::connect(options, &[&SALES, &STOCK]).await.unwrap()
}

async fn put_stock(store: &MongoStore, id: &str) {
    let cause = Cause::Tick { name: id.to_owned() };
    let mut work = Work::new("shop", cause, SystemClock.now(), None);
    let id = id.to_owned();
    work.insert(&Stock { id, sold: 0 }).unwrap();
    assert_eq!(store.commit(work).await.unwrap(), Committed::Applied);
}

/// Commits until the outcome is known and good, as a consumer does that gets its message again.
async fn resolve(store: &MongoStore, work: &Work) {
    wait::until("the work is done", PATIENCE, async || store.commit(work.clone()).await.map(drop))
        .await;
}

/// Every one of `works` is stored, with its event, and counted once.
async fn assert_sold_once(store: &MongoStore, stock: &str, works: &[Work]) {
    let count = i64::try_from(works.iter().filter(|work| work.writes.len() > 1).count()).unwrap();
    let stock = store.load::<Stock>(stock).await.unwrap().unwrap();
    assert_eq!((stock.sold, stock.version), (count, 1 + count));
    let later = SystemClock.now() + Duration::from_hours(1);
    let told = store.unpublished("shop", later, 100_000).await.unwrap();
    let mut told: Vec<&str> = told.iter().map(|event| event.event.id.as_str()).collect();
    let mut wanted: Vec<&str> = works.iter().map(|work| work.events[0].id.as_str()).collect();
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}

/// Eight sellers sell until they are stopped; gives each attempt and what was said to it.
struct Sellers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<Attempt>>>,
}

struct Attempt {
    work: Work,
    said: Result<Committed, StoreError>,
}

impl Sellers {
    fn start(store: &MongoStore, round: usize, stock: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..8)
            .map(|seller| {
                let (store, stop) = (store.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut attempts = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let id = format!("{round}-{seller}-{}", attempts.len());
                        let counted = (attempts.len() % 2 == 0).then_some(stock);
                        let work = sale(&id, counted);
                        let said = store.commit(work.clone()).await;
                        let failed = said.is_err();
                        attempts.push(Attempt { work, said });
                        if failed {
                            break;
                        }
                    }
                    attempts
                })
            })
            .collect();
        Self { stop, tasks }
    }

    /// Until they have sold something.
    async fn busy(&self, store: &MongoStore, round: usize) {
        wait::until("something is sold", PATIENCE, async || {
            let ids: Vec<String> = (0..8).map(|seller| format!("{round}-{seller}-3")).collect();
            match store.load_many::<Sale>(&ids).await {
                Ok(sales) if sales.len() == ids.len() => Ok(()),
                other => Err(other.map(|sales| sales.len())),
            }
        })
        .await;
    }

    async fn end(self) -> Vec<Attempt> {
        self.stop.store(true, Ordering::Relaxed);
        let mut attempts = Vec::new();
        for task in self.tasks {
            attempts.extend(task.await.unwrap());
        }
        attempts
    }
}

/// Nothing acknowledged is lost, and the same Work again settles every doubt.
async fn check(store: &MongoStore, stock: &str, attempts: &[Attempt], done: &mut Vec<Work>) {
    for attempt in attempts {
        match &attempt.said {
            Ok(said) => {
                assert_eq!(*said, Committed::Applied);
                // A transaction that lost its client holds its documents for a while.
                let again = wait::until("the work is asked about", PATIENCE, async || {
                    store.commit(attempt.work.clone()).await
                })
                .await;
                assert!(matches!(again, Committed::AlreadyDone(_)), "{again:?}");
            }
            Err(StoreError::Unknown { .. }) => resolve(store, &attempt.work).await,
            Err(StoreError::NotDone { .. }) => {
                let id = attempt.work.anchor().unwrap().id.clone();
                assert!(store.load::<Sale>(&id).await.unwrap().is_none(), "{id}");
                resolve(store, &attempt.work).await;
            }
            Err(other) => panic!("{other:?}"),
        }
        done.push(attempt.work.clone());
    }
    assert_sold_once(store, stock, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_restarted_it_has_all_it_acknowledged_and_nothing_twice() {
    let mut server = MongoServer::start().await.unwrap();
    let store = open(options(&server.url())).await;
    put_stock(&store, "killed").await;
    let mut done = Vec::new();
    for round in 0..3 {
        let sellers = Sellers::start(&store, round, "killed");
        sellers.busy(&store, round).await;
        server.kill().unwrap();
        let attempts = sellers.end().await;
        server.restart().await.unwrap();
        wait::until("it answers", PATIENCE, async || store.ping().await).await;
        check(&store, "killed", &attempts, &mut done).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_server_is_given_up_in_time_and_doubts_are_settled_later() {
    let mut server = MongoServer::start().await.unwrap();
    let mut options = options(&server.url());
    options.max_pool_size = 4;
    let store = open(options.clone()).await;
    put_stock(&store, "halted").await;
    let sellers = Sellers::start(&store, 0, "halted");
    sellers.busy(&store, 0).await;
    server.pause().unwrap();
    let slack = Duration::from_secs(2);
    let attempts = tokio::time::timeout(options.operation_timeout + slack, sellers.end())
        .await
        .expect("somebody still waits");
    assert!(attempts.iter().any(|attempt| attempt.said.is_err()));

    // Who comes now is told so too, and that nothing happened when nothing was sent.
    let late =
        tokio::time::timeout(options.operation_timeout + slack, store.commit(sale("late", None)));
    let late = late.await.expect("it still waits");
    assert!(
        matches!(late, Err(StoreError::NotDone { .. } | StoreError::Unknown { .. })),
        "{late:?}"
    );
    let read = tokio::time::timeout(options.operation_timeout + slack, store.load::<Sale>("late"));
    assert!(matches!(read.await.unwrap(), Err(StoreError::NotDone { .. })));

    server.resume().unwrap();
    wait::until("it answers", PATIENCE, async || store.ping().await).await;
    let late = Attempt { work: sale("late", None), said: late };
    resolve(&store, &late.work).await;
    let mut done = vec![late.work];
    check(&store, "halted", &attempts, &mut done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_leave_no_doubt_unsettled() {
    let server = MongoServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let store = open(options(&server.url_via(proxy.addr()))).await;
    put_stock(&store, "cut").await;
    let mut done = Vec::new();
    for round in 0..10 {
        let sellers = Sellers::start(&store, round, "cut");
        sellers.busy(&store, round).await;
        proxy.cut().await.unwrap();
        let attempts = sellers.end().await;
        wait::until("it answers", PATIENCE, async || store.ping().await).await;
        check(&store, "cut", &attempts, &mut done).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_harms_nobody() {
    let server = MongoServer::start().await.unwrap();
    let mut options = options(&server.url());
    options.max_pool_size = 4;
    let store = open(options).await;
    put_stock(&store, "dropped").await;
    let mut done = Vec::new();
    for number in 0..200_u64 {
        let work = sale(&format!("dropped-{number}"), (number % 2 == 0).then_some("dropped"));
        // Dropped at every point of its way.
        let patience = Duration::from_micros(number * 20);
        let _ = tokio::time::timeout(patience, store.commit(work.clone())).await;
        let _ = tokio::time::timeout(patience, store.load::<Sale>("dropped-0")).await;
        resolve(&store, &work).await;
        done.push(work);
    }
    assert_sold_once(&store, "dropped", &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_connections_wait_their_turn() {
    let server = MongoServer::start().await.unwrap();
    let mut options = options(&server.url());
    options.max_pool_size = 2;
    let store = open(options).await;
    put_stock(&store, "few").await;
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let store = store.clone();
            let work = sale(&format!("few-{number}"), Some("few"));
            tokio::spawn(async move {
                let said = store.commit(work.clone()).await.unwrap();
                assert_eq!(said, Committed::Applied);
                store.load::<Sale>(&work.anchor().unwrap().id).await.unwrap().unwrap();
                work
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    assert_sold_once(&store, "few", &done).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_in_time_and_without_the_password() {
    let options = options("mongodb://chef:hunter2@127.0.0.1:9/?replicaSet=none");
    let refused = MongoStore::connect(options, &[&SALES]).await;
    let Err(error) = refused.map(drop) else {
        panic!("there is no server");
    };
    assert!(matches!(error, StoreError::NotDone { .. }), "{error:?}");
    let shown = bistro_core::Error::from(error).chain();
    assert!(!shown.contains("hunter2"), "{shown}");
}
