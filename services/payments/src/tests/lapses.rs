//! Authorizations that the provider gives back by itself before they are captured: they fail for
//! good, nothing was taken, and nobody is asked again.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bistro_core::{ErrorCode, Money};
use bistro_proto::payments::v1;
use bistro_store::{Query, StoreExt as _};

use super::bench::{Bench, customer, set, user};
use crate::{
    documents::{Entry, Wish},
    errands::AUTHORIZATION_VOIDED,
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

#[tokio::test]
async fn of_several_tenders_the_others_are_taken() {
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
    // Given up as a whole, what was taken goes back.
    assert_eq!(bench.void("v").await.unwrap().state, "refunded");
    assert_eq!(bank.kept(), 0);
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
    let provider = std::sync::Arc::new(Forgetful::default());
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
