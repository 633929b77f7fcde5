//! Tickets: made, held, fired, cooked, put off and cancelled; and who may.

use bistro_core::ErrorCode;
use bistro_proto::{kitchen::v1, orders::v1::Choice};
use std::{sync::atomic::Ordering, time::Duration};

use super::*;
use crate::{
    item::Action::{Bump, Fire, Hold, Recall, Start},
    ticket::{Ticket, tests::item},
};

fn wanted(millis: i64) -> OrderAccepted {
    OrderAccepted { scheduled_for_ms: millis, ..accepted(1, vec![line("", 2)]) }
}

#[tokio::test]
async fn a_ticket_says_what_was_chosen_and_when_it_is_likely_to_be_ready() {
    let bench = Bench::new();
    let choice = Choice { name: "garlic".to_owned(), ..Choice::default() };
    let lines = vec![QuoteLine { choices: vec![choice], ..line("", 1) }];
    bench.told(&OrderAccepted { ready_at_ms: START + 9, ..accepted(1, lines) }).await;
    let ticket = bench.shown(1).await;
    assert_eq!(ticket.items[0].choices, ["garlic"]);
    assert_eq!((ticket.fulfilment.as_str(), ticket.ready_at_ms), ("dine_in", START + 9));
    assert_eq!(ticket.earliest_ms, bench.now() + 8 * MINUTE);
    assert_eq!(ticket.latest_ms, bench.now() + 13 * MINUTE);
    let ready = bench.act(Bump, 1, None).await.unwrap();
    assert_eq!((ready.earliest_ms, ready.latest_ms, ready.done_at_ms), (0, 0, bench.now()));
    assert!(bench.orders.asked.lock().is_empty(), "it has no notes");
}

#[tokio::test]
async fn two_cooks_who_bump_at_once_bump_once() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1), line("", 1)]).await;
    let bump = || bench.act(Bump, 1, Some(0));
    let (first, second, third) = tokio::join!(bump(), bump(), bump());
    let versions = [first, second, third].map(|ticket| ticket.unwrap().version);
    assert_eq!(versions, [2, 2, 2]);
    // Different items of one ticket are in nobody's way.
    let (start, bump) = tokio::join!(bench.act(Start, 1, Some(1)), bench.act(Bump, 1, Some(1)));
    assert!(bump.is_ok());
    assert!(start.is_ok() || start.unwrap_err().code() == ErrorCode::WrongState);
    assert_eq!(bench.shown(1).await.state, "ready");
}

#[tokio::test]
async fn a_scheduled_ticket_is_held_until_it_is_time_to_cook() {
    let bench = Bench::new();
    bench.told(&wanted(START + 60 * MINUTE)).await;
    let ticket = bench.shown(1).await;
    // Two at once of ten minutes, and a margin.
    assert_eq!(ticket.fire_at_ms, START + 47 * MINUTE);
    assert!(ticket.items[0].held && ticket.earliest_ms == START + 55 * MINUTE);
    assert_eq!(bench.act(Start, 1, None).await.unwrap_err().code(), ErrorCode::WrongState);
    bench.clock.advance(Duration::from_secs(46 * 60));
    assert_eq!(bench.fire().await, 0);

    // Put off meanwhile: the timer moves with it.
    bench.told(&delayed(1, START + 70 * MINUTE)).await;
    bench.clock.advance(Duration::from_secs(2 * 60));
    assert_eq!(bench.fire().await, 0);
    bench.clock.advance(Duration::from_secs(9 * 60));
    assert_eq!(bench.fire().await, 1);
    let ticket = bench.shown(1).await;
    assert_eq!((ticket.items[0].held, ticket.fire_at_ms), (false, 0));
    assert_eq!(ticket.ready_at_ms, START + 70 * MINUTE);
    assert_eq!(bench.fire().await, 0);
    assert_eq!(bench.act(Start, 1, None).await.unwrap().state, "in_preparation");
}

#[tokio::test]
async fn who_fires_by_hand_or_cancels_takes_the_timer_away() {
    let bench = Bench::new();
    bench.told(&wanted(START + 60 * MINUTE)).await;
    assert_eq!(bench.act(Fire, 1, None).await.unwrap().fire_at_ms, 0);
    bench.act(Hold, 1, Some(0)).await.unwrap();
    let other =
        OrderAccepted { scheduled_for_ms: START + 60 * MINUTE, ..accepted(3, vec![line("", 1)]) };
    bench.told(&other).await;
    bench.told(&cancelled(3)).await;
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(bench.fire().await, 0);
    assert!(bench.shown(1).await.items[0].held, "a cook held it, not a moment");
    assert_eq!(bench.engine().store().backlog("kitchen").await.unwrap().timers, 0);
}

#[tokio::test]
async fn a_delay_and_an_end_may_overtake_the_ticket() {
    let bench = Bench::new();
    bench.told(&delayed(1, START + 90 * MINUTE)).await;
    let request = v1::GetTicketRequest { id: ticket_id(1) };
    let refused = bench.service.get_ticket(&chef(), &request).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound, "it is not a ticket yet");
    assert!(bench.listed("", 10).await.is_empty());
    bench.told(&wanted(START + 60 * MINUTE)).await;
    let ticket = bench.shown(1).await;
    assert_eq!(ticket.ready_at_ms, START + 90 * MINUTE);
    assert_eq!(ticket.fire_at_ms, START + 77 * MINUTE);

    bench.told(&delayed(3, START + 90 * MINUTE)).await;
    bench.told(&cancelled(3)).await;
    bench.told(&cancelled(4)).await;
    for bits in [3, 4] {
        bench.ticket(bits, vec![line("", 1)]).await;
        let ticket = bench.shown(bits).await;
        assert_eq!((ticket.state.as_str(), ticket.acknowledged), ("cancelled", true));
    }
    assert_eq!(bench.listed("", 10).await, [ticket_id(1)]);
}

#[tokio::test]
async fn a_cancelled_ticket_is_listed_until_somebody_has_seen_it() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    let acknowledge = async |principal| {
        let request = v1::TicketRequest { id: ticket_id(1) };
        bench.service.acknowledge(&asked(principal), &request).await
    };
    assert_eq!(acknowledge(chef()).await.unwrap_err().code(), ErrorCode::WrongState);
    bench.told(&cancelled(1)).await;
    assert_eq!(bench.listed("", 10).await, [ticket_id(1)]);
    assert!(!bench.shown(1).await.acknowledged);
    assert_eq!(bench.act(Bump, 1, None).await.unwrap_err().code(), ErrorCode::WrongState);
    assert_eq!(acknowledge(stranger()).await.unwrap_err().code(), ErrorCode::NotFound);
    let (one, other) = tokio::join!(acknowledge(chef()), acknowledge(chef()));
    assert!(one.unwrap().acknowledged && other.unwrap().acknowledged);
    assert!(bench.listed("", 10).await.is_empty());
}

#[tokio::test]
async fn what_nobody_acknowledges_hides_nothing_that_is_to_be_cooked() {
    let bench = Bench::new();
    // As many as the ten pages of two hundred hold that a board reads.
    for part in 0..10_u128 {
        let mut work = work(&bench, &format!("pile/{part}"));
        for bits in part * 200..(part + 1) * 200 {
            let before = Timestamp::from_millis(START - 1);
            let pile = Ticket {
                items: vec![item(7)],
                unseen: true,
                ..Ticket::tombstone(Id::from_bits(bits), restaurant(), before)
            };
            work.insert(&pile).unwrap();
        }
        bench.engine().commit(work).await.unwrap();
    }
    bench.ticket(9_001, vec![line("", 3)]).await;
    bench.ticket(9_002, vec![line("", 1)]).await;
    let request = v1::GetLoadRequest { restaurant_id: restaurant().to_string() };
    let load = bench.service.load(&chef(), &request).await.unwrap();
    assert_eq!(load.stations[0].queued, 4);
    let listed = bench.listed("", 200).await;
    assert_eq!(listed.len(), 2_002);
    assert_eq!(listed[..3], [ticket_id(9_001), ticket_id(9_002), ticket_id(0)]);
    bench.clock.advance(Duration::from_secs(90));
    bench.tick("gauges").await;
    assert_eq!(bench.reactor.gauges.shown(), [(1_000, 90), (0, 0)]);
}

#[tokio::test]
async fn an_acknowledged_cancellation_is_counted_no_more() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    bench.ticket(2, vec![line("", 1)]).await;
    bench.act(Bump, 2, None).await.unwrap();
    bench.told(&cancelled(1)).await;
    bench.told(&cancelled(3)).await;
    bench.clock.advance(Duration::from_secs(7));
    bench.tick("gauges").await;
    assert_eq!(bench.reactor.gauges.shown(), [(1, 7), (1, 7)], "a tombstone is on no screen");
    let request = v1::TicketRequest { id: ticket_id(1) };
    bench.service.acknowledge(&asked(chef()), &request).await.unwrap();
    bench.orders.completed.lock().push(order(2).to_string());
    bench.tick("hand-over").await;
    bench.tick("gauges").await;
    assert_eq!(bench.reactor.gauges.shown(), [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn the_longer_food_waits_the_seldomer_orders_is_asked_about_it() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    bench.act(Bump, 1, None).await.unwrap();
    let asked_in = async |seconds: u64| {
        bench.orders.states_asked.lock().clear();
        for _ in 0..seconds / 2 {
            bench.clock.advance(Duration::from_secs(2));
            bench.tick("hand-over").await;
        }
        bench.orders.states_asked.lock().len()
    };
    assert_eq!(asked_in(60).await, 30);
    bench.clock.advance(Duration::from_secs(300));
    assert_eq!(asked_in(60).await, 2);
    bench.clock.advance(Duration::from_secs(3_600));
    assert_eq!(asked_in(600).await, 2);
    bench.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(asked_in(7_200).await, 2);
    // It is handed over all the same, and is back among the young when somebody recalls it.
    bench.act(Recall, 1, None).await.unwrap();
    assert_eq!(asked_in(2).await, 1);
    bench.orders.completed.lock().push(order(1).to_string());
    assert_eq!(asked_in(2).await, 1);
    assert_eq!(bench.shown(1).await.state, "handed_over");
    assert_eq!(asked_in(60).await, 0);
}

#[tokio::test]
async fn notes_are_asked_once_for_a_page_and_stored_nowhere() {
    let bench = Bench::new();
    for bits in 1..=3 {
        let has_notes = bits < 3;
        bench.told(&OrderAccepted { has_notes, ..accepted(bits, vec![line("", 1)]) }).await;
    }
    bench.listed("", 10).await;
    let of = |bits| order(bits).to_string();
    assert_eq!(*bench.orders.asked.lock(), [vec![of(1), of(2)]]);
    let ticket = bench.shown(1).await;
    assert_eq!(
        (ticket.allergies, ticket.items[0].note.as_str()),
        (vec!["nuts".to_owned()], "no nuts please")
    );
    assert!(!ticket.notes_missing);
    assert_eq!(bench.orders.asked.lock().len(), 1, "it is known for a while");
    bench.clock.advance(Duration::from_secs(61));
    bench.act(Start, 1, None).await.unwrap();
    assert_eq!(bench.orders.asked.lock().len(), 2, "and not for longer");
    let stored = bench.engine().store().get(&TICKETS, &ticket_id(1)).await.unwrap().unwrap();
    assert!(!stored.data.contains("nuts"), "{}", stored.data);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_shown_without_its_notes_rather_than_not_at_all() {
    let bench = Bench::new();
    bench.orders.is_away.store(true, Ordering::Relaxed);
    bench.told(&OrderAccepted { has_notes: true, ..accepted(1, vec![line("", 1)]) }).await;
    let began = tokio::time::Instant::now();
    assert!(bench.shown(1).await.notes_missing);
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    // Who does not answer is left alone for a moment.
    assert!(bench.shown(1).await.notes_missing);
    assert_eq!(bench.orders.asked.lock().len(), 1);
    bench.orders.is_away.store(false, Ordering::Relaxed);
    bench.clock.advance(Duration::from_secs(2));
    let ticket = bench.shown(1).await;
    assert_eq!((ticket.notes_missing, ticket.allergies.len()), (false, 1));
}

#[tokio::test]
async fn nobody_from_elsewhere_sees_or_changes_a_ticket() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    let get = v1::GetTicketRequest { id: ticket_id(1) };
    let item = v1::ItemRequest { ticket_id: ticket_id(1), line: None };
    for (who, code) in
        [(stranger(), ErrorCode::NotFound), (Principal::Anonymous, ErrorCode::Unauthenticated)]
    {
        assert_eq!(bench.service.get_ticket(&who, &get).await.unwrap_err().code(), code);
        for action in [Start, Bump, Recall, Hold, Fire] {
            let refused = bench.service.act(&asked(who.clone()), action, &item).await;
            assert_eq!(refused.unwrap_err().code(), code);
        }
    }
    let list =
        v1::ListTicketsRequest { restaurant_id: restaurant().to_string(), ..Default::default() };
    let refused = bench.service.list(&stranger(), list).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    let watch =
        v1::WatchTicketsRequest { restaurant_id: restaurant().to_string(), ..Default::default() };
    let refused = bench.service.watch(&stranger(), &watch).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    let role = Principal::Workload("orders".to_owned());
    assert_eq!(bench.service.get_ticket(&role, &get).await.unwrap().version, 1);
}

#[tokio::test]
async fn a_line_that_is_not_there_is_a_field_error() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    for action in [Start, Bump, Recall, Hold, Fire] {
        let refused = bench.act(action, 1, Some(1)).await.unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "line");
    }
    assert_eq!(bench.act(Bump, 9, None).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn everybody_learns_how_long_it_takes_and_the_staff_why() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 4)]).await;
    let request = v1::GetLoadRequest { restaurant_id: restaurant().to_string() };
    let load = bench.service.load(&chef(), &request).await.unwrap();
    assert_eq!((load.stations[0].queued, load.stations[0].busy_s), (4, 600));
    assert_eq!((load.earliest_s, load.latest_s), (600, 975));
    let told = bench.service.load(&stranger(), &request).await.unwrap();
    assert_eq!((told.stations.len(), told.earliest_s), (0, 600));
    assert!(bench.service.load(&Principal::Anonymous, &request).await.is_err());
    // What changed is in it a second later.
    bench.act(Bump, 1, None).await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    let load = bench.service.load(&chef(), &request).await.unwrap();
    assert_eq!((load.stations[0].queued, load.earliest_s), (0, 480));
}
