//! Refunds that Stripe says are done, and some time later that they failed.

use bistro_core::{ErrorCode, Principal};
use bistro_proto::payments::v1;
use bistro_store::Cause;
use bistro_testkit::StripeStandIn;
use prost::{Message as _, Name as _};

use super::{
    NOW,
    bench::{Bench, asked_by},
    order,
    stripe::{TIMEOUT, bench, standing, webhook},
};

const KIND: &str = "refund.failed";

/// A captured order of which 400 were given back: all of one card, and some of another.
async fn refunded() -> (Bench, StripeStandIn) {
    let (bench, stand_in) = bench().await;
    let cards = [("pm_visa_ada", 700), ("pm_visa_eve", 300)];
    bench.authorize(0, &cards, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    let refunded = bench.refund(400, 0, "r").await.unwrap();
    assert_eq!((told(&refunded), entries(&bench).await), (("done", "", 400, 400), 4));
    (bench, stand_in)
}

/// What the first refund says, and what the payment says was given back.
fn told(payment: &v1::Payment) -> (&str, &str, i64, i64) {
    let refund = &payment.refunds[0];
    (&refund.state, &refund.refused, refund.amount_minor, payment.refunded_minor)
}

/// How many entries the order has in the ledger, which balance.
async fn entries(bench: &Bench) -> usize {
    let message = v1::ListEntriesRequest { order_id: order().to_string() };
    let (asked, message) = asked_by(Principal::Operator, message, "l");
    let listed = bench.payments.list_entries(&asked, &message).await.unwrap();
    let balances = bench.payments.balances(None).await.unwrap();
    let lines: u64 = balances.0.values().map(|sum| sum.lines).sum();
    let listed_lines: usize = listed.entries.iter().map(|entry| entry.lines.len()).sum();
    assert_eq!(u64::try_from(listed_lines).unwrap(), lines, "the order's are all there are");
    assert!(balances.imbalance().values().all(|sum| *sum == 0), "{balances:?}");
    listed.entries.len()
}

#[tokio::test]
async fn what_stripe_takes_back_is_taken_back_in_the_books() {
    let (bench, stand_in) = refunded().await;
    let second = stand_in.refunds()[0].id.clone();
    stand_in.return_refund(&second);
    let failed = stand_in.webhook("evt_1", KIND, &second, NOW).unwrap();
    webhook(&bench, &failed).await.unwrap();
    let payment = bench.present().await;
    assert_eq!(payment.state, "partially_refunded");
    assert_eq!(told(&payment), ("done", "lost_or_stolen_card", 100, 100));
    let parts: Vec<_> = payment.refunds[0].parts.iter().map(|part| part.tender).collect();
    assert_eq!(parts, [1]);
    assert_eq!(entries(&bench).await, 5);
    // Stripe says it more than once, and in more than one way.
    let again = stand_in.webhook("evt_2", "charge.refund.updated", &second, NOW).unwrap();
    for message in [&failed, &again, &failed] {
        webhook(&bench, message).await.unwrap();
        assert_eq!(bench.present().await, payment);
    }
    let first = stand_in.refunds()[1].id.clone();
    stand_in.return_refund(&first);
    let failed = stand_in.webhook("evt_3", KIND, &first, NOW).unwrap();
    webhook(&bench, &failed).await.unwrap();
    let payment = bench.present().await;
    assert_eq!(payment.state, "captured");
    assert_eq!(told(&payment), ("refused", "lost_or_stolen_card", 400, 0));
    assert_eq!(entries(&bench).await, 6);
    // Whoever asked for it and asks again is told; another refund is another one.
    assert_eq!(bench.refund(400, 0, "r").await.unwrap_err().code(), ErrorCode::CardDeclined);
    assert_eq!(bench.refund(0, 2, "r2").await.unwrap().refunded_minor, 300);
    assert_eq!(entries(&bench).await, 7);
    assert_eq!(
        standing(&stand_in.intents()),
        ["authorize: 700 succeeded, 0 back", "authorize/2: 300 succeeded, 300 back"]
    );
}

#[tokio::test]
async fn a_message_that_says_so_is_not_believed() {
    let (bench, stand_in) = refunded().await;
    let before = bench.present().await;
    let sign = |event: &str, key: &str| {
        let body = format!(
            r#"{{"id":"{event}","type":"{KIND}","data":{{"object":{{"id":"re_1","status":"failed","metadata":{{"bistro_key":"{key}"}}}}}}}}"#
        );
        StripeStandIn::sign(StripeStandIn::WEBHOOK_SECRET, body.into_bytes(), NOW).unwrap()
    };
    let key = stand_in.refunds()[0].key.clone();
    let payment = order().sibling::<bistro_core::kinds::Payment>();
    let unknown = format!("{payment}/refund/9");
    for (event, key) in [("evt_1", &key), ("evt_2", &unknown)] {
        webhook(&bench, &sign(event, key)).await.unwrap();
        assert_eq!(bench.present().await, before, "{key}");
    }
}

#[tokio::test]
async fn while_stripe_does_not_say_it_is_to_send_the_message_again() {
    let (bench, stand_in) = refunded().await;
    let before = bench.present().await;
    let id = stand_in.refunds()[1].id.clone();
    stand_in.return_refund(&id);
    let failed = stand_in.webhook("evt_1", KIND, &id, NOW).unwrap();
    stand_in.slow_down(TIMEOUT * 2);
    assert_eq!(webhook(&bench, &failed).await, Err(ErrorCode::Unavailable));
    assert_eq!(bench.present().await, before);
    stand_in.slow_down(std::time::Duration::ZERO);
    webhook(&bench, &failed).await.unwrap();
    assert_eq!(told(&bench.present().await), ("done", "lost_or_stolen_card", 300, 300));
}

#[tokio::test]
async fn what_comes_back_while_the_rest_is_waited_for_is_seen_to() {
    let (bench, stand_in) = bench().await;
    let cards = [("pm_refund_waits", 700), ("pm_visa_eve", 300)];
    bench.authorize(0, &cards, "a").await.unwrap();
    bench.capture("c").await.unwrap();
    assert_eq!(told(&bench.refund(400, 0, "r").await.unwrap()), ("pending", "", 400, 300));
    let id = stand_in.refunds()[0].id.clone();
    stand_in.return_refund(&id);
    let failed = stand_in.webhook("evt_1", KIND, &id, NOW).unwrap();
    webhook(&bench, &failed).await.unwrap();
    assert_eq!(told(&bench.present().await), ("pending", "", 400, 0));
    stand_in.answer_refunds(true);
    bench.settle().await;
    assert_eq!(told(&bench.present().await), ("done", "lost_or_stolen_card", 100, 100));
    assert_eq!(entries(&bench).await, 5);
}

#[tokio::test]
async fn orders_is_told() {
    let (bench, stand_in) = refunded().await;
    let before = bench.payments.payment(order()).await.unwrap().unwrap();
    assert!(bench.payments.returned(&before, (1, 2), NOW).await.unwrap().is_none());
    stand_in.return_refund(&stand_in.refunds()[0].id);
    let returned = bench.payments.returned(&before, (1, 2), NOW).await.unwrap().unwrap();
    let mut work = bench.payments.engine.work(Cause::Tick { name: "test".to_owned() });
    returned.write(&mut work, &before).unwrap();
    let [event] = work.events.as_slice() else { panic!("{:?}", work.events) };
    let expected = v1::PaymentRefundReturned {
        payment_id: before.id.to_string(),
        order_id: order().to_string(),
        refund: 1,
        reason: "lost_or_stolen_card".to_owned(),
    };
    assert_eq!(event.kind, v1::PaymentRefundReturned::full_name());
    assert_eq!(v1::PaymentRefundReturned::decode(event.data.as_slice()).unwrap(), expected);
}
