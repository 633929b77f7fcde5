//! Changing a confirmed order: stock, money and lines are swapped together, or not at all.

use bistro_client::{Answer, ClientError, Insistence, Request};
use serde_json::{Value, json};

use crate::{
    compensation::stock_returns,
    people::{Person, Restaurant, code, fresh, get, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    a_change_swaps_lines_stock_and_money,
    a_refused_change_leaves_the_order_as_it_was,
    who_may_change_what_and_when,
    another_drop_off_comes_with_an_address,
    a_cancel_races_a_change,
);

const MENU: &[(&str, i64, Option<i64>)] = &[("Naan", 250, Some(5)), ("Dal", 595, Some(3))];

async fn ordered(
    restaurant: &Restaurant,
    who: &Person,
    lines: &[(usize, u32)],
    card: &str,
) -> Value {
    let quote = restaurant.quote(who, lines, "pick_up").await.expect("a quote");
    let body = Restaurant::placing(&quote, card);
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let answer = who.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = answer.expect("an order").body;
    assert_eq!(order["state"], "confirmed", "{order}");
    order
}

pub(crate) fn change(order: &Value, quote: &Value) -> Request {
    let path = format!("/api/v1/orders/{}", text(order, "/id"));
    Request::put(path, &json!({ "quote": text(quote, "/token") })).prefer_wait(20)
}

/// Changes `order` to `lines`, and waits until that is decided.
async fn changed(
    restaurant: &Restaurant,
    who: &Person,
    order: &Value,
    lines: &[(usize, u32)],
) -> Result<Answer, ClientError> {
    let quote = restaurant.quote(who, lines, "pick_up").await.expect("a quote");
    who.client.send(&change(order, &quote).if_match(&order["sequence"])).await
}

/// The order once no change of it is under way.
pub(crate) async fn settled(who: &Person, order: &Value) -> Value {
    let path = format!("/orders/{}", text(order, "/id"));
    bistro_testkit::wait::until("the change is settled", SOON, async || {
        let order = get(&who.client, &path).await.map_err(|error| error.to_string())?;
        if order["changing"] == false { Ok(order) } else { Err(order.to_string()) }
    })
    .await
}

async fn a_change_swaps_lines_stock_and_money(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = ordered(&restaurant, &ada, &[(0, 2)], "card_ok").await;
    let answer = changed(&restaurant, &ada, &order, &[(1, 3)]).await.expect("a change").body;
    assert_eq!(answer["total"]["amount_minor"], 1785, "{answer}");
    let order = settled(&ada, &order).await;
    assert_eq!((&order["revision"], &order["change_refused"]), (&json!(1), &Value::Null));
    assert_eq!(text(&order, "/lines/0/name"), "Dal");
    assert_eq!((restaurant.free(0).await, restaurant.free(1).await), (5, 0));
    let payment = paid(&ada.client, &order, "authorized").await;
    assert_eq!(payment["amount"]["amount_minor"], 1785);

    restaurant.cook(&order).await;
    crate::people::in_state(&ada.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.expect("handed over");
    let payment = paid(&ada.client, &order, "captured").await;
    assert_eq!(payment["captured"]["amount_minor"], 1785);
}

async fn a_refused_change_leaves_the_order_as_it_was(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let (ada, bob) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "bob", &[]).await);
    let order = ordered(&restaurant, &ada, &[(0, 2)], "card_ok").await;
    // The dish is quoted, and sold to somebody else meanwhile.
    let quote = restaurant.quote(&ada, &[(1, 3)], "pick_up").await.expect("a quote");
    ordered(&restaurant, &bob, &[(1, 1)], "card_ok").await;
    let request = change(&order, &quote).if_match(&order["sequence"]);
    let answer = ada.client.send(&request).await.expect("an answer").body;
    assert_eq!(
        (text(&answer, "/state"), text(&answer, "/change_refused")),
        ("confirmed", "sold_out")
    );
    let order = settled(&ada, &order).await;
    assert_eq!((&order["revision"], &order["total"]["amount_minor"]), (&json!(0), &json!(500)));
    stock_returns(&restaurant, 3).await;
    assert_eq!(restaurant.free(1).await, 2);
    assert_eq!(paid(&ada.client, &order, "authorized").await["amount"]["amount_minor"], 500);
    // It can be changed all the same, to what there is.
    changed(&restaurant, &ada, &order, &[(0, 1), (1, 2)]).await.expect("a change");
    let order = settled(&ada, &order).await;
    assert_eq!((&order["revision"], &order["change_refused"]), (&json!(1), &Value::Null));
    stock_returns(&restaurant, 4).await;
    assert_eq!(restaurant.free(1).await, 0);
}

async fn who_may_change_what_and_when(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let other = Restaurant::open(platform, MENU).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let order = ordered(&restaurant, &ada, &[(0, 1)], "card_ok").await;
    let quote = restaurant.quote(&ada, &[(0, 2)], "pick_up").await.expect("a quote");
    let at = |quote: &Value| change(&order, quote).if_match(&order["sequence"]);
    assert_eq!(code(ada.client.send(&change(&order, &quote)).await), "precondition_required");
    assert_eq!(
        code(ada.client.send(&change(&order, &quote).if_match(99)).await),
        "version_mismatch"
    );
    assert_eq!(code(eve.client.send(&at(&quote)).await), "not_found");
    let by_owner = restaurant.owner.client.send(&at(&quote)).await;
    assert_eq!(code(by_owner), "permission_denied");
    for (place, fulfilment) in [(&other, "pick_up"), (&restaurant, "dine_in")] {
        let quote = place.quote(&ada, &[(0, 1)], fulfilment).await.expect("a quote");
        assert_eq!(code(ada.client.send(&at(&quote)).await), "invalid_argument");
    }
    restaurant.accept(&order).await;
    let path = format!("/orders/{}", text(&order, "/id"));
    let now = get(&ada.client, &path).await.expect("the order");
    let late = ada.client.send(&change(&order, &quote).if_match(&now["sequence"])).await;
    assert_eq!(code(late), "wrong_state");
}

async fn another_drop_off_comes_with_an_address(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let quote = async |latitude: f64, order: Option<&Value>| {
        let mut body = json!({
            "restaurant_id": restaurant.id, "fulfilment": "delivery",
            "lines": [{ "item_id": restaurant.items[0].1, "quantity": 1 }],
            "drop_off": { "latitude": latitude, "longitude": -0.1246 },
        });
        if let Some(order) = order {
            body["changes"] = order["id"].clone();
        }
        post(&ada.client, "/quotes", &body).await.expect("a quote")
    };
    let first = quote(51.5007, None).await;
    let body = Restaurant::placing(&first, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    assert_eq!(order["state"], "confirmed", "{order}");
    let moved = quote(51.5009, Some(&order)).await;
    let path = format!("/api/v1/orders/{}", text(&order, "/id"));
    let to = |address: &str| {
        let body = json!({ "quote": text(&moved, "/token"), "address": address });
        Request::put(&path, &body).prefer_wait(20).if_match(&order["sequence"])
    };
    let unsaid = change(&order, &moved).if_match(&order["sequence"]);
    for wrong in [unsaid, to(""), to(" "), to(&"x".repeat(501))] {
        assert_eq!(code(ada.client.send(&wrong).await), "invalid_argument");
    }
    ada.client.send(&to("2 Low Street")).await.expect("a change");
    let order = settled(&ada, &order).await;
    assert_eq!((text(&order, "/address"), &order["revision"]), ("2 Low Street", &json!(1)));
    // Where it goes already needs not be said again.
    let same = quote(51.5009, Some(&order)).await;
    ada.client.send(&change(&order, &same).if_match(&order["sequence"])).await.expect("a change");
    let order = settled(&ada, &order).await;
    assert_eq!((text(&order, "/address"), &order["revision"]), ("2 Low Street", &json!(2)));
}

async fn a_cancel_races_a_change(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, MENU).await;
    let ada = Person::new(platform, "ada", &[]).await;
    for card in ["card_ok", "card_late"] {
        let order = restaurant.quote(&ada, &[(0, 1)], "pick_up").await.expect("a quote");
        let body = Restaurant::placing(&order, card);
        let placed = post(&ada.client, "/orders", &body).await.expect("an order");
        let order = crate::people::in_state(&ada.client, &placed, "confirmed").await;
        let quote = restaurant.quote(&ada, &[(0, 2), (1, 1)], "pick_up").await.expect("a quote");
        let path = format!("/orders/{}/cancel", text(&order, "/id"));
        let reason = json!({ "reason": "changed my mind" });
        let request = change(&order, &quote).if_match(&order["sequence"]);
        let (changed, cancelled) =
            tokio::join!(ada.client.send(&request), post(&ada.client, &path, &reason));
        assert_eq!(cancelled.expect("the order can be cancelled")["state"], "cancelled");
        if let Err(refused) = changed {
            assert!(
                ["wrong_state", "version_mismatch", "conflict"].contains(&refused.code().unwrap())
            );
        }
        crate::people::in_state(&ada.client, &order, "cancelled").await;
        paid(&ada.client, &order, "voided").await;
        stock_returns(&restaurant, 5).await;
        assert_eq!(restaurant.free(1).await, 3);
    }
}
