//! Times by hand, and what holds for any.

use proptest::prelude::*;

use super::*;
use crate::{
    item::Action,
    ticket::{
        TicketState,
        tests::{item, ticket},
    },
};

const MINUTE: i64 = 60_000;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn station(bits: u128, capacity: u32, item_minutes: u32) -> Station {
    Station {
        id: Id::from_bits(bits),
        restaurant: Id::from_bits(2),
        name: format!("station {bits}"),
        capacity,
        item_minutes,
        default: false,
        deleted_at: None,
    }
}

/// A ticket made at `made`, of one dish for each station (0: none) in that quantity.
fn order(made: i64, dishes: &[(u128, u32)]) -> Ticket {
    let dish = |(station, quantity): &(u128, u32)| Item {
        station: (*station > 0).then(|| Id::from_bits(*station)),
        quantity: *quantity,
        ..item(7)
    };
    let id = Id::from_bits(u128::try_from(made).unwrap() + 1);
    Ticket { id, items: dishes.iter().map(dish).collect(), created_at: at(made), ..ticket(0) }
}

#[test]
fn a_station_is_busy_with_what_is_queued_by_its_capacity() {
    let stations = [station(1, 2, 10), station(2, 1, 6)];
    let mut cooking = order(1, &[(1, 1)]);
    cooking.act(Action::Start, None, at(0)).unwrap();
    let mut held = order(2, &[(2, 3)]);
    held.act(Action::Hold, None, at(0)).unwrap();
    let mut ready = order(3, &[(2, 9)]);
    ready.act(Action::Bump, None, at(0)).unwrap();
    let mut cancelled = order(4, &[(2, 9)]);
    cancelled.end(TicketState::Cancelled, at(0));
    let tickets = [order(0, &[(1, 3), (2, 1)]), cooking, held, ready, cancelled];
    let board = Board::new(&stations, &tickets, at(4 * MINUTE));
    let [grill, fryer] = board.loads() else { panic!("two stations") };
    assert_eq!((grill.queued, grill.in_preparation, grill.held), (3, 1, 0));
    // Three of ten minutes and six that are left of one, two at a time.
    assert_eq!(grill.busy_ms, 20 * 60_000);
    assert_eq!((fryer.queued, fryer.held, fryer.busy_ms), (1, 3, 6 * 60_000));
    // One more is ready after 23 minutes at the grill, and after 12 at the fryer.
    let range = board.next_order();
    assert_eq!(range.earliest_ms, 12 * 60_000 * 8 / 10);
    assert_eq!(range.latest_ms, 23 * 60_000 * 13 / 10);
}

#[test]
fn a_ticket_is_ready_when_its_slowest_station_is_behind_older_tickets_only() {
    let stations = [station(1, 1, 10), station(2, 1, 2)];
    let tickets = [order(0, &[(1, 1)]), order(5, &[(1, 1), (2, 1)]), order(9, &[(1, 5)])];
    let board = Board::new(&stations, &tickets, at(9));
    let range = |ticket| board.ticket(ticket, at(9));
    assert_eq!(range(&tickets[0]).latest_ms, 13 * 60_000);
    assert_eq!(range(&tickets[1]).earliest_ms, 16 * 60_000);
    assert_eq!(range(&tickets[1]).latest_ms, 26 * 60_000);
    let light = order(6, &[(2, 1)]);
    assert_eq!(range(&light).latest_ms, 4 * 60_000 * 13 / 10);
}

#[test]
fn what_waits_for_its_moment_is_cooked_from_then_on() {
    let stations = [station(1, 1, 10)];
    let mut waiting = order(5, &[(1, 1)]);
    waiting.fire_at = Some(at(9 + 15 * MINUTE));
    let tickets = [order(0, &[(1, 2)]), waiting];
    let range = Board::new(&stations, &tickets, at(9)).ticket(&tickets[1], at(9));
    // After 15 minutes, 5 of the 20 before it are left.
    assert_eq!(range.earliest_ms, (15 + 12) * 60_000);
}

#[test]
fn a_restaurant_without_stations_has_a_load_too() {
    let board = Board::new(&[], &[order(0, &[(0, 8)])], at(0));
    let [load] = board.loads() else { panic!("one row") };
    assert_eq!((load.station, load.queued, load.busy_ms), (None, 8, 20 * 60_000));
    assert_eq!(Board::new(&[], &[], at(0)).next_order().latest_ms, 13 * 60_000);
}

#[test]
fn what_is_late_is_late_for_a_while() {
    let mut late = order(0, &[(1, 1)]);
    late.act(Action::Start, None, at(0)).unwrap();
    let board = Board::new(&[station(1, 1, 10)], &[late], at(99 * MINUTE));
    assert_eq!(board.loads()[0].busy_ms, 60_000);
}

#[test]
fn preparing_takes_the_slowest_station_alone_with_a_margin() {
    let items = order(0, &[(1, 3), (2, 1)]).items;
    assert_eq!(prep_ms(&[station(1, 2, 10), station(2, 1, 5)], &items), 26 * MINUTE);
    assert_eq!(prep_ms(&[], &[]), 0);
}

proptest! {
    #[test]
    fn more_work_is_never_sooner_and_nothing_overflows(
        orders in prop::collection::vec((0..3_u128, 0..=u32::MAX), 0..12),
        more in (0..3_u128, 1..=u32::MAX), capacity in 0..4_u32, minutes in 0..=u32::MAX,
    ) {
        let stations = [station(1, capacity, minutes), station(2, 1, 1)];
        let mut tickets: Vec<Ticket> =
            (0..).zip(&orders).map(|(made, dish)| order(made, &[*dish])).collect();
        let last = order(1000, &[(1, 1), (2, 2)]);
        let before = Board::new(&stations, &tickets, at(2000));
        tickets.push(order(500, &[more]));
        let after = Board::new(&stations, &tickets, at(2000));
        let (less, more) = (before.ticket(&last, at(2000)), after.ticket(&last, at(2000)));
        prop_assert!(less.earliest_ms <= more.earliest_ms && less.latest_ms <= more.latest_ms);
        prop_assert!(more.earliest_ms <= more.latest_ms);
        let (less, more) = (before.next_order(), after.next_order());
        prop_assert!(less.latest_ms <= more.latest_ms && more.earliest_ms <= more.latest_ms);
    }
}
