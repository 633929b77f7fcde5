//! Many events, many consumers, and every way to be done with an event.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bistro_bus::Consumer;
use parking_lot::Mutex;
use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};

use super::{
    BusFactory, Scene,
    fixtures::{next, publish},
};
use crate::suites::{PATIENCE, random, together};

/// Consumes and acknowledges until `seen` holds `wanted` ids; each consumer by its own task.
async fn consume_all(
    consumers: Vec<Box<dyn Consumer>>,
    seen: Arc<Mutex<BTreeSet<String>>>,
    wanted: usize,
) {
    let workers = consumers.into_iter().map(|mut consumer| {
        let seen = seen.clone();
        async move {
            let mut acks = tokio::task::JoinSet::new();
            let deadline = tokio::time::Instant::now() + 4 * PATIENCE;
            while seen.lock().len() < wanted {
                let left = seen.lock().len();
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{left} of {wanted} came, then no more"
                );
                let wait = Duration::from_millis(100);
                let Ok(came) = tokio::time::timeout(wait, consumer.next()).await else {
                    continue;
                };
                let delivery = came.unwrap();
                seen.lock().insert(delivery.event.id.clone());
                acks.spawn(async move { delivery.ack().await.unwrap() });
            }
            acks.join_all().await;
        }
    });
    together(workers).await;
}

/// Each event is published three times, in any order, from both handles at once.
pub async fn nothing_is_lost_of_what_is_shuffled_and_repeated(f: &impl BusFactory) {
    const EVENTS: usize = 200;
    let scene = Scene::new(f).await;
    let mut rng = random();
    let mut events: Vec<usize> = (0..3 * EVENTS).map(|place| place % EVENTS).collect();
    events.shuffle(&mut rng);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let consumers = vec![scene.consume(0, 20).await, scene.consume(1, 20).await];
    let publishing = together((0..6).map(|part| {
        let (scene, bus) = (scene.clone(), scene.handles[part % 2].clone());
        let events: Vec<_> = events.iter().skip(part).step_by(6).copied().collect();
        async move {
            for some in events.chunks(10) {
                let some = some.iter().map(|number| scene.event(*number)).collect();
                publish(&bus, some).await;
            }
        }
    }));
    tokio::join!(publishing, consume_all(consumers, seen.clone(), EVENTS));
    // Repetitions may be left; they end like any other event.
    drain(&scene).await;
    let wanted = scene.events(EVENTS).into_iter().map(|event| event.id);
    assert_eq!(*seen.lock(), wanted.collect());
}

/// How events have ended: which were acknowledged, which were given up.
#[derive(Default)]
struct Ended {
    acked: BTreeSet<String>,
    dead: BTreeSet<String>,
}

impl Ended {
    /// How many events have ended. One that was delivered twice may have ended in both ways.
    fn count(&self) -> usize {
        self.acked.union(&self.dead).count()
    }
}

/// Handles events in every way at random until `events` have ended.
async fn handle_somehow(
    scene: Scene,
    handle: usize,
    mut rng: StdRng,
    ended: Arc<Mutex<Ended>>,
    events: usize,
) {
    let mut consumer = scene.consume(handle, 8).await;
    while ended.lock().count() < events {
        let wait = Duration::from_millis(100);
        let Ok(came) = tokio::time::timeout(wait, consumer.next()).await else {
            continue;
        };
        let delivery = came.unwrap();
        let id = delivery.event.id.clone();
        match rng.random_range(0..10) {
            0..4 => {
                delivery.ack().await.unwrap();
                ended.lock().acked.insert(id);
            }
            4..6 => {
                let after = Duration::from_millis(rng.random_range(0..80));
                delivery.retry(after, "later").await.unwrap();
            }
            6..8 => {
                delivery.dead_letter("broken").await.unwrap();
                ended.lock().dead.insert(id);
            }
            8 => drop(delivery),
            _ => {
                drop(delivery);
                drop(consumer);
                consumer = scene.consume(rng.random_range(0..2), 8).await;
            }
        }
    }
}

/// Acknowledges what is left until the queue is drained.
async fn drain(scene: &Scene) {
    let left = vec![scene.consume(0, 20).await];
    let draining = consume_all(left, Arc::default(), usize::MAX);
    tokio::select! {
        () = scene.is_drained() => {}
        () = draining => unreachable!("it has no end"),
    }
}

/// Three consumers acknowledge, put off, give up, drop and are lost at random: every event ends,
/// and what is given up is kept.
pub async fn any_mixture_of_outcomes_ends_well(f: &impl BusFactory) {
    const EVENTS: usize = 200;
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(EVENTS)).await;
    let ended = Arc::new(Mutex::new(Ended::default()));
    together((0..3).map(|worker| {
        let (scene, ended) = (scene.clone(), ended.clone());
        handle_somehow(scene, worker % 2, random(), ended, EVENTS)
    }))
    .await;
    drain(&scene).await;
    let letters = scene.handles[1].dead_letters(scene.queue(), None, 10_000).await.unwrap();
    let kept: BTreeSet<String> = letters.into_iter().map(|letter| letter.event.id).collect();
    assert_eq!(kept, ended.lock().dead);
}

/// 10,000 events, many at a time by four publishers, to two consumers on two handles.
pub async fn ten_thousand_events_are_all_delivered(f: &impl BusFactory) {
    const EVENTS: usize = 10_000;
    let scene = Scene::new(f).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let consumers = vec![scene.consume(0, 256).await, scene.consume(1, 256).await];
    let publishing = together((0..4).map(|part| {
        let (scene, bus) = (scene.clone(), scene.handles[part % 2].clone());
        async move {
            let numbers: Vec<usize> = (part..EVENTS).step_by(4).collect();
            for some in numbers.chunks(250) {
                let some = some.iter().map(|number| scene.event(*number)).collect();
                publish(&bus, some).await;
            }
        }
    }));
    tokio::join!(publishing, consume_all(consumers, seen.clone(), EVENTS));
    assert_eq!(seen.lock().len(), EVENTS);
    scene.is_drained().await;
    // The queue is as good as before.
    publish(&scene.handles[0], vec![scene.event(EVENTS)]).await;
    let mut consumer = scene.consume(1, 1).await;
    next(&mut consumer).await.ack().await.unwrap();
}
