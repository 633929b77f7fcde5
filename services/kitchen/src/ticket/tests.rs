//! The state machine of tickets: by hand, and by whatever may be done to one in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::item::Action::{Bump, Fire, Hold, Recall, Start};

const NOW: Timestamp = at(5);

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A dish that nobody has begun.
pub(crate) fn item(bits: u128) -> Item {
    Item {
        dish: Id::from_bits(bits),
        name: format!("dish {bits}"),
        quantity: 1,
        state: ItemState::Queued,
        station: None,
        choices: Vec::new(),
        held: false,
        started_at: None,
        done_at: None,
    }
}

/// A ticket of that many dishes.
pub(crate) fn ticket(items: u128) -> Ticket {
    Ticket {
        items: (0..items).map(item).collect(),
        ended: None,
        ..Ticket::tombstone(Id::from_bits(1), Id::from_bits(2), at(0))
    }
}

fn is_in(ticket: &Ticket, index: &str) -> bool {
    ticket.keys().iter().any(|(name, _)| *name == index)
}

#[test]
fn bumping_a_fresh_ticket_makes_it_ready_at_once() {
    let mut ticket = ticket(3);
    assert_eq!(ticket.act(Bump, None, NOW).unwrap(), Change::Ready);
    assert_eq!((ticket.started_at(), ticket.done_at()), (Some(NOW), Some(NOW)));
    assert_eq!(ticket.act(Recall, Some(1), at(6)).unwrap(), Change::Recalled);
    assert_eq!((ticket.state(), ticket.done_at()), (TicketState::InPreparation, None));
    assert_eq!(ticket.act(Bump, Some(1), at(7)).unwrap(), Change::Ready);
    assert_eq!((ticket.started_at(), ticket.done_at()), (Some(NOW), Some(at(7))));
}

#[test]
fn the_second_of_two_bumps_changes_nothing() {
    let mut ticket = ticket(2);
    ticket.act(Bump, Some(0), NOW).unwrap();
    let once = ticket.clone();
    assert_eq!(ticket.act(Bump, Some(0), at(9)).unwrap(), Change::Nothing);
    assert_eq!(ticket, once);
    ticket.act(Bump, None, NOW).unwrap();
    assert_eq!(ticket.act(Bump, None, at(9)).unwrap(), Change::Nothing);
    assert_eq!(ticket.act(Start, None, NOW).unwrap_err().code(), ErrorCode::WrongState);
}

#[test]
fn what_is_held_is_not_begun_until_it_is_fired() {
    let mut ticket = ticket(2);
    assert_eq!(ticket.act(Hold, Some(1), NOW).unwrap(), Change::Items);
    assert_eq!(ticket.act(Hold, Some(1), NOW).unwrap(), Change::Nothing);
    let refused = ticket.act(Start, Some(1), NOW).unwrap_err();
    assert!(refused.message().contains("fire it first"), "{refused}");
    assert_eq!(ticket.act(Start, None, NOW).unwrap(), Change::Started);
    assert_eq!((ticket.items[0].state, ticket.items[1].held), (ItemState::InPreparation, true));
    let refused = ticket.act(Start, None, NOW).unwrap_err();
    assert!(refused.message().contains("fire it first"), "{refused}");
    assert_eq!(ticket.act(Hold, Some(0), NOW).unwrap_err().code(), ErrorCode::WrongState);
    assert_eq!(ticket.act(Fire, None, NOW).unwrap(), Change::Items);
    assert_eq!(ticket.act(Fire, None, NOW).unwrap(), Change::Nothing);
    assert_eq!(ticket.act(Start, None, NOW).unwrap(), Change::Items);
}

#[test]
fn a_scheduled_ticket_waits_for_its_moment() {
    let mut scheduled = ticket(2);
    scheduled.schedule(at(1000), 300, NOW);
    assert_eq!(scheduled.fire_at, Some(at(700)));
    assert!(!scheduled.fire_when_due(at(699)) && scheduled.items[0].held);
    let mut fired = scheduled.clone();
    assert!(fired.fire_when_due(at(700)) && !fired.items.iter().any(|item| item.held));
    assert!(!fired.fire_when_due(at(701)), "once");
    // A cook may be quicker, with all of it or with a part.
    scheduled.act(Fire, Some(0), NOW).unwrap();
    assert_eq!(scheduled.fire_at, Some(at(700)));
    scheduled.act(Fire, Some(1), NOW).unwrap();
    assert_eq!(scheduled.fire_at, None);

    let mut late = ticket(1);
    late.schedule(at(1000), 300, at(700));
    assert_eq!((late.fire_at, late.items[0].held), (None, false));
}

#[test]
fn a_delay_moves_the_promise_and_what_waits_for_it_and_never_back() {
    let mut ticket = ticket(1);
    ticket.ready_at = Some(at(1000));
    ticket.schedule(at(1000), 300, NOW);
    assert!(ticket.delay(at(1500), NOW));
    assert_eq!((ticket.ready_at, ticket.fire_at), (Some(at(1500)), Some(at(1200))));
    assert!(!ticket.delay(at(1400), NOW) && !ticket.delay(at(1500), NOW));
    ticket.act(Fire, None, NOW).unwrap();
    assert!(ticket.delay(at(1600), NOW));
    assert_eq!((ticket.ready_at, ticket.fire_at), (Some(at(1600)), None));
}

#[test]
fn a_cancelled_ticket_stays_on_the_screen_until_somebody_has_seen_it() {
    let mut cancelled = ticket(1);
    assert!(cancelled.acknowledge(NOW).is_err());
    assert!(cancelled.end(TicketState::Cancelled, NOW));
    assert!(!cancelled.end(TicketState::HandedOver, NOW));
    let refused = cancelled.act(Bump, None, NOW).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongState);
    assert!(is_in(&cancelled, OPEN_BY_RESTAURANT) && !is_in(&cancelled, READY));
    assert!(is_in(&cancelled, UNSEEN));
    // Whatever was ordered later is listed before it.
    let later = Ticket { created_at: at(9_000_000), ..ticket(2) };
    assert!(later.place_in_list().as_str() < cancelled.place_in_list().as_str());
    assert!(cancelled.acknowledge(NOW).unwrap() && !is_in(&cancelled, UNSEEN));
    assert!(!cancelled.acknowledge(NOW).unwrap());
    assert!(!is_in(&cancelled, OPEN_BY_RESTAURANT) && is_in(&cancelled, BY_CHANGE));

    let mut done = ticket(1);
    assert!(done.end(TicketState::HandedOver, NOW) && !is_in(&done, OPEN_BY_RESTAURANT));
    assert!(done.acknowledge(NOW).is_err());
}

#[test]
fn nobody_sees_a_tombstone_or_what_is_awaited() {
    let (id, restaurant) = (Id::from_bits(1), Id::from_bits(2));
    assert!(Ticket::tombstone(id, restaurant, NOW).keys().is_empty());
    let mut awaited = Ticket::awaited(id, restaurant, at(9), NOW);
    assert!(awaited.keys().is_empty());
    assert!(awaited.delay(at(12), NOW) && awaited.ready_at == Some(at(12)));
    assert!(awaited.end(TicketState::Cancelled, NOW));
    assert!(awaited.keys().is_empty() && !awaited.unseen && !awaited.awaited);
}

#[test]
fn a_ticket_that_an_older_program_stored_can_be_read() {
    let id = |prefix: &str| format!("{prefix}_00000000000000000000000001");
    let json = serde_json::json!({
        "id": id("tkt"), "restaurant": id("rst"),
        "items": [{ "item": id("itm"), "name": "Naan", "quantity": 2, "state": "ready" }],
        "created_at": 1, "changed_at": 2, "ready_at": null, "ended": null,
    });
    let ticket: Ticket = serde_json::from_value(json).unwrap();
    assert_eq!(ticket.state(), TicketState::Ready);
    assert!(is_in(&ticket, READY) && !ticket.items[0].held && ticket.done_at().is_none());
    let json = serde_json::to_value(&ticket).unwrap();
    assert_eq!(serde_json::from_value::<Ticket>(json).unwrap(), ticket);
}

/// Whatever may happen to a ticket.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Act(Action, Option<u32>),
    Delay(i64),
    Fire(i64),
    Cancel,
    HandOver,
    Acknowledge,
    Reroute(u128, u128),
}

fn happening() -> impl Strategy<Value = Happening> {
    let action = prop::sample::select(vec![Start, Bump, Recall, Hold, Fire]);
    prop_oneof![
        20 => (action, prop::option::of(0..4_u32)).prop_map(|(act, line)| Happening::Act(act, line)),
        3 => (0..2000_i64).prop_map(Happening::Delay),
        3 => (0..2000_i64).prop_map(Happening::Fire),
        1 => Just(Happening::Cancel),
        1 => Just(Happening::HandOver),
        1 => Just(Happening::Acknowledge),
        2 => (0..3_u128, 0..3_u128).prop_map(|(from, to)| Happening::Reroute(from, to)),
    ]
}

fn scheduled(due: Option<i64>) -> Ticket {
    let mut ticket = ticket(3);
    for (item, station) in ticket.items.iter_mut().zip(0..) {
        item.station = Some(Id::from_bits(station));
    }
    if let Some(due) = due {
        ticket.schedule(at(due), 300, at(0));
    }
    ticket
}

proptest! {
    #[test]
    fn a_ticket_keeps_its_rules_whatever_happens_to_it(
        due in prop::option::of(0..2000_i64),
        happenings in prop::collection::vec((happening(), 1..3_usize), 0..60),
    ) {
        let mut ticket = scheduled(due);
        let mut told_ready = false;
        for (clock, (happening, times)) in (0..).zip(happenings) {
            // Time as each of two processes has it, one a little behind.
            let now = at(1000 + clock * 10 - (clock % 2) * 50);
            for time in 0..times {
                let before = ticket.clone();
                let changed = match happening {
                    Happening::Act(action, line) => match ticket.act(action, line, now) {
                        Ok(Change::Ready) => { prop_assert!(!told_ready); told_ready = true; true }
                        Ok(Change::Recalled) => { prop_assert!(told_ready); told_ready = false; true }
                        Ok(Change::Started | Change::Items) => true,
                        Ok(Change::Nothing) | Err(_) => false,
                    },
                    Happening::Delay(to) => ticket.delay(at(to), now),
                    Happening::Fire(at_ms) => ticket.fire_when_due(at(at_ms)),
                    Happening::Cancel => ticket.end(TicketState::Cancelled, now),
                    Happening::HandOver => ticket.end(TicketState::HandedOver, now),
                    Happening::Acknowledge => ticket.acknowledge(now).unwrap_or(false),
                    Happening::Reroute(from, to) => {
                        ticket.reroute(Id::from_bits(from), Some(Id::from_bits(to)), now)
                    }
                };
                if !changed {
                    prop_assert_eq!(&ticket, &before, "{:?} said that it changed nothing", happening);
                }
                // What comes twice has one effect; a reroute to itself is the same again.
                let repeats = matches!(happening, Happening::Reroute(from, to) if from == to);
                prop_assert!(time == 0 || !changed || repeats, "{:?} twice", happening);

                prop_assert!(ticket.changed_at >= before.changed_at);
                if before.ended.is_none() && ticket.ended.is_none() {
                    prop_assert_eq!(told_ready, ticket.state() == TicketState::Ready);
                    prop_assert!(ticket.ready_at >= before.ready_at);
                }
                prop_assert!(before.ended.is_none() || ticket.ended == before.ended);
                for item in &ticket.items {
                    prop_assert!(!item.held || item.state == ItemState::Queued);
                    prop_assert_eq!(item.started_at.is_some(), item.state != ItemState::Queued);
                    prop_assert_eq!(item.done_at.is_some(), item.state == ItemState::Ready);
                }
                if ticket.fire_at.is_some() {
                    prop_assert!(ticket.items.iter().any(|item| item.held));
                }
                let open = ticket.ended.is_none() || ticket.unseen;
                prop_assert_eq!(is_in(&ticket, OPEN_BY_RESTAURANT), open);
                prop_assert!(!ticket.unseen || ticket.ended == Some(TicketState::Cancelled));
                let both = ticket.left.iter().any(|station| ticket.is_for(*station));
                prop_assert!(!both, "what it has left, it is not for");
                prop_assert!(is_in(&ticket, BY_CHANGE));
            }
        }
    }

    #[test]
    fn delays_and_the_ticket_itself_come_to_the_same_in_any_order(
        due in 500..2000_i64, delays in prop::collection::vec(0..3000_i64, 1..5), order: u64,
    ) {
        let outcome = |delays: &[i64], first: usize| {
            // The first of them overtake what makes the ticket.
            let mut awaited: Option<Ticket> = None;
            for delay in &delays[..first] {
                match &mut awaited {
                    Some(ticket) => { ticket.delay(at(*delay), NOW); }
                    None => {
                        let (id, restaurant) = (Id::from_bits(1), Id::from_bits(2));
                        awaited = Some(Ticket::awaited(id, restaurant, at(*delay), NOW));
                    }
                }
            }
            let mut ticket = ticket(1);
            ticket.ready_at = awaited.and_then(|awaited| awaited.ready_at);
            let due = ticket.ready_at.map_or(at(due), |delayed| delayed.max(at(due)));
            ticket.schedule(due, 300, at(0));
            for delay in &delays[first..] {
                ticket.delay(at(*delay), NOW);
            }
            (ticket.ready_at, ticket.fire_at)
        };
        let mut shuffled = delays.clone();
        shuffled.rotate_left(usize::try_from(order % 5).unwrap() % delays.len());
        let all: BTreeSet<_> = (0..=delays.len())
            .flat_map(|first| [outcome(&delays, first), outcome(&shuffled, first)])
            .collect();
        prop_assert_eq!(all.len(), 1, "{:?}", all);
    }
}
