//! What the bus does when the broker is killed, stopped, cut off or not there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bistro_bus::{Bus, BusError, Queue};
use bistro_core::Event;
use bistro_testkit::{Fault, FaultProxy, RabbitServer, wait};
use parking_lot::Mutex;
use support::{PATIENCE, TestShelf, bus, consume_all, event, kind, next, options, publish, queue};
use tokio::{task::JoinHandle, time::Instant};

/// Publishes batches until told to stop; gives the ids whose publishing was reported as a success.
fn load(
    bus: Arc<dyn Bus>,
    kind: String,
    stop: Arc<Mutex<bool>>,
) -> JoinHandle<(HashSet<String>, usize)> {
    tokio::spawn(async move {
        let (mut published, mut failed) = (HashSet::new(), 0);
        while !*stop.lock() {
            let events: Vec<Event> = (0..32).map(|_| event(&kind)).collect();
            let results = bus.publish(events.clone()).await;
            for (event, result) in events.into_iter().zip(results) {
                match result {
                    Ok(()) => {
                        published.insert(event.id);
                    }
                    Err(BusError::NotDone { .. } | BusError::Unknown { .. }) => failed += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (published, failed)
    })
}

/// Consumes for ever, subscribing again after each loss, and notes what was delivered.
fn observe(bus: Arc<dyn Bus>, queue: &Queue) -> (Arc<Mutex<HashSet<String>>>, JoinHandle<()>) {
    let seen: Arc<Mutex<HashSet<String>>> = Arc::default();
    let (noted, name) = (seen.clone(), queue.name);
    let task = tokio::spawn(async move {
        loop {
            let Ok(mut consumer) = bus.subscribe(name, 100).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while let Ok(delivery) = consumer.next().await {
                let id = delivery.event.id.clone();
                // Some are put off, so that the shelf takes part.
                if delivery.attempt == 1 && delivery.event.data[7] % 7 == 0 {
                    let _ = delivery.retry(Duration::from_millis(50), "later").await;
                } else {
                    noted.lock().insert(id);
                    let _ = delivery.ack().await;
                }
            }
        }
    });
    (seen, task)
}

async fn nothing_is_lost(published: HashSet<String>, seen: &Mutex<HashSet<String>>) {
    wait::until("all that was published is seen", PATIENCE, async || {
        let seen = seen.lock();
        let missing = published.iter().filter(|id| !seen.contains(*id)).count();
        if missing == 0 { Ok(()) } else { Err(missing) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_broker_under_load_loses_nothing_that_was_accepted() {
    let mut server = RabbitServer::start().await.unwrap();
    let shelf = TestShelf::default();
    let options = options(&server.url()).with_settling(Duration::from_secs(5));
    let bus: Arc<dyn Bus> = Arc::new(bus(options, &shelf));
    let kind = kind();
    let queue = queue("killed", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let stop = Arc::new(Mutex::new(false));
    let publishing = load(bus.clone(), kind, stop.clone());
    let (seen, consuming) = observe(bus.clone(), &queue);
    for _ in 0..3 {
        let before = seen.lock().len();
        wait::until("deliveries flow", PATIENCE, async || {
            let now = seen.lock().len();
            if now > before + 500 { Ok(()) } else { Err(now) }
        })
        .await;
        server.kill().unwrap();
        server.restart().await.unwrap();
    }
    let before = seen.lock().len();
    wait::until("deliveries flow again", PATIENCE, async || {
        let now = seen.lock().len();
        if now > before + 100 { Ok(()) } else { Err(now) }
    })
    .await;
    *stop.lock() = true;
    let (published, failed) = publishing.await.unwrap();
    assert!(failed > 0, "the kills hit nothing");
    nothing_is_lost(published, &seen).await;
    consuming.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_is_an_error_in_bounded_time_and_going_on_is_enough() {
    let mut server = RabbitServer::start().await.unwrap();
    let shelf = TestShelf::default();
    let url = format!("{}?heartbeat=2", server.url());
    let options = options(&url).with_publish_timeout(Duration::from_secs(2));
    let bus = bus(options, &shelf);
    let kind = kind();
    let queue = queue("stopped", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    publish(&bus, &event(&kind)).await;
    next(&mut *consumer).await.ack().await.unwrap();
    bus.ping().await.unwrap();

    server.pause().unwrap();
    let begun = Instant::now();
    let result = bus.publish(vec![event(&kind)]).await.remove(0);
    assert!(
        matches!(result, Err(BusError::Unknown { .. } | BusError::NotDone { .. })),
        "{result:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(bus.ping().await.is_err());
    // Two heartbeats without a word end the connection.
    let lost = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await;
    assert!(matches!(lost.unwrap(), Err(BusError::NotDone { .. })));
    let begun = Instant::now();
    assert!(bus.subscribe(queue.name, 10).await.is_err());
    assert!(bus.depth(queue.name).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    server.resume().unwrap();
    wait::until("the bus is back", PATIENCE, async || bus.ping().await).await;
    publish(&bus, &event(&kind)).await;
    let mut consumer = wait::until("a consumer", PATIENCE, async || {
        bus.subscribe(queue.name, 10).await.map_err(|error| error.to_string())
    })
    .await;
    next(&mut *consumer).await.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing_and_end_consumers_and_listeners() {
    let server = RabbitServer::shared().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let shelf = TestShelf::default();
    let bus: Arc<dyn Bus> = Arc::new(bus(options(&server.url_via(proxy.addr())), &shelf));
    let kind = kind();
    let queue = queue("cut", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    let mut listener = bus.listen("cut").await.unwrap();
    publish(&*bus, &event(&kind)).await;
    let held = next(&mut *consumer).await;

    proxy.set(Fault::Refuse).await.unwrap();
    proxy.cut().await.unwrap();
    for lost in [
        tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().map(drop),
        tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().map(drop),
        tokio::time::timeout(PATIENCE, listener.next()).await.unwrap().map(drop),
    ] {
        assert!(matches!(lost, Err(BusError::NotDone { .. })), "{lost:?}");
    }
    let late = held.ack().await;
    assert!(late.is_err());
    let begun = Instant::now();
    let refused = bus.publish(vec![event(&kind)]).await.remove(0);
    assert!(matches!(refused, Err(BusError::NotDone { .. })), "{refused:?}");
    assert!(bus.broadcast("cut", b"x").await.is_err());
    assert!(bus.listen("cut").await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    proxy.set(Fault::Pass).await.unwrap();
    wait::until("the bus is back", PATIENCE, async || bus.ping().await).await;
    let stop = Arc::new(Mutex::new(false));
    let publishing = load(bus.clone(), kind, stop.clone());
    let (seen, consuming) = observe(bus.clone(), &queue);
    for _ in 0..5 {
        let before = seen.lock().len();
        wait::until("deliveries flow", PATIENCE, async || {
            let now = seen.lock().len();
            if now > before + 200 { Ok(()) } else { Err(now) }
        })
        .await;
        proxy.cut().await.unwrap();
    }
    *stop.lock() = true;
    let (published, _) = publishing.await.unwrap();
    nothing_is_lost(published, &seen).await;
    consuming.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_late_is_found_and_told_of_every_queue() {
    let server = RabbitServer::shared().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    proxy.set(Fault::Refuse).await.unwrap();
    let shelf = TestShelf::default();
    let bus = bus(options(&server.url_via(proxy.addr())), &shelf);
    let kind = kind();
    let queue = queue("late", &[&kind]);
    let begun = Instant::now();
    assert!(matches!(
        bus.declare(std::slice::from_ref(&queue)).await,
        Err(BusError::NotDone { .. })
    ));
    let refused = bus.publish(vec![event(&kind)]).await.remove(0);
    assert!(matches!(refused, Err(BusError::NotDone { .. })), "{refused:?}");
    assert!(bus.subscribe(queue.name, 1).await.is_err());
    assert!(bus.ping().await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(matches!(bus.subscribe("nowhere", 1).await.map(drop), Err(BusError::NoQueue(_))));

    proxy.set(Fault::Pass).await.unwrap();
    wait::until("the bus is there", PATIENCE, async || bus.ping().await).await;
    let event = event(&kind);
    publish(&bus, &event).await;
    let wanted = Mutex::new(HashSet::from([event.id]));
    tokio::time::timeout(PATIENCE, consume_all(&bus, queue.name, &wanted)).await.unwrap();
}
