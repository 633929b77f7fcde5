//! What is left of a person who is erased: what was paid, and nobody's words.

use std::{sync::Arc, time::Duration};

use bistro_core::Event;
use bistro_eventing::Reactor as _;
use bistro_proto::accounts::v1::UserErased;
use bistro_store::{Cause, StoreExt as _};
use prometheus::Registry;
use prost::{Message as _, Name as _};

use super::bench::{Bench, customer};
use crate::{erasure, erasure::Erasure, metrics::Metrics, reactor::PaymentsReactor};

/// Lets the erasure's timer fire until it is not due for the next moments. Every second process
/// dies before it commits.
async fn go_through(bench: &Bench) {
    let engine = &bench.payments.engine;
    let user = customer().to_string();
    loop {
        bench.clock.advance(Duration::from_millis(2));
        let due = engine.store().due_timers("payments", engine.now(), 100).await.unwrap();
        let due: Vec<_> = due.into_iter().filter(|one| erasure::is_of(&one.document)).collect();
        if due.is_empty() {
            return;
        }
        for timer in due {
            for dies in [true, false] {
                let mut work = engine.work(Cause::Timer(timer.clone()));
                let goes_on = erasure::go_on(engine, &mut work, &user).await.unwrap();
                if goes_on && !dies {
                    engine.commit(work).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn an_erased_person_leaves_neither_card_nor_words() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, &[("card_ok", 1000)], "a").await.unwrap();
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let engine = &bench.payments.engine;
    let event = Event {
        id: "e/0".to_owned(),
        source: "/bistro/accounts".to_owned(),
        kind: UserErased::full_name(),
        subject: customer().to_string(),
        time: engine.now(),
        sequence: 2,
        traceparent: None,
        data: UserErased { user_id: customer().to_string() }.encode_to_vec(),
    };
    let reactor = PaymentsReactor::new(Arc::clone(&bench.payments), metrics);
    for (id, begins) in [("first/0", true), ("second/0", false)] {
        let cause = Cause::Message { queue: crate::QUEUE.name.to_owned(), id: id.to_owned() };
        let work = reactor.on_event(engine.work(cause), &event).await.unwrap();
        assert_eq!(work.is_some(), begins);
        if let Some(work) = work {
            engine.commit(work).await.unwrap();
        }
    }
    let other = Event { kind: "bistro.orders.v1.OrderEnded".to_owned(), ..event.clone() };
    let cause = Cause::Message { queue: crate::QUEUE.name.to_owned(), id: "third/0".to_owned() };
    assert!(reactor.on_event(engine.work(cause), &other).await.is_err());
    go_through(&bench).await;
    let card = async || bench.stored().await.unwrap().tenders[0].method.clone();
    assert_eq!(card().await, "card_ok", "it is still to be captured");
    bench.capture("c").await.unwrap();
    bench.refund(400, 0, "r").await.unwrap();
    assert_eq!(bench.present().await.refunds[0].reason, "cold soup");

    bench.clock.advance(Duration::from_mins(11));
    go_through(&bench).await;
    let payment = bench.present().await;
    assert_eq!((card().await.as_str(), payment.refunds[0].reason.as_str()), ("", ""));
    assert_eq!((payment.captured_minor, payment.refunded_minor), (1000, 400));
    // The rest can still be given back, and the reason is not kept.
    let refunded = bench.refund(0, 0, "r2").await.unwrap();
    assert_eq!((refunded.state.as_str(), bank.kept()), ("refunded", 0));
    assert_eq!(refunded.refunds[1].reason, "");

    bench.clock.advance(Duration::from_hours(24));
    go_through(&bench).await;
    bench.clock.advance(Duration::from_hours(1));
    let due = engine.store().due_timers("payments", engine.now(), 100).await.unwrap();
    assert!(due.is_empty(), "{due:?}");
    assert!(engine.store().load::<Erasure>(&customer().to_string()).await.unwrap().is_some());
}
