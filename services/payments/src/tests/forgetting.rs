//! Stripe where it is strict: it forgets keys after a day, takes a card that is nobody's once, lets
//! holds lapse, and takes its time.

use std::time::Duration;

use bistro_core::{Currency, Money};
use bistro_testkit::{StripeFault, StripeStandIn};

use super::{
    NOW,
    bench::{Bench, customer, user},
    one_card, order,
    stripe::{TIMEOUT, VISA, bench, hold, provider, standing, webhook},
};
use crate::{
    documents::{ProviderName, Tender},
    provider::{Answer, Hold, Provider as _, Repayment},
};

const DAY: Duration = Duration::from_hours(24);
const LOST: [StripeFault; 2] = [StripeFault::LoseAnswer; 2];

/// Lets a day and an hour pass, for us and for Stripe.
fn pass(bench: &Bench, stand_in: &StripeStandIn) {
    let long = DAY + Duration::from_hours(1);
    bench.clock.advance(long);
    stand_in.pass(long);
}

/// An order that was captured.
async fn captured(card: &str) -> (Bench, StripeStandIn) {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, &[(card, 1000)], "a").await.unwrap();
    assert_eq!(bench.capture("c").await.unwrap().state, "captured");
    (bench, stand_in)
}

#[tokio::test]
async fn a_refund_that_is_pending_for_days_is_made_once() {
    let (bench, stand_in) = captured("pm_refund_waits").await;
    assert_eq!(bench.refund(400, 0, "r").await.unwrap().refunds[0].state, "pending");
    for _ in 0..3 {
        pass(&bench, &stand_in);
        bench.fire().await;
    }
    assert_eq!(bench.present().await.refunded_minor, 0);
    stand_in.answer_refunds(true);
    bench.settle().await;
    assert_eq!(bench.present().await.refunded_minor, 400);
    assert_eq!(standing(&stand_in.intents()), ["authorize: 1000 succeeded, 400 back"]);
    assert_eq!(stand_in.refunds().len(), 1);
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_found_days_later() {
    for (faults, made_at_first) in [(LOST, 1), ([StripeFault::Refuse(503); 2], 0)] {
        let (bench, stand_in) = captured("pm_visa_ada").await;
        stand_in.fail(&faults);
        assert_eq!(bench.refund(400, 0, "r").await.unwrap().refunds[0].state, "pending");
        assert_eq!(stand_in.refunds().len(), made_at_first);
        pass(&bench, &stand_in);
        bench.settle().await;
        assert_eq!(bench.present().await.refunded_minor, 400);
        // Another one is another one.
        assert_eq!(bench.refund(100, 0, "r2").await.unwrap().refunded_minor, 500);
        let made: Vec<_> = stand_in.refunds().iter().map(|one| (one.amount, one.status)).collect();
        assert_eq!(made, [(400, "succeeded"), (100, "succeeded")]);
    }
}

#[tokio::test]
async fn a_refund_is_told_by_webhook() {
    for (good, refunded, kind) in
        [(true, 400, "charge.refund.updated"), (false, 0, "refund.failed")]
    {
        let (bench, stand_in) = captured("pm_refund_waits").await;
        bench.refund(400, 0, "r").await.unwrap();
        stand_in.answer_refunds(good);
        let id = stand_in.refunds()[0].id.clone();
        let message = stand_in.webhook("evt_1", kind, &id, NOW).unwrap();
        for _ in 0..2 {
            webhook(&bench, &message).await.unwrap();
        }
        let payment = bench.present().await;
        let state = if good { "done" } else { "refused" };
        assert_eq!((payment.refunded_minor, payment.refunds[0].state.as_str()), (refunded, state));
    }
}

#[tokio::test]
async fn an_authorization_whose_answer_was_lost_is_found_days_later() {
    let (bench, stand_in) = bench().await;
    stand_in.fail(&LOST);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    pass(&bench, &stand_in);
    bench.settle().await;
    assert_eq!(bench.present().await.state, "authorized");
    assert_eq!(standing(&stand_in.intents()), ["authorize: 1000 requires_capture, 0 back"]);
}

#[tokio::test]
async fn a_void_days_later_leaves_nothing_held() {
    let (bench, stand_in) = bench().await;
    stand_in.fail(&LOST);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    pass(&bench, &stand_in);
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
    let intents = stand_in.intents();
    assert!(intents.iter().any(|intent| intent.amount == 1000));
    assert!(intents.iter().all(|intent| intent.status == "canceled"), "{intents:?}");
}

#[tokio::test]
async fn a_void_days_later_finds_what_nobody_wrote_down() {
    let (bench, stand_in) = bench().await;
    let payment = one_card(1000);
    let visa = Tender {
        method: "pm_visa_ada".to_owned(),
        provider: ProviderName::Stripe,
        ..payment.tenders[0].clone()
    };
    bench.payments.charges.authorize(&payment, &visa, NOW).await.unwrap();
    pass(&bench, &stand_in);
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
    let intents = stand_in.intents();
    assert!(intents.iter().any(|intent| intent.amount == 1000));
    assert!(intents.iter().all(|intent| intent.status == "canceled"), "{intents:?}");
}

#[tokio::test]
async fn whoever_asks_again_days_later_finds_what_a_lost_process_authorized() {
    let (bench, stand_in) = bench().await;
    let payment = one_card(1000);
    let visa = Tender {
        method: "pm_visa_ada".to_owned(),
        provider: ProviderName::Stripe,
        ..payment.tenders[0].clone()
    };
    bench.payments.charges.authorize(&payment, &visa, NOW).await.unwrap();
    pass(&bench, &stand_in);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "authorized");
    assert_eq!(standing(&stand_in.intents()), ["authorize: 1000 requires_capture, 0 back"]);
}

#[tokio::test]
async fn what_is_asked_for_again_after_the_key_is_forgotten_is_not_made_again() {
    let (_bench, stand_in) = bench().await;
    let stripe = provider(&stand_in);
    let young = hold("pay_x/authorize");
    assert!(matches!(stripe.authorize(&young).await, Answer::Approved(_)));
    stand_in.forget_keys();
    let old = Hold { age: DAY, ..young };
    assert!(matches!(stripe.authorize(&old).await, Answer::Approved(_)));
    assert_eq!(stand_in.intents().len(), 1);
    let pi = stand_in.intents()[0].id.clone();
    assert!(matches!(
        stripe.capture("", &pi, Money::new(1000, Currency::GBP)).await,
        Answer::Approved(_)
    ));
    let amount = Money::new(400, Currency::GBP);
    let key = "pay_x/refund/1";
    let young = Repayment { key, authorization: &pi, amount, name: None, age: Duration::ZERO };
    assert!(matches!(stripe.refund(&young).await, Answer::Approved(_)));
    stand_in.forget_keys();
    for again in [Repayment { age: DAY, ..young }, Repayment { name: Some("re_000001"), ..young }] {
        assert_eq!(stripe.refund(&again).await, Answer::Approved("re_000001".to_owned()));
    }
    assert_eq!(stand_in.refunds().len(), 1);
}

#[tokio::test]
async fn changes_are_paid_with_the_card_that_paid_the_order() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, VISA, "a").await.unwrap();
    let changed = bench.authorize(1, &[("pm_visa_ada", 1200)], "b").await.unwrap();
    assert_eq!(changed.state, "authorized");
    assert_eq!(bench.keep(1, "k").await.unwrap().state, "authorized");
    assert_eq!(bench.capture("c").await.unwrap().captured_minor, 1200);
    for key in ["t1", "t2"] {
        bench.tip(user(customer()), 100, "", key).await.unwrap();
    }
    let intents = stand_in.intents();
    let expected = [
        "authorize: 1000 canceled, 0 back",
        "authorize/2: 1200 succeeded, 0 back",
        "authorize/3: 100 succeeded, 0 back",
        "authorize/4: 100 succeeded, 0 back",
    ];
    assert_eq!(standing(&intents), expected);
    assert!(intents.iter().all(|intent| intent.customer == intents[0].customer));
    let customers = stand_in.commands().iter().filter(|path| path.ends_with("customers")).count();
    assert_eq!(customers, 1);
}

#[tokio::test]
async fn a_card_that_is_nobodys_is_taken_once() {
    let (_bench, stand_in) = bench().await;
    let stripe = provider(&stand_in);
    let first = Hold { method: "pm_visa_ada", ..hold("pay_x/authorize") };
    let Answer::Approved(name) = stripe.authorize(&first).await else { panic!("it is good") };
    let second = Hold { key: "pay_y/authorize", ..first };
    assert!(matches!(stripe.authorize(&second).await, Answer::Declined(_)));
    let like = Hold { like: Some(&name), key: "pay_y/authorize/2", ..first };
    assert!(matches!(stripe.authorize(&like).await, Answer::Approved(_)));
    assert_eq!(stand_in.intents().len(), 2);
}

#[tokio::test]
async fn each_answer_may_take_its_time() {
    let (bench, stand_in) = bench().await;
    // Less than is waited for one answer, and more than for two.
    stand_in.slow_down(TIMEOUT * 3 / 5);
    stand_in.fail(&LOST);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    bench.settle().await;
    assert_eq!(bench.present().await.state, "authorized");
    assert_eq!(stand_in.intents().len(), 1);
    bench.capture("c").await.unwrap();
    stand_in.fail(&LOST);
    bench.refund(400, 0, "r").await.unwrap();
    bench.settle().await;
    assert_eq!((bench.present().await.refunded_minor, stand_in.refunds().len()), (400, 1));
}

#[tokio::test]
async fn a_hold_that_lapses_is_not_captured() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, VISA, "a").await.unwrap();
    stand_in.pass(6 * DAY);
    assert_eq!(stand_in.intents()[0].status, "requires_capture");
    stand_in.pass(DAY);
    let failed = bench.capture("c").await.unwrap();
    assert_eq!((failed.state.as_str(), failed.captured_minor), ("capture_failed", 0));
    assert_eq!(bench.stored().await.unwrap().timer(), None);
    assert_eq!(failed.order_id, order().to_string());
}
