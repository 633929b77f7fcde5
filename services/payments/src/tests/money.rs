//! Money is conserved: whatever is asked and answered, in whatever order.

use std::iter::repeat;

use bistro_core::{Currency, Error};
use proptest::prelude::*;

use super::{NOW, order, wanted};
use crate::{
    changes,
    documents::{Entry, Part, Payment, ProviderName, Purpose, Wish},
    errands::{Errand, answered, errands},
    ledger::{self, Account, Balances, Day, imbalance},
    provider::Answer,
    returns::returned,
    states::{State, TABLE},
};

/// What may happen to a payment.
#[derive(Clone, Debug)]
enum Happening {
    /// The provider answers the errand at this place.
    Answer(usize, Answer),
    Revise(Vec<i64>),
    /// A revision, and the highest that was proposed.
    Keep(u32, u32),
    Capture,
    Void,
    Refund(i64, Option<u32>),
    /// Of the parts of refunds that were given back, the one at this place comes back.
    Return(usize),
    Tip(i64),
    /// Tips that are not answered have waited for long enough.
    GiveUp,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        8 => Just(Answer::Approved("a".to_owned())),
        1 => Just(Answer::Declined("no".to_owned())),
        1 => Just(Answer::Voided),
        1 => Just(Answer::Pending(None)),
        1 => Just(Answer::Unknown("lost".to_owned())),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => (0_usize..6, answer()).prop_map(|(place, answer)| Happening::Answer(place, answer)),
        1 => prop::collection::vec(1_i64..500, 1..3).prop_map(Happening::Revise),
        1 => (0_u32..3, 0_u32..3).prop_map(|(kept, proposed)| Happening::Keep(kept, proposed)),
        4 => Just(Happening::Capture),
        1 => Just(Happening::Void),
        3 => (-5_i64..600, prop::option::of(0_u32..5)).prop_map(|(m, t)| Happening::Refund(m, t)),
        2 => (0_usize..4).prop_map(Happening::Return),
        2 => (-5_i64..600).prop_map(Happening::Tip),
        1 => Just(Happening::GiveUp),
    ]
}

/// The payment after what happens, and the entry of the money that moved.
fn happen(payment: &Payment, what: &Happening) -> Result<(Payment, Option<Entry>), Error> {
    let same = || payment.clone();
    Ok(match what {
        Happening::Answer(place, answer) => match errands(payment).get(*place) {
            Some(errand) => answered(payment, *errand, answer.clone(), NOW)?,
            None => (same(), None),
        },
        Happening::Revise(cards) => {
            let asked_for = payment.revisions.iter().map(|one| one.number);
            let number = asked_for.chain(payment.settled).max().unwrap_or(0) + 1;
            (changes::revised(payment, &wanted(number, 0, cards), NOW)?, None)
        }
        Happening::Keep(revision, proposed) => {
            (changes::kept(payment, (*revision, *proposed), NOW)?.unwrap_or_else(same), None)
        }
        Happening::Capture => (changes::capturing(payment, NOW)?, None),
        Happening::Void => (changes::voided(payment, "no", NOW)?, None),
        Happening::Refund(minor, tender) => {
            (changes::refunding(payment, *minor, *tender, "cold".to_owned(), NOW)?, None)
        }
        Happening::Return(place) => match given(payment).get(*place) {
            Some(which) => {
                let (after, entry) = returned(payment, *which, "lost_card", NOW)?;
                (after, Some(entry))
            }
            None => (same(), None),
        },
        Happening::GiveUp => {
            (changes::without_silent_tips(same(), NOW + changes::TIP_PATIENCE), None)
        }
        Happening::Tip(minor) => {
            (changes::tipping(payment, *minor, None, ProviderName::Sandbox, NOW)?.0, None)
        }
    })
}

/// The parts of refunds that were given back: the refund's number, and the tender's.
fn given(payment: &Payment) -> Vec<(u32, u32)> {
    let parts = payment.every_refund().flat_map(|one| one.parts.iter().zip(repeat(one.number)));
    let given = parts.filter(|(part, _)| part.is_given());
    given.map(|(part, refund)| (refund, part.tender)).collect()
}

/// What holds of every payment.
fn sound(before: &Payment, payment: &Payment) -> Result<(), TestCaseError> {
    for (old, tender) in before.tenders.iter().zip(&payment.tenders) {
        let follows = TABLE.iter().any(|(from, _, to)| (*from, *to) == (old.state, tender.state));
        prop_assert!(follows || old.state == tender.state, "{:?} {:?}", old.state, tender.state);
    }
    for (tender, number) in payment.tenders.iter().zip(1..) {
        prop_assert_eq!(tender.number, number);
        prop_assert!((0..=tender.captured_minor).contains(&tender.refunded_minor));
        prop_assert!(tender.captured_minor == 0 || tender.captured_minor == tender.minor);
        prop_assert!(tender.captures <= 1 && tender.authorizations <= 1);
        prop_assert_eq!(tender.captures == 1, tender.state.is_taken());
        prop_assert_eq!(tender.captured_at.is_some(), tender.state.is_taken());
        prop_assert_eq!(tender.authorized_at.is_some(), tender.authorizations == 1);
        if tender.wish == Wish::Nothing {
            // It failed for good, or was given up as a whole afterwards.
            prop_assert!(matches!(tender.state, State::CaptureFailed | State::Voided));
            prop_assert_eq!(tender.captured_minor, 0);
        }
        let about_it = |errand: &Errand| errand.tender() == number;
        prop_assert!(!tender.is_lost() || !errands(payment).iter().any(about_it));
    }
    for (old, tender) in
        before.tenders.iter().zip(&payment.tenders).filter(|(old, _)| old.is_lost())
    {
        prop_assert!(
            tender == old || tender.state == State::Voided || tender.wish == Wish::Release
        );
    }
    // Only one total is ever taken.
    let taken = payment.tenders.iter().filter(|tender| tender.state.is_taken());
    let mut totals: Vec<_> = taken
        .filter_map(|tender| match tender.purpose {
            Purpose::Order(revision) => Some(revision),
            Purpose::Tip => None,
        })
        .collect();
    totals.dedup();
    prop_assert!(totals.is_empty() || totals == [payment.kept], "{totals:?} of {}", payment.kept);
    if payment.state() == State::Refunded {
        prop_assert_eq!(payment.refundable(), 0);
    }
    let given = payment.every_refund().flat_map(|intent| &intent.parts);
    let given: i64 = given.filter(|part| part.is_given()).map(|part| part.minor).sum();
    prop_assert_eq!(given, payment.refunded_minor());
    for refund in &payment.answered {
        let told: i64 = refund.intent.told().map(|part| part.minor).sum();
        prop_assert_eq!(refund.intent.minor, told);
        let all_given = refund.intent.parts.iter().all(Part::is_given);
        prop_assert!(all_given || refund.refused.is_some(), "{:?}", refund);
    }
    let waits = payment.refund.iter().count();
    prop_assert_eq!(payment.answered.len() + waits, payment.refunds as usize);
    prop_assert_eq!(payment.waits_for().is_some(), !errands(payment).is_empty());
    Ok(())
}

proptest! {
    /// Every change follows the table, money is neither made nor lost, one total is taken at most,
    /// the ledger sums to 0 and says what the payment says.
    #[test]
    fn money_is_conserved(
        cards in prop::collection::vec(1_i64..500, 1..4),
        tip in 0_i64..300,
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let tip = tip.min(cards.iter().sum());
        let mut payment = changes::pending(order(), &wanted(0, tip, &cards), NOW);
        let mut entries: Vec<Entry> = Vec::new();
        for what in happenings {
            let Ok((after, entry)) = happen(&payment, &what) else { continue };
            entries.extend(entry);
            sound(&payment, &after)?;
            payment = after;
        }
        let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), entries.len());
        // The payment names all of them.
        let mut named = ledger::ids(&payment);
        named.sort();
        prop_assert_eq!(named, ids);
        let (mut balances, mut day) = (Balances::default(), Day::default());
        for entry in &entries {
            prop_assert_eq!(imbalance(entry), 0);
            balances.add(entry);
            day.add(entry);
        }
        let of = |account| balances.0.get(&(Currency::GBP, account)).map_or(0, |sum| sum.minor);
        prop_assert_eq!(of(Account::CardsReceivable), payment.refundable());
        let payable = of(Account::RestaurantPayable) + of(Account::TipsPayable);
        let tips_back = day.refunded_tips_minor;
        prop_assert_eq!(payable, tips_back - payment.captured_minor());
        prop_assert_eq!(of(Account::Refunds) + tips_back, payment.refunded_minor());
        prop_assert!((0..=day.tips_minor).contains(&tips_back));
        prop_assert!(balances.imbalance().values().all(|sum| *sum == 0));
        prop_assert_eq!(day.captured_minor, payment.captured_minor());
        prop_assert_eq!(day.refunded_minor, payment.refunded_minor());
        prop_assert_eq!(day.tips_minor - tips_back, -of(Account::TipsPayable));
        if payment.state().is_taken() && payment.voided.is_none() {
            prop_assert_eq!(day.tips_minor, payment.tip_of(payment.kept));
            prop_assert_eq!(payment.captured_minor(), payment.amount_minor());
        }
    }

    /// What is stored reads back.
    #[test]
    fn a_payment_reads_back(happenings in prop::collection::vec(happening(), 0..20)) {
        let mut payment = changes::pending(order(), &wanted(0, 1, &[300, 200]), NOW);
        for what in happenings {
            if let Ok((after, _)) = happen(&payment, &what) { payment = after; }
        }
        let json = serde_json::to_string(&payment).unwrap();
        prop_assert_eq!(serde_json::from_str::<Payment>(&json).unwrap(), payment);
    }
}

fn approve(payment: &Payment, errand: Errand) -> Payment {
    answered(payment, errand, Answer::Approved("a".to_owned()), NOW).unwrap().0
}

fn decline(payment: &Payment, errand: Errand) -> Payment {
    answered(payment, errand, Answer::Declined("no".to_owned()), NOW).unwrap().0
}

/// A payment whose tenders are all captured.
fn captured(cards: &[i64]) -> Payment {
    let mut payment = changes::pending(order(), &wanted(0, 0, cards), NOW);
    for number in 1..=cards.len() {
        payment = approve(&payment, Errand::Authorize(u32::try_from(number).unwrap()));
    }
    payment = changes::capturing(&payment, NOW).unwrap();
    while let Some(errand) = errands(&payment).first() {
        payment = approve(&payment, *errand);
    }
    payment
}

fn states(payment: &Payment) -> Vec<&'static str> {
    payment.tenders.iter().map(|tender| tender.state.as_str()).collect()
}

#[test]
fn tenders_are_authorized_one_after_the_other() {
    let payment = changes::pending(order(), &wanted(0, 0, &[1, 2, 3]), NOW);
    assert_eq!(errands(&payment), [Errand::Authorize(1)]);
    let payment = approve(&payment, Errand::Authorize(1));
    assert_eq!(errands(&payment), [Errand::Authorize(2)]);
    assert_eq!(payment.state(), State::Pending);
}

#[test]
fn one_refused_tender_gives_the_others_back() {
    let payment = changes::pending(order(), &wanted(0, 0, &[1, 2, 3]), NOW);
    let payment = decline(&approve(&payment, Errand::Authorize(1)), Errand::Authorize(2));
    assert_eq!((payment.state(), payment.reason()), (State::Failed, "no"));
    assert_eq!(errands(&payment), [Errand::Void(1)]);
    assert_eq!(states(&approve(&payment, Errand::Void(1))), ["voided", "failed", "voided"]);
}

#[test]
fn a_tender_that_is_not_taken_keeps_the_payment_from_being_captured() {
    let mut payment = changes::pending(order(), &wanted(0, 0, &[1, 2]), NOW);
    payment = approve(&approve(&payment, Errand::Authorize(1)), Errand::Authorize(2));
    payment = changes::capturing(&payment, NOW).unwrap();
    payment = decline(&approve(&payment, Errand::Capture(1)), Errand::Capture(2));
    assert_eq!((payment.state(), payment.reason()), (State::CaptureFailed, "no"));
    assert_eq!(errands(&payment), [Errand::Capture(2)]);
    assert_eq!(approve(&payment, Errand::Capture(2)).state(), State::Captured);
    // Voided instead, what was taken is to be refunded.
    let voided = changes::voided(&payment, "late", NOW).unwrap();
    assert_eq!((states(&voided), voided.refundable()), (vec!["captured", "voided"], 1));
}

#[test]
fn a_refund_takes_the_last_tender_first_or_the_named_one() {
    let payment = captured(&[500, 300]);
    let parts = |payment: &Payment| {
        let intent = payment.refund.as_ref().unwrap();
        intent.parts.iter().map(|part| (part.tender, part.minor)).collect::<Vec<_>>()
    };
    let refund = |minor, of| changes::refunding(&payment, minor, of, String::new(), NOW);
    assert_eq!(parts(&refund(400, None).unwrap()), [(2, 300), (1, 100)]);
    assert_eq!(parts(&refund(0, None).unwrap()), [(2, 300), (1, 500)]);
    assert_eq!(parts(&refund(400, Some(1)).unwrap()), [(1, 400)]);
    assert_eq!(refund(301, Some(2)).unwrap_err().field_errors()[0].path, "amount_minor");
    assert_eq!(refund(1, Some(3)).unwrap_err().field_errors()[0].path, "tender");
    for wrong in [801, -1, i64::MIN, i64::MAX] {
        assert_eq!(refund(wrong, None).unwrap_err().field_errors()[0].path, "amount_minor");
    }
}

#[test]
fn a_refund_takes_what_paid_the_meal_before_any_tip() {
    // 150 of the second card's 300 are a tip, and 200 were given afterwards.
    let mut payment = changes::pending(order(), &wanted(0, 150, &[500, 300]), NOW);
    payment = approve(&approve(&payment, Errand::Authorize(1)), Errand::Authorize(2));
    payment = changes::capturing(&payment, NOW).unwrap();
    payment = approve(&approve(&payment, Errand::Capture(1)), Errand::Capture(2));
    payment = changes::tipping(&payment, 200, None, ProviderName::Sandbox, NOW).unwrap().0;
    payment = approve(&approve(&payment, Errand::Authorize(3)), Errand::Capture(3));
    let refunding = |minor| changes::refunding(&payment, minor, None, String::new(), NOW).unwrap();
    let parts = |payment: &Payment| {
        let intent = payment.refund.as_ref().unwrap();
        intent.parts.iter().map(|part| (part.tender, part.minor)).collect::<Vec<_>>()
    };
    assert_eq!(parts(&refunding(600)), [(2, 150), (1, 450)]);
    assert_eq!(parts(&refunding(700)), [(2, 150), (1, 500), (3, 50)]);
    assert_eq!(parts(&refunding(0)), [(2, 300), (1, 500), (3, 200)]);
    // The ledger says of what it was.
    let mut payment = refunding(0);
    let mut lines = Vec::new();
    while let Some(errand) = errands(&payment).first() {
        let approved = Answer::Approved("re_1".to_owned());
        let (after, entry) = answered(&payment, *errand, approved, NOW).unwrap();
        lines.extend(entry.unwrap().lines.iter().map(|line| (line.account, line.minor)));
        payment = after;
    }
    let (refunds, tips, cards) = (Account::Refunds, Account::TipsPayable, Account::CardsReceivable);
    let expected = [
        (refunds, 150),
        (tips, 150),
        (cards, -300),
        (refunds, 500),
        (cards, -500),
        (tips, 200),
        (cards, -200),
    ];
    assert_eq!((lines.as_slice(), payment.state()), (&expected[..], State::Refunded));
}

proptest! {
    /// Refunds come to what is asked, of no tender more than it has, and of no tip before all
    /// that paid the meal is given back.
    #[test]
    fn a_refund_is_parted_exactly(
        cards in prop::collection::vec(1_i64..500, 1..4),
        tip in 0_i64..600, later in 0_i64..300, refunds in prop::collection::vec(1_i64..900, 1..5),
    ) {
        let tip = tip.min(cards.iter().sum());
        let total: i64 = cards.iter().sum();
        let mut payment = changes::pending(order(), &wanted(0, tip, &cards), NOW);
        let approve_all = |mut payment: Payment| {
            while let Some(errand) = errands(&payment).first() {
                payment = approve(&payment, *errand);
            }
            payment
        };
        payment = approve_all(payment);
        payment = approve_all(changes::capturing(&payment, NOW).unwrap());
        let sandbox = ProviderName::Sandbox;
        if let Ok((tipped, _)) = changes::tipping(&payment, later, None, sandbox, NOW) {
            payment = approve_all(tipped);
        }
        let mut given_back = 0;
        for minor in refunds {
            let asked = changes::refunding(&payment, minor, None, String::new(), NOW);
            let Ok(asked) = asked else { continue };
            let parts = &asked.refund.as_ref().unwrap().parts;
            prop_assert_eq!(parts.iter().map(|part| part.minor).sum::<i64>(), minor);
            for part in parts {
                let left = payment.tender(part.tender).unwrap().refundable();
                prop_assert!((1..=left).contains(&part.minor));
            }
            let (mut tips, mut after) = (0, asked.clone());
            while let Some(errand) = errands(&after).first() {
                let approved = Answer::Approved("re".to_owned());
                let (next, entry) = answered(&after, *errand, approved, NOW).unwrap();
                let lines = entry.into_iter().flat_map(|entry| entry.lines);
                let of_tips = lines.filter(|line| line.account == Account::TipsPayable);
                tips += of_tips.map(|line| line.minor).sum::<i64>();
                after = next;
            }
            given_back += minor;
            prop_assert!(tips == 0 || given_back >= total - tip, "{given_back} of {total}");
            payment = after;
        }
    }
}

#[test]
fn a_refund_that_is_refused_half_way_says_what_was_given_back() {
    let payment = captured(&[500, 300]);
    let payment = changes::refunding(&payment, 400, None, "cold".to_owned(), NOW).unwrap();
    assert_eq!(errands(&payment), [Errand::Refund(2)]);
    let payment = decline(&approve(&payment, Errand::Refund(2)), Errand::Refund(1));
    assert_eq!(states(&payment), ["captured", "refunded"]);
    let refund = &payment.answered[0];
    assert_eq!((refund.intent.minor, refund.refused.as_deref()), (300, Some("no")));
    assert_eq!((payment.refunded_minor(), payment.state()), (300, State::PartiallyRefunded));
}

#[test]
fn what_comes_back_of_a_refund_can_be_refunded_again() {
    let payment = captured(&[500, 300]);
    let mut payment = changes::refunding(&payment, 400, None, "cold".to_owned(), NOW).unwrap();
    while let Some(errand) = errands(&payment).first() {
        payment = approve(&payment, *errand);
    }
    assert_eq!(states(&payment), ["partially_refunded", "refunded"]);
    let told = |payment: &Payment| {
        let refund = &payment.answered[0];
        let tenders: Vec<_> = refund.intent.told().map(|part| part.tender).collect();
        (refund.intent.minor, tenders, refund.refused.clone())
    };
    assert_eq!(told(&payment), (400, vec![2, 1], None));
    let why = Some("lost_card".to_owned());
    let (payment, entry) = returned(&payment, (1, 2), "lost_card", NOW).unwrap();
    let lines: Vec<_> = entry.lines.iter().map(|line| (line.account, line.minor)).collect();
    assert_eq!(lines, [(Account::Refunds, -300), (Account::CardsReceivable, 300)]);
    assert_eq!(states(&payment), ["partially_refunded", "captured"]);
    assert_eq!(told(&payment), (100, vec![1], why.clone()));
    // It comes back once; and nothing comes back that was not given.
    for which in [(1, 2), (1, 3), (2, 1)] {
        assert!(returned(&payment, which, "lost_card", NOW).is_err(), "{which:?}");
    }
    let (payment, _) = returned(&payment, (1, 1), "other", NOW).unwrap();
    assert_eq!(told(&payment), (400, vec![2, 1], why));
    assert_eq!((payment.state(), payment.refundable()), (State::Captured, 800));
    assert!(
        errands(&payment).is_empty()
            && changes::refunding(&payment, 800, None, String::new(), NOW).is_ok()
    );
    let mut day = Day::default();
    day.add(&entry);
    assert_eq!((day.refunds, day.refunded_minor), (0, -300));
}

#[test]
fn what_comes_back_while_the_rest_is_waited_for_is_not_asked_for_again() {
    let payment = captured(&[500, 300]);
    let payment = changes::refunding(&payment, 400, None, "cold".to_owned(), NOW).unwrap();
    let payment = approve(&payment, Errand::Refund(2));
    let (payment, _) = returned(&payment, (1, 2), "lost_card", NOW).unwrap();
    assert_eq!(errands(&payment), [Errand::Refund(1)]);
    let done = approve(&payment, Errand::Refund(1));
    let refund = &done.answered[0];
    assert_eq!((refund.intent.minor, refund.refused.as_deref()), (100, Some("lost_card")));
    assert_eq!(
        (states(&done), done.refunded_minor()),
        (vec!["partially_refunded", "captured"], 100)
    );
    assert_eq!(ledger::ids(&done).len(), 5);
    let none = decline(&payment, Errand::Refund(1));
    assert_eq!((none.answered[0].intent.minor, none.refunded_minor()), (400, 0));
    assert_eq!(ledger::ids(&none).len(), 4);
}

#[test]
fn of_what_comes_back_tips_are_the_first() {
    // 200 of 700 are a tip.
    let mut payment = changes::pending(order(), &wanted(0, 200, &[700]), NOW);
    payment = changes::capturing(&approve(&payment, Errand::Authorize(1)), NOW).unwrap();
    payment = approve(&payment, Errand::Capture(1));
    for minor in [500, 100] {
        payment = changes::refunding(&payment, minor, None, String::new(), NOW).unwrap();
        payment = approve(&payment, Errand::Refund(1));
    }
    // As if only the second one had ever been given.
    let (after, entry) = returned(&payment, (1, 1), "lost_card", NOW).unwrap();
    let lines: Vec<_> = entry.lines.iter().map(|line| (line.account, line.minor)).collect();
    let (refunds, tips, cards) = (Account::Refunds, Account::TipsPayable, Account::CardsReceivable);
    assert_eq!(lines, [(refunds, -400), (tips, -100), (cards, 500)]);
    assert_eq!(ledger::meal_left(&after, &after.tenders[0]), 400);
}

#[test]
fn tips_come_to_the_total_at_most() {
    let tip = |payment: &Payment, minor| {
        changes::tipping(payment, minor, None, ProviderName::Sandbox, NOW)
    };
    let payment = captured(&[500, 300]);
    for wrong in [0, -1, 801, i64::MAX, i64::MIN] {
        assert_eq!(tip(&payment, wrong).unwrap_err().field_errors()[0].path, "amount_minor");
    }
    let (payment, number) = tip(&payment, 700).unwrap();
    assert_eq!((number, errands(&payment)), (3, vec![Errand::Authorize(3)]));
    assert!(tip(&payment, 101).is_err());
    let declined = decline(&payment, Errand::Authorize(3));
    assert_eq!((declined.state(), declined.amount_minor()), (State::Captured, 800));
    let (declined, _) = tip(&declined, 800).unwrap();
    let given = approve(&approve(&declined, Errand::Authorize(4)), Errand::Capture(4));
    assert_eq!((given.amount_minor(), given.tip_of(0), given.captured_minor()), (1600, 800, 1600));
    let pending = changes::pending(order(), &wanted(0, 0, &[500]), NOW);
    assert!(tip(&pending, 1).is_err());
}

#[test]
fn a_tip_that_is_not_answered_is_given_up() {
    let tip = |payment: &Payment, at| {
        changes::tipping(payment, 800, None, ProviderName::Sandbox, at).map(|(tipped, _)| tipped)
    };
    let payment = tip(&captured(&[500, 300]), NOW).unwrap();
    let late = NOW + changes::TIP_PATIENCE;
    let soon = late - std::time::Duration::from_millis(1);
    assert_eq!(changes::without_silent_tips(payment.clone(), soon), payment);
    assert!(tip(&payment, soon).is_err(), "it counts");
    let given_up = changes::without_silent_tips(payment, late);
    assert_eq!(errands(&given_up), [Errand::Void(3)]);
    assert!(tip(&given_up, late).is_ok(), "it counts no more");
    let voided = approve(&given_up, Errand::Void(3));
    let tender = &voided.tenders[2];
    assert_eq!((tender.state, tender.reason.as_str()), (State::Voided, changes::NOT_ANSWERED));
    assert_eq!((voided.state(), voided.waits_for()), (State::Captured, None));
    assert_eq!(changes::without_silent_tips(voided.clone(), late), voided);
    // Approved in time, it is taken, however long that takes.
    let payment = tip(&captured(&[800]), NOW).unwrap();
    let approved = approve(&payment, Errand::Authorize(2));
    assert_eq!(changes::without_silent_tips(approved.clone(), late), approved);
}

#[test]
fn a_refund_that_waits_keeps_its_name() {
    let payment = captured(&[500]);
    let payment = changes::refunding(&payment, 100, None, String::new(), NOW).unwrap();
    let answer =
        |payment: &Payment, answer| answered(payment, Errand::Refund(1), answer, NOW).unwrap().0;
    let name = |payment: &Payment| payment.refund.as_ref().unwrap().parts[0].name.clone();
    let waits = answer(&payment, Answer::Pending(Some("re_1".to_owned())));
    assert_eq!((name(&payment), name(&waits)), (None, Some("re_1".to_owned())));
    for nothing in [Answer::Pending(None), Answer::Unknown("lost".to_owned())] {
        assert_eq!(answer(&waits, nothing), waits);
    }
}

#[test]
fn keeping_a_total_gives_the_others_back() {
    let payment = changes::pending(order(), &wanted(0, 0, &[500]), NOW);
    let payment = approve(&payment, Errand::Authorize(1));
    let payment = changes::revised(&payment, &wanted(1, 0, &[700]), NOW).unwrap();
    assert_eq!((payment.state(), payment.amount_minor()), (State::Authorized, 500));
    assert_eq!((payment.state_of(1), payment.amount_of(1)), (State::Pending, 700));
    let payment = approve(&payment, Errand::Authorize(2));
    let kept = changes::kept(&payment, (1, 1), NOW).unwrap().unwrap();
    assert_eq!((kept.amount_minor(), errands(&kept)), (700, vec![Errand::Void(1)]));
    assert_eq!(changes::kept(&kept, (0, 0), NOW).unwrap(), None, "it was given up");
    assert!(changes::kept(&kept, (2, 2), NOW).is_err());
    // A capture keeps what counts.
    let captured = changes::capturing(&payment, NOW).unwrap();
    assert_eq!(errands(&captured), [Errand::Capture(1), Errand::Void(2)]);
    assert!(captured.tenders.iter().all(|tender| tender.wish != Wish::Hold));
}
