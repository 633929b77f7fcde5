//! Measures commits: Works per second and how long each takes, with 1, 16 and 64 clients.
//!
//! `cargo run --release -p bistro-store-embedded --example commit_rate -- [seconds] [documents]`
//! first puts so many documents into a new file in the temporary directory. A *placing* Work
//! inserts a document of 400 bytes with two index keys and a request's mark, and tells one event;
//! a *handling* Work is caused by that event and replaces the document.

#![allow(clippy::print_stdout, reason = "it prints a table")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bistro_bus::Queue;
use bistro_core::{Clock as _, SystemClock, Timestamp, kinds};
use bistro_store::{
    Cause, Collection, Committed, Document, Index, Key, Store as _, StoreExt as _, Work,
};
use bistro_store_embedded::Embedded;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

static ORDERS: Collection = Collection {
    role: "orders",
    name: "orders",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new("restaurant"), Index::new("state")],
};
const QUEUE: Queue =
    Queue { name: "kitchen.events", role: "orders", kinds: &["bistro.orders.v1.OrderPlaced"] };

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: String,
    restaurant: i64,
    state: String,
    note: String,
}

impl Document for Order {
    const COLLECTION: &'static Collection = &ORDERS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![
            ("restaurant", Key::new().int(self.restaurant).text(&self.id)),
            ("state", Key::new().text(&self.state).text(&self.id)),
        ]
    }
}

fn placing(now: Timestamp, number: u64) -> Work {
    let key = format!("order {number}");
    let cause = Cause::request("usr_1", "orders.place", &key, key.as_bytes());
    let mut work = Work::new("orders", cause, now, None);
    let order = Order {
        id: work.ids().id::<kinds::Order>("order").to_string(),
        restaurant: i64::try_from(number % 100).unwrap(),
        state: "placed".to_owned(),
        note: "x".repeat(300),
    };
    work.insert_new(&order).unwrap();
    work.event(QUEUE.kinds[0], &order.id, 1, vec![1; 60]);
    work.reply(order.id.into_bytes());
    work
}

/// Takes messages, handles each by a Work and acknowledges it, as a role does.
async fn handle(engine: Embedded, handled: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let queue = engine.queue(QUEUE.name).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let next = tokio::time::timeout(Duration::from_millis(200), queue.next());
        let Ok(Ok(message)) = next.await else {
            continue;
        };
        let cause = Cause::Message { queue: QUEUE.name.to_owned(), id: message.event.id.clone() };
        let before = engine.load::<Order>(&message.event.subject).await;
        let before = before.unwrap().unwrap();
        let mut work = Work::new("orders", cause, message.event.time, None);
        let mut after = before.value.clone();
        "confirmed".clone_into(&mut after.state);
        work.replace(&before, &after).unwrap();
        engine.commit(work).await.unwrap();
        queue.ack(message.seq).await.unwrap();
        handled.fetch_add(1, Ordering::Relaxed);
    }
}

/// Places orders with `clients` tasks for `seconds`; how long each took, and how many.
async fn place(
    engine: &Embedded,
    clients: u64,
    seconds: u64,
    numbers: &Arc<AtomicU64>,
) -> Histogram<u64> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (engine, numbers) = (engine.clone(), Arc::clone(numbers));
            tokio::spawn(async move {
                let mut times = Histogram::<u64>::new(3).unwrap();
                while Instant::now() < until {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let work = placing(SystemClock.now(), number);
                    let began = Instant::now();
                    let done = engine.commit(work).await.unwrap();
                    assert_eq!(done, Committed::Applied);
                    let took = began.elapsed().as_micros();
                    times.record(u64::try_from(took).unwrap()).unwrap();
                }
                times
            })
        })
        .collect();
    let mut all = Histogram::<u64>::new(3).unwrap();
    for task in tasks {
        all.add(task.await.unwrap()).unwrap();
    }
    all
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap();
    kib / 1024
}

async fn measure(engine: &Embedded, seconds: u64, numbers: &Arc<AtomicU64>) {
    println!("clients  handlers  placed/s  handled/s  p50 ms  p99 ms  max ms  RSS MiB");
    for handlers in [0, 16] {
        for clients in [1, 16, 64] {
            let handled = Arc::new(AtomicU64::new(0));
            let stop = Arc::new(AtomicBool::new(false));
            let tasks: Vec<_> = (0..handlers)
                .map(|_| tokio::spawn(handle(engine.clone(), handled.clone(), stop.clone())))
                .collect();
            let times = place(engine, clients, seconds, numbers).await;
            let in_time = handled.load(Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            for task in tasks {
                task.await.unwrap();
            }
            let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1_000.0;
            println!(
                "{clients:7}  {handlers:8}  {:8}  {:9}  {:6.2}  {:6.2}  {:6.2}  {:7}",
                times.len() / seconds,
                in_time / seconds,
                ms(times.value_at_quantile(0.5)),
                ms(times.value_at_quantile(0.99)),
                ms(times.max()),
                resident_mib(),
            );
        }
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let seconds: u64 = arguments.next().unwrap_or(3);
    let documents: u64 = arguments.next().unwrap_or(0);
    let data_dir = tempfile::TempDir::new().unwrap();
    let engine = Embedded::open(data_dir.path(), &[&ORDERS], Arc::new(SystemClock)).unwrap();
    let numbers = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    // Before the queue is declared, so that the events go nowhere.
    let fill: Vec<_> = (0..64)
        .map(|_| {
            let (engine, numbers) = (engine.clone(), Arc::clone(&numbers));
            tokio::spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if number >= documents {
                        return;
                    }
                    let work = placing(SystemClock.now(), number);
                    engine.commit(work).await.unwrap();
                }
            })
        })
        .collect();
    for task in fill {
        task.await.unwrap();
    }
    println!("{documents} documents in {:.1} s", began.elapsed().as_secs_f64());
    engine.declare(&[QUEUE]).await.unwrap();
    measure(&engine, seconds, &numbers).await;
    engine.close().await;
    let size = std::fs::metadata(data_dir.path().join("bistro.db")).unwrap().len();
    println!("the file has {} MiB", size >> 20);
}
