//! Erasing a person, batch by batch.

use std::time::Duration;

use bistro_core::{Event, Principal};
use bistro_proto::{
    accounts::v1::UserErased,
    orders::v1::{self, orders_server::Orders as _},
};
use bistro_store::{Cause, StoreExt as _};
use prost::{Message as _, Name as _};

use super::{
    platform::{Platform, basket, user, within},
    set_allergies,
};
use crate::{documents::Order, erasure};

/// Lets the timers fire that are due, as the engine does; how many there were. Every second one's
/// process dies before it commits.
async fn fire(platform: &Platform) -> usize {
    let engine = &platform.service.engine;
    let due = engine.store().due_timers("orders", engine.now(), 100).await.unwrap();
    let due: Vec<_> = due.into_iter().filter(|timer| erasure::is_of(&timer.document)).collect();
    for timer in &due {
        for dies in [true, false] {
            let mut work = engine.work(Cause::Timer(timer.clone()));
            let user = &timer.document.id;
            let goes_on = erasure::go_on(engine, &mut work, user).await.unwrap();
            if !dies && goes_on {
                engine.commit(work).await.unwrap();
            }
        }
    }
    due.len()
}

/// Fires timers until none is due within the next moments.
async fn rest(platform: &Platform) {
    while fire(platform).await > 0 {
        platform.clock.advance(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn nothing_personal_is_left_of_many_orders() {
    let (platform, ada, eve) = (Platform::new(), user(7), user(8));
    set_allergies(&platform, &ada, &["milk"], "warn").await;
    let mut ended = Vec::new();
    for round in 0..45 {
        platform.clock.advance(Duration::from_millis(1));
        ended.push(platform.ended(&ada, basket(&[1]), round % 2 == 0).await.id);
    }
    let rated = v1::CreateRatingRequest {
        order_id: ended[0].clone(),
        stars: 4,
        comment: "Ada was pleased".to_owned(),
        ..Default::default()
    };
    within(platform.service.create_rating(platform.request(&ada, rated))).await.unwrap();
    let open = platform.confirmed(&ada, basket(&[1])).await.id;
    let others = platform.ended(&eve, basket(&[1]), false).await.id;
    let before = platform.order(&others).await;

    let engine = &platform.service.engine;
    let erased = UserErased { user_id: ada.name() };
    let event = Event {
        id: "e/0".to_owned(),
        source: "/bistro/accounts".to_owned(),
        kind: UserErased::full_name(),
        subject: ada.name(),
        time: engine.now(),
        sequence: 2,
        traceparent: None,
        data: erased.encode_to_vec(),
    };
    for (delivery, begins) in [("first", true), ("second", false)] {
        let cause =
            Cause::Message { queue: crate::QUEUE.name.to_owned(), id: format!("{delivery}/0") };
        let mut work = engine.work(cause);
        assert_eq!(erasure::begin(engine, &mut work, &event.subject).await.unwrap(), begins);
        if begins {
            engine.commit(work).await.unwrap();
        }
    }
    rest(&platform).await;

    let personal = |order: &Order| {
        let text = serde_json::to_string(order).unwrap();
        ["Ada", "ring twice", "High Street", "milk"].iter().any(|words| text.contains(words))
    };
    for id in &ended {
        let order = platform.order(id).await;
        assert!(!personal(&order), "{order:?}");
        assert_eq!(order.customer, ada.name(), "the ledger's order keeps its id");
    }
    assert!(personal(&*platform.order(&open).await), "it is still to be cooked and brought");
    assert_eq!(platform.order(&others).await, before, "another person's is left alone");
    let asked = v1::GetAllergyProfileRequest { user_id: ada.name() };
    let profile =
        platform.service.get_allergy_profile(platform.request(&Principal::Operator, asked));
    assert!(within(profile).await.unwrap().allergens.is_empty());
    let asked = v1::GetRatingRequest { order_id: ended[0].clone() };
    let rating = within(platform.service.get_rating(platform.request(&ada, asked))).await.unwrap();
    assert_eq!((rating.stars, rating.comment.as_str()), (4, ""));

    // What has ended by the next round is erased then, whoever's words it ended with, and the last
    // round is the last.
    let reason = "Ada shouted at us".to_owned();
    let cancel = v1::CancelOrderRequest { id: open.clone(), reason };
    within(platform.service.cancel_order(platform.request(&Principal::Operator, cancel)))
        .await
        .unwrap();
    platform.clock.advance(Duration::from_mins(11));
    rest(&platform).await;
    assert!(!personal(&*platform.order(&open).await));
    platform.clock.advance(Duration::from_hours(24));
    rest(&platform).await;
    platform.clock.advance(Duration::from_hours(1));
    assert_eq!(fire(&platform).await, 0);
    assert!(engine.store().load::<erasure::Erasure>(&ada.name()).await.unwrap().is_some());
}
