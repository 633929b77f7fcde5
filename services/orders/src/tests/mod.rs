//! The role as others see it, over the embedded engine.

mod changing;
mod erasing;
mod listing;
mod passing;
mod platform;

use std::time::Duration;

use bistro_core::{ErrorCode, Principal, StaffRole};
use bistro_proto::{
    accounts::v1 as accounts,
    catalog::v1 as catalog,
    delivery::v1 as delivery,
    kitchen::v1 as kitchen,
    orders::v1::{self, orders_server::Orders as _},
    payments::v1 as payments,
};
use prost::Name as _;

use self::platform::{
    NOW, Platform, at, basket, fields, item, keyed, restaurant, slot_terms, user, within,
};

#[test]
fn the_queue_names_kinds_as_the_protocols_do() {
    let kinds = [
        kitchen::TicketStarted::full_name(),
        kitchen::TicketReady::full_name(),
        kitchen::TicketRecalled::full_name(),
        delivery::DeliveryPickedUp::full_name(),
        delivery::DeliveryDelivered::full_name(),
        delivery::DeliveryFailed::full_name(),
        payments::PaymentAuthorized::full_name(),
        payments::PaymentFailed::full_name(),
        payments::PaymentCaptureFailed::full_name(),
        payments::PaymentRefundReturned::full_name(),
        accounts::UserErased::full_name(),
    ];
    assert_eq!(super::QUEUE.kinds, kinds);
}

#[tokio::test]
async fn a_quote_has_options_taxes_fee_and_tip_and_the_order_has_all_of_it() {
    let (platform, ada) = (Platform::new(), user(7));
    {
        let mut priced = platform.catalog.priced.lock();
        priced.lines = vec![
            catalog::PricedLine {
                item_id: item(1),
                name: "Naan".to_owned(),
                unit_price_minor: 300,
                tax_rate: 500,
                station: "oven".to_owned(),
                allergens: vec!["gluten".to_owned()],
                choices: vec![catalog::PricedChoice {
                    choice_id: "opt_1".to_owned(),
                    name: "Garlic".to_owned(),
                    price_minor: 50,
                }],
                ..Default::default()
            },
            catalog::PricedLine {
                item_id: item(2),
                name: "Dal".to_owned(),
                unit_price_minor: 700,
                tax_rate: 2000,
                ..Default::default()
            },
        ];
        priced.prices_include_tax = false;
        priced.delivery = Some(catalog::DeliveryTerms {
            radius_m: 3000,
            fee_minor: 250,
            free_from_minor: Some(1001),
            tax_rate: 2000,
        });
    }
    let mut asked = basket(&[1, 2]);
    asked.lines[0].choice_ids = vec!["opt_1".to_owned()];
    asked.tip_minor = 100;
    asked.drop_off =
        Some(bistro_proto::common::v1::GeoPoint { lat_e6: 51_500_700, lon_e6: -124_600 });
    let quote = platform.quote(&ada, asked.clone()).await.unwrap();
    let amounts = quote.amounts.clone().unwrap();
    // 5 % of 3.00 is 0.15; 20 % of 7.00 and 2.50 is 1.90.
    let taxes: Vec<_> = amounts.taxes.iter().map(|tax| (tax.rate, tax.tax_minor)).collect();
    assert_eq!(taxes, [(500, 15), (2000, 190)]);
    assert_eq!((amounts.subtotal_minor, amounts.delivery_fee_minor), (1000, 250));
    assert_eq!(quote.total.as_ref().unwrap().amount_minor, 1000 + 250 + 205 + 100);
    let priced = platform.catalog.asked.lock().pop().unwrap();
    assert_eq!((priced.fulfilment.as_str(), priced.drop_off), ("delivery", asked.drop_off));
    assert_eq!(priced.lines[0].choice_ids, ["opt_1"]);

    let order = platform.place(&ada, &quote).await.unwrap();
    assert_eq!((order.amounts, order.total), (quote.amounts, quote.total));
    let line = &order.lines[0];
    assert_eq!((line.station.as_str(), line.choices[0].name.as_str()), ("oven", "Garlic"));
    let workload = Principal::Workload("delivery".to_owned());
    let ask = v1::GetDropOffRequest { order_id: order.id.clone() };
    let there = within(platform.service.get_drop_off(keyed(&workload, ask.clone(), "a"))).await;
    let there = there.unwrap();
    assert_eq!((there.location, there.address.as_str()), (asked.drop_off, "1 High Street"));
    let refused = within(platform.service.get_drop_off(keyed(&ada, ask, "b"))).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn every_reason_is_said_at_once() {
    let (platform, ada) = (Platform::new(), user(7));
    set_allergies(&platform, &ada, &["milk"], "block").await;
    {
        let mut priced = platform.catalog.priced.lock();
        priced.open = false;
        priced.refused = ["closed", "out_of_radius"].map(str::to_owned).to_vec();
        priced.minimum_order_minor = 5000;
        priced.lines[0].refused = "sold_out".to_owned();
        priced.lines[0].allergens = vec!["milk".to_owned()];
    }
    let refused = platform.quote(&ada, basket(&[1])).await;
    assert_eq!(
        fields(refused),
        ["restaurant_id", "drop_off", "lines[0].item_id", "lines[0].item_id", "lines"]
    );
    platform.catalog.priced.lock().refused.clear();
    platform.catalog.priced.lock().minimum_order_minor = 0;
    platform.catalog.priced.lock().lines[0] = catalog::PricedLine::default();
    let closed = platform.quote(&ada, basket(&[1])).await.unwrap_err();
    assert_eq!(closed.code(), ErrorCode::RestaurantClosed);
}

async fn set_allergies(platform: &Platform, who: &Principal, allergens: &[&str], mode: &str) {
    let request = v1::SetAllergyProfileRequest {
        version: 0,
        allergens: allergens.iter().map(|word| (*word).to_owned()).collect(),
        mode: mode.to_owned(),
    };
    let set = within(platform.service.set_allergy_profile(platform.request(who, request))).await;
    assert_eq!(set.unwrap().version, 1);
}

#[tokio::test]
async fn allergies_warn_or_block_and_are_printed_for_the_kitchen() {
    let (platform, ada) = (Platform::new(), user(7));
    platform.catalog.priced.lock().lines[0].allergens = vec!["eggs".to_owned(), "milk".to_owned()];
    let quote = platform.quote(&ada, basket(&[1])).await.unwrap();
    assert!(quote.warnings.is_empty(), "nothing is known of Ada");
    set_allergies(&platform, &ada, &["milk", "nuts"], "block").await;
    assert_eq!(fields(platform.quote(&ada, basket(&[1])).await), ["lines[0].item_id"]);
    let accepted = v1::CreateQuoteRequest { allergens_accepted: true, ..basket(&[1]) };
    let quote = platform.quote(&ada, accepted.clone()).await.unwrap();
    assert_eq!(quote.warnings[0].allergens, ["milk"]);
    // Nobody else is warned.
    assert!(platform.quote(&user(8), basket(&[1])).await.unwrap().warnings.is_empty());

    let order = platform.confirmed(&ada, accepted).await;
    let kitchen = Principal::Workload("kitchen".to_owned());
    let ask = v1::GetKitchenNotesRequest { order_ids: vec![order.id.clone(), "ord_x".to_owned()] };
    let notes = within(platform.service.get_kitchen_notes(keyed(&kitchen, ask.clone(), "a")));
    let notes = notes.await.unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].allergies, ["milk", "nuts"]);
    assert_eq!(notes[0].lines, ["ring twice at Ada's"]);
    let refused = within(platform.service.get_kitchen_notes(keyed(&ada, ask, "b"))).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PermissionDenied);
    // The customer and the restaurant see them; support does not.
    for (who, sees) in [
        (ada.clone(), true),
        (staff(StaffRole::Chef), true),
        (support(), false),
        (kitchen.clone(), false),
    ] {
        let ask = v1::GetOrderRequest { id: order.id.clone() };
        let seen = within(platform.service.get_order(platform.request(&who, ask))).await.unwrap();
        assert_eq!(!seen.allergies.is_empty(), sees, "{who:?}");
    }
}

fn staff(role: StaffRole) -> Principal {
    let Principal::User { id, session, roles, .. } = user(90) else { panic!() };
    let memberships = vec![bistro_core::Membership { restaurant: restaurant(), role }];
    Principal::User { id, session, roles, memberships, api_key: false }
}

fn support() -> Principal {
    let Principal::User { id, session, memberships, .. } = user(91) else { panic!() };
    let roles = vec![bistro_core::Role::Support];
    Principal::User { id, session, roles, memberships, api_key: false }
}

fn scheduled(slot: &str) -> v1::CreateQuoteRequest {
    v1::CreateQuoteRequest { scheduled_for_ms: at(slot).as_millis(), ..basket(&[1]) }
}

const SLOT: &str = "2026-11-23T18:30:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn no_race_overfills_a_slot() {
    const CLIENTS: u32 = 64;
    let platform = std::sync::Arc::new(Platform::new());
    platform.catalog.priced.lock().slots = Some(slot_terms(5));
    let mut quoted = Vec::new();
    for client in 0..CLIENTS {
        let who = user(100 + u128::from(client));
        quoted.push((platform.quote(&who, scheduled(SLOT)).await.unwrap(), who));
    }
    let mut placing = tokio::task::JoinSet::new();
    for (quote, who) in quoted {
        let platform = std::sync::Arc::clone(&platform);
        placing.spawn(async move { platform.place(&who, &quote).await });
    }
    let answers = placing.join_all().await;
    let placed: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(placed.len(), 5);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.code(), ErrorCode::SoldOut, "{refused}");
    }
    assert_eq!(fields(platform.quote(&user(7), scheduled(SLOT)).await), ["scheduled_for"]);

    *platform.catalog.restaurant.lock() = catalog::Restaurant {
        open: true,
        time_zone: "Europe/London".to_owned(),
        profile: Some(catalog::Profile { slots: Some(slot_terms(5)), ..Default::default() }),
        ..Default::default()
    };
    let free = async || {
        let request =
            v1::ListSlotsRequest { restaurant_id: restaurant().to_string(), ..Default::default() };
        let nobody = Principal::Anonymous;
        let slots = platform.service.list_slots(platform.request(&nobody, request));
        within(slots).await.unwrap().slots
    };
    let slots = free().await;
    assert_eq!(slots.len(), 96, "a day of quarters");
    assert_eq!(slots[0].from_ms, at("2026-11-23T12:15:00Z").as_millis());
    let full: Vec<_> = slots.iter().filter(|slot| slot.free == 0).collect();
    assert_eq!((full.len(), full[0].from_ms), (1, at(SLOT).as_millis()));
    // An order that ends early gives its place back, and completing one does not.
    let cancel = v1::CancelOrderRequest { id: placed[0].id.clone(), reason: "x".to_owned() };
    let of = Principal::Operator;
    within(platform.service.cancel_order(platform.request(&of, cancel))).await.unwrap();
    let slots = free().await;
    assert_eq!(slots.iter().map(|slot| u64::from(5 - slot.free)).sum::<u64>(), 4);
}

#[tokio::test]
async fn times_that_are_no_slots_are_refused() {
    let (platform, ada) = (Platform::new(), user(7));
    assert_eq!(fields(platform.quote(&ada, scheduled(SLOT)).await), ["scheduled_for"]);
    platform.catalog.priced.lock().slots = Some(slot_terms(0));
    assert_eq!(fields(platform.quote(&ada, scheduled(SLOT)).await), ["scheduled_for"]);
    platform.catalog.priced.lock().slots = Some(slot_terms(1));
    for wrong in [NOW, "2026-11-23T18:31:00Z", "2026-11-24T12:15:00Z", "2026-11-22T12:15:00Z"] {
        assert_eq!(fields(platform.quote(&ada, scheduled(wrong)).await), ["scheduled_for"]);
    }
    assert!(platform.quote(&ada, scheduled(SLOT)).await.is_ok());
    platform.catalog.priced.lock().open = false;
    assert_eq!(fields(platform.quote(&ada, scheduled(SLOT)).await), ["scheduled_for"]);
}

#[tokio::test]
async fn one_key_places_one_order_also_when_the_slot_is_full_by_then() {
    let (platform, ada) = (Platform::new(), user(7));
    platform.catalog.priced.lock().slots = Some(slot_terms(1));
    let quote = platform.quote(&ada, scheduled(SLOT)).await.unwrap();
    let request = v1::PlaceOrderRequest {
        quote: quote.token.clone(),
        payment_method: "card_ok".to_owned(),
        address: "1 High Street".to_owned(),
        ..Default::default()
    };
    let place = async |request: &v1::PlaceOrderRequest, key: &str| {
        within(platform.service.place_order(keyed(&ada, request.clone(), key))).await
    };
    let (one, other) = tokio::join!(place(&request, "k"), place(&request, "k"));
    assert_eq!(one.unwrap().id, other.unwrap().id);
    assert_eq!(place(&request, "k2").await.unwrap_err().code(), ErrorCode::SoldOut);
    let elsewhere = v1::PlaceOrderRequest { address: "2 Low Street".to_owned(), ..request.clone() };
    let reused = place(&elsewhere, "k").await.unwrap_err();
    assert_eq!(reused.code(), ErrorCode::IdempotencyKeyReused);
    // The quote is honoured until it expires, and a repeated order longer than that.
    platform.clock.advance(Duration::from_hours(24));
    assert!(place(&request, "k").await.is_ok());
    assert_eq!(place(&request, "k3").await.unwrap_err().code(), ErrorCode::QuoteExpired);
}

#[tokio::test]
async fn what_is_open_is_one_range_however_much_has_ended() {
    let (platform, ada) = (Platform::new(), user(7));
    let mut open = Vec::new();
    for round in 0..40 {
        platform.clock.advance(Duration::from_millis(1));
        if round % 10 == 0 {
            open.insert(0, platform.confirmed(&ada, basket(&[1])).await.id);
        } else {
            platform.ended(&ada, basket(&[1]), round % 2 == 0).await;
        }
    }
    let owner = staff(StaffRole::Owner);
    let list = async |state: &str, limit: u32, cursor: &str| {
        let page = bistro_proto::common::v1::PageRequest { limit, cursor: cursor.to_owned() };
        let request = v1::ListOrdersRequest {
            restaurant_id: restaurant().to_string(),
            state: state.to_owned(),
            page: Some(page),
            ..Default::default()
        };
        within(platform.service.list_orders(platform.request(&owner, request))).await
    };
    let all = list("open", 0, "").await.unwrap();
    let ids = |page: &v1::ListOrdersResponse| {
        page.orders.iter().map(|order| order.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&all), all.next_cursor.as_str()), (open.clone(), ""));
    let first = list("open", 3, "").await.unwrap();
    let rest = list("open", 3, &first.next_cursor).await.unwrap();
    assert_eq!([ids(&first), ids(&rest)].concat(), open);
    assert_eq!(list("cancelled", 200, "").await.unwrap().orders.len(), 20);
    assert_eq!(list("completed", 200, "").await.unwrap().orders.len(), 16);
    assert_eq!(list("", 200, "").await.unwrap().orders.len(), 40);
    for state in ["", "confirmed", "completed"] {
        assert_eq!(fields(list(state, 3, &first.next_cursor).await), ["cursor"]);
    }
}

#[tokio::test]
async fn every_list_by_state_is_whole_and_in_order() {
    let (platform, ada, eve) = (Platform::new(), user(7), user(8));
    let mut placed = Vec::new();
    for round in 0..24 {
        if round % 4 == 0 {
            // Four are placed in the same moment.
            platform.clock.advance(Duration::from_millis(1));
        }
        let who = if round % 3 == 0 { &eve } else { &ada };
        let (state, order) = match round % 4 {
            0 => {
                let quote = platform.quote(who, basket(&[1])).await.unwrap();
                ("placed", platform.place(who, &quote).await.unwrap())
            }
            1 => ("confirmed", platform.confirmed(who, basket(&[1])).await),
            2 => ("completed", platform.ended(who, basket(&[1]), true).await),
            _ => ("cancelled", platform.ended(who, basket(&[1]), false).await),
        };
        placed.push((order.placed_at_ms, order.id, state, who.name()));
    }
    placed.sort();
    placed.reverse();
    let expected = |states: &[&str], who: Option<&Principal>| {
        let name = who.map(Principal::name);
        let wanted = placed.iter().filter(|(_, _, state, customer)| {
            states.contains(state) && name.as_ref().is_none_or(|name| name == customer)
        });
        wanted.map(|(_, id, _, _)| id.clone()).collect::<Vec<_>>()
    };
    let owner = staff(StaffRole::Owner);
    let list = async |who: &Principal, state: &str, limit: u32| {
        let restaurant_id = if *who == owner { restaurant().to_string() } else { String::new() };
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = Some(bistro_proto::common::v1::PageRequest { limit, cursor });
            let state = state.to_owned();
            let restaurant_id = restaurant_id.clone();
            let request =
                v1::ListOrdersRequest { restaurant_id, state, page, ..Default::default() };
            let asked = platform.request(who, request);
            let page = within(platform.service.list_orders(asked)).await.unwrap();
            assert!(page.orders.len() <= limit as usize);
            ids.extend(page.orders.into_iter().map(|order| order.id));
            if page.next_cursor.is_empty() {
                return ids;
            }
            cursor = page.next_cursor;
        }
    };
    for limit in [1, 3, 5, 50] {
        for state in ["placed", "confirmed", "completed", "cancelled", "failed"] {
            let listed = list(&Principal::Operator, state, limit).await;
            assert_eq!(listed, expected(&[state], None), "{state} by {limit}");
            assert_eq!(list(&owner, state, limit).await, listed, "{state} here by {limit}");
            let own = list(&eve, state, limit).await;
            assert_eq!(own, expected(&[state], Some(&eve)), "{state} of Eve by {limit}");
        }
        let open = list(&Principal::Operator, "open", limit).await;
        assert_eq!(open, expected(&["placed", "confirmed"], None), "open by {limit}");
        assert_eq!(list(&owner, "open", limit).await, open);
        let own = list(&eve, "open", limit).await;
        assert_eq!(own, expected(&["placed", "confirmed"], Some(&eve)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ratings_that_come_together_are_all_counted() {
    const CLIENTS: u32 = 20;
    let platform = std::sync::Arc::new(Platform::new());
    let mut orders = Vec::new();
    for client in 0..CLIENTS {
        let who = user(100 + u128::from(client));
        orders.push((platform.ended(&who, basket(&[1]), true).await, who, client));
    }
    let mut rating = tokio::task::JoinSet::new();
    for (order, who, client) in orders.clone() {
        let platform = std::sync::Arc::clone(&platform);
        rating.spawn(async move {
            let request = v1::CreateRatingRequest {
                order_id: order.id,
                stars: 1 + client % 5,
                ..Default::default()
            };
            within(platform.service.create_rating(platform.request(&who, request))).await.unwrap()
        });
    }
    rating.join_all().await;
    let sums = async || {
        let request = v1::ListRatingsRequest {
            restaurant_id: restaurant().to_string(),
            ..Default::default()
        };
        let asked = platform.request(&Principal::Anonymous, request);
        let all = within(platform.service.list_ratings(asked)).await.unwrap();
        (all.count, all.stars, all.ratings.len())
    };
    assert_eq!(sums().await, (20, 4 * (1 + 2 + 3 + 4 + 5), 20));
    // All are of one moment: by pages of any size each is read once.
    for limit in [1, 3, 7, 20] {
        let (mut ids, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        for round in 1..=20 {
            let page = Some(bistro_proto::common::v1::PageRequest { limit, cursor });
            let restaurant_id = restaurant().to_string();
            let asked = v1::ListRatingsRequest { restaurant_id, page };
            let asked = platform.request(&Principal::Anonymous, asked);
            let page = within(platform.service.list_ratings(asked)).await.unwrap();
            for rating in page.ratings {
                assert!(ids.insert(rating.id), "by {limit}");
                assert_eq!(rating.order_id, "");
            }
            cursor = page.next_cursor;
            assert_eq!(cursor.is_empty(), round * limit >= 20, "{round} by {limit}");
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!(ids.len(), 20, "by {limit}");
    }
    // Half of them change their minds, and a few take it back, twice over.
    for (order, who, client) in orders {
        let order_id = order.id;
        if client % 2 == 0 {
            let request =
                v1::UpdateRatingRequest { order_id, version: 1, stars: 5, ..Default::default() };
            within(platform.service.update_rating(platform.request(&who, request))).await.unwrap();
        } else if client < 5 {
            for _ in 0..2 {
                let request = v1::DeleteRatingRequest { order_id: order_id.clone() };
                let asked = platform.request(&who, request);
                within(platform.service.delete_rating(asked)).await.unwrap();
            }
        }
    }
    // Clients 1 and 3 gave 2 and 4 stars.
    let left: u64 = (0..20_u64).filter(|one| one % 2 == 1 && *one > 4).map(|one| 1 + one % 5).sum();
    assert_eq!(sums().await, (18, 50 + left, 18));
}
