//! Changing an order as its customer asks for it: what it holds is its own, and what is asked for
//! has to be there still.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Principal};
use bistro_proto::{
    catalog::v1 as catalog,
    common::v1::GeoPoint,
    orders::v1::{self, orders_server::Orders as _},
};

use super::{
    SLOT,
    platform::{Platform, at, basket, fields, slot_terms, user, within},
    scheduled,
};

/// Asks for `order` to become what `quote` says, at the version it has.
async fn modify(
    platform: &Platform,
    who: &Principal,
    order: &v1::Order,
    (quote, address): (&str, &str),
) -> Result<v1::Order, Error> {
    let request = v1::ModifyOrderRequest {
        id: order.id.clone(),
        quote: quote.to_owned(),
        version: platform.order(&order.id).await.version,
        address: address.to_owned(),
        ..Default::default()
    };
    within(platform.service.modify_order(platform.request(who, request))).await
}

fn for_change(order: &v1::Order, asked: v1::CreateQuoteRequest) -> v1::CreateQuoteRequest {
    v1::CreateQuoteRequest { changes: order.id.clone(), ..asked }
}

#[tokio::test]
async fn what_an_order_holds_is_free_for_its_change() {
    let (platform, ada, eve) = (Platform::new(), user(7), user(8));
    platform.catalog.priced.lock().slots = Some(slot_terms(1));
    let order = platform.confirmed(&ada, scheduled(SLOT)).await;
    assert_eq!(fields(platform.quote(&ada, scheduled(SLOT)).await), ["scheduled_for"], "full");

    let quote = platform.quote(&ada, for_change(&order, scheduled(SLOT))).await.unwrap();
    let asked = platform.catalog.asked.lock().pop().unwrap();
    assert_eq!(asked.order_id, order.id, "catalog is told whose portions are free");
    // Another full slot is full for it, and the place is nobody else's.
    let other = "2026-11-23T18:45:00Z";
    platform.confirmed(&eve, scheduled(other)).await;
    let to_other = for_change(&order, scheduled(other));
    assert_eq!(fields(platform.quote(&ada, to_other).await), ["scheduled_for"]);
    let stolen = platform.quote(&eve, for_change(&order, scheduled(SLOT))).await;
    assert_eq!(stolen.unwrap_err().code(), ErrorCode::NotFound);
    let rubbish = v1::CreateQuoteRequest { changes: "rubbish".to_owned(), ..scheduled(SLOT) };
    assert_eq!(fields(platform.quote(&ada, rubbish).await), ["changes"]);
    let elsewhere = v1::CreateQuoteRequest {
        restaurant_id: bistro_core::Id::<bistro_core::kinds::Restaurant>::from_bits(3).to_string(),
        ..for_change(&order, scheduled(SLOT))
    };
    assert_eq!(fields(platform.quote(&ada, elsewhere).await), ["changes"]);

    let unsaid = v1::ModifyOrderRequest {
        id: order.id.clone(),
        quote: quote.token.clone(),
        ..Default::default()
    };
    let refused = within(platform.service.modify_order(platform.request(&ada, unsaid))).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PreconditionRequired);
    let changed = modify(&platform, &ada, &order, (&quote.token, "")).await.unwrap();
    assert!(changed.changing);
    // What it held is free for nobody once it has ended.
    let cancel = v1::CancelOrderRequest { id: order.id.clone(), reason: "x".to_owned() };
    within(platform.service.cancel_order(platform.request(&ada, cancel))).await.unwrap();
    platform.confirmed(&eve, scheduled(SLOT)).await;
    let late = platform.quote(&ada, for_change(&order, scheduled(SLOT))).await;
    assert_eq!(fields(late), ["scheduled_for"]);
}

#[tokio::test]
async fn a_slot_that_has_begun_takes_no_order() {
    let (platform, ada) = (Platform::new(), user(7));
    platform.catalog.priced.lock().slots = Some(slot_terms(5));
    let soon = "2026-11-23T12:15:00Z";
    let quote = platform.quote(&ada, scheduled(soon)).await.unwrap();
    assert_eq!(quote.expires_at_ms, at(soon).as_millis(), "it says so");
    let order = platform.confirmed(&ada, scheduled(SLOT)).await;
    // One that says more, as of an earlier release.
    let signer = &platform.service.signer;
    let mut content =
        signer.open(&quote.token, &ada.name(), platform.service.engine.now()).unwrap();
    content.expires_at_ms = at(SLOT).as_millis();
    let generous = v1::Quote { token: signer.sign(&content), ..quote.clone() };
    platform.clock.advance(Duration::from_mins(10) - Duration::from_millis(1));
    assert!(platform.place(&ada, &generous).await.is_ok());
    platform.clock.advance(Duration::from_millis(1));
    for quote in [&quote, &generous] {
        let placed = platform.place(&ada, quote).await.unwrap_err();
        assert_eq!(placed.code(), ErrorCode::QuoteExpired, "{placed}");
        let changed = modify(&platform, &ada, &order, (&quote.token, "")).await.unwrap_err();
        assert_eq!(changed.code(), ErrorCode::QuoteExpired, "{changed}");
    }
}

#[tokio::test]
async fn another_drop_off_needs_an_address() {
    let (platform, ada) = (Platform::new(), user(7));
    platform.catalog.priced.lock().delivery =
        Some(catalog::DeliveryTerms { radius_m: 3000, ..Default::default() });
    let to = |lat_e6| v1::CreateQuoteRequest {
        drop_off: Some(GeoPoint { lat_e6, lon_e6: -124_600 }),
        ..basket(&[1])
    };
    let order = platform.confirmed(&ada, to(51_500_700)).await;
    let there = platform.quote(&ada, for_change(&order, to(51_500_900))).await.unwrap().token;
    let nowhere = platform.quote(&ada, for_change(&order, basket(&[1]))).await.unwrap().token;
    let long = "x".repeat(501);
    for (quote, address) in [(&there, ""), (&nowhere, ""), (&there, " "), (&there, &*long)] {
        let refused = modify(&platform, &ada, &order, (quote, address)).await;
        assert_eq!(fields(refused), ["address"], "{address}");
    }
    let changed = modify(&platform, &ada, &order, (&there, "2 Low Street")).await.unwrap();
    assert_eq!(changed.address, "1 High Street", "not before it is paid for");
    let stored = platform.order(&order.id).await;
    let change = stored.change.as_ref().unwrap();
    assert_eq!(change.address.as_deref(), Some("2 Low Street"));
    // The same place needs none, and neither does what is fetched.
    let same = platform.confirmed(&ada, to(51_500_700)).await;
    let quote = platform.quote(&ada, for_change(&same, to(51_500_700))).await.unwrap().token;
    assert!(modify(&platform, &ada, &same, (&quote, "")).await.is_ok());
    let fetched = v1::CreateQuoteRequest { fulfilment: "pick_up".to_owned(), ..to(51_500_700) };
    let order = platform.confirmed(&ada, fetched.clone()).await;
    let quote = platform.quote(&ada, for_change(&order, fetched)).await.unwrap().token;
    assert!(modify(&platform, &ada, &order, (&quote, "")).await.is_ok());
}

#[tokio::test]
async fn only_an_administrator_sees_to_problems() {
    let (platform, ada) = (Platform::new(), user(7));
    let order = platform.ended(&ada, basket(&[1]), true).await;
    let problem = "capture: authorization_voided";
    platform
        .react(&order.id, |work, before| {
            crate::saga::capture_given_up(work, before, "authorization_voided")
        })
        .await;
    let see = async |who: &Principal| {
        let ask = v1::GetOrderRequest { id: order.id.clone() };
        within(platform.service.get_order(platform.request(who, ask))).await.unwrap().problem
    };
    assert_eq!((see(&ada).await.as_str(), see(&super::support()).await.as_str()), ("", problem));
    let resolve = async |who: &Principal, problem: &str| {
        let ask = v1::ResolveProblemRequest { id: order.id.clone(), problem: problem.to_owned() };
        let asked = platform.service.resolve_problem(platform.request(who, ask));
        within(asked).await.map_err(|error| error.code())
    };
    for (who, problem, expected) in [
        (&ada, problem, ErrorCode::PermissionDenied),
        (&super::support(), problem, ErrorCode::PermissionDenied),
        (&user(8), problem, ErrorCode::NotFound),
        (&Principal::Operator, "another", ErrorCode::Conflict),
    ] {
        assert_eq!(resolve(who, problem).await.unwrap_err(), expected, "{who:?}");
    }
    let resolved = resolve(&Principal::Operator, problem).await.unwrap();
    assert_eq!((resolved.problem.as_str(), resolved.state.as_str()), ("", "completed"));
    let again = resolve(&Principal::Operator, problem).await.unwrap_err();
    assert_eq!(again, ErrorCode::WrongState);
}
