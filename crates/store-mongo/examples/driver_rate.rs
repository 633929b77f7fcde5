//! Measures what the driver and a MongoDB do by themselves: the yardstick for this crate.
//!
//! `make servers` prints a URL; then, in another terminal, with the URL in quotes:
//! `cargo run --release -p bistro-store-mongo --example driver_rate -- URL [seconds]`
//!
//! 64 tasks, majority and journaled, documents of some 500 bytes. *With outbox* is an insert of an
//! envelope as this crate writes it, into a collection with the indexes of orders.

#![allow(clippy::print_stdout, reason = "it prints a table")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mongodb::{
    Client, Collection, IndexModel,
    bson::{DateTime, Document, doc},
    options::{Acknowledgment, ClientOptions, IndexOptions, ReadConcern, WriteConcern},
};
use tokio::time::Instant;

const TASKS: u32 = 64;
/// Documents that reads and updates choose from.
const KNOWN: u64 = 1_000;

/// The collections, and how long each loop runs.
#[derive(Clone)]
struct Bench {
    client: Client,
    plain: Collection<Document>,
    indexed: Collection<Document>,
    span: Duration,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "mongodb://localhost:27017".to_owned());
    let seconds = arguments.next().map_or(5, |text| text.parse().unwrap());
    let bench = Bench::open(&url, Duration::from_secs(seconds)).await;
    bench.rate("insert", Bench::insert).await;
    bench.rate("insert with outbox, 9 indexes", Bench::insert_with_outbox).await;
    bench.rate("read by id", Bench::read).await;
    bench.rate("update", Bench::update).await;
    bench.rate("transaction of two inserts", Bench::transaction).await;
    bench.client.database("driver_rate").drop().await.unwrap();
}

impl Bench {
    async fn open(url: &str, span: Duration) -> Self {
        let mut options = ClientOptions::parse(url).await.unwrap();
        options.max_pool_size = Some(TASKS);
        // As this crate has it, unless the URL says otherwise.
        options.retry_writes.get_or_insert(false);
        options.read_concern = Some(ReadConcern::majority());
        let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        options.write_concern = Some(concern);
        let client = Client::with_options(options).unwrap();
        let database = client.database("driver_rate");
        database.drop().await.unwrap();
        let indexed: Collection<Document> = database.collection("indexed");
        let lists = ["k.customer", "k.restaurant", "k.open", "k.state"];
        let listed = lists.map(|field| index(doc! { field: 1, "_id": 1 }));
        let sparse = ["rk", "told", "called", "due", "gone"].map(|field| index(doc! { field: 1 }));
        indexed.create_indexes(listed.into_iter().chain(sparse)).await.unwrap();
        let plain = database.collection("plain");
        let known = (0..KNOWN).map(|number| document(&format!("known {number}")));
        plain.insert_many(known).await.unwrap();
        Self { client, plain, indexed, span }
    }

    /// Prints how often `work` is done in a second by all tasks together.
    async fn rate<F>(&self, what: &str, work: impl Fn(Self, u64) -> F + Copy + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let count = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (bench, count) = (self.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    while began.elapsed() < bench.span {
                        work(bench.clone(), count.fetch_add(1, Ordering::Relaxed)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = u128::from(count.load(Ordering::Relaxed)) * 1_000 / began.elapsed().as_millis();
        println!("{what:32} {rate:6}/s");
    }

    async fn insert(self, number: u64) {
        self.plain.insert_one(document(&number.to_string())).await.unwrap();
    }

    async fn insert_with_outbox(self, number: u64) {
        let (key, now) = (number.to_string(), DateTime::now());
        let mut envelope = document(&key);
        envelope.extend(doc! {
            "k": { "customer": (number % 64).to_string(), "restaurant": 1, "open": &key, "state": "placed" },
            "rk": &key,
            "out": [{ "id": &key, "at": now, "e": { "data": "2a".repeat(115) } }],
            "told": now,
            "timers": [{ "n": "confirm", "at": now }],
            "due": now,
            "causes": [{ "k": &key, "t": now }],
        });
        self.indexed.insert_one(envelope).await.unwrap();
    }

    async fn read(self, number: u64) {
        let id = format!("known {}", number % KNOWN);
        self.plain.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    }

    async fn update(self, number: u64) {
        let id = format!("known {}", number % KNOWN);
        let change = doc! { "$set": { "d": &document("changed")["d"] }, "$inc": { "v": 1_i64 } };
        self.plain.update_one(doc! { "_id": id }, change).await.unwrap();
    }

    async fn transaction(self, number: u64) {
        let mut session = self.client.start_session().causal_consistency(false).await.unwrap();
        session.start_transaction().read_concern(ReadConcern::snapshot()).await.unwrap();
        for collection in [&self.plain, &self.indexed] {
            let document = document(&format!("both {number}"));
            collection.insert_one(document).session(&mut session).await.unwrap();
        }
        session.commit_transaction().await.unwrap();
    }
}

fn index(keys: Document) -> IndexModel {
    let options = IndexOptions::builder().sparse(true).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn document(id: &str) -> Document {
    doc! { "_id": id, "v": 1_i64, "d": { "note": "n".repeat(400), "lines": [1, 2, 3] } }
}
