//! Deliveries and consumers that are lost, and the bound on what one consumer holds.

use std::{collections::BTreeSet, time::Duration};

use super::{
    BusFactory, Scene,
    fixtures::{next, nothing_comes, publish, take},
};

/// Dropping a delivery is not settling it: it comes again, as the same attempt.
pub async fn a_dropped_delivery_comes_again(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(4)).await;
    let mut consumer = scene.consume(0, 4).await;
    let mut dropped = BTreeSet::new();
    for (place, delivery) in take(&mut consumer, 4).await.into_iter().enumerate() {
        if place % 2 == 0 {
            delivery.ack().await.unwrap();
        } else {
            dropped.insert(delivery.event.id.clone());
        }
    }
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        assert!(dropped.remove(&delivery.event.id), "{delivery:?}");
        assert_eq!(delivery.attempt, 1);
        delivery.ack().await.unwrap();
    }
    scene.is_drained().await;
}

/// Whatever goes first, the consumer or the deliveries: another consumer gets them.
pub async fn a_lost_consumer_gives_its_deliveries_back(f: &impl BusFactory) {
    for consumer_first in [true, false] {
        let scene = Scene::new(f).await;
        publish(&scene.handles[0], scene.events(3)).await;
        let mut lost = scene.consume(0, 5).await;
        let held = take(&mut lost, 3).await;
        if consumer_first {
            drop(lost);
            drop(held);
        } else {
            drop(held);
            drop(lost);
        }
        let mut other = scene.consume(1, 5).await;
        let mut ids = BTreeSet::new();
        for delivery in take(&mut other, 3).await {
            assert_eq!(delivery.attempt, 1);
            ids.insert(delivery.event.id.clone());
            delivery.ack().await.unwrap();
        }
        assert_eq!(ids.len(), 3);
        scene.is_drained().await;
    }
}

/// What the engine had sent ahead to a lost consumer is not lost with it.
pub async fn what_a_lost_consumer_had_not_taken_goes_to_others(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(50)).await;
    let mut lost = scene.consume(0, 40).await;
    next(&mut lost).await.ack().await.unwrap();
    drop(lost);
    let mut other = scene.consume(1, 100).await;
    for delivery in take(&mut other, 49).await {
        delivery.ack().await.unwrap();
    }
    scene.is_drained().await;
}

/// Only a retry counts as an attempt.
pub async fn a_loss_is_no_attempt(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(1)).await;
    for round in 0..6 {
        let mut consumer = scene.consume(round % 2, 1).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.attempt, 1);
    }
    let mut consumer = scene.consume(0, 1).await;
    let delivery = next(&mut consumer).await;
    delivery.retry(Duration::ZERO, "once more").await.unwrap();
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.attempt, 2);
    delivery.ack().await.unwrap();
    scene.is_drained().await;
}

/// A consumer never holds more than `prefetch` deliveries; each one settled makes room for one.
pub async fn prefetch_is_a_bound(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(12)).await;
    let mut consumer = scene.consume(0, 4).await;
    let mut held = take(&mut consumer, 4).await;
    nothing_comes(&mut consumer).await;
    held.remove(0).ack().await.unwrap();
    held.push(next(&mut consumer).await);
    nothing_comes(&mut consumer).await;
    let late = held.remove(0);
    late.retry(Duration::from_hours(1), "later").await.unwrap();
    held.push(next(&mut consumer).await);
    held.remove(0).dead_letter("broken").await.unwrap();
    held.push(next(&mut consumer).await);
    nothing_comes(&mut consumer).await;
    // The bound is on each consumer.
    let mut other = scene.consume(1, 2).await;
    let theirs = take(&mut other, 2).await;
    nothing_comes(&mut other).await;
    for delivery in held.into_iter().chain(theirs) {
        delivery.ack().await.unwrap();
    }
}

/// A wait that is given up every few milliseconds loses no event.
pub async fn waiting_may_be_cancelled(f: &impl BusFactory) {
    const EVENTS: usize = 200;
    let scene = Scene::new(f).await;
    let publishing = async {
        for number in 0..EVENTS {
            publish(&scene.handles[0], vec![scene.event(number)]).await;
        }
    };
    let consuming = async {
        let mut consumer = scene.consume(1, 16).await;
        let (mut ids, mut waits) = (BTreeSet::new(), 0_u64);
        while ids.len() < EVENTS {
            waits += 1;
            let patience = Duration::from_micros(200 + 300 * (waits % 10));
            let Ok(came) = tokio::time::timeout(patience, consumer.next()).await else {
                assert!(waits < 200_000, "{} came, then no more", ids.len());
                continue;
            };
            let delivery = came.unwrap();
            ids.insert(delivery.event.id.clone());
            delivery.ack().await.unwrap();
        }
    };
    tokio::join!(publishing, consuming);
    scene.is_drained().await;
}
