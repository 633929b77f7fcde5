//! Works per second on a MongoDB of its own, beside the bare driver doing as much.
//!
//! `cargo run --release -p bistro-store-mongo --example mongo_commit_rate`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for whoever runs it")]

use std::{sync::Arc, time::Duration};

use bistro_core::{Clock as _, SystemClock};
use bistro_store::{
    Cause, Collection, Committed, Document, DocumentRef, Settled, Store as _, Work,
};
use bistro_store_mongo::{MongoOptions, MongoStore};
use bistro_testkit::MongoServer;
use mongodb::{
    Client,
    bson::{Binary, doc, spec::BinarySubtype},
    options::{Acknowledgment, ClientOptions, WriteConcern},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// For how long each figure is measured, after a tenth of it to warm up.
const SPAN: Duration = Duration::from_secs(5);
const TASKS: [usize; 3] = [1, 16, 64];

static ORDERS: Collection = collection("orders");
static RECEIPTS: Collection = collection("receipts");

const fn collection(name: &'static str) -> Collection {
    Collection { role: "rate", name, schema: 1, compatible_from: 1, indexes: &[] }
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: String,
    restaurant: String,
    lines: Vec<Line>,
    total: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    item: String,
    quantity: i64,
    price: i64,
}

impl Document for Order {
    const COLLECTION: &'static Collection = &ORDERS;

    fn id(&self) -> String {
        self.id.clone()
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Receipt(Order);

impl Document for Receipt {
    const COLLECTION: &'static Collection = &RECEIPTS;

    fn id(&self) -> String {
        self.0.id.clone()
    }
}

fn order(id: String) -> Order {
    let line = |number: i64| Line {
        item: format!("itm_01jd0000000000000000000{number:03}"),
        quantity: 1 + number,
        price: 950,
    };
    Order {
        id,
        restaurant: "rst_01jd0000000000000000000000".to_owned(),
        lines: (0..4).map(line).collect(),
        total: 9_500,
    }
}

fn work(id: &str) -> Work {
    let cause = Cause::Message { queue: "rate.work".to_owned(), id: id.to_owned() };
    let mut work = Work::new("rate", cause, SystemClock.now(), None);
    work.insert(&order(id.to_owned())).unwrap();
    work
}

async fn commit(store: &MongoStore, work: Work) {
    assert_eq!(store.commit(work).await.unwrap(), Committed::Applied);
}

/// Settles what is committed as a publisher does that has its confirms: what has come meanwhile.
async fn publish(store: MongoStore, mut committed: tokio::sync::mpsc::Receiver<Settled>) {
    let mut settled = Vec::new();
    while committed.recv_many(&mut settled, 64).await > 0 {
        store.settle(std::mem::take(&mut settled)).await.unwrap();
    }
}

/// How often per second `tasks` tasks together get `one` done.
async fn rate<F>(tasks: usize, name: &str, one: impl Fn(String) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let begin = Instant::now() + SPAN / 10;
    let end = begin + SPAN;
    let nonce = SystemClock.now().as_millis();
    let done = futures::future::join_all((0..tasks).map(|task| {
        let one = &one;
        async move {
            let mut count = 0_u32;
            for number in 0_u32.. {
                let now = Instant::now();
                if now >= end {
                    break;
                }
                tokio::spawn(one(format!("{name}-{nonce}-{task}-{number}"))).await.unwrap();
                count += u32::from(now >= begin);
            }
            count
        }
    }))
    .await;
    f64::from(done.into_iter().sum::<u32>()) / SPAN.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let server = MongoServer::start().await.unwrap();
    let options = MongoOptions::new(server.url());
    let store = MongoStore::connect(options, &[&ORDERS, &RECEIPTS]).await.unwrap();
    let mut bare = ClientOptions::parse(server.url()).await.unwrap();
    bare.max_pool_size = Some(64);
    bare.write_concern =
        Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let bare = Client::with_options(bare).unwrap();
    let bare = Arc::new(bare.database("bare").collection("orders"));

    println!("{:44} {:>8} {:>8} {:>8}", "per second, by tasks", 1, 16, 64);
    let mut rates = Vec::new();
    for tasks in TASKS {
        let insert = |id: String| {
            let bare = Arc::clone(&bare);
            let text = serde_json::to_string(&order(id.clone())).unwrap();
            let data = Binary { subtype: BinarySubtype::Generic, bytes: text.into_bytes() };
            async move {
                bare.insert_one(doc! { "_id": id, "data": data }).await.unwrap();
            }
        };
        rates.push(rate(tasks, "bare", insert).await);
    }
    show("bare driver: insert of the same size", &rates);

    rates.clear();
    for tasks in TASKS {
        let plain = |id: String| {
            let store = store.clone();
            async move { commit(&store, work(&id)).await }
        };
        rates.push(rate(tasks, "plain", plain).await);
    }
    show("Work: 1 document", &rates);

    rates.clear();
    for tasks in TASKS {
        let (publisher, committed) = tokio::sync::mpsc::channel(256);
        let publishing = tokio::spawn(publish(store.clone(), committed));
        let told = |id: String| {
            let (store, publisher) = (store.clone(), publisher.clone());
            async move {
                let mut work = work(&id);
                work.event("bistro.rate.v1.Placed", &id, 1, vec![7; 80]);
                let id = work.events[0].id.clone();
                let document = DocumentRef::of::<Order>(&work.anchor().unwrap().id);
                commit(&store, work).await;
                let settled = Settled::Event { document, id };
                publisher.send(settled).await.unwrap();
            }
        };
        rates.push(rate(tasks, "told", told).await);
        drop(publisher);
        publishing.await.unwrap();
    }
    show("Work: 1 document, 1 event, settled", &rates);

    rates.clear();
    for tasks in TASKS {
        let pair = |id: String| {
            let store = store.clone();
            async move {
                let mut work = work(&id);
                work.insert(&Receipt(order(id))).unwrap();
                commit(&store, work).await;
            }
        };
        rates.push(rate(tasks, "pair", pair).await);
    }
    show("Work: 2 documents", &rates);
}

fn show(what: &str, rates: &[f64]) {
    print!("{what:44}");
    for rate in rates {
        print!(" {rate:>8.0}");
    }
    println!();
}
