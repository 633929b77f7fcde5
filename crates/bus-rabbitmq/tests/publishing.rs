//! What publishing reports when a queue is missing, under pipelining.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bistro_bus::{Bus, BusError, MAX_EVENT_BYTES};
use bistro_core::Event;
use bistro_testkit::{RabbitServer, wait};
use lapin::{Connection, ConnectionProperties, options::QueueDeleteOptions};
use parking_lot::Mutex;
use support::{PATIENCE, TestShelf, bus, consume_all, event, kind, options, publish, queue};

async fn delete(url: &str, queue: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
}

/// Some events have a queue, some want none, and some have lost theirs; the last alone must fail,
/// whichever confirm their returns ride on. RabbitMQ confirms the second and third at once, many
/// with one confirm, which is when lapin gives a return to the wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_events_of_a_deleted_queue_are_unroutable_under_pipelining() {
    let url = RabbitServer::shared().await.unwrap().url();
    let shelf = TestShelf::default();
    let bus = Arc::new(bus(options(&url), &shelf));
    let (here, gone, nowhere) = (kind(), kind(), kind());
    let queues = [queue("here", &[&here]), queue("gone", &[&gone])];
    bus.declare(&queues).await.unwrap();
    delete(&url, queues[1].name).await;

    let mut tasks = Vec::new();
    for task in 0..8_usize {
        let bus = bus.clone();
        let (here, gone, nowhere) = (here.clone(), gone.clone(), nowhere.clone());
        tasks.push(tokio::spawn(async move {
            let mut wrong = Vec::new();
            let mut published = HashSet::new();
            for round in 0..20_usize {
                let events: Vec<Event> = (0..64_usize)
                    .map(|n| match (n * n + round + task) % 5 {
                        0 | 1 => &gone,
                        2 | 3 if round % 2 == 0 => &here,
                        _ => &nowhere,
                    })
                    .map(|kind| event(kind))
                    .collect();
                let results = bus.publish(events.clone()).await;
                assert_eq!(results.len(), events.len());
                for (event, result) in events.into_iter().zip(results) {
                    match result {
                        Ok(()) if event.kind == here => {
                            published.insert(event.id);
                        }
                        Ok(()) if event.kind == nowhere => {}
                        Err(BusError::Unroutable { kind, id })
                            if event.kind == gone && (&kind, &id) == (&event.kind, &event.id) => {}
                        result => wrong.push((event.kind == gone, result)),
                    }
                }
            }
            (published, wrong)
        }));
    }
    let mut published = HashSet::new();
    for task in tasks {
        let (ids, wrong) = task.await.unwrap();
        assert!(wrong.is_empty(), "{} wrong, such as {:?}", wrong.len(), wrong[0]);
        published.extend(ids);
    }
    assert!(published.len() > 1000, "{}", published.len());
    let wanted = Mutex::new(published);
    tokio::time::timeout(PATIENCE, consume_all(&*bus, queues[0].name, &wanted)).await.unwrap();

    bus.declare(&queues).await.unwrap();
    publish(&*bus, &event(&gone)).await;
}

/// The topic exchange still has a queue for the kind, so nothing is returned.
#[tokio::test(flavor = "multi_thread")]
async fn one_deleted_queue_of_two_is_noticed_and_publishing_fails_until_it_is_back() {
    let url = RabbitServer::shared().await.unwrap().url();
    let shelf = TestShelf::default();
    let options = options(&url).with_check_interval(Duration::from_millis(100));
    let bus = bus(options, &shelf);
    let kind = kind();
    let queues = [queue("kept", &[&kind]), queue("lost", &[&kind])];
    bus.declare(&queues).await.unwrap();
    publish(&bus, &event(&kind)).await;
    delete(&url, queues[1].name).await;
    wait::until("the loss is noticed", PATIENCE, async || {
        match bus.publish(vec![event(&kind)]).await.remove(0) {
            Err(BusError::Unroutable { .. }) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    bus.declare(&queues).await.unwrap();
    publish(&bus, &event(&kind)).await;
    assert_eq!(bus.depth(queues[1].name).await.unwrap().ready, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_wants_succeeds_and_what_is_too_large_is_refused_alone() {
    let url = RabbitServer::shared().await.unwrap().url();
    let shelf = TestShelf::default();
    let bus = bus(options(&url), &shelf);
    let kind = kind();
    let queue = queue("sizes", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut large = event(&kind);
    large.data = vec![7; MAX_EVENT_BYTES + 1];
    let mut largest = event(&kind);
    largest.data = vec![7; MAX_EVENT_BYTES];
    let mut empty = event(&kind);
    empty.data.clear();
    let unwanted = event("bistro.nobody.v1.Wants");
    let results = bus.publish(vec![unwanted, large, largest.clone(), empty.clone()]).await;
    assert!(results[0].is_ok() && results[2].is_ok() && results[3].is_ok());
    assert!(matches!(results[1], Err(BusError::TooLarge { .. })));
    assert_eq!(bus.depth(queue.name).await.unwrap().ready, 2);
    let mut consumer = bus.subscribe(queue.name, 2).await.unwrap();
    for _ in 0..2 {
        let delivery = support::next(&mut *consumer).await;
        assert!(delivery.event == largest || delivery.event == empty);
        delivery.ack().await.unwrap();
    }
}
