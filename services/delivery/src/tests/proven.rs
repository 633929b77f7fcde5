//! Drop-offs that have to be proven by the customer's code.

use bistro_core::{Error, ErrorCode, Id, Principal, StaffRole, kinds};
use bistro_proto::delivery::v1::{DeliveryRecord, DropOffRequest, GetOrderDeliveryRequest};

use super::bench::{Bench, asked, customer, keyed, manager, refusal, restaurant, staff, support};
use crate::delivery::State;

fn request(code: &str) -> DropOffRequest {
    DropOffRequest { id: Id::<kinds::Delivery>::from_bits(100).to_string(), code: code.to_owned() }
}

async fn drop_off(bench: &Bench, who: &Principal, code: &str) -> Result<DeliveryRecord, Error> {
    let (asked, request) = asked(who, request(code));
    bench.service.drop_off(&asked, &request).await
}

async fn shown(bench: &Bench, who: &Principal) -> DeliveryRecord {
    let order_id = Id::<kinds::Order>::from_bits(100).to_string();
    bench.service.get_order_delivery(who, &GetOrderDeliveryRequest { order_id }).await.unwrap()
}

/// A code that is not this one.
fn other_than(code: &str) -> String {
    format!("{:04}", (code.parse::<u32>().unwrap() + 1) % 10_000)
}

async fn picked_up() -> (Bench, Principal, String) {
    let bench = Bench::proving(true);
    let cora = bench.courier(1, 1).await;
    bench.ready(100, Some(300)).await;
    let theirs = shown(&bench, &customer()).await;
    assert!(theirs.code_needed);
    bench.step(&cora, 100, "pick-up").await.unwrap();
    (bench, cora, theirs.code)
}

#[tokio::test]
async fn the_code_that_only_the_customer_knows_proves_the_drop_off() {
    let (bench, cora, code) = picked_up().await;
    assert_eq!(shown(&bench, &manager()).await.code, "");
    assert_eq!(shown(&bench, &support()).await.code, "");
    let id = Id::<kinds::Delivery>::from_bits(100).to_string();
    let mine = bench.service.get_delivery(&cora, &id).await.unwrap();
    assert!(mine.code_needed && mine.code.is_empty());
    for rubbish in ["", "12", "abcd", "12345"] {
        let refused = drop_off(&bench, &cora, rubbish).await.unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "code", "{rubbish:?}");
    }
    assert_eq!(bench.delivery(100).await.wrong_codes, 0, "what is no code costs no try");
    assert_eq!(drop_off(&bench, &cora, &code).await.unwrap().state, "delivered");
    assert_eq!(shown(&bench, &customer()).await.code, "", "it has served");
}

#[tokio::test]
async fn a_wrong_code_costs_a_try_once_and_after_five_others_have_to_say_it() {
    let (bench, cora, code) = picked_up().await;
    let wrong = other_than(&code);
    for owner in [manager(), support()] {
        // As long as the courier can prove it nobody else has to say it.
        assert_eq!(refusal(drop_off(&bench, &owner, "").await), ErrorCode::PermissionDenied);
    }
    let (asked, guess) = keyed(&cora, request(&wrong), "guess");
    for _ in 0..3 {
        let refused = bench.service.drop_off(&asked, &guess).await.unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "code");
        assert!(refused.message().contains("left: 4"), "{refused}");
    }
    assert_eq!(bench.delivery(100).await.wrong_codes, 1, "the same request is one try");
    let (again, right) = keyed(&cora, request(&code), "guess");
    let reused = bench.service.drop_off(&again, &right).await;
    assert_eq!(refusal(reused), ErrorCode::IdempotencyKeyReused);
    for left in (0..4).rev() {
        let refused = drop_off(&bench, &cora, &wrong).await.unwrap_err();
        assert!(refused.message().contains(&format!("left: {left}")), "{refused}");
    }
    for code in [&code, &wrong] {
        assert_eq!(refusal(drop_off(&bench, &cora, code).await), ErrorCode::WrongState);
    }
    let delivery = bench.delivery(100).await;
    assert_eq!((delivery.state, delivery.wrong_codes), (State::PickedUp, 5));

    let chef = staff(StaffRole::Chef, restaurant());
    assert_eq!(refusal(drop_off(&bench, &chef, "").await), ErrorCode::PermissionDenied);
    let elsewhere = staff(StaffRole::Manager, Id::from_bits(8));
    assert_eq!(refusal(drop_off(&bench, &elsewhere, "").await), ErrorCode::NotFound);
    assert_eq!(refusal(drop_off(&bench, &customer(), &code).await), ErrorCode::NotFound);
    assert_eq!(drop_off(&bench, &manager(), "").await.unwrap().state, "delivered");
    assert_eq!(bench.stored(1).await.load, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_that_race_are_each_counted() {
    let (bench, cora, code) = picked_up().await;
    let bench = std::sync::Arc::new(bench);
    let guesses: Vec<_> = (0..8)
        .map(|_| {
            let (bench, cora, wrong) = (bench.clone(), cora.clone(), other_than(&code));
            tokio::spawn(async move { refusal(drop_off(&bench, &cora, &wrong).await) })
        })
        .collect();
    let mut counted = 0;
    for guess in guesses {
        counted += u32::from(guess.await.unwrap() == ErrorCode::InvalidArgument);
    }
    assert_eq!((counted, bench.delivery(100).await.wrong_codes), (5, 5));
}

#[tokio::test]
async fn where_no_code_is_asked_for_none_is_needed() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    bench.ready(100, Some(300)).await;
    let theirs = shown(&bench, &customer()).await;
    assert!(!theirs.code_needed && theirs.code.is_empty());
    bench.step(&cora, 100, "pick-up").await.unwrap();
    assert_eq!(drop_off(&bench, &cora, "0000").await.unwrap().state, "delivered");
}
