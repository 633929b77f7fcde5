//! Money beyond one card and one capture: several tenders, tips after the fact, lists, statements.

use bistro_client::{Insistence, Request};
use bistro_core::{Clock as _, SystemClock, Timestamp};
use bistro_testkit::wait;
use http::Method;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, code, fresh, get, in_state, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    rude::Rude,
};

on_every_topology!(
    tipped_after_the_fact,
    told_in_statements_and_lists,
    a_statement_is_a_spreadsheet_too,
    the_whole_platforms_books_balance,
    split_over_tenders,
    one_refused_tender_gives_the_others_back,
    voided_before_it_was_captured,
);

/// Two of the first item, paid by what `paying` says, and where that leaves the order.
pub(crate) async fn ordered(restaurant: &Restaurant, customer: &Person, paying: Value) -> Value {
    let quote = restaurant.quote(customer, &[(0, 2)], "dine_in").await.unwrap();
    let mut body = json!({ "quote": text(&quote, "/token") });
    for (name, value) in paying.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let placed = customer.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    placed.expect("an order").body
}

/// The order cooked, handed over and captured.
pub(crate) async fn eaten(restaurant: &Restaurant, customer: &Person, order: &Value) -> Value {
    restaurant.cook(order).await;
    in_state(&customer.client, order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(order, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.expect("a hand-over");
    paid(&customer.client, order, "captured").await
}

pub(crate) fn of(order: &Value, what: &str) -> String {
    format!("/orders/{}/{what}", text(order, "/id"))
}

/// Purpose, state and amount of each of the payment's tenders.
pub(crate) fn tenders(payment: &Value) -> Vec<(&str, &str, i64)> {
    let one = |tender| {
        let minor = Value::pointer(tender, "/amount/amount_minor").and_then(Value::as_i64);
        (text(tender, "/purpose"), text(tender, "/state"), minor.expect("an amount"))
    };
    payment["tenders"].as_array().expect("tenders").iter().map(one).collect()
}

/// The balance of one of the restaurant's accounts, in pence; 0 if it has no entry.
async fn balance(restaurant: &Restaurant, account: &str) -> i64 {
    let path = format!("/ledger/balances?restaurant_id={}", restaurant.id);
    let ledger = get(&restaurant.owner.client, &path).await.expect("a ledger");
    let balances = ledger["balances"].as_array().expect("balances");
    let nothing = [json!([]), json!([{ "amount_minor": 0, "currency": "GBP" }])];
    assert_eq!(ledger["imbalance"], nothing[usize::from(!balances.is_empty())]);
    let found = balances.iter().find(|balance| balance["account"] == account);
    found.map_or(0, |balance| balance["amount"]["amount_minor"].as_i64().expect("an amount"))
}

async fn tipped_after_the_fact(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = ordered(&restaurant, &customer, json!({ "payment_method": "card_ok" })).await;
    let path = of(&order, "tips");
    let tip = |minor: i64| json!({ "amount_minor": minor });
    assert_eq!(code(post(&customer.client, &path, &tip(200)).await), "wrong_state");
    eaten(&restaurant, &customer, &order).await;

    let other = Person::new(platform, "bob", &[]).await;
    assert_eq!(code(post(&other.client, &path, &tip(200)).await), "not_found");
    assert_eq!(code(post(&restaurant.owner.client, &path, &tip(200)).await), "not_found");
    for wrong in [0, -1, 1001, i64::MAX, i64::MIN] {
        assert_eq!(code(post(&customer.client, &path, &tip(wrong)).await), "invalid_argument");
    }
    for wrong in [
        json!({}),
        json!({ "amount_minor": "200" }),
        json!({ "amount_minor": 200, "payment_method": "4242 4242 4242 4242" }),
        json!({ "amount_minor": 200, "payment_method": "" }),
        json!({ "amount_minor": 200, "for": "the chef" }),
    ] {
        assert_eq!(
            code(post(&customer.client, &path, &wrong).await),
            "invalid_argument",
            "{wrong}"
        );
    }
    let declined = json!({ "amount_minor": 200, "payment_method": "card_declined" });
    assert_eq!(code(post(&customer.client, &path, &declined).await), "card_declined");

    // Asked twice under one key, as after a lost answer: one tip.
    let request = Request::post(format!("/api/v1{path}"), fresh("tip"), &tip(200));
    for _ in 0..2 {
        let answer = customer.client.insist(&request, &mut Insistence::lasting(SOON)).await;
        let payment = answer.expect("a tip").body;
        assert_eq!(
            (text(&payment, "/state"), &payment["tip"]["amount_minor"]),
            ("captured", &json!(200))
        );
        assert_eq!(payment["captured"]["amount_minor"], 1200);
        let expected =
            [("order", "captured", 1000), ("tip", "failed", 200), ("tip", "captured", 200)];
        assert_eq!(tenders(&payment), expected);
    }
    assert_eq!(code(post(&customer.client, &path, &tip(801)).await), "invalid_argument");
    assert_eq!(balance(&restaurant, "tips_payable").await, -200);
    assert_eq!(balance(&restaurant, "restaurant_payable").await, -1000);

    // Of the tip alone, and then of everything: what paid the meal first.
    let refunds = of(&order, "refunds");
    let ask = |minor: Option<i64>, tender: Option<u32>| json!({ "amount_minor": minor, "tender": tender, "reason": "the wrong card" });
    for wrong in [ask(Some(201), Some(3)), ask(None, Some(9)), ask(None, Some(0))] {
        let refused = post(&restaurant.owner.client, &refunds, &wrong).await;
        assert_eq!(code(refused), "invalid_argument", "{wrong}");
    }
    let payment = post(&restaurant.owner.client, &refunds, &ask(Some(50), Some(3))).await.unwrap();
    assert_eq!(payment["refunds"][0]["parts"][0]["tender"], 3, "{payment}");
    assert_eq!(balance(&restaurant, "tips_payable").await, -150);
    let payment = post(&restaurant.owner.client, &refunds, &ask(Some(300), None)).await.unwrap();
    assert_eq!(payment["refunds"][1]["parts"][0]["tender"], 1, "the meal before the tip");
    assert_eq!(balance(&restaurant, "tips_payable").await, -150);
    let payment = post(&restaurant.owner.client, &refunds, &ask(None, None)).await.unwrap();
    let parts = payment["refunds"][2]["parts"].as_array().expect("parts");
    let parts: Vec<_> =
        parts.iter().map(|part| (&part["tender"], &part["amount"]["amount_minor"])).collect();
    assert_eq!(parts, [(&json!(1), &json!(700)), (&json!(3), &json!(150))]);
    assert_eq!(payment["state"], "refunded");
    // A tip that is given back is owed no more.
    assert_eq!(balance(&restaurant, "tips_payable").await, 0);
    assert_eq!(balance(&restaurant, "refunds").await, 1000);
    assert_eq!(balance(&restaurant, "cards_receivable").await, 0);
    assert_eq!(code(post(&customer.client, &path, &tip(1)).await), "wrong_state");
}

/// A time zone in which it is about noon, and the day that it is there.
pub(crate) fn noon() -> (String, String) {
    let now = SystemClock.now();
    let hour = now.as_secs().rem_euclid(86_400) / 3600;
    let offset = 12 - hour;
    // The signs of these names are turned round.
    let zone = format!("Etc/GMT{}{}", if offset < 0 { "+" } else { "-" }, offset.abs());
    let there = Timestamp::from_millis(now.as_millis() + offset * 3_600_000);
    (zone, there.to_string()[..10].to_owned())
}

async fn told_in_statements_and_lists(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let stranger = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(ordered(&restaurant, &customer, json!({ "payment_method": "card_ok" })).await);
    }
    for order in &orders[..2] {
        eaten(&restaurant, &customer, order).await;
    }
    let tip = json!({ "amount_minor": 150 });
    post(&customer.client, &of(&orders[0], "tips"), &tip).await.expect("a tip");
    let refund = json!({ "amount_minor": 400, "reason": "cold soup" });
    post(&restaurant.owner.client, &of(&orders[1], "refunds"), &refund).await.expect("a refund");

    let owner = &restaurant.owner.client;
    let (zone, day) = noon();
    let path = format!("/restaurants/{}/statement", restaurant.id);
    // A plus sign in a query is a space.
    let written = zone.replace('+', "%2B");
    let statement = get(owner, &format!("{path}?day={day}&time_zone={written}")).await.unwrap();
    let pence = |minor: i64| json!({ "amount_minor": minor, "currency": "GBP" });
    assert_eq!(
        statement,
        json!({
            "restaurant_id": restaurant.id, "day": day, "time_zone": zone, "captures": 3,
            "captured": pence(2150), "tips": pence(150), "refunds": 1, "refunded": pence(400),
            "refunded_tips": pence(0), "net": pence(1750),
        })
    );
    let long_ago = get(owner, &format!("{path}?day=2026-03-29")).await.unwrap();
    assert_eq!(
        (text(&long_ago, "/time_zone"), &long_ago["captures"]),
        ("Europe/London", &json!(0))
    );
    for wrong in [
        "",
        "?day=",
        "?day=yesterday",
        "?day=2026-02-30",
        "?day=2026-03-29&time_zone=Mars",
        "?day=2026-03-29&x=1",
    ] {
        assert_eq!(
            code(get(owner, &format!("{path}{wrong}")).await),
            "invalid_argument",
            "{wrong}"
        );
    }
    for who in [&stranger.owner.client, &customer.client] {
        assert_eq!(code(get(who, &format!("{path}?day={day}")).await), "permission_denied");
        let list = format!("/restaurants/{}/payments", restaurant.id);
        assert_eq!(code(get(who, &list).await), "permission_denied");
    }

    let list = format!("/restaurants/{}/payments", restaurant.id);
    let all = get(owner, &list).await.unwrap();
    let mut newest: Vec<_> = orders.iter().map(|order| order["id"].clone()).collect();
    newest.reverse();
    assert_eq!(ids(&all), newest);
    let first = get(owner, &format!("{list}?limit=2")).await.unwrap();
    assert_eq!(ids(&first), newest[..2]);
    let cursor = text(&first, "/next_cursor");
    let rest = get(owner, &format!("{list}?limit=2&cursor={cursor}")).await.unwrap();
    assert_eq!((ids(&rest), &rest["next_cursor"]), (newest[2..].to_vec(), &Value::Null));
    let held = get(owner, &format!("{list}?state=authorized")).await.unwrap();
    assert_eq!(ids(&held), newest[..1]);
    let wrong = format!("{list}?state=authorized&cursor={cursor}");
    assert_eq!(code(get(owner, &wrong).await), "invalid_argument");
    for wrong in ["state=eaten", "limit=0", "limit=201", "cursor=rubbish"] {
        assert_eq!(
            code(get(owner, &format!("{list}?{wrong}")).await),
            "invalid_argument",
            "{wrong}"
        );
    }
}

/// The statement of a day with all that it can hold, as JSON and as CSV.
async fn a_statement_is_a_spreadsheet_too(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = ordered(&restaurant, &customer, json!({ "payment_method": "card_ok" })).await;
    eaten(&restaurant, &customer, &order).await;
    let tip = json!({ "amount_minor": 150 });
    post(&customer.client, &of(&order, "tips"), &tip).await.expect("a tip");
    // All of the meal, and of the tip a third.
    for (tender, minor) in [(1, 1000), (2, 50)] {
        let body = json!({ "tender": tender, "amount_minor": minor, "reason": "cold soup" });
        post(&restaurant.owner.client, &of(&order, "refunds"), &body).await.expect("a refund");
    }

    let (zone, day) = noon();
    let written = zone.replace('+', "%2B");
    let path = format!("/restaurants/{}/statement?day={day}&time_zone={written}", restaurant.id);
    let statement = get(&restaurant.owner.client, &path).await.expect("a statement");
    let url = format!("/api/v1{path}");
    let csv = [("accept", "text/csv")];
    let owner = Rude::logged_in(platform, &restaurant.owner).await;
    let reply = owner.send(Method::GET, &url, &csv, "").await;
    let kind = "text/csv; charset=utf-8; header=present";
    assert_eq!((reply.status, reply.kind.as_str()), (200, kind), "{reply:?}");
    let rows: Vec<Vec<&str>> =
        reply.text.split_terminator("\r\n").map(|row| row.split(',').collect()).collect();
    let [names, values] = &rows[..] else { panic!("a head and a row: {reply:?}") };
    let told = |pointer: &str| match statement.pointer(pointer).expect(pointer) {
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let expected = [
        ("restaurant_id", told("/restaurant_id")),
        ("day", told("/day")),
        ("time_zone", told("/time_zone")),
        ("currency", told("/net/currency")),
        ("captures", told("/captures")),
        ("captured_minor", told("/captured/amount_minor")),
        ("tips_minor", told("/tips/amount_minor")),
        ("refunds", told("/refunds")),
        ("refunded_minor", told("/refunded/amount_minor")),
        ("net_minor", told("/net/amount_minor")),
        ("refunded_tips_minor", told("/refunded_tips/amount_minor")),
    ];
    assert_eq!(*names, expected.each_ref().map(|(name, _)| *name));
    assert_eq!(*values, expected.each_ref().map(|(_, value)| value.as_str()));
    // 10.00 and 1.50 were taken; 10.00 and 0.50 of the tip were given back.
    assert_eq!(values[4..], ["2", "1150", "150", "2", "1050", "100", "50"]);
    // What is refused is a problem all the same.
    let stranger = Rude::logged_in(platform, &customer).await;
    let refused = stranger.send(Method::GET, &url, &csv, "").await;
    refused.is_problem(&[(403, "permission_denied")], "somebody else's statement");
}

/// All restaurants' together, for who looks after the platform.
async fn the_whole_platforms_books_balance(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let order = ordered(&restaurant, &customer, json!({ "payment_method": "card_ok" })).await;
    let operator = platform.operator();
    // How many entries there are of what was captured in pounds.
    let captured = async || {
        let ledger = get(&operator, "/ledger/balances").await.expect("the ledger");
        let imbalance = ledger["imbalance"].as_array().expect("sums");
        assert!(imbalance.iter().all(|sum| sum["amount_minor"] == 0), "{ledger}");
        let balances = ledger["balances"].as_array().expect("balances");
        let in_pounds: Vec<_> =
            balances.iter().filter(|one| one["amount"]["currency"] == "GBP").collect();
        let pence = |one: &&Value| one["amount"]["amount_minor"].as_i64().expect("an amount");
        assert_eq!(in_pounds.iter().map(pence).sum::<i64>(), 0, "{ledger}");
        // Nobody has moved any money yet when this is the first of the scenarios.
        if !in_pounds.is_empty() {
            assert!(imbalance.iter().any(|sum| sum["currency"] == "GBP"), "{ledger}");
        }
        let found = in_pounds.iter().find(|one| one["account"] == "restaurant_payable");
        found.map_or(0, |one| one["entries"].as_u64().expect("a number"))
    };
    let before = captured().await;
    eaten(&restaurant, &customer, &order).await;
    // Others capture meanwhile.
    let after = captured().await;
    assert!(after > before, "{after} entries after {before}");
    assert_eq!(balance(&restaurant, "restaurant_payable").await, -1000);

    let path = "/ledger/balances";
    for who in [&restaurant.owner.client, &customer.client] {
        assert_eq!(code(get(who, path).await), "permission_denied");
    }
    assert_eq!(code(get(&platform.anybody(), path).await), "unauthenticated");
}

/// The orders of a page of payments.
fn ids(page: &Value) -> Vec<Value> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|payment| payment["order_id"].clone()).collect()
}

async fn split_over_tenders(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let split = json!({ "tenders": [
        { "payment_method": "card_ok", "amount_minor": 700 },
        { "payment_method": "card_late", "amount_minor": 300 },
    ] });
    let order = ordered(&restaurant, &customer, split).await;
    in_state(&customer.client, &order, "confirmed").await;
    let payment = eaten(&restaurant, &customer, &order).await;
    assert_eq!(tenders(&payment), [("order", "captured", 700), ("order", "captured", 300)]);
    let refund = json!({ "amount_minor": 400, "reason": "cold soup" });
    let refunded = post(&restaurant.owner.client, &of(&order, "refunds"), &refund).await.unwrap();
    let expected = [("order", "partially_refunded", 700), ("order", "refunded", 300)];
    assert_eq!(tenders(&refunded), expected);
    assert_eq!(balance(&restaurant, "restaurant_payable").await, -1000);
    assert_eq!(balance(&restaurant, "refunds").await, 400);
}

async fn one_refused_tender_gives_the_others_back(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let split = json!({ "tenders": [
        { "payment_method": "card_ok", "amount_minor": 700 },
        { "payment_method": "card_insufficient", "amount_minor": 300 },
    ] });
    let order = ordered(&restaurant, &customer, split).await;
    let order = in_state(&customer.client, &order, "payment_failed").await;
    assert_eq!(order["reason"], "card_declined");
    let payment = paid(&customer.client, &order, "failed").await;
    assert_eq!(payment["reason"], "insufficient_funds");
    assert_eq!(tenders(&payment), [("order", "voided", 700), ("order", "failed", 300)]);
}

async fn voided_before_it_was_captured(topology: Topology) {
    // It leaves behind what `bistro verify` finds, and others look at what that says.
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let card = json!({ "payment_method": "card_capture_voided" });
    let order = ordered(&restaurant, &customer, card).await;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let done = post(&restaurant.owner.client, &of(&order, "hand-over"), &json!({})).await.unwrap();
    assert_eq!(done["state"], "completed", "what was eaten was eaten");
    let payment = paid(&customer.client, &order, "capture_failed").await;
    assert_eq!(payment["reason"], "authorization_voided");
    assert_eq!(payment["captured"]["amount_minor"], 0);
    assert_eq!(payment["captured_at"], Value::Null);
    assert_eq!(balance(&restaurant, "cards_receivable").await, 0);
    wait::until("whoever operates the platform sees it", SOON, async || {
        let problems = platform.metric("bistro_orders_problems", &[]).await;
        if problems > 0.0 { Ok(()) } else { Err(problems) }
    })
    .await;
    // Nobody is asked again.
    let asked = async || platform.metric("bistro_payments_provider_answers_total", &[]).await;
    let before = asked().await;
    let (code, found, complaint) =
        platform.try_run(&["verify", "--output", "json", "--wait", "2"]).await;
    assert_eq!(code, 3, "{complaint}");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    for (check, count) in [
        ("completed_uncaptured", 1),
        ("orders_with_problem", 1),
        ("ledger_imbalance", 0),
        ("ledger_disagrees", 0),
        ("records_overdue", 0),
        ("timers_overdue", 0),
    ] {
        assert_eq!(found["checks"][check], count, "{check} in {found}");
    }
    assert!((asked().await - before).abs() < f64::EPSILON);

    // Who is to look at it has, and says so; what was not captured stays so.
    let operator = platform.operator();
    let path = format!("/orders/{}", text(&order, "/id"));
    let seen = get(&operator, &path).await.expect("the order");
    assert_eq!(seen["problem"], "capture: authorization_voided");
    assert_eq!(get(&customer.client, &path).await.expect("the order")["problem"], Value::Null);
    let resolve = of(&order, "resolve");
    let seen_to = json!({ "problem": seen["problem"] });
    assert_eq!(
        crate::people::code(post(&customer.client, &resolve, &seen_to).await),
        "permission_denied"
    );
    let another = json!({ "problem": "compensate: wrong_state" });
    assert_eq!(crate::people::code(post(&operator, &resolve, &another).await), "conflict");
    let resolved = post(&operator, &resolve, &seen_to).await.expect("resolved");
    assert_eq!((&resolved["problem"], &resolved["state"]), (&Value::Null, &json!("completed")));
    assert_eq!(crate::people::code(post(&operator, &resolve, &seen_to).await), "wrong_state");
    wait::until("nobody has to look at anything", SOON, async || {
        let problems = platform.metric("bistro_orders_problems", &[]).await;
        if problems < 1.0 { Ok(()) } else { Err(problems) }
    })
    .await;
}
