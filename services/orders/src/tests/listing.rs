//! Lists that name a customer and a restaurant at once, and everybody's for administrators.

use std::time::Duration;

use bistro_core::{Id, Membership, Principal, Role, StaffRole, kinds};
use bistro_proto::{
    common::v1::PageRequest,
    orders::v1::{self, orders_server::Orders as _},
};

use super::platform::{Platform, basket, fields, restaurant, user, within};

/// Somebody with `role`, who cooks at `kitchen` if one is given.
fn somebody(bits: u128, role: Role, kitchen: Option<Id<kinds::Restaurant>>) -> Principal {
    let member = |restaurant| Membership { restaurant, role: StaffRole::Chef };
    Principal::User {
        id: Id::from_bits(bits),
        session: Id::from_bits(1),
        roles: vec![role],
        memberships: kitchen.into_iter().map(member).collect(),
        api_key: false,
    }
}

/// The ids of every page of the list.
async fn ids(platform: &Platform, who: &Principal, asked: &v1::ListOrdersRequest) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = Some(PageRequest { limit: 3, cursor });
        let request = v1::ListOrdersRequest { page, ..asked.clone() };
        let page = within(platform.service.list_orders(platform.request(who, request))).await;
        let page = page.unwrap();
        ids.extend(page.orders.into_iter().map(|order| order.id));
        if page.next_cursor.is_empty() {
            return ids;
        }
        cursor = page.next_cursor;
    }
}

#[tokio::test]
async fn a_customers_orders_at_a_restaurant_are_one_range() {
    let (platform, ada, eve) = (Platform::new(), user(7), user(8));
    let elsewhere = Id::<kinds::Restaurant>::from_bits(3);
    let (mut open, mut completed, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..24 {
        platform.clock.advance(Duration::from_millis(1));
        let who = if round % 4 == 0 { &eve } else { &ada };
        let at = if round % 4 == 1 { elsewhere } else { restaurant() };
        let asked = v1::CreateQuoteRequest { restaurant_id: at.to_string(), ..basket(&[1]) };
        let order = if round % 3 == 0 {
            platform.ended(who, asked, true).await
        } else {
            platform.confirmed(who, asked).await
        };
        if round % 4 >= 2 {
            let ids = if round % 3 == 0 { &mut completed } else { &mut open };
            ids.insert(0, order.id.clone());
        }
        all.insert(0, order.id);
    }
    let of = |state: &str| v1::ListOrdersRequest {
        customer_id: ada.name(),
        restaurant_id: restaurant().to_string(),
        state: state.to_owned(),
        ..Default::default()
    };
    let chef = somebody(20, Role::Chef, Some(restaurant()));
    let admin = somebody(21, Role::Admin, None);
    for who in [&ada, &chef, &admin, &somebody(22, Role::Support, None), &Principal::Operator] {
        assert_eq!(ids(&platform, who, &of("open")).await, open, "{who:?}");
        assert_eq!(ids(&platform, who, &of("confirmed")).await, open, "{who:?}");
        assert_eq!(ids(&platform, who, &of("completed")).await, completed, "{who:?}");
        let both = ids(&platform, who, &of("")).await;
        assert_eq!(both.len(), 12, "{who:?}");
        assert!(all.iter().filter(|id| both.contains(*id)).eq(&both), "newest first: {both:?}");
        assert!(both.iter().all(|id| open.contains(id) || completed.contains(id)), "{who:?}");
    }
    // Everybody's, for who asks for them.
    let everybodys = v1::ListOrdersRequest { all: true, ..Default::default() };
    assert_eq!(ids(&platform, &admin, &everybodys).await, all);
    assert!(ids(&platform, &admin, &v1::ListOrdersRequest::default()).await.is_empty());

    // A cursor of the one list is none of the other.
    let page = Some(PageRequest { limit: 1, cursor: String::new() });
    let request = v1::ListOrdersRequest { page, ..of("") };
    let first = within(platform.service.list_orders(platform.request(&ada, request))).await;
    let page = Some(PageRequest { limit: 1, cursor: first.unwrap().next_cursor });
    let request = v1::ListOrdersRequest { page, restaurant_id: String::new(), ..of("") };
    let other = within(platform.service.list_orders(platform.request(&ada, request))).await;
    assert_eq!(fields(other), ["cursor"]);
}
