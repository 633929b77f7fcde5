//! One change at a time: what the walks may meet, said in so many words.

use super::*;
use crate::slots;

fn stage(platform: &Platform) -> Option<Stage> {
    platform.order.change.as_ref().map(|change| change.stage)
}

#[test]
fn a_change_swaps_lines_money_and_slot_at_once() {
    let mut platform = confirmed();
    platform.modify(900, Some(SLOTS[1])).unwrap();
    assert_eq!(platform.order.content.total.amount_minor, 500, "not before it is paid for");
    assert_eq!(platform.slots.values().sum::<i64>(), -2, "it holds both places");
    let refused = platform
        .decide(|work, before| accept(work, before, By::role("bob"), None).map(|_| true))
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert_eq!(platform.modify(200, None).unwrap_err().code(), ErrorCode::Conflict);
    platform.come_to_rest();
    let order = &platform.order;
    assert_eq!((order.content.total.amount_minor, order.revision, order.changes), (900, 1, 1));
    platform.check().unwrap();
}

#[test]
fn another_time_is_accepted_by_another_time() {
    let mut platform = Platform::new(None, true);
    platform.come_to_rest();
    let by = |platform: &Platform| {
        assert_eq!(platform.timers.get(ACCEPT_TIMER).copied(), platform.order.accept_by);
        platform.order.accept_by.unwrap()
    };
    assert_eq!(by(&platform), ACCEPT_BY);
    // For later: until it would have to be begun. And back, to now.
    for (slot, expected) in
        [(Some(SLOTS[1]), SLOTS[1] - ACCEPT_WITHIN), (Some(SLOTS[0]), ACCEPT_BY), (None, ACCEPT_BY)]
    {
        platform.modify(900, slot).unwrap();
        platform.come_to_rest();
        assert_eq!((platform.order.content.scheduled_for, by(&platform)), (slot, expected));
        platform.check().unwrap();
    }
    // Other lines at the same time give nobody more time.
    let mut before = platform.order.clone();
    before.value.accept_by = Some(NOW + Duration::from_millis(1));
    platform.order = before;
    platform.modify(200, None).unwrap();
    platform.come_to_rest();
    assert_eq!(platform.order.accept_by, Some(NOW + Duration::from_millis(1)));
}

#[test]
fn where_it_goes_changes_with_the_rest_or_not_at_all() {
    const THERE: &str = "2 Low Street";
    for (provider, address, refused) in
        [(Provider::Approves, THERE, ""), (Provider::Declines, WORDS, "card_declined")]
    {
        let mut platform = confirmed();
        platform.propose(content(900, Some(SLOTS[0])), Some(THERE.to_owned())).unwrap();
        assert_eq!(platform.order.address, WORDS);
        assert_eq!(platform.order.erased().unwrap().change.unwrap().address, None);
        platform.go_on(0, false, provider);
        platform.go_on(0, false, provider);
        platform.come_to_rest();
        platform.check().unwrap();
        let order = &platform.order;
        assert_eq!((order.address.as_str(), order.change_refused.as_str()), (address, refused));
    }
}

/// Neither knows of the other: one is slow and authorizes, one is told that it is sold out.
#[test]
fn an_authorization_of_a_slow_attempt_is_voided() {
    for slow_first in [true, false] {
        let mut platform = Platform::new(None, false);
        platform.take_up(0, false);
        let refuse = |platform: &mut Platform, place| {
            platform.go_on(place, true, Provider::Approves);
            assert_eq!(platform.order.state, State::Rejected);
        };
        platform.go_on(0, false, Provider::Approves);
        if slow_first {
            platform.go_on(0, false, Provider::Approves);
            assert_eq!(platform.money.held.now.len(), 1);
            refuse(&mut platform, 1);
        } else {
            refuse(&mut platform, 1);
        }
        // The slow one goes on, whatever came of it.
        platform.come_to_rest();
        platform.check().unwrap();
    }
}

/// One attempt at a change is told that it is sold out, and that is settled; the other one goes on
/// only then, when there is stock again: before the next change, or in the midst of it.
#[test]
fn a_slow_attempt_at_a_refused_change_takes_nothing() {
    // Of what is not counted the slow one may have been told before that there is enough.
    for (counted, done) in [(true, 0), (false, 0), (false, 1)] {
        for is_changed_again in [false, true] {
            let mut platform = Platform::new(None, counted);
            platform.come_to_rest();
            platform.modify(900, None).unwrap();
            platform.take_up(0, false);
            for _ in 0..done {
                platform.go_on(0, false, Provider::Approves);
            }
            platform.go_on(1, true, Provider::Approves);
            while platform.calls.len() > 1 {
                platform.go_on(1, false, Provider::Approves);
            }
            assert_eq!((stage(&platform), platform.order.change_refused.is_empty()), (None, false));
            if is_changed_again {
                platform.modify(200, None).unwrap();
            }
            let attempts = platform.calls.len();
            while platform.calls.len() == attempts {
                platform.go_on(0, false, Provider::Approves);
            }
            let (stock, money) = (&platform.stock.now, &platform.money.held.now);
            assert!(!stock.contains_key(&1) && !money.contains_key(&1), "{stock:?} {money:?}");
            platform.come_to_rest();
            platform.check().unwrap();
            assert_eq!(platform.order.revision, if is_changed_again { 2 } else { 0 });
        }
    }
}

#[test]
fn what_is_refused_at_the_first_attempt_leaves_nothing_to_make_good() {
    let mut platform = Platform::new(Some(SLOTS[0]), false);
    platform.go_on(0, true, Provider::Approves);
    assert_eq!((platform.order.state, platform.calls.len()), (State::Rejected, 0));
    platform.check().unwrap();
}

#[test]
fn a_refused_change_leaves_the_order_as_it_was_and_its_number_is_not_used_again() {
    let mut platform = confirmed();
    platform.modify(900, Some(SLOTS[1])).unwrap();
    platform.go_on(0, false, Provider::Approves);
    platform.go_on(0, false, Provider::Declines);
    assert_eq!(stage(&platform), Some(Stage::Settling));
    platform.come_to_rest();
    platform.check().unwrap();
    let order = &platform.order;
    assert_eq!((order.content.total.amount_minor, order.changes), (500, 0));
    assert_eq!(order.change_refused, "card_declined");
    platform.modify(200, Some(SLOTS[0])).unwrap();
    platform.come_to_rest();
    platform.check().unwrap();
    let order = &platform.order;
    assert_eq!((order.revision, order.changes, order.change_refused.as_str()), (2, 1, ""));
}

#[test]
fn what_is_told_of_an_earlier_revision_decides_no_change() {
    let mut platform = confirmed();
    let stale = platform.money.version;
    platform.modify(900, None).unwrap();
    platform.go_on(0, false, Provider::Approves);
    platform.go_on(0, false, Provider::ApprovesLate);
    platform.go_on(0, false, Provider::Approves);
    assert!(matches!(stage(&platform), Some(Stage::Authorizing { .. })));
    platform.events.push_back((true, stale));
    platform.hear();
    assert!(matches!(stage(&platform), Some(Stage::Authorizing { .. })), "it is not about this");
    platform.come_to_rest();
    assert_eq!(platform.order.content.total.amount_minor, 900);
    platform.check().unwrap();
}

#[test]
fn a_change_that_is_not_decided_in_time_is_given_up() {
    let mut platform = confirmed();
    platform.modify(900, Some(SLOTS[1])).unwrap();
    platform.decide(|work, before| timed_out(work, before, CHANGE_TIMER)).unwrap();
    assert_eq!(stage(&platform), Some(Stage::GivenUp));
    platform.timers.remove(CHANGE_TIMER);
    platform.come_to_rest();
    assert_eq!(platform.order.change_refused, "not_confirmed_in_time");
    platform.check().unwrap();
}

#[test]
fn a_full_slot_takes_no_other_order_and_is_left_by_one_that_ends() {
    let mut platform = confirmed();
    let id = Slot::id_of(platform.order.restaurant, SLOTS[1]);
    platform.slots.insert(id.clone(), -CAPACITY);
    let refused = platform.modify(500, Some(SLOTS[1])).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SoldOut);
    platform.slots.insert(id, 0);
    let by = By { who: "usr_ada", reason: WORDS };
    platform
        .decide(|work, before| end_early(work, before, Step::Reject, by).map(|_| true))
        .unwrap();
    platform.come_to_rest();
    platform.check().unwrap();
}

#[test]
fn places_are_given_back_by_number() {
    let mut work = confirmed().work();
    slots::give_back(&mut work, Id::from_bits(2), SLOTS[0]);
    assert_eq!(work.writes.len(), 1);
}
