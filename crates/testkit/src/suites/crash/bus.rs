//! Clients of a bus that are killed: what was published is delivered, and what was delivered and
//! not acknowledged is delivered again.

use std::{collections::BTreeSet, sync::Arc};

use bistro_bus::{Bus, Queue};
use bistro_core::{Event, Timestamp};

use super::{Place, client::say};
use crate::suites::{bus::leak, eventually, random, rounds, together};

/// Clients that one run kills.
const KILLS: u32 = 50;

fn queue(place: &Place) -> Queue {
    Queue {
        name: leak(format!("suite.crash-{}", place.run)),
        role: "suite",
        kinds: vec![leak(kind(place))].leak(),
    }
}

fn kind(place: &Place) -> String {
    format!("bistro.suite.v1.Crash{}", place.run.replace('-', "x"))
}

fn event(place: &Place, id: String) -> Event {
    Event {
        id,
        source: "/bistro/suite".to_owned(),
        kind: kind(place),
        subject: "sub".to_owned(),
        time: Timestamp::from_millis(0),
        sequence: 1,
        traceparent: None,
        data: vec![1; 100],
    }
}

/// Publishes from four tasks and consumes in a fifth until it is killed. Says what was published
/// and what it is about to acknowledge.
pub async fn client(place: &Place, open: impl AsyncFn(String) -> Arc<dyn Bus>) {
    let bus = open(place.text.clone()).await;
    let queue = queue(place);
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 32).await.unwrap();
    say("ready", "now");
    let publishing = together((0..4).map(|task| {
        let (bus, place) = (bus.clone(), place.clone());
        async move {
            for number in 0.. {
                let ids = (0..8)
                    .map(|part| format!("{}-{}-{task}-{number}-{part}", place.run, place.round));
                let events: Vec<Event> = ids.map(|id| event(&place, id)).collect();
                let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
                for (id, result) in ids.iter().zip(bus.publish(events).await) {
                    result.unwrap();
                    say("published", id);
                }
            }
        }
    }));
    let consuming = async {
        for number in 0_u32.. {
            let delivery = consumer.next().await.unwrap();
            // Some are never settled: they are the next client's, or the parent's.
            if number % 5 > 0 {
                say("acking", &delivery.event.id);
                delivery.ack().await.unwrap();
            }
        }
    };
    tokio::join!(publishing, consuming);
}

/// Kills one client after the other, and then consumes what is left.
pub async fn kills(place: &Place, open: impl AsyncFn(String) -> Arc<dyn Bus>) {
    let mut rng = random();
    let queue = queue(place);
    let (mut published, mut handled) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=rounds(KILLS) {
        let words = place.start_and_kill(round, &mut rng).await;
        published.extend(words.said("published").iter().cloned());
        handled.extend(words.said("acking").iter().cloned());
    }
    assert!(published.len() > rounds(KILLS) as usize, "hardly any event was published");
    let bus = open(place.text.clone()).await;
    bus.declare(std::slice::from_ref(&queue)).await.unwrap();
    let mut consumer = bus.subscribe(queue.name, 500).await.unwrap();
    let draining = async {
        let mut acks = tokio::task::JoinSet::new();
        loop {
            let delivery = consumer.next().await.unwrap();
            handled.insert(delivery.event.id.clone());
            acks.spawn(async move { delivery.ack().await.unwrap() });
            while let Some(acked) = acks.try_join_next() {
                acked.unwrap();
            }
        }
    };
    let drained = eventually(
        "the queue is drained",
        async || bus.depth(queue.name).await.unwrap(),
        |depth| depth.ready == 0 && depth.parked == 0,
    );
    tokio::select! {
        () = draining => unreachable!("it has no end"),
        _ = drained => {}
    }
    let lost: Vec<&String> = published.difference(&handled).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), published.len());
}
