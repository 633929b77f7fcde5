//! Broadcasts: ephemeral wake-ups to whoever listens.

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus, BusError, Listener};

use super::{BusFactory, Scene};
use crate::suites::PATIENCE;

async fn listen(bus: &Arc<dyn Bus>, topic: &str) -> Box<dyn Listener> {
    bus.listen(topic).await.unwrap()
}

async fn hears(listener: &mut Box<dyn Listener>) -> Vec<u8> {
    tokio::time::timeout(PATIENCE, listener.next()).await.expect("a broadcast comes").unwrap()
}

/// Listeners on both handles hear it, whichever handle it comes from; later ones do not.
pub async fn a_broadcast_wakes_every_listener(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let topic = scene.topic("orders");
    let [one, two] = &scene.handles;
    // Nobody listens yet, which is no error.
    one.broadcast(&topic, b"before").await.unwrap();
    let mut listeners =
        [listen(one, &topic).await, listen(one, &topic).await, listen(two, &topic).await];
    let payload: Vec<u8> = (0..=255).collect();
    for (bus, said) in [(one, &payload), (two, &Vec::new()), (one, &b"x".to_vec())] {
        bus.broadcast(&topic, said).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(&hears(listener).await, said);
        }
    }
    let [first, mut second, mut third] = listeners;
    drop(first);
    two.broadcast(&topic, b"after").await.unwrap();
    assert_eq!(hears(&mut second).await, b"after");
    assert_eq!(hears(&mut third).await, b"after");
}

/// A listener hears its own topic only.
pub async fn topics_are_kept_apart(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let [one, two] = &scene.handles;
    let topics = ["a", "b", "a.b"].map(|what| scene.topic(what));
    let mut listeners = Vec::new();
    for topic in &topics {
        listeners.push(listen(two, topic).await);
    }
    for topic in topics.iter().rev() {
        one.broadcast(topic, topic.as_bytes()).await.unwrap();
    }
    for (topic, listener) in topics.iter().zip(&mut listeners) {
        assert_eq!(hears(listener).await, topic.as_bytes());
    }
    for listener in &mut listeners {
        let more = tokio::time::timeout(Duration::from_millis(200), listener.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

/// A listener that misses some is told so, or hears them all; it goes on hearing either way.
pub async fn a_listener_that_lags_goes_on(f: &impl BusFactory) {
    const FLOOD: u64 = 5_000;
    let scene = Scene::new(f).await;
    let topic = scene.topic("flood");
    let [one, two] = &scene.handles;
    let mut listener = listen(two, &topic).await;
    for number in 0..FLOOD {
        one.broadcast(&topic, &number.to_be_bytes()).await.unwrap();
    }
    let (mut heard, mut missed) = (0_u64, 0);
    let quiet = Duration::from_millis(500);
    while let Ok(came) = tokio::time::timeout(quiet, listener.next()).await {
        match came {
            Ok(_) => heard += 1,
            Err(BusError::Lagged(count)) => missed += count,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(heard > 0 && heard + missed <= FLOOD, "{heard} and {missed}");
    one.broadcast(&topic, b"end").await.unwrap();
    assert_eq!(hears(&mut listener).await, b"end");
}
