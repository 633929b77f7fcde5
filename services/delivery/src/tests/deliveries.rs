//! Who gets which delivery, and what may be done with it.

use std::sync::{Arc, atomic::Ordering};

use bistro_core::{ErrorCode, Id, Principal, kinds};
use bistro_proto::delivery::v1::{
    DeliveryRecord, DropOffRequest, GetOrderDeliveryRequest, ListDeliveriesRequest,
};

use super::bench::{
    Bench, asked, away, carla, customer, keyed, manager, refusal, restaurant, rider, staff, support,
};
use crate::{delivery::State, tracking};

async fn get(
    bench: &Bench,
    who: &Principal,
    bits: u128,
) -> Result<DeliveryRecord, bistro_core::Error> {
    let id = Id::<kinds::Delivery>::from_bits(bits).to_string();
    bench.service.get_delivery(who, &id).await
}

async fn of_order(
    bench: &Bench,
    who: &Principal,
    bits: u128,
) -> Result<DeliveryRecord, bistro_core::Error> {
    let order_id = Id::<kinds::Order>::from_bits(bits).to_string();
    bench.service.get_order_delivery(who, &GetOrderDeliveryRequest { order_id }).await
}

#[tokio::test]
async fn the_nearest_courier_gets_it_and_those_nobody_sees_come_after() {
    let bench = Bench::new();
    let unseen = bench.courier(1, 9).await;
    let (far, near) = (bench.courier(2, 1).await, bench.courier(3, 1).await);
    bench.stands(&far, 2_000).await;
    bench.stands(&near, 200).await;
    for (order, who) in [(100, &near), (101, &far), (102, &unseen)] {
        // So far apart that nothing goes together.
        let metres = i32::try_from(order).unwrap() * 10_000 - 990_000;
        bench.ready(order, Some(metres)).await;
        assert_eq!(bench.has(who).await, [order]);
    }
    // A position of long ago says nothing.
    for order in [100, 101, 102] {
        bench.ended(order).await;
    }
    bench.clock.advance(crate::positions::KEPT_FOR);
    bench.stands(&unseen, 9_000).await;
    bench.ready(103, None).await;
    assert_eq!(bench.has(&unseen).await, [103]);
}

#[tokio::test]
async fn neighbours_go_with_one_courier_until_there_is_no_room() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 2).await, bench.courier(2, 2).await);
    bench.stands(&cora, 100).await;
    bench.stands(&bob, 50).await;
    bench.ready(100, Some(5_000)).await;
    assert_eq!(bench.has(&bob).await, [100]);
    // Idle and as near, but the other one goes there anyway.
    bench.ready(101, Some(5_900)).await;
    assert_eq!(bench.has(&bob).await, [100, 101]);
    let shown = get(&bench, &bob, 100).await.unwrap();
    let other = Id::<kinds::Delivery>::from_bits(101).to_string();
    assert_eq!(shown.with, [other]);
    bench.ready(102, Some(5_500)).await;
    assert_eq!(bench.has(&cora).await, [102], "the first one is full");
    // A third place is too far from the second courier's.
    let dora = bench.courier(3, 2).await;
    bench.stands(&dora, 150).await;
    bench.ready(103, Some(-5_000)).await;
    assert_eq!(bench.has(&dora).await, [103]);
    assert_eq!(bench.stored(2).await.load, 2);
}

#[tokio::test]
async fn without_places_it_goes_by_turns_as_before() {
    let bench = Bench::new();
    bench.others.is_old.store(true, Ordering::Relaxed);
    let cora = bench.courier(1, 1).await;
    let made = bench.ready(100, Some(100)).await;
    assert_eq!((made.to, made.customer), (None, Some(carla())), "the order says whose it is");
    assert_eq!(get(&bench, &cora, 100).await.unwrap().address, "1 High Street");
    assert_eq!(of_order(&bench, &customer(), 100).await.unwrap().state, "assigned");

    // Nor does anything stop when orders is away for a moment.
    bench.step(&cora, 100, "decline").await.unwrap();
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.others.is_away.store(true, Ordering::Relaxed);
    let made = bench.ready(100, Some(100)).await;
    assert_eq!((made.state, made.customer), (State::Assigned, None));
    bench.others.is_away.store(false, Ordering::Relaxed);
    assert_eq!(of_order(&bench, &customer(), 100).await.unwrap().state, "assigned");
    assert_eq!(bench.has(&cora).await, [100]);
}

#[tokio::test]
async fn who_did_not_say_where_it_goes_is_asked_again() {
    let bench = Bench::new();
    bench.others.is_away.store(true, Ordering::Relaxed);
    bench.others.catalog_is_away.store(true, Ordering::Relaxed);
    // As many as are asked about in vain in one round, and one more.
    for order in 100..104 {
        let made = bench.ready(order, Some(300)).await;
        assert_eq!((made.from, made.to, made.customer), (None, None, None));
    }
    bench.complete().await;
    assert_eq!(bench.delivery(100).await.version, 1, "nothing is known, so nothing is written");
    bench.others.catalog_is_away.store(false, Ordering::Relaxed);
    bench.complete().await;
    let half = bench.delivery(100).await;
    assert_eq!((half.from, half.to, half.incomplete), (Some(away(0)), None, true));
    bench.others.is_away.store(false, Ordering::Relaxed);
    bench.complete().await;
    for order in 100..104 {
        let whole = bench.delivery(order).await;
        assert_eq!((whole.from, whole.to), (Some(away(0)), Some(away(300))));
        assert_eq!((whole.customer, whole.incomplete), (Some(carla()), false));
    }
    let version = bench.delivery(100).await.version;
    bench.complete().await;
    assert_eq!(bench.delivery(100).await.version, version, "it is not asked for ever");
    // By now it is known who is the nearest.
    let (far, near) = (bench.courier(1, 9).await, bench.courier(2, 9).await);
    bench.stands(&far, 2_000).await;
    bench.stands(&near, 100).await;
    bench.assign().await;
    assert_eq!(bench.has(&near).await, [100, 101, 102, 103], "neighbours, too");
}

#[tokio::test]
async fn who_declines_is_not_offered_it_again_and_who_is_slow_is_last() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 1).await, bench.courier(2, 1).await);
    bench.stands(&cora, 10).await;
    bench.stands(&bob, 900).await;
    bench.ready(100, None).await;
    bench.step(&cora, 100, "decline").await.unwrap();
    bench.assign().await;
    assert_eq!(bench.has(&bob).await, [100], "however near the other one is");
    bench.lapses(100).await;
    bench.assign().await;
    assert_eq!(bench.has(&bob).await, [100], "nobody else may be asked");
    bench.step(&bob, 100, "decline").await.unwrap();
    bench.assign().await;
    assert_eq!(bench.delivery(100).await.state, State::Pending);
    // Who thinks better of it may claim it.
    assert_eq!(bench.step(&cora, 100, "claim").await.unwrap().state, "assigned");
    assert_eq!(bench.has(&cora).await, [100]);
}

#[tokio::test]
async fn what_nobody_has_is_claimed_by_one() {
    let bench = Bench::new();
    bench.ready(100, Some(100)).await;
    let (cora, bob) = (bench.courier(1, 1).await, bench.courier(2, 1).await);
    let waiting = async |who: &Principal| {
        let request = ListDeliveriesRequest { state: "pending".to_owned(), page: None };
        bench.service.list_deliveries(who, request).await
    };
    let shown = waiting(&cora).await.unwrap().deliveries;
    assert_eq!((shown.len(), shown[0].address.as_str(), shown[0].to), (1, "", None));
    assert_eq!(refusal(waiting(&customer()).await), ErrorCode::NotFound);
    assert_eq!(refusal(waiting(&rider(9)).await), ErrorCode::NotFound, "no courier yet");

    assert_eq!(refusal(bench.step(&customer(), 100, "claim").await), ErrorCode::NotFound);
    assert_eq!(refusal(bench.step(&cora, 999, "claim").await), ErrorCode::NotFound);
    bench.duty(&bob, false).await.unwrap();
    assert_eq!(refusal(bench.step(&bob, 100, "claim").await), ErrorCode::WrongState);
    bench.duty(&bob, true).await.unwrap();
    let (one, other) =
        tokio::join!(bench.step(&cora, 100, "claim"), bench.step(&bob, 100, "claim"));
    let lost = if one.is_ok() { other } else { one };
    assert_eq!(refusal(lost), ErrorCode::NotFound);
    assert_eq!(bench.stored(1).await.load + bench.stored(2).await.load, 1);
    let winner = if bench.stored(1).await.load == 1 { &cora } else { &bob };
    assert_eq!(
        refusal(bench.step(winner, 100, "claim").await),
        ErrorCode::WrongState,
        "it is theirs"
    );

    bench.ready(101, None).await;
    let loser = if winner == &cora { &bob } else { &cora };
    assert_eq!(bench.has(loser).await, [101]);
    bench.ready(102, None).await;
    assert_eq!(refusal(bench.step(loser, 102, "claim").await), ErrorCode::WrongState, "no room");
}

#[tokio::test]
async fn what_is_still_cooking_is_not_picked_up() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ready(100, None).await;
    bench.order_is(100, "preparing");
    let early = bench.step(&cora, 100, "pick-up").await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::WrongState);
    assert!(early.message().contains("cooking"), "{early}");
    assert_eq!(bench.delivery(100).await.state, State::Assigned);
    // It is told to be ready once more, twice, and late: nothing is made again.
    bench.ready(100, None).await;
    assert_eq!(bench.has(&cora).await, [100]);
    assert_eq!(bench.step(&cora, 100, "pick-up").await.unwrap().state, "picked_up");
    assert_eq!(refusal(bench.step(&cora, 100, "pick-up").await), ErrorCode::WrongState);

    bench.step(&cora, 100, "drop-off").await.unwrap();
    bench.ready(101, None).await;
    bench.order_is(101, "cancelled");
    let late = bench.step(&cora, 101, "pick-up").await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::WrongState);
}

#[tokio::test]
async fn nothing_leaves_the_restaurant_while_nobody_can_say_whether_it_is_ready() {
    let bench = Bench::new();
    let cora = bench.courier(1, 2).await;
    bench.ready(100, None).await;
    bench.others.is_away.store(true, Ordering::Relaxed);
    assert_eq!(refusal(bench.step(&cora, 100, "pick-up").await), ErrorCode::Unavailable);
    assert_eq!(bench.delivery(100).await.state, State::Assigned);
    bench.others.is_away.store(false, Ordering::Relaxed);
    let known = std::mem::take(&mut *bench.others.orders.lock());
    assert_eq!(refusal(bench.step(&cora, 100, "pick-up").await), ErrorCode::Unavailable);
    *bench.others.orders.lock() = known;
    assert_eq!(bench.step(&cora, 100, "pick-up").await.unwrap().state, "picked_up");
}

#[tokio::test]
async fn who_cannot_bring_it_does_not_end_the_order_while_another_one_can() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 1).await, bench.courier(2, 1).await);
    bench.stands(&cora, 10).await;
    bench.ready(100, Some(300)).await;
    let left = bench.fails(&cora, 100, "courier_unable").await.unwrap();
    assert_eq!((left.state.as_str(), left.reason.as_str()), ("pending", ""));
    assert_eq!((left.reason_code.as_str(), left.courier_id.as_str()), ("", ""));
    assert_eq!(bench.stored(1).await.load, 0);
    bench.assign().await;
    assert_eq!(bench.has(&bob).await, [100], "however near the first one is");
    bench.step(&bob, 100, "pick-up").await.unwrap();
    let failed = bench.fails(&bob, 100, "courier_unable").await.unwrap();
    assert_eq!((failed.state.as_str(), failed.reason_code.as_str()), ("failed", "courier_unable"));
}

#[tokio::test]
async fn what_a_courier_vanished_with_is_failed_by_who_looks_after_it() {
    let bench = Bench::new();
    let cora = bench.courier(1, 2).await;
    bench.ready(100, Some(300)).await;
    bench.ready(101, Some(300)).await;
    let chef = staff(bistro_core::StaffRole::Chef, restaurant());
    for early in [manager(), support()] {
        let refused = bench.fails(&early, 100, "other").await;
        assert_eq!(refusal(refused), ErrorCode::PermissionDenied, "another one can come for it");
    }
    for order in [100, 101] {
        bench.step(&cora, order, "pick-up").await.unwrap();
    }
    bench.erased(Id::from_bits(1)).await;
    assert_eq!(refusal(bench.fails(&chef, 100, "other").await), ErrorCode::PermissionDenied);
    let elsewhere = staff(bistro_core::StaffRole::Manager, Id::from_bits(8));
    assert_eq!(refusal(bench.fails(&elsewhere, 100, "other").await), ErrorCode::NotFound);
    for (order, who) in [(100, manager()), (101, support())] {
        assert_eq!(bench.fails(&who, order, "courier_unable").await.unwrap().state, "failed");
    }
    assert_eq!(bench.stored(1).await.load, 0);
}

#[tokio::test]
async fn one_round_gives_each_courier_all_there_is_room_for() {
    let bench = Bench::new();
    for order in 100..110 {
        bench.ready(order, None).await;
    }
    let (cora, bob) = (bench.courier(1, 3).await, bench.courier(2, 4).await);
    bench.assign().await;
    assert_eq!((bench.has(&cora).await.len(), bench.has(&bob).await.len()), (3, 4));
    // Declined by everybody who is free, what is left waits, and does not hinder anything else.
    for (who, bits) in [(&cora, 1), (&bob, 2)] {
        for order in bench.has(who).await {
            bench.step(who, order, "decline").await.unwrap();
        }
        assert_eq!(bench.stored(bits).await.load, 0);
    }
    bench.assign().await;
    let given: Vec<u128> = [bench.has(&cora).await, bench.has(&bob).await].concat();
    for order in 100..110 {
        let delivery = bench.delivery(order).await;
        assert_eq!(given.contains(&order), delivery.state == State::Assigned);
        assert!(!delivery.courier.is_some_and(|has| delivery.declined.contains(&has)));
    }
    // What one declined only the other one can have, and three are anybody's.
    assert!(given.len() >= 6, "{given:?}");
}

#[tokio::test]
async fn a_repeated_step_is_answered_as_the_first_was() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ready(100, None).await;
    let id = Id::<kinds::Delivery>::from_bits(100).to_string();
    let request = bistro_proto::delivery::v1::DeliveryRequest { id };
    let (asked, request) = keyed(&cora, request, "once");
    let first = bench.service.pick_up(&asked, &request).await.unwrap();
    bench.order_is(100, "in_delivery");
    assert_eq!(bench.service.pick_up(&asked, &request).await.unwrap(), first);
    let mut without_key = tonic::Request::new(request.clone());
    without_key.extensions_mut().insert(cora.clone());
    let (bare, request) = bistro_runtime::ask(without_key).unwrap();
    let request = DropOffRequest { id: request.id, code: String::new() };
    let refused = bench.service.drop_off(&bare, &request);
    assert_eq!(refusal(refused.await), ErrorCode::PreconditionRequired);
}

#[tokio::test]
async fn an_end_that_overtakes_leaves_nothing_to_bring() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ended(100).await;
    bench.ready(100, None).await;
    assert_eq!(bench.delivery(100).await.state, State::Cancelled);
    assert!(bench.has(&cora).await.is_empty());
    bench.ready(101, None).await;
    bench.ended(101).await;
    bench.ended(101).await;
    assert_eq!(
        (bench.stored(1).await.load, bench.delivery(101).await.state),
        (0, State::Cancelled)
    );
}

#[tokio::test]
async fn everybody_sees_what_is_theirs_and_others_see_nothing() {
    let bench = Bench::new();
    let (cora, bob) = (bench.courier(1, 1).await, bench.courier(2, 1).await);
    bench.stands(&cora, 10).await;
    bench.ready(100, Some(300)).await;
    let mine = get(&bench, &cora, 100).await.unwrap();
    assert_eq!(
        (mine.address.as_str(), mine.to),
        ("1 High Street", Some(tracking::message(away(300))))
    );
    assert_eq!(mine.from, Some(tracking::message(away(0))));
    let listed = bench.service.list_deliveries(&cora, ListDeliveriesRequest::default()).await;
    assert_eq!(listed.unwrap().deliveries[0].address, "");
    for other in [manager(), support(), Principal::Operator] {
        let shown = get(&bench, &other, 100).await.unwrap();
        assert_eq!((shown.address.as_str(), shown.to, shown.code.as_str()), ("", None, ""));
        assert_eq!(of_order(&bench, &other, 100).await.unwrap().id, mine.id);
    }
    let elsewhere = staff(bistro_core::StaffRole::Owner, Id::from_bits(8));
    for stranger in [&bob, &elsewhere, &rider(9)] {
        assert_eq!(refusal(get(&bench, stranger, 100).await), ErrorCode::NotFound);
        assert_eq!(refusal(of_order(&bench, stranger, 100).await), ErrorCode::NotFound);
        for step in ["decline", "pick-up", "drop-off", "fail"] {
            assert_eq!(refusal(bench.step(stranger, 100, step).await), ErrorCode::NotFound);
        }
    }
    assert_eq!(refusal(bench.step(&manager(), 100, "pick-up").await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(get(&bench, &customer(), 100).await), ErrorCode::NotFound);
    assert_eq!(refusal(get(&bench, &Principal::Anonymous, 100).await), ErrorCode::Unauthenticated);
    let theirs = of_order(&bench, &customer(), 100).await.unwrap();
    assert_eq!((theirs.restaurant_id, theirs.code), (restaurant().to_string(), String::new()));
    assert_eq!(refusal(of_order(&bench, &customer(), 999).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_delivery_fails_with_a_reason_that_stays_with_it() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ready(100, Some(300)).await;
    let fail = async |reason: &str, code: &str| {
        let request = bistro_proto::delivery::v1::FailRequest {
            id: Id::<kinds::Delivery>::from_bits(100).to_string(),
            reason: reason.to_owned(),
            code: code.to_owned(),
        };
        let (asked, request) = asked(&cora, request);
        bench.service.fail(&asked, &request).await
    };
    let wrong = fail("", "the dog").await.unwrap_err();
    let paths: Vec<_> = wrong.field_errors().iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["reason", "code"]);
    assert_eq!(refusal(fail(&"x".repeat(501), "other").await), ErrorCode::InvalidArgument);
    let failed = fail("nobody opened", "customer_absent").await.unwrap();
    assert_eq!((failed.state.as_str(), failed.reason.as_str()), ("failed", "nobody opened"));
    let told = of_order(&bench, &customer(), 100).await.unwrap();
    assert_eq!((told.reason_code.as_str(), told.reason.as_str()), ("customer_absent", ""));
    assert_eq!(refusal(fail("again", "").await), ErrorCode::WrongState);
    assert_eq!(bench.stored(1).await.load, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_race_gives_anybody_more_than_there_is_room_for() {
    let bench = Arc::new(Bench::new());
    for (bits, capacity) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let who = bench.courier(bits, capacity).await;
        if bits % 2 == 0 {
            bench.stands(&who, i32::try_from(bits).unwrap() * 100).await;
        }
    }
    let all: Vec<_> = (100..132_u128)
        .map(|order| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let metres = i32::try_from(order % 4).unwrap() * 700;
                bench.ready(order, Some(metres)).await;
                bench.assign().await;
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    let mut given = 0;
    for (bits, capacity) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let (courier, has) = (bench.stored(bits).await, bench.has(&rider(bits)).await);
        assert_eq!(courier.load as usize, has.len());
        assert_eq!(courier.load, capacity, "everybody is full and nobody is fuller");
        given += has.len();
    }
    assert_eq!(given, 15);
    let mut pending = 0;
    for order in 100..132 {
        let delivery = bench.delivery(order).await;
        pending += u32::from(delivery.state == State::Pending);
        assert_eq!(delivery.courier.is_none(), delivery.state == State::Pending);
    }
    assert_eq!(pending, 32 - 15);
}
