//! How deliveries end on a real broker: acknowledged, put off, given up, let go.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bistro_bus::{Bus, BusError};
use bistro_testkit::{RabbitServer, wait};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions},
};
use support::{PATIENCE, TestShelf, bus, event, kind, next, options, publish, queue};
use tokio::time::Instant;

async fn url() -> String {
    RabbitServer::shared().await.unwrap().url()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_event_comes_back_with_a_higher_attempt_and_its_first_moment() {
    let shelf = TestShelf::default();
    let bus = bus(options(&url().await), &shelf);
    let kind = kind();
    let queue = queue("retry", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let event = event(&kind);
    publish(&bus, &event).await;
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();

    let first = next(&mut *consumer).await;
    assert_eq!((first.attempt, &first.event), (1, &event));
    first.retry(Duration::from_millis(300), "not now").await.unwrap();
    let put_off = Instant::now();
    let since = bus.depth(queue.name).await.unwrap().oldest_parked;
    let second = next(&mut *consumer).await;
    let waited = put_off.elapsed();
    assert!(waited >= Duration::from_millis(290), "{waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(second.attempt, 2);
    second.retry(Duration::ZERO, "still not").await.unwrap();
    assert_eq!(bus.depth(queue.name).await.unwrap().oldest_parked, since);
    let third = next(&mut *consumer).await;
    assert_eq!((third.attempt, &third.event), (3, &event));
    third.ack().await.unwrap();
    wait::until("nothing left", PATIENCE, async || {
        let depth = bus.depth(queue.name).await.unwrap();
        if (depth.ready, depth.parked) == (0, 0) { Ok(()) } else { Err(depth) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_kept_with_its_cause_and_revived_from_its_first_attempt() {
    let shelf = TestShelf::default();
    let bus = bus(options(&url().await), &shelf);
    let kind = kind();
    let queue = queue("dead", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let event = event(&kind);
    publish(&bus, &event).await;
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    next(&mut *consumer).await.retry(Duration::ZERO, "once").await.unwrap();
    next(&mut *consumer).await.dead_letter("never").await.unwrap();

    let letters = bus.dead_letters(queue.name, None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].attempts, letters[0].cause.as_str()), (2, "never"));
    assert_eq!(bus.depth(queue.name).await.unwrap().dead, 1);
    assert!(!bus.revive(queue.name, "work-x/0").await.unwrap());
    assert!(bus.revive(queue.name, &event.id).await.unwrap());
    let again = next(&mut *consumer).await;
    assert_eq!((again.attempt, &again.event), (1, &event));
    again.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_comes_back_whoever_held_it() {
    let shelf = TestShelf::default();
    let bus = bus(options(&url().await), &shelf);
    let kind = kind();
    let queue = queue("drop", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let event = event(&kind);
    publish(&bus, &event).await;
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    drop(next(&mut *consumer).await);
    let held = next(&mut *consumer).await;
    assert_eq!(held.attempt, 1);
    // The consumer goes while the delivery is in hand.
    drop(consumer);
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    let again = next(&mut *consumer).await;
    assert_eq!(again.event, event);
    assert!(held.ack().await.is_err(), "an ack after the loss is no ack");
    again.retry(Duration::ZERO, "park it").await.unwrap();
    drop(next(&mut *consumer).await);
    let parked = next(&mut *consumer).await;
    assert_eq!(parked.attempt, 2);
    parked.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_outlives_the_process_that_put_it_off() {
    let shelf = TestShelf::default();
    let url = url().await;
    let (kind, other) = (kind(), bus(options(&url), &shelf));
    let queue = queue("outlive", &[&kind]);
    {
        let first = bus(options(&url), &shelf);
        first.declare(std::slice::from_ref(&queue)).await.unwrap();
        publish(&first, &event(&kind)).await;
        let mut consumer = first.subscribe(queue.name, 1).await.unwrap();
        let delivery = next(&mut *consumer).await;
        delivery.retry(Duration::from_millis(100), "later").await.unwrap();
    }
    other.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = other.subscribe(queue.name, 1).await.unwrap();
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.attempt, 2);
    delivery.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_holds_no_more_than_its_prefetch_parked_ones_included() {
    let shelf = TestShelf::default();
    let bus = bus(options(&url().await), &shelf);
    let kind = kind();
    let queue = queue("prefetch", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 3).await.unwrap();
    for _ in 0..3 {
        publish(&bus, &event(&kind)).await;
        let delivery = next(&mut *consumer).await;
        delivery.retry(Duration::ZERO, "park it").await.unwrap();
        publish(&bus, &event(&kind)).await;
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut *consumer).await);
    }
    let fourth = tokio::time::timeout(Duration::from_millis(700), consumer.next()).await;
    assert!(fourth.is_err(), "a fourth delivery: {fourth:?}");
    for delivery in held.drain(..) {
        delivery.ack().await.unwrap();
    }
    for _ in 0..3 {
        next(&mut *consumer).await.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_becomes_a_dead_letter() {
    let shelf = TestShelf::default();
    let url = url().await;
    let bus = bus(options(&url), &shelf);
    let kind = kind();
    let queue = queue("foreign", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 10).await.unwrap();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .basic_publish(
            "bistro.events".into(),
            kind.as_str().into(),
            BasicPublishOptions::default(),
            b"garbage",
            BasicProperties::default(),
        )
        .await
        .unwrap();
    let event = event(&kind);
    publish(&bus, &event).await;
    // Nothing is in the way of what can be read.
    assert_eq!(next(&mut *consumer).await.event, event);
    let letter = wait::until("the dead letter", PATIENCE, async || {
        bus.dead_letters(queue.name, None, 10).await.unwrap().pop().ok_or(())
    })
    .await;
    assert_eq!(letter.event.data, b"garbage");
    assert!(letter.cause.contains("cannot be read"), "{}", letter.cause);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gives_up_becomes_a_dead_letter() {
    let shelf = TestShelf::default();
    let url = url().await;
    let bus = bus(options(&url), &shelf);
    let kind = kind();
    let queue = queue("givenup", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let event = event(&kind);
    publish(&bus, &event).await;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let message = wait::until("the message", PATIENCE, async || {
        channel.basic_get(queue.name.into(), BasicGetOptions::default()).await.unwrap().ok_or(())
    })
    .await;
    message.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    let _consumer = bus.subscribe(queue.name, 10).await.unwrap();
    let letter = wait::until("the dead letter", PATIENCE, async || {
        bus.dead_letters(queue.name, None, 10).await.unwrap().pop().ok_or(())
    })
    .await;
    assert_eq!(letter.event, event);
    assert_eq!(letter.cause, "the broker gave it up: rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_retry_cannot_be_kept_is_delivered_again() {
    let shelf = TestShelf::default();
    let bus = bus(options(&url().await), &shelf);
    let kind = kind();
    let queue = queue("shelfless", &[&kind]);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    publish(&bus, &event(&kind)).await;
    let mut consumer = bus.subscribe(queue.name, 1).await.unwrap();
    shelf.set_away(true);
    for _ in 0..6 {
        let delivery = next(&mut *consumer).await;
        let refused = delivery.retry(Duration::ZERO, "later").await;
        assert!(matches!(refused, Err(BusError::NotDone { .. })), "{refused:?}");
    }
    shelf.set_away(false);
    next(&mut *consumer).await.retry(Duration::ZERO, "later").await.unwrap();
    assert_eq!(next(&mut *consumer).await.attempt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_wakes_every_listener_of_its_topic() {
    let shelf = TestShelf::default();
    let url = url().await;
    let (one, two) = (bus(options(&url), &shelf), bus(options(&url), &shelf));
    one.declare(&[]).await.unwrap();
    let topic = format!("topic{}.*", support::unique());
    let mut listeners = [
        one.listen(&topic).await.unwrap(),
        one.listen(&topic).await.unwrap(),
        two.listen(&topic).await.unwrap(),
    ];
    let mut other = two.listen("topic.other").await.unwrap();
    two.broadcast(&topic, b"wake").await.unwrap();
    for listener in &mut listeners {
        let woken = tokio::time::timeout(PATIENCE, listener.next()).await.unwrap();
        assert_eq!(woken.unwrap(), b"wake");
    }
    let silent = tokio::time::timeout(Duration::from_millis(200), other.next()).await;
    assert!(silent.is_err());
    drop(listeners);
    let mut again = one.listen(&topic).await.unwrap();
    one.broadcast(&topic, b"again").await.unwrap();
    let woken = tokio::time::timeout(PATIENCE, again.next()).await.unwrap();
    assert_eq!(woken.unwrap(), b"again");
}
