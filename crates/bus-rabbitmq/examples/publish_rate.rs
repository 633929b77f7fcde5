//! Prints how many confirmed events a second this machine publishes: `publish_rate [seconds]`.
//!
//! Starts a RabbitMQ of its own. Each of 1, 16 and 256 tasks publishes one event at a time; then
//! one task publishes 256 at a time; then it does so while another one consumes and acknowledges.

#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "it prints a few rates")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bistro_bus::{Bus, BusError, Queue};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::{Event, SystemClock, Timestamp};
use bistro_testkit::{RabbitServer, suites::bus::MemoryShelf};
use tokio::{task::JoinSet, time::Instant};

const QUEUE: Queue =
    Queue { name: "rate.measured", role: "rate", kinds: &["bistro.rate.v1.Measured"] };

fn event(number: u64) -> Event {
    Event {
        id: format!("rate/{number}"),
        source: "/bistro/rate".to_owned(),
        kind: QUEUE.kinds[0].to_owned(),
        subject: "ord_0000000000000000000000000000".to_owned(),
        time: Timestamp::from_millis(1_700_000_000_000),
        sequence: 1,
        traceparent: None,
        data: vec![7; 200],
    }
}

/// Publishes from `tasks` tasks, `batch` events at a time; gives events a second.
async fn publish(
    bus: &Arc<RabbitBus>,
    tasks: usize,
    batch: u64,
    lasting: Duration,
) -> Result<f64, BusError> {
    let published = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (bus, published) = (bus.clone(), published.clone());
        running.spawn(async move {
            while begun.elapsed() < lasting {
                let first = published.fetch_add(batch, Ordering::Relaxed);
                let events = (first..first + batch).map(event).collect();
                for result in bus.publish(events).await {
                    result?;
                }
            }
            Ok::<(), BusError>(())
        });
    }
    for result in running.join_all().await {
        result?;
    }
    Ok(published.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// Consumes and acknowledges until it has been quiet for a while; gives how many.
async fn consume(bus: &RabbitBus) -> Result<u64, BusError> {
    let mut consumer = bus.subscribe(QUEUE.name, 300).await?;
    let mut count = 0;
    while let Ok(delivery) = tokio::time::timeout(Duration::from_secs(2), consumer.next()).await {
        delivery?.ack().await?;
        count += 1;
    }
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let lasting = Duration::from_secs(seconds);
    let server = RabbitServer::start().await?;
    let shelf = Arc::new(MemoryShelf::default());
    let bus = Arc::new(RabbitBus::start(
        RabbitOptions::new(&server.url(), "rate", 1)?,
        Arc::new(move |_: &Queue| shelf.clone()),
        Arc::new(SystemClock),
    ));
    bus.declare(&[QUEUE]).await?;
    for tasks in [1, 16, 256] {
        let rate = publish(&bus, tasks, 1, lasting).await?;
        println!("{tasks:>4} tasks, one event each: {rate:>7.0}/s");
        consume(&bus).await?;
    }
    let rate = publish(&bus, 1, 256, lasting).await?;
    println!("   1 task, 256 events at once: {rate:>7.0}/s");
    let emptied = Instant::now();
    let count = consume(&bus).await?;
    let rate = count as f64 / (emptied.elapsed().as_secs_f64() - 2.0);
    println!("consumed and acknowledged one by one: {rate:>7.0}/s");
    let (published, consumed) = tokio::join!(publish(&bus, 4, 64, lasting), consume(&bus));
    consumed?;
    println!("4 tasks, 64 at once, while one consumes: {:>7.0}/s", published?);
    Ok(())
}
