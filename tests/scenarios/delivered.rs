//! A delivered order to its end: what it costs to the penny, that it is paid once however often it
//! is brought, what the books and the statement have of it, and what its customer thinks of it.

use bistro_client::{ClientError, Insistence, Request};
use serde_json::{Value, json};

use crate::{
    money::{noon, of},
    owned::root,
    people::{
        Person, Restaurant, assigned, code, courier, delete, fresh, get, in_state, paid, post, put,
        step, text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
    reflection::Reflected,
    slots::say,
};

on_every_topology!(delivered_to_the_penny);

/// Hundredths of a per cent.
const REDUCED: u32 = 500;
const FULL: u32 = 2000;
/// What the order costs with the tax on top. By hand, two naan of 5.05 at 5 %, a dal of 5.97 and
/// the way of 2.47 at 20 %, and a tip of 1.23, which nobody taxes:
///
/// * at 5 %: 5.05 + 5.05 = 10.10, of which the tax is 0.505. A half goes up: 0.51. Rounded line by
///   line it would be 0.25 + 0.25 = 0.50, and to the even neighbour 0.50, too.
/// * at 20 %: 5.97 + 2.47 = 8.44, of which the tax is 1.688, so 1.69. Rounded each by itself it
///   would be 1.19 + 0.49 = 1.68.
/// * together: 16.07 + 2.47 + 0.51 + 1.69 + 1.23 = 21.97.
const TOTAL: i64 = 2197;
const TIP: i64 = 123;

async fn delivered_to_the_penny(topology: Topology) {
    // Couriers are the platform's: this scenario needs to know who else is on duty.
    let platform = Platform::start(topology, &[]).await;
    let menu = [("Naan", 505, None), ("Dal", 597, None)];
    let restaurant = Restaurant::open(&platform, &menu).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 1).await;
    let order = priced(&restaurant, &ada).await;
    brought_once(&platform, &restaurant, (&ada, &cora), &order).await;
    captured_once(&platform, &ada, &order).await;
    booked(&restaurant, &order).await;
    rated(&platform, &restaurant, &ada, &order).await;
}

fn pence(minor: i64) -> Value {
    json!({ "amount_minor": minor, "currency": "GBP" })
}

/// The order, as it was quoted with the tax on top of the prices.
async fn priced(restaurant: &Restaurant, ada: &Person) -> Value {
    for ((name, item, version), rate) in restaurant.items.iter().zip([REDUCED, FULL]) {
        let price = if name == "Naan" { 505 } else { 597 };
        let body =
            json!({ "name": name, "price_minor": price, "available": true, "tax_rate": rate });
        let path = format!("/items/{item}");
        put(&restaurant.owner.client, &path, Some(&json!(version)), &body).await.expect("a rate");
    }
    let here = json!({ "latitude": 51.5007, "longitude": -0.1246 });
    let line = |place: usize| json!({ "item_id": restaurant.items[place].1, "quantity": 1 });
    let basket = json!({
        "restaurant_id": restaurant.id, "fulfilment": "delivery", "drop_off": here,
        "lines": [line(0), line(1), line(0)], "tip_minor": TIP,
    });
    let quoted = async |tax_included: bool| {
        let way = json!({ "radius_m": 3000, "fee_minor": 247, "tax_rate": FULL });
        let about = json!({
            "location": here, "delivery": way, "prices_include_tax": tax_included,
        });
        say(restaurant, &about).await;
        post(&ada.client, "/quotes", &basket).await.expect("a quote")
    };
    let tax = |rate: u32, net: i64, tax: i64| {
        let (net, tax) = (pence(net), pence(tax));
        json!({ "rate": rate, "net": net, "tax": tax })
    };
    // With the tax in the prices: of 10.10 at 5 % it is 10.10 / 21 = 0.4809…, so 0.48, and of 8.44
    // at 20 % it is 8.44 / 6 = 1.4066…, so 1.41; the rest of either is net.
    let quote = quoted(true).await;
    assert_eq!(quote["total"], pence(1607 + 247 + TIP));
    assert_eq!(
        quote["amounts"],
        json!({
            "subtotal": pence(1607), "delivery_fee": pence(247), "tip": pence(TIP),
            "tax_included": true, "tax": pence(48 + 141),
            "taxes": [tax(REDUCED, 962, 48), tax(FULL, 703, 141)],
        })
    );
    let quote = quoted(false).await;
    assert_eq!(quote["total"], pence(TOTAL));
    let amounts = json!({
        "subtotal": pence(1607), "delivery_fee": pence(247), "tip": pence(TIP),
        "tax_included": false, "tax": pence(51 + 169),
        "taxes": [tax(REDUCED, 1010, 51), tax(FULL, 844, 169)],
    });
    assert_eq!(quote["amounts"], amounts);

    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    let order = order.expect("an order").body;
    assert_eq!(order["state"], "confirmed", "{order}");
    assert_eq!((&order["total"], &order["amounts"]), (&pence(TOTAL), &amounts));
    let payment = paid(&ada.client, &order, "authorized").await;
    assert_eq!((&payment["amount"], &payment["tip"]), (&pence(TOTAL), &pence(TIP)));
    assert_eq!(payment["captured"], pence(0));
    order
}

/// Has the order cooked and brought. A drop-off that is repeated is answered again; another one is
/// refused, whoever asks.
async fn brought_once(
    platform: &Platform,
    restaurant: &Restaurant,
    (ada, cora): (&Person, &Person),
    order: &Value,
) {
    restaurant.cook(order).await;
    in_state(&ada.client, order, "ready").await;
    let delivery = assigned(cora, order).await;
    step(cora, &delivery, "pick-up").await;
    let path = format!("/deliveries/{}/drop-off", text(&delivery, "/id"));
    let request = Request::post(format!("/api/v1{path}"), fresh("drop-off"), &json!({}));
    for _ in 0..2 {
        let answer = cora.client.insist(&request, &mut Insistence::lasting(SOON)).await;
        assert_eq!(answer.expect("a drop-off").body["state"], "delivered");
    }
    in_state(&ada.client, order, "completed").await;
    for client in [&cora.client, &platform.operator()] {
        assert_eq!(code(post(client, &path, &json!({})).await), "wrong_state");
    }
}

/// Asks payments to capture what is captured, over gRPC and as orders does: the card provider is
/// not asked again, and nothing changes.
async fn captured_once(platform: &Platform, ada: &Person, order: &Value) {
    let payment = paid(&ada.client, order, "captured").await;
    assert_eq!((&payment["captured"], &payment["tip"]), (&pence(TOTAL), &pence(TIP)));
    let asked = async || platform.metric("bistro_payments_provider_answers_total", &[]).await;
    let before = asked().await;
    let payments = Reflected::of(platform, "payments").await;
    let root = root(platform);
    let of_order = json!({ "order_id": order["id"] });
    let capture = async || payments.told(&root, "Capture", &of_order).await;
    let (one, other) = tokio::join!(capture(), capture());
    for answer in [one, other, capture().await] {
        assert_eq!(
            (text(&answer, "/state"), &answer["captured_minor"]),
            ("captured", &json!(TOTAL))
        );
        assert_eq!(answer["version"], payment["version"], "nothing was written");
    }
    assert!((asked().await - before).abs() < f64::EPSILON, "nobody was asked for money again");
    assert_eq!(get(&ada.client, &of(order, "payment")).await.expect("the payment"), payment);
}

/// The books and the statement have the order once, to the penny.
async fn booked(restaurant: &Restaurant, order: &Value) {
    let owner = &restaurant.owner.client;
    // 21.97 were taken: 1.23 are a tip, and 20.74 are for the meal, the way and the taxes.
    let meal = TOTAL - TIP;
    let entries = get(owner, &of(order, "ledger")).await.expect("entries");
    let [entry] = &entries["items"].as_array().expect("entries")[..] else {
        panic!("one capture: {entries}")
    };
    assert_eq!(entry["kind"], "capture");
    let line = |account: &str, minor: i64| json!({ "account": account, "amount": pence(minor) });
    assert_eq!(
        entry["lines"],
        json!([
            line("cards_receivable", TOTAL),
            line("restaurant_payable", -meal),
            line("tips_payable", -TIP),
        ])
    );
    let path = format!("/ledger/balances?restaurant_id={}", restaurant.id);
    let ledger = get(owner, &path).await.expect("balances");
    assert_eq!(ledger["imbalance"], json!([pence(0)]));
    let mut balances: Vec<_> = ledger["balances"]
        .as_array()
        .expect("balances")
        .iter()
        .map(|one| (text(one, "/account"), one["amount"].clone(), one["entries"].clone()))
        .collect();
    balances.sort_by_key(|(account, _, _)| *account);
    let expected = [
        ("cards_receivable", pence(TOTAL), json!(1)),
        ("restaurant_payable", pence(-meal), json!(1)),
        ("tips_payable", pence(-TIP), json!(1)),
    ];
    assert_eq!(balances, expected);

    let (zone, day) = noon();
    let written = zone.replace('+', "%2B");
    let path = format!("/restaurants/{}/statement?day={day}&time_zone={written}", restaurant.id);
    let statement = get(owner, &path).await.expect("a statement");
    assert_eq!(
        statement,
        json!({
            "restaurant_id": restaurant.id, "day": day, "time_zone": zone, "captures": 1,
            "captured": pence(TOTAL), "tips": pence(TIP), "refunds": 0, "refunded": pence(0),
            "refunded_tips": pence(0), "net": pence(TOTAL),
        })
    );
}

/// What was delivered has stars for the way beside those for the food, which alone make the
/// restaurant's figures.
async fn rated(platform: &Platform, restaurant: &Restaurant, ada: &Person, order: &Value) {
    let path = of(order, "rating");
    for wrong in [0, 6] {
        let opinion = json!({ "stars": 5, "delivery_stars": wrong });
        let refused = post(&ada.client, &path, &opinion).await.expect_err("a refusal");
        let ClientError::Problem { problem, .. } = refused else { panic!("{refused}") };
        let fields: Vec<_> = problem.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            (problem.code.as_str(), &fields[..]),
            ("invalid_argument", &["delivery_stars"][..])
        );
    }
    let opinion = json!({ "stars": 5, "delivery_stars": 2, "comment": "Good, and late" });
    let rating = post(&ada.client, &path, &opinion).await.expect("a rating");
    assert_eq!((&rating["stars"], &rating["delivery_stars"]), (&json!(5), &json!(2)));
    for client in [&ada.client, &restaurant.owner.client] {
        assert_eq!(get(client, &path).await.expect("the rating"), rating);
    }
    let list = format!("/restaurants/{}/ratings", restaurant.id);
    let all = async || get(&platform.anybody(), &list).await.expect("ratings");
    let listed = all().await;
    assert_eq!((&listed["count"], &listed["stars"]), (&json!(1), &json!(5)), "{listed}");
    assert_eq!(listed["items"][0]["delivery_stars"], 2, "{listed}");
    let me = get(&ada.client, "/me").await.expect("Ada");
    let export = format!("/users/{}/export", text(&me, "/id"));
    let export = get(&ada.client, &export).await.expect("an export");
    assert_eq!(export["orders"][0]["rating"]["delivery_stars"], 2);

    // The stars of the way are changed, and taken back, without the food's.
    for (stars, version) in [(json!(4), 1), (Value::Null, 2)] {
        let opinion = json!({ "stars": 5, "delivery_stars": stars });
        let changed = put(&ada.client, &path, Some(&json!(version)), &opinion).await;
        assert_eq!(changed.expect("another rating")["delivery_stars"], stars);
        let listed = all().await;
        assert_eq!(listed["items"][0]["delivery_stars"], stars, "{listed}");
        assert_eq!((&listed["count"], &listed["stars"]), (&json!(1), &json!(5)), "{listed}");
    }
    delete(&ada.client, &path).await.expect("it is taken back");
    let listed = all().await;
    assert_eq!((&listed["count"], &listed["items"]), (&json!(0), &json!([])), "{listed}");
}
