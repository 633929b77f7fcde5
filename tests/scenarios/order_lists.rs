//! Whose orders are listed to whom: a customer's, those of a customer at a restaurant, everybody's.

use bistro_client::{Client, ClientError};
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, get, post, text},
    permissions::made,
    platform::{Platform, Topology, on_every_topology},
};

on_every_topology!(a_customers_orders_at_a_restaurant, everybodys_orders_are_for_administrators);

const MENU: &[(&str, i64, Option<i64>)] = &[("Naan", 250, None)];

/// The id of an order of one dish there, which is confirmed.
async fn ordered(restaurant: &Restaurant, who: &Person) -> String {
    let order = restaurant.order(who, &[(0, 1)], "card_ok").await;
    assert_eq!(order["state"], "confirmed", "{order}");
    text(&order, "/id").to_owned()
}

/// The ids of every page of a list.
async fn ids(client: &Client, path: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(client, &format!("{path}{cursor}")).await;
        let page = page.unwrap_or_else(|error| panic!("{path}: {error}"));
        let rows = page["items"].as_array().expect("rows");
        ids.extend(rows.iter().map(|order| text(order, "/id").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

/// The field that a refusal is about.
fn field(result: Result<Value, ClientError>) -> String {
    let refused = result.expect_err("a refusal");
    let ClientError::Problem { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!(problem.code, "invalid_argument", "{}", problem.detail);
    problem.errors.first().map(|error| error.field.clone()).unwrap_or_default()
}

async fn a_customers_orders_at_a_restaurant(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let here = Restaurant::open(platform, MENU).await;
    let elsewhere = Restaurant::open(platform, MENU).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let mut chef = Person::new(platform, "chef", &[]).await;
    here.hire(platform, &mut chef, "chef").await;
    let (support, admin) = (made(platform, "support").await, made(platform, "admin").await);
    let lost = ordered(&here, &ada).await;
    let elsewheres = ordered(&elsewhere, &ada).await;
    let eves = ordered(&here, &eve).await;
    let open = ordered(&here, &ada).await;
    let reason = json!({ "reason": "no flour" });
    let path = format!("/orders/{lost}/reject");
    post(&here.owner.client, &path, &reason).await.expect("it is rejected");

    let me = get(&ada.client, "/me").await.expect("Ada");
    let of_ada = format!("customer_id={}", text(&me, "/id"));
    let at = |restaurant: &Restaurant| format!("restaurant_id={}", restaurant.id);
    let both = format!("/orders?limit=1&{of_ada}&{}", at(&here));
    let operator = platform.operator();
    for (who, client) in [
        ("Ada", &ada.client),
        ("the owner", &here.owner.client),
        ("the chef", &chef.client),
        ("support", &support.client),
        ("an administrator", &admin.client),
        ("the operator", &operator),
    ] {
        let list = async |more: &str| ids(client, &format!("{both}{more}")).await;
        assert_eq!(list("").await, [open.as_str(), &lost], "{who}");
        assert_eq!(list("&state=open").await, [open.as_str()], "{who}");
        assert_eq!(list("&state=rejected").await, [lost.as_str()], "{who}");
        assert_eq!(list("&state=completed").await, [""; 0], "{who}");
    }
    // A cursor of Ada's orders here is none of all of Ada's.
    let first = get(&ada.client, &both).await.expect("a page");
    let cursor = text(&first, "/next_cursor");
    let other = format!("/orders?limit=1&{of_ada}&cursor={cursor}");
    assert_eq!(field(get(&ada.client, &other).await), "cursor");
    // Each filter by itself is as before.
    let own = ids(&ada.client, "/orders?limit=200").await;
    assert_eq!(own, [open.as_str(), &elsewheres, &lost]);
    let heres = ids(&here.owner.client, &format!("/orders?limit=200&{}", at(&here))).await;
    assert_eq!(heres, [open.as_str(), &eves, &lost]);
    // Whoever may use neither filter may not use both.
    for client in [&eve.client, &elsewhere.owner.client] {
        assert_eq!(code(get(client, &both).await), "permission_denied");
    }
    let all_here = format!("/orders?{}", at(&here));
    for client in [&ada.client, &support.client] {
        assert_eq!(code(get(client, &all_here).await), "permission_denied");
    }
    assert_eq!(code(get(&platform.anybody(), &both).await), "unauthenticated");
}

async fn everybodys_orders_are_for_administrators(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let (support, admin) = (made(platform, "support").await, made(platform, "admin").await);
    let mine = [ordered(&restaurant, &ada).await, ordered(&restaurant, &eve).await];
    let first = get(&ada.client, &format!("/orders/{}", mine[0])).await.expect("the order");
    let since = format!("limit=200&from={}", text(&first, "/placed_at"));
    let operator = platform.operator();
    let everybodys = [
        (&admin.client, format!("/orders?all=true&{since}")),
        (&operator, format!("/orders?all=true&{since}")),
        // It has no orders of its own.
        (&operator, format!("/orders?{since}")),
        (&admin.client, format!("/orders?all=true&state=open&{since}")),
    ];
    for (client, path) in &everybodys {
        // Others order meanwhile.
        let listed = ids(client, path).await;
        let found: Vec<_> = listed.iter().filter(|id| mine.contains(id)).collect();
        assert_eq!(found, [&mine[1], &mine[0]], "newest first at {path}");
    }
    // An administrator has orders too, if none yet.
    assert_eq!(ids(&admin.client, "/orders?limit=200").await, [""; 0]);
    assert_eq!(ids(&admin.client, "/orders?all=false&limit=200").await, [""; 0]);
    for client in [&ada.client, &restaurant.owner.client, &support.client] {
        assert_eq!(code(get(client, "/orders?all=true").await), "permission_denied");
    }
    for wrong in [format!("all=true&restaurant_id={}", restaurant.id), "all=perhaps".to_owned()] {
        assert_eq!(field(get(&admin.client, &format!("/orders?{wrong}")).await), "all", "{wrong}");
    }
}
