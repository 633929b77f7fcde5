//! The commands, one by one and under bad luck.

use bistro_core::{Error, ErrorCode, Principal};
use bistro_proto::payments::v1;
use bistro_store::Cause;

use super::{
    NOW,
    bench::{Bank, Bench, asked_by, authorization, customer, manager, set, user},
    one_card, order,
};
use crate::{
    changes::{NOT_ANSWERED, TIP_PATIENCE},
    provider::Answer,
    settling::Run,
    states::State,
};

const ONE: &[(&str, i64)] = &[("card_ok", 1000)];

/// What a process does that asks the provider and dies before it commits.
async fn authorize_and_die(bench: &Bench, bank: &Bank) {
    let payment = one_card(1000);
    let answer =
        bench.payments.charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
    assert!(matches!(answer, Answer::Approved(_)));
    assert_eq!(bank.held(), 1000);
}

/// The same of a void.
async fn void_and_die(bench: &Bench, bank: &Bank) {
    let answer = bench.payments.charges.void_unknown(order().sibling(), NOW).await;
    assert!(matches!(answer, Answer::Approved(_)));
    assert_eq!(bank.held(), 0);
}

fn code(refused: Result<v1::Payment, Error>) -> ErrorCode {
    refused.unwrap_err().code()
}

fn tenders(payment: &v1::Payment) -> Vec<(&str, i64)> {
    payment.tenders.iter().map(|one| (one.state.as_str(), one.amount_minor)).collect()
}

#[tokio::test]
async fn a_void_without_a_payment_voids_what_a_lost_process_authorized() {
    let (bench, bank) = Bench::new();
    authorize_and_die(&bench, &bank).await;
    let voided = bench.void("v").await.unwrap();
    assert_eq!((voided.state.as_str(), voided.reason.as_str()), ("voided", "other"));
    assert_eq!(bank.held(), 0);
}

#[tokio::test]
async fn a_void_leaves_no_tombstone_until_the_provider_has_voided() {
    let (bench, bank) = Bench::new();
    authorize_and_die(&bench, &bank).await;
    set(&bank.is_away, true);
    assert_eq!(code(bench.void("v").await), ErrorCode::Unavailable);
    assert!(bench.stored().await.is_none());
    set(&bank.is_away, false);
    bench.void("v").await.unwrap();
    assert_eq!(bank.held(), 0);
}

#[tokio::test]
async fn a_void_that_was_not_written_down_is_found_by_whoever_asks_first() {
    let (bench, bank) = Bench::new();
    set(&bank.remembers_voids, true);
    set(&bank.is_slow, true);
    assert_eq!(bench.authorize(0, ONE, "a").await.unwrap().state, "pending");
    void_and_die(&bench, &bank).await;
    // The timer that asks what became of the authorization is quicker than the next void.
    assert_eq!(bench.fire().await, ["PaymentFailed"], "whoever waits for the payment is told");
    let found = bench.present().await;
    assert_eq!((found.state.as_str(), found.reason.as_str()), ("voided", "voided"));
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
}

#[tokio::test]
async fn an_authorization_that_finds_itself_voided_is_a_voided_payment() {
    let (bench, bank) = Bench::new();
    set(&bank.remembers_voids, true);
    void_and_die(&bench, &bank).await;
    assert_eq!(code(bench.authorize(0, ONE, "a").await), ErrorCode::WrongState);
    assert_eq!(bench.present().await.state, "voided");
}

#[tokio::test]
async fn an_authorization_that_comes_after_its_void_is_refused_and_voided() {
    let (bench, bank) = Bench::new();
    bench.void("v").await.unwrap();
    // Whoever asks for it now may have had it approved a moment ago.
    authorize_and_die(&bench, &bank).await;
    for _ in 0..2 {
        assert_eq!(code(bench.authorize(0, ONE, "a").await), ErrorCode::WrongState);
        assert_eq!(bank.held(), 0);
    }
    let keys = bank.voided.lock();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn one_card_is_one_work_for_each_step() {
    let (bench, _bank) = Bench::new();
    assert_eq!(bench.authorize(0, ONE, "a").await.unwrap().version, 1);
    let captured = bench.capture("c").await.unwrap();
    assert_eq!((captured.version, captured.state.as_str()), (2, "captured"));
    // Asked again, in whatever way, nothing is written.
    bench.capture("c").await.unwrap();
    bench.capture("c2").await.unwrap();
    assert_eq!(bench.authorize(0, ONE, "a2").await.unwrap().version, 2);
}

#[tokio::test]
async fn a_capture_that_fails_is_told_once_and_tried_until_it_works() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    set(&bank.is_mute, true);
    let failed = bench.capture("c").await.unwrap();
    assert_eq!((failed.state.as_str(), failed.captured_minor), ("capture_failed", 0));
    assert!(bench.fire().await.is_empty());
    set(&bank.is_mute, false);
    assert_eq!(bench.fire().await, ["PaymentCaptured"]);
    assert_eq!((bank.kept(), bank.taken.lock().len()), (1000, 1));
    assert_eq!(bench.present().await.captured_minor, 1000);
}

#[tokio::test]
async fn a_void_after_a_capture_whose_answer_was_lost_refunds() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    set(&bank.is_mute, true);
    assert_eq!(bench.capture("c").await.unwrap().state, "capture_failed");
    assert_eq!(bank.kept(), 1000);
    set(&bank.is_mute, false);
    // Nothing is held, and it is not known yet that the money is taken: whoever voids asks again.
    assert_eq!(code(bench.void("v").await), ErrorCode::Unavailable);
    bench.settle().await;
    assert_eq!(bench.void("v").await.unwrap().state, "refunded");
    assert_eq!(bank.kept(), 0);
}

#[tokio::test]
async fn a_refused_refund_is_an_error_however_often_it_is_asked() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    set(&bank.refuses_refunds, true);
    assert_eq!(code(bench.refund(400, 0, "r1").await), ErrorCode::CardDeclined);
    set(&bank.refuses_refunds, false);
    // The same request is the same refund, and that one was refused.
    assert_eq!(code(bench.refund(400, 0, "r1").await), ErrorCode::CardDeclined);
    let payment = bench.refund(400, 0, "r2").await.unwrap();
    assert_eq!((payment.state.as_str(), payment.refunded_minor), ("partially_refunded", 400));
    let told: Vec<_> = (payment.refunds.iter())
        .map(|one| (one.number, one.state.as_str(), one.reason.as_str(), one.refused.as_str()))
        .collect();
    let expected = [(1, "refused", "cold soup", "refund_declined"), (2, "done", "cold soup", "")];
    assert_eq!(told, expected);
    assert_eq!(bench.refund(400, 0, "r2").await.unwrap(), payment);
    assert_eq!(code(bench.refund(601, 0, "r3").await), ErrorCode::InvalidArgument);
    assert_eq!(bank.kept(), 600);
}

#[tokio::test]
async fn a_void_of_captured_money_says_when_the_provider_keeps_it() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    set(&bank.refuses_refunds, true);
    assert_eq!(code(bench.void("v").await), ErrorCode::CardDeclined);
    set(&bank.refuses_refunds, false);
    assert_eq!(bench.void("v2").await.unwrap().state, "refunded");
    assert_eq!(bank.kept(), 0);
}

#[tokio::test]
async fn several_cards_pay_together_or_not_at_all() {
    let (bench, bank) = Bench::new();
    let cards = [("card_ok", 700), ("card_late", 300)];
    let payment = bench.authorize(0, &cards, "a").await.unwrap();
    assert_eq!(payment.state, "authorized");
    assert_eq!(tenders(&payment), [("authorized", 700), ("authorized", 300)]);
    assert_eq!(bank.held(), 1000);
    let payment = bench.capture("c").await.unwrap();
    assert_eq!((payment.state.as_str(), payment.captured_minor), ("captured", 1000));
    let payment = bench.refund(400, 0, "r").await.unwrap();
    let parts: Vec<_> =
        payment.refunds[0].parts.iter().map(|part| (part.tender, part.amount_minor)).collect();
    assert_eq!(parts, [(2, 300), (1, 100)]);
    assert_eq!(tenders(&payment), [("partially_refunded", 700), ("refunded", 300)]);
    assert_eq!(code(bench.refund(601, 0, "r2").await), ErrorCode::InvalidArgument);
    assert_eq!(code(bench.refund(1, 2, "r3").await), ErrorCode::WrongState);
    assert_eq!(bench.refund(0, 1, "r4").await.unwrap().state, "refunded");
    assert_eq!(bank.kept(), 0);
}

#[tokio::test]
async fn one_refused_card_gives_the_others_back() {
    let (bench, bank) = Bench::new();
    bank.declines.lock().insert("card_bad".to_owned());
    let cards = [("card_ok", 700), ("card_bad", 200), ("card_ok", 100)];
    for key in ["a", "a", "a2"] {
        assert_eq!(code(bench.authorize(0, &cards, key).await), ErrorCode::CardDeclined);
    }
    let payment = bench.present().await;
    assert_eq!((payment.state.as_str(), payment.reason.as_str()), ("failed", "card_declined"));
    assert_eq!(tenders(&payment), [("voided", 700), ("failed", 200), ("voided", 100)]);
    assert_eq!((bank.held(), bank.kept()), (0, 0));
}

#[tokio::test]
async fn what_is_given_back_is_asked_for_until_it_is() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    assert_eq!(bench.authorize(1, &[("card_ok", 1200)], "b").await.unwrap().state, "authorized");
    assert_eq!(bank.held(), 2200);
    set(&bank.is_away, true);
    let kept = bench.keep(1, "k").await.unwrap();
    assert_eq!((kept.state.as_str(), bank.held()), ("authorized", 2200));
    bench.fire().await;
    set(&bank.is_away, false);
    bench.settle().await;
    assert_eq!(bank.held(), 1200);
    let payment = bench.capture("c").await.unwrap();
    assert_eq!((payment.captured_minor, bank.kept(), bank.held()), (1200, 1200, 0));
}

#[tokio::test]
async fn several_cards_whose_answers_are_lost_are_found_by_the_timer() {
    let (bench, bank) = Bench::new();
    set(&bank.is_mute, true);
    let cards = [("card_ok", 700), ("card_late", 300)];
    assert_eq!(bench.authorize(0, &cards, "a").await.unwrap().state, "pending");
    assert_eq!(bench.authorize(0, &cards, "a").await.unwrap().state, "pending");
    set(&bank.is_mute, false);
    assert_eq!(bench.fire().await, ["PaymentAuthorized"]);
    assert_eq!((bank.held(), bank.holds.lock().len()), (1000, 2));
    let voided = bench.void("v").await.unwrap();
    assert_eq!(tenders(&voided), [("voided", 700), ("voided", 300)]);
    assert_eq!(bank.held(), 0);
    assert_eq!(code(bench.authorize(1, ONE, "b").await), ErrorCode::WrongState);
    assert_eq!(bank.held(), 0);
}

#[tokio::test]
async fn a_pending_total_is_told_of_whoever_finds_out() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    set(&bank.is_slow, true);
    let pending = bench.authorize(1, &[("card_ok", 1200)], "b").await.unwrap();
    assert_eq!((pending.state.as_str(), pending.amount.unwrap().amount_minor), ("pending", 1200));
    assert_eq!(bench.present().await.state, "authorized");
    set(&bank.is_slow, false);
    // The request that asked for it answers; any other tells.
    for (answers, told) in [(Some(1), 0), (Some(2), 1), (None, 1)] {
        let before = bench.payments.payment(order()).await.unwrap().unwrap();
        let work = bench.payments.engine.work(Cause::Tick { name: "test".to_owned() });
        let (wanted, run) = (before.value.clone(), Run::AtOnce(answers));
        let (work, after) = bench.payments.settle_stored(work, &before, wanted, run).await.unwrap();
        assert_eq!((work.events.len(), after.state_of(1)), (told, State::Authorized));
    }
    assert_eq!(bench.keep(1, "k").await.unwrap().state, "authorized");
    assert_eq!(bank.held(), 1200);
}

#[tokio::test]
async fn a_total_is_refused_where_it_does_not_fit() {
    let (bench, _bank) = Bench::new();
    bench.authorize(2, ONE, "a").await.unwrap();
    assert_eq!(code(bench.authorize(1, ONE, "b").await), ErrorCode::WrongState);
    assert_eq!(code(bench.authorize(2, &[("card_ok", 999)], "c").await), ErrorCode::WrongState);
    let mut other = authorization(3, ONE);
    other.amount.as_mut().unwrap().currency = "EUR".to_owned();
    let (asked, message) = super::bench::asked(other, "d");
    assert_eq!(code(bench.payments.authorize(&asked, &message).await), ErrorCode::WrongState);
    assert_eq!(code(bench.keep(4, "k").await), ErrorCode::WrongState);
    bench.capture("c").await.unwrap();
    assert_eq!(code(bench.authorize(3, ONE, "e").await), ErrorCode::WrongState);
    assert_eq!(bench.keep(2, "k2").await.unwrap().state, "captured");
}

#[tokio::test]
async fn a_late_copy_of_a_keep_gives_nothing_up() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bench.keep(0, "k").await.unwrap();
    bench.authorize(1, &[("card_ok", 1200)], "b").await.unwrap();
    bench.keep(0, "k").await.unwrap();
    assert_eq!(bank.held(), 2200);
    assert_eq!(bench.keep(1, "k2").await.unwrap().amount.unwrap().amount_minor, 1200);
    assert_eq!(bank.held(), 1200);
}

/// A change that catalog refuses is never asked of payments. Another attempt at it, by a process
/// that is slow, may come after it was given up.
#[tokio::test]
async fn a_slow_attempt_at_a_total_that_was_given_up_holds_nothing() {
    let (bench, bank) = Bench::new();
    let more = &[("card_ok", 1200)];
    bench.authorize(0, ONE, "a").await.unwrap();
    assert_eq!(bench.keep_of(0, 1, "k").await.unwrap().state, "authorized");
    assert_eq!(code(bench.authorize(1, more, "b").await), ErrorCode::WrongState);
    assert_eq!((bank.held(), bank.holds.lock().len()), (1000, 1), "nobody asked for more");
    assert_eq!(bench.authorize(0, ONE, "a").await.unwrap().state, "authorized");
    // It may be changed again, and the refusal that comes once more is not about that.
    assert_eq!(bench.authorize(2, more, "c").await.unwrap().state, "authorized");
    bench.keep_of(0, 1, "k").await.unwrap();
    assert_eq!(bank.held(), 2200);
    let kept = bench.keep_of(2, 2, "k2").await.unwrap();
    assert_eq!((kept.amount.unwrap().amount_minor, bank.held()), (1200, 1200));
    assert_eq!(bench.authorize(2, more, "c").await.unwrap().state, "authorized");
}

#[tokio::test]
async fn a_tip_is_the_customers_and_a_tender_of_its_own() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    let me = || user(customer());
    assert_eq!(code(bench.tip(me(), 200, "", "t").await), ErrorCode::WrongState);
    bench.capture("c").await.unwrap();
    let stranger = user(bistro_core::Id::from_bits(77));
    assert_eq!(code(bench.tip(stranger, 200, "", "t").await), ErrorCode::NotFound);
    assert_eq!(code(bench.tip(manager(3), 200, "", "t").await), ErrorCode::NotFound);
    let nobody = Principal::Anonymous;
    assert_eq!(code(bench.tip(nobody, 200, "", "t").await), ErrorCode::Unauthenticated);
    for wrong in [0, -1, 1001, i64::MAX] {
        assert_eq!(code(bench.tip(me(), wrong, "", "w").await), ErrorCode::InvalidArgument);
    }
    let number = "4242 4242 4242 4242";
    assert_eq!(code(bench.tip(me(), 1, number, "w").await), ErrorCode::InvalidArgument);
    for _ in 0..2 {
        let tipped = bench.tip(me(), 200, "", "t2").await.unwrap();
        assert_eq!((tipped.tip_minor, tipped.captured_minor), (200, 1200));
        assert_eq!(tipped.amount.unwrap().amount_minor, 1200);
        assert_eq!(tipped.tenders[1].purpose, "tip");
    }
    assert_eq!(bank.kept(), 1200);
    bank.declines.lock().insert("card_bad".to_owned());
    assert_eq!(code(bench.tip(me(), 200, "card_bad", "t3").await), ErrorCode::CardDeclined);
    let payment = bench.present().await;
    assert_eq!((payment.state.as_str(), payment.captured_minor), ("captured", 1200));
    set(&bank.is_mute, true);
    let pending = bench.tip(me(), 100, "", "t4").await.unwrap();
    assert_eq!((pending.tenders[3].state.as_str(), pending.tip_minor), ("pending", 200));
    set(&bank.is_mute, false);
    bench.settle().await;
    assert_eq!((bench.present().await.tip_minor, bank.kept()), (300, 1300));
}

#[tokio::test]
async fn a_tip_that_is_never_answered_is_given_back() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    let me = || user(customer());
    set(&bank.is_slow, true);
    let tipped = bench.tip(me(), 1000, "", "t").await.unwrap();
    assert_eq!(tipped.tenders[1].state, "pending");
    bench.fire().await;
    assert_eq!((bank.held(), bench.present().await.tenders[1].state.as_str()), (1000, "pending"));
    assert_eq!(code(bench.tip(me(), 1, "", "t2").await), ErrorCode::WrongState);
    bench.clock.advance(TIP_PATIENCE);
    set(&bank.is_away, true);
    bench.fire().await;
    assert_eq!(bank.held(), 1000, "nobody has said that it is given back");
    set(&bank.is_away, false);
    bench.fire().await;
    let payment = bench.present().await;
    let tip = &payment.tenders[1];
    assert_eq!((tip.state.as_str(), tip.reason.as_str()), ("voided", NOT_ANSWERED));
    assert_eq!((bank.held(), bench.stored().await.unwrap().timer()), (0, None));
    set(&bank.is_slow, false);
    assert_eq!(bench.tip(me(), 1000, "", "t3").await.unwrap().captured_minor, 2000);
}

#[tokio::test]
async fn refunds_and_lists_are_for_those_who_may() {
    let (bench, _bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    let refund = |principal| {
        let message = v1::RefundRequest {
            order_id: order().to_string(),
            amount_minor: 1,
            reason: "cold".to_owned(),
            tender: 0,
        };
        asked_by(principal, message, "r")
    };
    for (principal, expected) in [
        (user(customer()), ErrorCode::PermissionDenied),
        (user(bistro_core::Id::from_bits(77)), ErrorCode::NotFound),
        (manager(4), ErrorCode::NotFound),
        (Principal::Anonymous, ErrorCode::Unauthenticated),
    ] {
        let (asked, message) = refund(principal);
        let refused = bench.payments.refund(&asked, &message).await;
        assert_eq!(code(refused), expected);
    }
    let (asked, message) = refund(manager(3));
    assert_eq!(bench.payments.refund(&asked, &message).await.unwrap().refunded_minor, 1);

    let list = |principal, state: &str, cursor: &str| {
        let message = v1::ListPaymentsRequest {
            restaurant_id: bistro_core::Id::<bistro_core::kinds::Restaurant>::from_bits(3)
                .to_string(),
            state: state.to_owned(),
            page: Some(bistro_proto::common::v1::PageRequest {
                limit: 1,
                cursor: cursor.to_owned(),
            }),
        };
        asked_by(principal, message, "l")
    };
    let (asked, message) = list(manager(4), "", "");
    let refused = bench.payments.list_payments(&asked, &message).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    for (state, found) in [("", 1), ("partially_refunded", 1), ("captured", 0)] {
        let (asked, message) = list(manager(3), state, "");
        let page = bench.payments.list_payments(&asked, &message).await.unwrap();
        assert_eq!(page.payments.len(), found, "{state}");
    }
    for (state, cursor) in [("eaten", ""), ("", "rubbish")] {
        let (asked, message) = list(manager(3), state, cursor);
        let refused = bench.payments.list_payments(&asked, &message).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidArgument, "{state} {cursor}");
    }
}
