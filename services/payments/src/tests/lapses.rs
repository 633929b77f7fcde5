//! Authorizations that the provider gives back by itself before they are captured: they fail for
//! good, nothing was taken, and nobody is asked again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bistro_core::{Currency, Error, ErrorCode, Money};
use bistro_proto::payments::v1;
use bistro_store::{Query, StoreExt as _};

use super::{
    NOW,
    bench::{Bank, Bench, customer, set, user},
};
use crate::{
    changes,
    documents::{Entry, Payment, Wish},
    errands::{AUTHORIZATION_VOIDED, Errand, answered},
    ledger::Account,
    provider::{Answer, Hold, Provider, Repayment},
    states::State,
};

const ONE: &[(&str, i64)] = &[("card_ok", 1000)];

/// How many entries the ledger has.
async fn entries(bench: &Bench) -> usize {
    let store = bench.payments.engine.store();
    store.list::<Entry>(Query::all::<Entry>().limit(50)).await.unwrap().items.len()
}

fn told(payment: &v1::Payment) -> (&str, &str, i64) {
    (&payment.state, &payment.reason, payment.captured_minor)
}

#[tokio::test]
async fn a_capture_of_what_was_voided_fails_for_good() {
    let (bench, bank) = Bench::new();
    let authorized = bench.authorize(0, ONE, "a").await.unwrap();
    assert!(authorized.authorized_at_ms > 0 && authorized.captured_at_ms == 0, "{authorized:?}");
    bank.lapse();
    let expected = ("capture_failed", AUTHORIZATION_VOIDED, 0);
    for key in ["c", "c", "c2"] {
        let failed = bench.capture(key).await.unwrap();
        assert_eq!((told(&failed), failed.version, failed.captured_at_ms), (expected, 2, 0));
    }
    let stored = bench.stored().await.unwrap();
    assert_eq!((stored.waits_for(), stored.timer(), stored.due_at), (None, None, None));
    assert!(bench.fire().await.is_empty());
    assert_eq!((entries(&bench).await, bank.kept()), (0, 0));
    // Whoever decides that nothing is to be paid has it voided.
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
    assert_eq!(entries(&bench).await, 0);
}

#[tokio::test]
async fn it_is_told_also_when_it_comes_out_later() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    set(&bank.is_away, true);
    assert_eq!(bench.capture("c").await.unwrap().state, "capture_failed");
    bank.lapse();
    assert!(bench.fire().await.is_empty(), "it has failed since the first time");
    set(&bank.is_away, false);
    assert_eq!(bench.fire().await, ["PaymentCaptureFailed"]);
    assert_eq!(told(&bench.present().await), ("capture_failed", AUTHORIZATION_VOIDED, 0));
    assert_eq!(bench.stored().await.unwrap().timer(), None);
}

/// An order of 1000 by two cards, of which only 700 could be taken.
async fn taken_in_part() -> (Bench, Arc<Bank>) {
    let (bench, bank) = Bench::new();
    bench.authorize(0, &[("card_ok", 700), ("card_late", 300)], "a").await.unwrap();
    let first = bank.holds.lock().keys().next().cloned().unwrap();
    let kept = bank.holds.lock().remove(&first).unwrap();
    bank.lapse();
    bank.holds.lock().insert(first, kept);
    let failed = bench.capture("c").await.unwrap();
    assert_eq!(told(&failed), ("capture_failed", AUTHORIZATION_VOIDED, 700));
    let states: Vec<_> = failed.tenders.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["captured", "capture_failed"]);
    assert_eq!((entries(&bench).await, bank.kept()), (1, 700));
    (bench, bank)
}

/// The platform's balance of an account.
async fn balance(bench: &Bench, account: Account) -> i64 {
    let balances = bench.payments.balances(None).await.unwrap();
    balances.0.get(&(Currency::GBP, account)).map_or(0, |sum| sum.minor)
}

#[tokio::test]
async fn of_several_tenders_the_others_are_taken_and_refunded() {
    let (bench, bank) = taken_in_part().await;
    let code = |refused: Result<v1::Payment, Error>| refused.unwrap_err().code();
    assert_eq!(code(bench.refund(1, 2, "r1").await), ErrorCode::WrongState);
    assert_eq!(code(bench.refund(701, 0, "r1").await), ErrorCode::InvalidArgument);
    set(&bank.is_away, true);
    let waits = bench.refund(200, 1, "r2").await.unwrap();
    assert_eq!((waits.refunds[0].state.as_str(), waits.refunded_minor), ("pending", 0));
    assert_eq!(code(bench.refund(200, 1, "r3").await), ErrorCode::Conflict);
    set(&bank.is_away, false);
    assert!(bench.fire().await.is_empty(), "nothing was captured that was not before");
    let expected = ("capture_failed", AUTHORIZATION_VOIDED, 700);
    let part = bench.present().await;
    assert_eq!((told(&part), part.refunded_minor), (expected, 200));
    let all = bench.refund(0, 0, "r4").await.unwrap();
    assert_eq!((told(&all), all.refunded_minor), (expected, 700));
    let states: Vec<_> = all.tenders.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["refunded", "capture_failed"]);
    assert_eq!((entries(&bench).await, bank.kept()), (3, 0));
    for (account, minor) in
        [(Account::CardsReceivable, 0), (Account::RestaurantPayable, -700), (Account::Refunds, 700)]
    {
        assert_eq!(balance(&bench, account).await, minor, "{account:?}");
    }
    assert_eq!(code(bench.refund(0, 0, "r5").await), ErrorCode::WrongState);
    assert_eq!(bench.stored().await.unwrap().timer(), None);
}

#[tokio::test]
async fn what_was_taken_in_part_goes_back_when_all_is_given_up() {
    for refunded in [0, 200, 700] {
        let (bench, bank) = taken_in_part().await;
        if refunded > 0 {
            bench.refund(refunded, 0, "r").await.unwrap();
        }
        assert_eq!(bank.kept(), 700 - refunded);
        assert_eq!(bench.void("v").await.unwrap().state, "refunded");
        assert_eq!((bank.kept(), balance(&bench, Account::CardsReceivable).await), (0, 0));
    }
}

#[tokio::test]
async fn what_was_not_taken_at_all_is_not_refunded() {
    let (bench, bank) = Bench::new();
    bench.authorize(0, ONE, "a").await.unwrap();
    bank.lapse();
    bench.capture("c").await.unwrap();
    for minor in [0, 1] {
        let refused = bench.refund(minor, 0, "r").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::WrongState, "{refused}");
    }
}

#[tokio::test]
async fn while_a_part_may_still_be_taken_nothing_is_refunded() {
    let (bench, _bank) = Bench::new();
    let cards = [("card_ok", 500), ("card_late", 300), ("card_ok", 200)];
    bench.authorize(0, &cards, "a").await.unwrap();
    let wanted = changes::capturing(&bench.stored().await.unwrap(), NOW).unwrap();
    let answer = |payment: &Payment, number: u32, said: Answer| {
        answered(payment, Errand::Capture(number), said, NOW).unwrap().0
    };
    // The second is lost, and of the third nobody says anything yet.
    let taken = answer(&wanted, 1, Answer::Approved("a".to_owned()));
    let lost = answer(&taken, 2, Answer::Voided);
    let waits = answer(&lost, 3, Answer::Unknown("it is away".to_owned()));
    let refund = |payment: &Payment| changes::refunding(payment, 0, Some(1), String::new(), NOW);
    assert_eq!(refund(&waits).unwrap_err().code(), ErrorCode::WrongState);
    let over = answer(&waits, 3, Answer::Voided);
    assert_eq!(refund(&over).unwrap().refund.unwrap().minor, 500);
}

/// A provider that approves, and has voided whatever is to be captured.
#[derive(Default)]
struct Forgetful {
    captures: AtomicU32,
}

#[async_trait]
impl Provider for Forgetful {
    async fn authorize(&self, hold: &Hold<'_>) -> Answer {
        Answer::Approved(hold.key.to_owned())
    }

    async fn lookup(&self, _: &Hold<'_>) -> Option<Answer> {
        None
    }

    async fn capture(&self, key: &str, _: &str, _: Money) -> Answer {
        // The tip's is lost, the order's is taken.
        self.captures.fetch_add(1, Ordering::Relaxed);
        if key.ends_with("/capture") { Answer::Approved(key.to_owned()) } else { Answer::Voided }
    }

    async fn void(&self, _: &str, _: Duration, _: Option<&Hold<'_>>) -> Answer {
        Answer::Approved(String::new())
    }

    async fn refund(&self, repayment: &Repayment<'_>) -> Answer {
        Answer::Approved(repayment.key.to_owned())
    }
}

#[tokio::test]
async fn a_tip_that_was_voided_is_refused_and_another_may_be_given() {
    let provider = Arc::new(Forgetful::default());
    let name = crate::documents::ProviderName::Sandbox;
    let bench = Bench::with(name, provider.clone(), None);
    bench.authorize(0, ONE, "a").await.unwrap();
    assert_eq!(bench.capture("c").await.unwrap().state, "captured");
    // Each for all that tips may come to: what was lost does not count.
    for key in ["t1", "t1", "t2"] {
        let refused = bench.tip(user(customer()), 1000, "", key).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::CardDeclined);
        assert!(refused.message().contains(AUTHORIZATION_VOIDED), "{refused}");
    }
    let payment = bench.stored().await.unwrap();
    let tips: Vec<_> = payment.tenders[1..].iter().map(|one| (one.state, one.wish)).collect();
    assert_eq!(tips, [(State::CaptureFailed, Wish::Nothing); 2]);
    assert_eq!((payment.state(), payment.later_tips_minor()), (State::Captured, 0));
    assert_eq!((payment.timer(), provider.captures.load(Ordering::Relaxed)), (None, 3));
    assert_eq!(entries(&bench).await, 1);
}
