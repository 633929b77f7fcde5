//! A bus whose server is killed, away or halted, whose disk is full, or whose answers are lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bistro_bus::{Bus, BusError, Consumer};
use bistro_core::Event;
use parking_lot::Mutex;
use rand::RngExt as _;
use tokio::time::Instant;

use super::{BACK_WITHIN, bounded};
use crate::{
    Direction, Engine, Fault, FaultProxy, Server,
    suites::{
        bus::{BusFactory, Scene},
        eventually, random, rounds, together,
    },
};

/// How long connections break before they hold again.
const FAULT: Duration = Duration::from_millis(300);
/// How long a full disk may go unnoticed under load.
const FULL_WITHIN: Duration = Duration::from_mins(3);
/// The bytes that a nearly full disk has left: less than any server wants to keep.
const NEARLY_FULL: u64 = 8 << 20;

/// Opens handles onto one URL.
struct Opener<O> {
    url: String,
    open: O,
}

impl<O, F> BusFactory for Opener<O>
where
    O: Fn(String) -> F + Send + Sync,
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    fn open(&self) -> impl Future<Output = Arc<dyn Bus>> + Send {
        (self.open)(self.url.clone())
    }
}

/// How old a queue has to be before its server is killed. RabbitMQ 3.10 flushes where a new quorum
/// queue's log is some seconds after it confirmed the declaration; a node that is killed before
/// knows the queue again and never finds its leader.
const SETTLED: Duration = Duration::from_secs(12);

/// Two handles and a queue that outlives a kill.
async fn settled<F>(url: String, open: impl Fn(String) -> F + Send + Sync) -> Scene
where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = Scene::new(&Opener { url, open }).await;
    tokio::time::sleep(SETTLED).await;
    scene
}

/// Whether a publish may be tried again.
fn may_come_back(error: &BusError) -> bool {
    matches!(
        error,
        BusError::NotDone { .. } | BusError::Unknown { .. } | BusError::Unroutable { .. }
    )
}

/// Publishes `event` until it is taken; gives how often it was not.
async fn insist(bus: &Arc<dyn Bus>, event: Event) -> usize {
    let deadline = Instant::now() + BACK_WITHIN;
    let mut failures = 0;
    loop {
        let result = bounded("a publish", bus.publish(vec![event.clone()])).await.remove(0);
        let Err(error) = result else {
            return failures;
        };
        let in_time = Instant::now() < deadline;
        assert!(may_come_back(&error) && in_time, "{failures}: {error:?}");
        failures += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A consumer of the first queue, as soon as there can be one.
async fn subscribe(bus: &Arc<dyn Bus>, queue: &str) -> Box<dyn Consumer> {
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        let error = match bounded("a subscription", bus.subscribe(queue, 20)).await {
            Ok(consumer) => return consumer,
            Err(error) => error,
        };
        let in_time = Instant::now() < deadline;
        assert!(may_come_back(&error) && in_time, "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Consumes until `stop`, and begins again whenever the consumer is lost. Puts some off.
async fn consume(
    bus: Arc<dyn Bus>,
    queue: &'static str,
    seen: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
) {
    let mut consumer = subscribe(&bus, queue).await;
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let wait = Duration::from_millis(100);
        let Ok(came) = tokio::time::timeout(wait, consumer.next()).await else {
            continue;
        };
        let Ok(delivery) = came else {
            consumer = subscribe(&bus, queue).await;
            continue;
        };
        count += 1;
        let id = delivery.event.id.clone();
        // Whether the broker heard of it is not known after an error: it will be seen again.
        if count.is_multiple_of(7) {
            let _ = delivery.retry(Duration::from_millis(50), "later").await;
        } else if delivery.ack().await.is_ok() {
            seen.lock().insert(id);
        }
    }
}

/// Kills the server again and again while four publish and two consume.
pub async fn a_server_that_is_killed_loses_nothing<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = settled(server.url(), open).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let failures = Arc::new(AtomicUsize::new(0));
    let published = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let publishers: Vec<_> = (0..4_usize)
        .map(|client| {
            let (bus, scene) = (scene.handles[client % 2].clone(), scene.clone());
            let (stop, failures) = (stop.clone(), failures.clone());
            let published = published.clone();
            tokio::spawn(async move {
                for number in (client..).step_by(4) {
                    let failed = insist(&bus, scene.event(number)).await;
                    failures.fetch_add(failed, Ordering::Relaxed);
                    published.lock().insert(scene.event(number).id);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    let consumers: Vec<_> = scene
        .handles
        .iter()
        .map(|bus| {
            let consumer = consume(bus.clone(), scene.queue(), seen.clone(), done.clone());
            tokio::spawn(consumer)
        })
        .collect();

    let mut rng = random();
    for _ in 0..rounds(20) {
        let before = (published.lock().len(), seen.lock().len());
        eventually(
            "events flow again",
            async || (published.lock().len(), seen.lock().len()),
            |now| now.0 > before.0 + 20 && now.1 > before.1 + 20,
        )
        .await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        server.kill().unwrap();
        server.restart().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let published = published.lock().clone();
    assert!(failures.load(Ordering::Relaxed) > 0, "nobody noticed a kill");
    eventually(
        "everything published is delivered",
        async || published.difference(&seen.lock()).count(),
        |missing| *missing == 0,
    )
    .await;
    done.store(true, Ordering::Relaxed);
    for consumer in consumers {
        consumer.await.unwrap();
    }
}

async fn away_and_back<E: Engine>(
    server: &mut Server<E>,
    scene: Scene,
    leave: impl AsyncFnOnce(&mut Server<E>),
    come_back: impl AsyncFnOnce(&mut Server<E>),
) {
    let [bus, _] = &scene.handles;
    let mut consumer = scene.consume(0, 5).await;
    assert_eq!(insist(bus, scene.event(0)).await, 0);
    let held = bounded("a delivery", consumer.next()).await.unwrap();
    leave(server).await;

    let published = bounded("a publish", bus.publish(scene.events(3))).await;
    for result in published {
        let error = result.unwrap_err();
        assert!(may_come_back(&error), "{error:?}");
    }
    let lost = bounded("the consumer", consumer.next()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(bounded("a ping", bus.ping()).await.is_err());
    drop(held);
    drop(consumer);

    come_back(server).await;
    eventually("it answers again", async || bus.ping().await.is_ok(), |ok| *ok).await;
    for number in 0..6 {
        insist(bus, scene.event(number)).await;
    }
    let mut consumer = subscribe(bus, scene.queue()).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 6 {
        let delivery = bounded("a delivery", consumer.next()).await.unwrap();
        seen.insert(delivery.event.id.clone());
        delivery.ack().await.unwrap();
    }
    // The other handle has not been asked anything meanwhile, and works as well.
    insist(&scene.handles[1], scene.event(7)).await;
}

/// The server is gone and comes back on the same data.
pub async fn a_server_that_is_away_is_an_error<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = settled(server.url(), open).await;
    away_and_back(
        server,
        scene,
        async |server| server.kill().unwrap(),
        async |server| server.restart().await.unwrap(),
    )
    .await;
}

/// Connections stay open and nothing answers, for a while.
pub async fn a_server_that_is_halted_is_an_error<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = Scene::new(&Opener { url: server.url(), open }).await;
    away_and_back(
        server,
        scene,
        async |server| server.pause().unwrap(),
        async |server| server.resume().unwrap(),
    )
    .await;
}

/// Connections break in the middle of publishing: whoever does not know publishes again, and
/// nothing is lost.
pub async fn a_lost_answer_is_resolved<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let url = server.url_via(proxy.addr());
    let scene = Scene::new(&Opener { url, open }).await;
    let [bus, other] = &scene.handles;
    let mut rng = random();
    assert!(proxy.connections() > 0, "the proxy is not in between");
    let mut number = 0;
    for round in 0..rounds(12) {
        let direction = if round % 4 == 3 { Direction::ToServer } else { Direction::ToClient };
        let bytes = rng.random_range(0..200);
        proxy.set(Fault::CutAfter { direction, bytes }).await.unwrap();
        let events = (number..number + 20).map(|number| scene.event(number));
        let trying = bounded("a publish", bus.publish(events.collect()));
        let mending = async {
            tokio::time::sleep(FAULT).await;
            proxy.set(Fault::Pass).await.unwrap();
        };
        let (results, ()) = tokio::join!(trying, mending);
        assert_eq!(results.len(), 20);
        for (place, result) in results.into_iter().enumerate() {
            if let Err(error) = result {
                assert!(may_come_back(&error), "{error:?}");
                insist(bus, scene.event(number + place)).await;
            }
        }
        number += 20;
    }
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let consuming = tokio::spawn(consume(other.clone(), scene.queue(), seen.clone(), stop.clone()));
    eventually("every event is delivered", async || seen.lock().len(), |count| *count == number)
        .await;
    stop.store(true, Ordering::Relaxed);
    consuming.await.unwrap();
}

/// Event `number` with data that a disk is full of soon.
fn large_event(scene: &Scene, number: usize) -> Event {
    let mut event = scene.event(number);
    event.data = event.data.repeat(5_000);
    event
}

/// Four publish events from number 1 on until three of each were not taken; gives the events, and
/// whether they were taken. Every answer comes in time.
async fn publish_until_it_fails(
    scene: &Scene,
    make: fn(&Scene, usize) -> Event,
) -> Vec<(Event, bool)> {
    let deadline = Instant::now() + FULL_WITHIN;
    let tried = together((1..=4_usize).map(|client| {
        let (bus, scene) = (scene.handles[client % 2].clone(), scene.clone());
        async move {
            let (mut tried, mut failures) = (vec![], 0);
            for number in (client..).step_by(4) {
                assert!(Instant::now() < deadline, "{} events and no error", tried.len());
                let event = make(&scene, number);
                let said = bounded("a publish", bus.publish(vec![event.clone()])).await.remove(0);
                if let Err(error) = &said {
                    assert!(may_come_back(error), "{error:?}");
                    failures += 1;
                }
                tried.push((event, said.is_ok()));
                if failures == 3 {
                    break;
                }
            }
            tried
        }
    }));
    tried.await.into_iter().flatten().collect()
}

/// With room again: what was taken is delivered as it was, and so is the rest once it is taken.
async fn goes_on(scene: &Scene, tried: Vec<(Event, bool)>) {
    let [bus, other] = &scene.handles;
    for (event, is_taken) in &tried {
        if !is_taken {
            insist(other, event.clone()).await;
        }
    }
    let wanted: BTreeMap<String, Vec<u8>> =
        tried.into_iter().map(|(event, _)| (event.id, event.data)).collect();
    let mut missing = wanted.clone();
    let mut consumer = subscribe(bus, scene.queue()).await;
    while !missing.is_empty() {
        let delivery = bounded("a delivery", consumer.next()).await.unwrap();
        let event = &delivery.event;
        assert_eq!(wanted.get(&event.id), Some(&event.data), "half of {} came", event.id);
        missing.remove(&event.id);
        delivery.ack().await.unwrap();
    }
}

/// Its disk has less room than its server wants to keep: publishers hear so in time, and go on by
/// themselves when there is room.
pub async fn a_nearly_full_disk_stops_publishers_until_there_is_room<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = Scene::new(&Opener { url: server.url(), open }).await;
    assert_eq!(insist(&scene.handles[0], scene.event(0)).await, 0);
    server.fill_disk(NEARLY_FULL).unwrap();
    let mut tried = publish_until_it_fails(&scene, Scene::event).await;
    server.make_room().unwrap();
    assert!(server.is_running().unwrap());
    tried.push((scene.event(0), true));
    goes_on(&scene, tried).await;
}

/// Its disk is full to the last byte: every answer comes in time, and once its server was started
/// again with room nothing that was taken is lost. (RabbitMQ goes on without its quorum queues
/// until it is started again.)
pub async fn a_full_disk_loses_nothing<E: Engine, F>(
    server: &mut Server<E>,
    open: impl Fn(String) -> F + Send + Sync,
) where
    F: Future<Output = Arc<dyn Bus>> + Send,
{
    let scene = settled(server.url(), open).await;
    assert_eq!(insist(&scene.handles[0], scene.event(0)).await, 0);
    server.fill_disk(0).unwrap();
    let mut tried = publish_until_it_fails(&scene, large_event).await;
    server.make_room().unwrap();
    server.kill().unwrap();
    server.restart().await.unwrap();
    tried.push((scene.event(0), true));
    goes_on(&scene, tried).await;
}
