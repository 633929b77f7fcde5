//! Publishing and consuming when nothing goes wrong.

use std::{collections::BTreeSet, sync::Arc};

use bistro_bus::{Bus, BusError, MAX_EVENT_BYTES};
use bistro_core::{Event, Timestamp};

use super::{
    BusFactory, Scene,
    fixtures::{next, nothing_comes, publish, take},
};

/// Every queue gets each event of its kinds, and no other.
pub async fn every_bound_queue_gets_its_kinds(f: &impl BusFactory) {
    let scene = Scene::with(f, &[&[0, 1], &[1], &[2]]).await;
    let events = (0..3).map(|kind| scene.event_of(kind, kind)).collect();
    publish(&scene.handles[0], events).await;
    for (queue, wanted) in scene.queues.iter().zip([vec![0, 1], vec![1], vec![2]]) {
        let mut consumer = scene.handles[1].subscribe(queue.name, 10).await.unwrap();
        let mut got = BTreeSet::new();
        for delivery in take(&mut consumer, wanted.len()).await {
            got.insert(delivery.event.id.clone());
            delivery.ack().await.unwrap();
        }
        let wanted = wanted.into_iter().map(|kind| scene.event_of(kind, kind).id);
        assert_eq!(got, wanted.collect());
        nothing_comes(&mut consumer).await;
    }
}

/// A kind that no declared queue gets is no error, and disturbs nothing.
pub async fn a_kind_without_a_queue_is_published_to_nobody(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], vec![scene.event_of(7, 1)]).await;
    publish(&scene.handles[0], Vec::new()).await;
    let mixed = vec![scene.event_of(7, 2), scene.event(3), scene.event_of(8, 4)];
    publish(&scene.handles[0], mixed).await;
    let mut consumer = scene.consume(1, 10).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.event.id, scene.event(3).id);
    delivery.ack().await.unwrap();
    nothing_comes(&mut consumer).await;
}

/// Every field of an event arrives as it was, and the first attempt is number 1.
pub async fn an_event_comes_as_it_went(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let plain = scene.event(0);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let odd = [
        Event {
            subject: "crème 🦀 \"quoted\"\n".to_owned(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            data: all_bytes,
            sequence: i64::MAX,
            ..scene.event(1)
        },
        Event {
            subject: String::new(),
            data: Vec::new(),
            sequence: 0,
            time: Timestamp::from_millis(1),
            ..scene.event(2)
        },
        Event {
            time: Timestamp::from_millis(4_102_444_800_999),
            data: vec![0; 3],
            ..scene.event(3)
        },
    ];
    let mut sent = vec![plain];
    sent.extend(odd);
    publish(&scene.handles[0], sent.clone()).await;
    let mut consumer = scene.consume(1, 10).await;
    let mut got = Vec::new();
    for delivery in take(&mut consumer, sent.len()).await {
        assert_eq!(delivery.attempt, 1);
        got.push(delivery.event.clone());
        delivery.ack().await.unwrap();
    }
    got.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(got, sent);
}

/// What is published before anybody consumes is there later, on the other handle.
pub async fn events_wait_until_somebody_consumes(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(5)).await;
    scene.depth_is("five are ready", |depth| depth.ready == 5).await;
    let mut consumer = scene.consume(1, 2).await;
    for _ in 0..5 {
        next(&mut consumer).await.ack().await.unwrap();
    }
    scene.is_drained().await;
    // A consumer that waits gets what is published afterwards.
    let (delivery, ()) =
        tokio::join!(next(&mut consumer), publish(&scene.handles[0], vec![scene.event(9)]));
    assert_eq!(delivery.event.id, scene.event(9).id);
    delivery.ack().await.unwrap();
}

/// While one consumer holds as much as it may, the other one gets the rest.
pub async fn two_consumers_share_a_queue(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(30)).await;
    let mut one = scene.consume(0, 10).await;
    let held = take(&mut one, 10).await;
    let mut two = scene.consume(1, 20).await;
    let rest = take(&mut two, 20).await;
    let ids: BTreeSet<String> =
        held.iter().chain(&rest).map(|delivery| delivery.event.id.clone()).collect();
    assert_eq!(ids.len(), 30);
    for delivery in held.into_iter().chain(rest) {
        delivery.ack().await.unwrap();
    }
    scene.is_drained().await;
}

/// Neither the same consumer nor a later one gets it again.
pub async fn an_acknowledged_event_never_comes_again(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(20)).await;
    let mut consumer = scene.consume(0, 20).await;
    for delivery in take(&mut consumer, 20).await {
        delivery.ack().await.unwrap();
    }
    nothing_comes(&mut consumer).await;
    drop(consumer);
    nothing_comes(&mut scene.consume(1, 20).await).await;
    scene.is_drained().await;
}

/// A queue that nobody declared is named in the error.
pub async fn a_queue_that_was_not_declared_is_an_error(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let bus: &Arc<dyn Bus> = &scene.handles[0];
    let name = format!("{}-missing", scene.queue());
    let refused = bus.subscribe(&name, 1).await.err();
    assert!(matches!(&refused, Some(BusError::NoQueue(queue)) if *queue == name), "{refused:?}");
    let refused = bus.depth(&name).await.err();
    assert!(matches!(refused, Some(BusError::NoQueue(_))), "{refused:?}");
    // The handle is as good as before.
    publish(bus, vec![scene.event(1)]).await;
    let mut consumer = scene.consume(0, 1).await;
    next(&mut consumer).await.ack().await.unwrap();
}

/// A process that starts later declares everything again, and perhaps more.
pub async fn declaring_again_loses_nothing(f: &impl BusFactory) {
    let scene = Scene::with(f, &[&[0], &[0]]).await;
    publish(&scene.handles[0], scene.events(3)).await;
    let third = f.open().await;
    third.declare(&scene.queues).await.unwrap();
    scene.handles[0].declare(&scene.queues).await.unwrap();
    publish(&third, vec![scene.event(3)]).await;
    for queue in &scene.queues {
        let mut consumer = third.subscribe(queue.name, 10).await.unwrap();
        for delivery in take(&mut consumer, 4).await {
            delivery.ack().await.unwrap();
        }
        nothing_comes(&mut consumer).await;
    }
}

/// 5 MB are refused, whatever is published with them; nothing of the event goes out.
pub async fn too_large_is_refused_with_a_sentence(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let large = Event { data: vec![7; 5 * 1024 * 1024], ..scene.event(1) };
    let largest = Event { data: vec![7; MAX_EVENT_BYTES], ..scene.event(2) };
    let events = vec![scene.event(0), large.clone(), largest];
    let results = scene.handles[0].publish(events).await;
    let [Ok(()), Err(refused), Ok(())] = &results[..] else {
        panic!("{results:?}");
    };
    let BusError::TooLarge { id, bytes, limit } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((id, *bytes, *limit), (&large.id, large.data.len(), MAX_EVENT_BYTES));
    let sentence = refused.to_string();
    assert!(sentence.contains(&bytes.to_string()), "{sentence}");

    let mut consumer = scene.consume(1, 10).await;
    for delivery in take(&mut consumer, 2).await {
        assert_ne!(delivery.event.id, large.id);
        delivery.ack().await.unwrap();
    }
    nothing_comes(&mut consumer).await;
    scene.is_drained().await;
}

/// An engine that is there says so.
pub async fn the_engine_answers(f: &impl BusFactory) {
    let bus = f.open().await;
    bus.ping().await.unwrap();
    let other = f.open().await;
    drop(bus);
    // Losing one handle is nothing to the other.
    other.ping().await.unwrap();
}
