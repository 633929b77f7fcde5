//! Money that is given back after the meal: in part, all of it, too much of it, and not at all.

use bistro_client::{Insistence, Request};
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, in_state, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(refunded_in_parts, two_at_once_of_what_is_left, refused_by_the_provider);

async fn refunded_in_parts(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = eaten(&restaurant, &customer, "card_ok").await;
    let path = refunds(&order);
    let ask =
        |amount: Option<i64>, reason: &str| json!({ "amount_minor": amount, "reason": reason });

    let mine = post(&customer.client, &path, &ask(None, "I want it back")).await;
    assert_eq!(code(mine), "permission_denied");
    let owner = &restaurant.owner.client;
    for wrong in [ask(Some(1001), "too much"), ask(Some(0), "nothing"), ask(Some(1), " ")] {
        assert_eq!(code(post(owner, &path, &wrong).await), "invalid_argument", "{wrong}");
    }

    // Asked twice under one key, as after a lost answer: one refund.
    let part = Request::post(format!("/api/v1{path}"), fresh("key"), &ask(Some(400), "cold soup"));
    for _ in 0..2 {
        let answer = owner.insist(&part, &mut Insistence::lasting(SOON)).await.unwrap().body;
        assert_eq!(answer["state"], "partially_refunded", "{answer}");
        assert_eq!(answer["refunded"]["amount_minor"], 400);
    }
    assert_eq!(code(post(owner, &path, &ask(Some(601), "too much")).await), "invalid_argument");
    let rest = post(owner, &path, &ask(None, "no dal at all")).await.unwrap();
    assert_eq!((text(&rest, "/state"), &rest["refunded"]), ("refunded", &rest["captured"]));
    assert_eq!(code(post(owner, &path, &ask(None, "again")).await), "wrong_state");

    let payment = get(&customer.client, &payment(&order)).await.unwrap();
    assert_eq!(
        told(&payment),
        [(400, "done", "cold soup", None), (600, "done", "no dal at all", None)]
    );
    assert_eq!(balance(&restaurant, "refunds").await, 1000);
    assert_eq!(balance(&restaurant, "restaurant_payable").await, -1000);
    assert_eq!(balance(&restaurant, "cards_receivable").await, 0);
}

async fn two_at_once_of_what_is_left(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = eaten(&restaurant, &customer, "card_ok").await;
    let (owner, path) = (&restaurant.owner.client, refunds(&order));
    let part = json!({ "amount_minor": 400, "reason": "cold soup" });
    post(owner, &path, &part).await.expect("a refund");
    // Each is right by itself, under a key of its own.
    let rest = json!({ "amount_minor": 600, "reason": "no dal at all" });
    let asked = tokio::join!(post(owner, &path, &rest), post(owner, &path, &rest));
    let (given, refused) = match asked {
        (Ok(given), Err(refused)) | (Err(refused), Ok(given)) => (given, refused),
        other => panic!("one of them is given back: {other:?}"),
    };
    let why = refused.code().unwrap_or_default();
    assert!(["conflict", "wrong_state"].contains(&why), "{refused}");
    assert_eq!((text(&given, "/state"), &given["refunded"]), ("refunded", &given["captured"]));
    let payment = get(&customer.client, &payment(&order)).await.unwrap();
    let expected = [(400, "done", "cold soup", None), (600, "done", "no dal at all", None)];
    assert_eq!(told(&payment), expected);
    assert_eq!(balance(&restaurant, "refunds").await, 1000);
    assert_eq!(balance(&restaurant, "cards_receivable").await, 0);
}

async fn refused_by_the_provider(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = eaten(&restaurant, &customer, "card_refund_declined").await;
    let body = json!({ "amount_minor": 300, "reason": "cold soup" });
    let owner = &restaurant.owner.client;
    let request = Request::post(format!("/api/v1{}", refunds(&order)), fresh("key"), &body);
    for _ in 0..2 {
        let refused = owner.insist(&request, &mut Insistence::lasting(SOON)).await;
        assert_eq!(code(refused), "card_declined");
    }
    let payment = get(&customer.client, &payment(&order)).await.unwrap();
    assert_eq!(
        (text(&payment, "/state"), &payment["refunded"]["amount_minor"]),
        ("captured", &json!(0))
    );
    assert_eq!(told(&payment), [(300, "refused", "cold soup", Some("refund_declined"))]);
    assert_eq!(balance(&restaurant, "refunds").await, 0);
    assert_eq!(balance(&restaurant, "cards_receivable").await, 1000);
}

/// Two of the first item, paid with `card`, cooked, eaten and captured: 1000 pence.
pub(crate) async fn eaten(restaurant: &Restaurant, customer: &Person, card: &str) -> Value {
    let quote = restaurant.quote(customer, &[(0, 2)], "dine_in").await.unwrap();
    let body = Restaurant::placing(&quote, card);
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let placed = customer.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = placed.expect("an order").body;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.expect("a hand-over");
    let payment = paid(&customer.client, &order, "captured").await;
    assert_eq!(payment["captured"]["amount_minor"], 1000);
    order
}

fn refunds(order: &Value) -> String {
    format!("/orders/{}/refunds", text(order, "/id"))
}

fn payment(order: &Value) -> String {
    format!("/orders/{}/payment", text(order, "/id"))
}

/// Amount, state, reason and refusal of each of the payment's refunds.
fn told(payment: &Value) -> Vec<(i64, &str, &str, Option<&str>)> {
    let refunds = payment["refunds"].as_array().expect("refunds");
    let one = |refund| {
        let minor = Value::pointer(refund, "/amount/amount_minor").and_then(Value::as_i64);
        let refused = refund["refused"].as_str();
        (minor.expect("an amount"), text(refund, "/state"), text(refund, "/reason"), refused)
    };
    refunds.iter().map(one).collect()
}

/// The balance of one of the restaurant's accounts, in pence; 0 if it has no entry.
async fn balance(restaurant: &Restaurant, account: &str) -> i64 {
    let path = format!("/ledger/balances?restaurant_id={}", restaurant.id);
    let ledger = get(&restaurant.owner.client, &path).await.expect("a ledger");
    assert_eq!(ledger["imbalance"], json!([{ "amount_minor": 0, "currency": "GBP" }]));
    let balances = ledger["balances"].as_array().expect("balances");
    let found = balances.iter().find(|balance| balance["account"] == account);
    found.map_or(0, |balance| balance["amount"]["amount_minor"].as_i64().expect("an amount"))
}
