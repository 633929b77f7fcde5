//! One thing after another: what the walks may meet, said in so many words.

use bistro_store::Document as _;

use super::*;

#[test]
fn what_is_sold_out_at_once_asks_nothing_of_payments() {
    for cancelled in [false, true] {
        let mut world = World::new();
        if cancelled {
            world.happen(&Happening::Cancel).unwrap();
        }
        assert!(world.happen(&Happening::Outcome(Came::SoldOut)).unwrap());
        assert_eq!((world.asked("Void"), world.asked("Release")), (0, 0));
        assert!(!world.happen(&Happening::Retried).unwrap(), "it is left alone");
    }
}

#[test]
fn stock_and_money_do_not_wait_for_each_other() {
    let mut world = World::new();
    world.happen(&Happening::Outcome(Came::Authorized { held: true })).unwrap();
    let (mut work, before) = (world.work(), world.order.clone());
    end_early(&mut work, &before, Step::Reject, By::role("usr_bob")).unwrap();
    let steps: Vec<_> = work.calls.iter().map(|call| call.steps.len()).collect();
    assert_eq!(steps, [1, 1]);
    world.commit(work);
    assert_eq!((world.asked("Void"), world.asked("Release")), (1, 1));
}

#[test]
fn what_was_not_accepted_in_time_is_not_accepted_late() {
    let mut world = World::new();
    world.happen(&Happening::Outcome(Came::Authorized { held: true })).unwrap();
    let accepted = |now: Timestamp| {
        let cause = Cause::request("usr_bob", "orders.accept", "late", b"");
        let mut work = Work::new("orders", cause, now, None);
        accept(&mut work, &world.order, By::role("usr_bob"), None).map(|order| order.state)
    };
    assert_eq!(accepted(ACCEPT_BY - Duration::from_millis(1)).unwrap(), State::Accepted);
    for late in [ACCEPT_BY, ACCEPT_BY + Duration::from_secs(1)] {
        assert_eq!(accepted(late).unwrap_err().code(), ErrorCode::WrongState);
    }
}

#[test]
fn an_authorization_of_an_earlier_attempt_is_voided() {
    // The first attempt authorized and died; by the second the item is sold out.
    let mut world = World::new();
    assert!(world.happen(&Happening::Retried).unwrap());
    world.happen(&Happening::Outcome(Came::SoldOut)).unwrap();
    assert_eq!((world.order.state, world.order.reason()), (State::Rejected, "sold_out"));
    assert_eq!(world.asked("Void"), 1);
}

#[test]
fn a_recall_that_overtakes_ready_is_not_lost() {
    let mut world = World::new();
    let came = Happening::Outcome(Came::Authorized { held: false });
    let ticket = |told, sequence| Happening::Ticket(told, sequence);
    for happening in [came, Happening::Accept, ticket(Kitchen::Cooking, 2)] {
        assert!(world.happen(&happening).unwrap());
    }
    assert!(world.happen(&ticket(Kitchen::Cooking, 4)).unwrap(), "it is remembered");
    assert!(!world.happen(&ticket(Kitchen::Ready, 3)).unwrap(), "it is stale");
    assert_eq!((world.order.state, world.told("OrderReady")), (State::Preparing, 0));
    assert!(world.happen(&ticket(Kitchen::Ready, 5)).unwrap());
    assert_eq!((world.order.state, world.told("OrderReady")), (State::Ready, 1));
}

#[test]
fn what_payments_tells_while_placing_comes_again() {
    for told in [Happening::Authorized, Happening::Declined] {
        let mut world = World::new();
        let error = world.happen(&told).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable);
        world.happen(&Happening::Outcome(Came::Pending { held: true })).unwrap();
        assert!(world.happen(&told).unwrap());
        assert_ne!(world.order.state, State::Placed);
    }
}

#[test]
fn a_problem_is_listed_also_when_the_order_has_ended() {
    let mut world = World::new();
    world.happen(&Happening::Cancel).unwrap();
    let listed = |order: &Order| {
        order.keys().iter().any(|(index, _)| *index == crate::documents::WITH_PROBLEM)
    };
    assert!(!listed(&world.order));
    let mut work = world.work();
    note_problem(&mut work, &world.order, "compensate: wrong_state".to_owned()).unwrap();
    world.commit(work);
    assert!(listed(&world.order));
    // Who has seen to another problem has not seen to this one.
    for (problem, code) in [("capture: x", ErrorCode::Conflict), ("", ErrorCode::Conflict)] {
        let refused = resolve_problem(&mut world.work(), &world.order, problem).unwrap_err();
        assert_eq!(refused.code(), code);
    }
    let mut work = world.work();
    resolve_problem(&mut work, &world.order, "compensate: wrong_state").unwrap();
    world.commit(work);
    assert!(!listed(&world.order));
    let again = resolve_problem(&mut world.work(), &world.order, "compensate: wrong_state");
    assert_eq!(again.unwrap_err().code(), ErrorCode::WrongState);
}

#[test]
fn a_capture_that_is_given_up_is_a_problem_of_an_order_that_stays_as_it_is() {
    let mut world = World::new();
    let state = world.order.state;
    for changes in [true, false] {
        let mut work = world.work();
        let changed = capture_given_up(&mut work, &world.order, "authorization_voided").unwrap();
        assert_eq!((changed, work.events.len(), work.calls.len()), (changes, 0, 0));
        if changed {
            world.commit(work);
        }
    }
    assert_eq!(world.order.problem, "capture: authorization_voided");
    assert_eq!(world.order.state, state);
}

#[test]
fn a_refund_that_came_back_is_a_problem_of_an_order_that_stays_as_it_is() {
    let mut world = World::new();
    world.happen(&Happening::Cancel).unwrap();
    let state = world.order.state;
    // Payments tells of each tender.
    for changes in [true, false] {
        let mut work = world.work();
        let changed = refund_returned(&mut work, &world.order, "lost_or_stolen_card").unwrap();
        assert_eq!((changed, work.events.len(), work.calls.len()), (changes, 0, 0));
        if changed {
            world.commit(work);
        }
    }
    assert_eq!(world.order.problem, "refund: lost_or_stolen_card");
    assert_eq!(world.order.state, state);
}

#[test]
fn a_delay_moves_when_it_is_ready_and_tells_no_words() {
    let mut world = World::new();
    let refused = world.happen(&Happening::Delay).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongState);
    world.happen(&Happening::Outcome(Came::Authorized { held: true })).unwrap();
    world.happen(&Happening::Accept).unwrap();
    for (tens, told) in [(1, 1), (2, 2)] {
        world.happen(&Happening::Delay).unwrap();
        let said = NOW + std::time::Duration::from_mins(10 * tens);
        assert_eq!(world.order.ready_at, Some(said));
        assert_eq!(world.told("OrderDelayed"), told);
    }
    assert_eq!((world.order.state, world.order.delayed_because.as_str()), (State::Accepted, WORDS));
}
