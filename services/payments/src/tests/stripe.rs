//! The role over Stripe's HTTP, against a stand-in that loses answers, declines and takes its time.

use std::{sync::Arc, time::Duration};

use bistro_config::Secret;
use bistro_core::{Currency, ErrorCode, Money, Timestamp};
use bistro_proto::payments::v1;
use bistro_testkit::{Intent, StripeFault, StripeStandIn, Webhook};

use super::{
    NOW,
    bench::{Bench, customer, user},
    one_card,
};
use crate::{
    documents::{ProviderName, Tender},
    provider::{Answer, Hold, Provider as _},
    stripe::Stripe,
    webhook::WebhookSecret,
};

pub(super) const VISA: &[(&str, i64)] = &[("pm_visa_ada", 1000)];
/// For each of Stripe's answers.
pub(super) const TIMEOUT: Duration = Duration::from_millis(500);

pub(super) async fn bench() -> (Bench, StripeStandIn) {
    let stand_in = StripeStandIn::start().await.unwrap();
    let stripe = provider(&stand_in);
    let secret = WebhookSecret::new(Secret::new(StripeStandIn::WEBHOOK_SECRET));
    (Bench::with(ProviderName::Stripe, Arc::new(stripe), Some(secret)), stand_in)
}

pub(super) fn provider(stand_in: &StripeStandIn) -> Stripe {
    Stripe::new(&stand_in.url(), &Secret::new(StripeStandIn::SECRET_KEY), TIMEOUT).unwrap()
}

/// What is asked for the first time.
pub(super) fn hold(key: &str) -> Hold<'_> {
    let amount = Money::new(1000, Currency::GBP);
    let (method, age) = ("pm_card_visa", Duration::ZERO);
    Hold { key, amount, method, name: None, like: None, age }
}

/// What each intent was made for, its amount, where it stands, and what was given back of it.
pub(super) fn standing(intents: &[Intent]) -> Vec<String> {
    let shown = |intent: &Intent| {
        let key = intent.key.split_once('/').map_or("", |(_, key)| key);
        format!("{key}: {} {}, {} back", intent.amount, intent.status, intent.refunded)
    };
    intents.iter().map(shown).collect()
}

pub(super) async fn webhook(bench: &Bench, webhook: &Webhook) -> Result<(), ErrorCode> {
    let message = v1::ReceiveWebhookRequest {
        provider: "stripe".to_owned(),
        body: webhook.body.clone(),
        signature: webhook.signature.clone(),
    };
    let received = bench.payments.receive_webhook(&message).await;
    received.map(|_| ()).map_err(|error| error.code())
}

#[tokio::test]
async fn an_order_is_paid_refunded_and_tipped() {
    let (bench, stand_in) = bench().await;
    let cards = [("pm_visa_ada", 700), ("pm_visa_eve", 300)];
    let payment = bench.authorize(0, &cards, "a").await.unwrap();
    assert_eq!(
        (payment.state.as_str(), payment.tenders[1].provider.as_str()),
        ("authorized", "stripe")
    );
    assert_eq!(bench.capture("c").await.unwrap().state, "captured");
    assert_eq!(bench.refund(400, 0, "r").await.unwrap().refunded_minor, 400);
    // With the card that paid the order, which Stripe would take once only if it were nobody's.
    let tipped = bench.tip(user(customer()), 200, "", "t").await.unwrap();
    assert_eq!((tipped.tip_minor, tipped.captured_minor), (200, 1200));
    let intents = stand_in.intents();
    assert_eq!(
        standing(&intents),
        [
            "authorize: 700 succeeded, 100 back",
            "authorize/2: 300 succeeded, 300 back",
            "authorize/3: 200 succeeded, 0 back",
        ]
    );
    assert_eq!(intents[0].customer, intents[2].customer);
    assert!(intents[0].customer.is_some() && intents[0].customer != intents[1].customer);
}

#[tokio::test]
async fn nothing_is_charged_twice_when_answers_are_lost() {
    let (bench, stand_in) = bench().await;
    // Each is lost twice: the one that is asked, and the one that is asked again at once.
    let lost = [StripeFault::LoseAnswer; 2];
    stand_in.fail(&lost);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    assert_eq!(bench.fire().await, ["PaymentAuthorized"]);
    stand_in.fail(&lost);
    assert_eq!(bench.capture("c").await.unwrap().state, "capture_failed");
    assert_eq!(bench.fire().await, ["PaymentCaptured"]);
    stand_in.fail(&lost);
    let refunded = bench.refund(400, 0, "r").await.unwrap();
    assert_eq!((refunded.refunds[0].state.as_str(), refunded.refunded_minor), ("pending", 0));
    bench.settle().await;
    assert_eq!(bench.present().await.refunded_minor, 400);
    let intents = stand_in.intents();
    assert_eq!(standing(&intents), ["authorize: 1000 succeeded, 400 back"]);
}

#[tokio::test]
async fn trouble_of_stripes_is_waited_out_with_the_same_key() {
    let (bench, stand_in) = bench().await;
    for status in [429, 409, 500, 503] {
        stand_in.fail(&[StripeFault::Refuse(status); 2]);
    }
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    bench.settle().await;
    assert_eq!(bench.present().await.state, "authorized");
    assert_eq!(standing(&stand_in.intents()), ["authorize: 1000 requires_capture, 0 back"]);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up_and_asked_for_later() {
    let (bench, stand_in) = bench().await;
    stand_in.fail(&[StripeFault::Hang; 2]);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap().state, "pending");
    bench.settle().await;
    assert_eq!(bench.present().await.state, "authorized");
    assert_eq!(stand_in.intents().len(), 1);
}

#[tokio::test]
async fn a_declined_card_says_why_and_holds_nothing() {
    let (bench, stand_in) = bench().await;
    let cards = [("pm_card_visa", 700), ("pm_card_insufficient", 300)];
    let refused = bench.authorize(0, &cards, "a").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::CardDeclined);
    assert!(refused.message().contains("insufficient_funds"), "{refused}");
    let intents = stand_in.intents();
    assert_eq!(
        standing(&intents),
        ["authorize: 700 canceled, 0 back", "authorize/2: 300 requires_payment_method, 0 back"]
    );
    let (bench, _stand_in) = self::bench().await;
    let refused = bench.authorize(0, &[("card_ok", 700)], "a").await.unwrap_err();
    assert!(refused.message().contains("resource_missing"), "{refused}");
}

#[tokio::test]
async fn a_refund_that_fails_later_is_refused() {
    let (bench, _stand_in) = bench().await;
    bench.authorize(0, &[("pm_refund_fails", 1000)], "a").await.unwrap();
    bench.capture("c").await.unwrap();
    let refused = bench.refund(400, 0, "r").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::CardDeclined);
    let payment = bench.present().await;
    assert_eq!((payment.state.as_str(), payment.refunded_minor), ("captured", 0));
    assert_eq!(payment.refunds[0].refused, "lost_or_stolen_card");
}

#[tokio::test]
async fn a_late_success_comes_by_webhook() {
    let (bench, stand_in) = bench().await;
    assert_eq!(bench.authorize(0, &[("pm_processing", 1000)], "a").await.unwrap().state, "pending");
    let intent = stand_in.intents()[0].id.clone();
    let kind = "payment_intent.amount_capturable_updated";
    // A message that says so is not believed: Stripe is asked, and says that it is processing.
    let early = stand_in.webhook("evt_0", kind, &intent, NOW).unwrap();
    webhook(&bench, &early).await.unwrap();
    assert_eq!(bench.present().await.state, "pending");
    stand_in.finish(&intent);
    let message = stand_in.webhook("evt_1", kind, &intent, NOW).unwrap();
    webhook(&bench, &message).await.unwrap();
    let authorized = bench.present().await;
    assert_eq!(authorized.state, "authorized");
    for _ in 0..2 {
        webhook(&bench, &message).await.unwrap();
    }
    assert_eq!(bench.present().await, authorized, "it has an effect once");
    assert_eq!(stand_in.intents().len(), 1);
}

#[tokio::test]
async fn a_replayed_message_makes_nobody_ask_twice_for_good() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, &[("pm_processing", 1000)], "a").await.unwrap();
    let intent = stand_in.intents()[0].id.clone();
    let message = stand_in.webhook("evt_1", "payment_intent.succeeded", &intent, NOW).unwrap();
    webhook(&bench, &message).await.unwrap();
    let version = bench.present().await.version;
    webhook(&bench, &message).await.unwrap();
    assert_eq!(bench.present().await.version, version);
}

#[tokio::test]
async fn a_late_refusal_comes_by_webhook() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, &[("pm_processing", 1000)], "a").await.unwrap();
    let intent = stand_in.intents()[0].id.clone();
    stand_in.decline(&intent);
    let message = stand_in.webhook("evt_1", "payment_intent.payment_failed", &intent, NOW).unwrap();
    webhook(&bench, &message).await.unwrap();
    let payment = bench.present().await;
    assert_eq!((payment.state.as_str(), payment.reason.as_str()), ("failed", "do_not_honor"));
}

#[tokio::test]
async fn forged_old_and_foreign_messages_change_nothing() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, &[("pm_processing", 1000)], "a").await.unwrap();
    let intent = stand_in.intents()[0].id.clone();
    stand_in.finish(&intent);
    let kind = "payment_intent.succeeded";
    let good = stand_in.webhook("evt_1", kind, &intent, NOW).unwrap();
    let mut forged = good.clone();
    forged.body.push(b' ');
    assert_eq!(webhook(&bench, &forged).await, Err(ErrorCode::PermissionDenied));
    let mut unsigned = good.clone();
    unsigned.signature.clear();
    assert_eq!(webhook(&bench, &unsigned).await, Err(ErrorCode::PermissionDenied));
    for at in [NOW - Duration::from_secs(301), NOW + Duration::from_secs(301)] {
        let old = stand_in.webhook("evt_1", kind, &intent, at).unwrap();
        assert_eq!(webhook(&bench, &old).await, Err(ErrorCode::PermissionDenied));
    }
    let unknown = stand_in.webhook("evt_2", "customer.created", &intent, NOW).unwrap();
    webhook(&bench, &unknown).await.unwrap();
    let nothing = stand_in.webhook("evt_3", kind, "pi_other", NOW).unwrap();
    assert_eq!(webhook(&bench, &nothing).await, Err(ErrorCode::MalformedBody));
    assert_eq!(bench.present().await.state, "pending");
    // What was good a moment ago is old by now.
    bench.clock.advance(Duration::from_secs(301));
    assert_eq!(webhook(&bench, &good).await, Err(ErrorCode::PermissionDenied));
    let fresh = NOW + Duration::from_secs(301);
    let good = stand_in.webhook("evt_1", kind, &intent, Timestamp::from_millis(fresh.as_millis()));
    webhook(&bench, &good.unwrap()).await.unwrap();
    assert_eq!(bench.present().await.state, "authorized");
}

#[tokio::test]
async fn a_void_finds_what_a_lost_process_authorized_and_keeps_it_from_coming() {
    let (bench, stand_in) = bench().await;
    let payment = one_card(1000);
    let visa = Tender {
        method: "pm_visa_ada".to_owned(),
        provider: ProviderName::Stripe,
        ..payment.tenders[0].clone()
    };
    bench.payments.charges.authorize(&payment, &visa, NOW).await.unwrap();
    // Stripe's search has not heard of it yet, so nobody can say what is held.
    stand_in.lag(true);
    assert_eq!(bench.void("v").await.unwrap_err().code(), ErrorCode::Unavailable);
    stand_in.lag(false);
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
    assert_eq!(standing(&stand_in.intents()), ["authorize: 1000 canceled, 0 back"]);
    assert_eq!(bench.authorize(0, VISA, "a").await.unwrap_err().code(), ErrorCode::WrongState);
    assert!(stand_in.intents().iter().all(|intent| intent.status == "canceled"));
}

#[tokio::test]
async fn a_key_that_a_void_used_up_authorizes_nothing() {
    let (_bench, stand_in) = bench().await;
    let stripe = provider(&stand_in);
    let hold = hold("pay_x/authorize");
    for _ in 0..2 {
        assert_eq!(
            stripe.void(hold.key, Duration::ZERO, None).await,
            Answer::Approved(String::new())
        );
        assert_eq!(stripe.authorize(&hold).await, Answer::Voided);
        assert_eq!(
            stripe.void(hold.key, Duration::ZERO, Some(&hold)).await,
            Answer::Approved(String::new())
        );
    }
    assert_eq!(stand_in.intents().len(), 1);
    let other = self::hold("pay_y/authorize");
    stripe.authorize(&other).await;
    assert_eq!(
        stripe.void(other.key, Duration::ZERO, Some(&other)).await,
        Answer::Approved(String::new())
    );
    assert_eq!(stand_in.intents()[1].status, "canceled");
}

#[tokio::test]
async fn an_intent_that_stripe_cancelled_by_itself_is_captured_by_nobody() {
    let (bench, stand_in) = bench().await;
    bench.authorize(0, VISA, "a").await.unwrap();
    stand_in.lapse(&stand_in.intents()[0].id);
    let failed = bench.capture("c").await.unwrap();
    assert_eq!(
        (failed.state.as_str(), failed.reason.as_str(), failed.captured_minor),
        ("capture_failed", "authorization_voided", 0)
    );
    assert_eq!(bench.stored().await.unwrap().timer(), None);
    let asked = stand_in.commands().len();
    bench.capture("c2").await.unwrap();
    assert_eq!(stand_in.commands().len(), asked);
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
}

#[tokio::test]
async fn a_wrong_secret_key_is_no_refusal() {
    let stand_in = StripeStandIn::start().await.unwrap();
    let stripe = Stripe::new(&stand_in.url(), &Secret::new("sk_wrong"), TIMEOUT).unwrap();
    let hold = hold("pay_x/authorize");
    assert!(matches!(stripe.authorize(&hold).await, Answer::Unknown(why) if !why.contains("sk_")));
}
