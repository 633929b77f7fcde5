//! Cards that Stripe charges, or rather its stand-in, which is as strict: answers that are lost or
//! late, keys that are forgotten, cards that are taken once, and its signed messages.

use std::time::Duration;

use bistro_client::Request;
use bistro_core::{Clock as _, SystemClock};
use bistro_testkit::{StripeFault, StripeStandIn, Webhook, wait};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::{
    money::{eaten, of, ordered, tenders},
    people::{
        Person, Restaurant, assigned, code, courier, fresh, get, in_state, paid, post, step, text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    charged_by_stripe,
    late_answers_of_stripe,
    one_card_pays_the_order_its_change_and_its_tip,
    given_back_by_stripe,
    taken_back_by_the_bank,
    voided_before_stripe_heard_of_it,
    killed_while_stripe_holds_an_answer,
);

/// A platform that has Stripe charge the cards, or rather its stand-in.
async fn with_stripe(topology: Topology) -> (Platform, StripeStandIn) {
    let stand_in = StripeStandIn::start().await.expect("a stand-in");
    let platform = Platform::start(
        topology,
        &[
            ("BISTRO__PAYMENTS__PROVIDER", "stripe"),
            ("BISTRO__PAYMENTS__STRIPE__URL", &stand_in.url()),
            ("BISTRO__PAYMENTS__STRIPE__SECRET_KEY", StripeStandIn::SECRET_KEY),
            ("BISTRO__PAYMENTS__STRIPE__WEBHOOK_SECRET", StripeStandIn::WEBHOOK_SECRET),
        ],
    )
    .await;
    (platform, stand_in)
}

async fn charged_by_stripe(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let visa = || json!({ "payment_method": "pm_card_visa" });

    let order = ordered(&restaurant, &customer, visa()).await;
    assert_eq!(order["state"], "confirmed", "{order}");
    let payment = eaten(&restaurant, &customer, &order).await;
    assert_eq!(payment["tenders"][0]["provider"], "stripe");
    let refund = json!({ "amount_minor": 400, "reason": "cold soup" });
    let refunded = post(&restaurant.owner.client, &of(&order, "refunds"), &refund).await.unwrap();
    assert_eq!(refunded["refunded"]["amount_minor"], 400);

    let declined = json!({ "payment_method": "pm_card_chargeDeclined" });
    let declined = ordered(&restaurant, &customer, declined).await;
    in_state(&customer.client, &declined, "payment_failed").await;
    let payment = paid(&customer.client, &declined, "failed").await;
    assert_eq!(payment["reason"], "generic_decline");

    // Both answers to the first ask are lost: what was done is found again, and not done twice.
    stand_in.fail(&[StripeFault::LoseAnswer; 2]);
    let lost = ordered(&restaurant, &customer, visa()).await;
    in_state(&customer.client, &lost, "confirmed").await;
    let (path, why) = (of(&lost, "reject"), json!({ "reason": "no more dal" }));
    let rejected = post(&restaurant.owner.client, &path, &why);
    rejected.await.expect("a rejection");
    paid(&customer.client, &lost, "voided").await;

    let intents = stand_in.intents();
    let seen: Vec<_> = intents.iter().map(|one| (one.amount, one.status, one.refunded)).collect();
    let expected =
        [(1000, "succeeded", 400), (1000, "requires_payment_method", 0), (1000, "canceled", 0)];
    assert_eq!(seen, expected);
}

async fn late_answers_of_stripe(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let slow = json!({ "payment_method": "pm_processing" });
    let quote = restaurant.quote(&customer, &[(0, 2)], "dine_in").await.unwrap();
    let mut body = json!({ "quote": text(&quote, "/token") });
    body["payment_method"] = slow["payment_method"].clone();
    let request = Request::post("/api/v1/orders", fresh("order"), &body);
    let order = customer.client.send(&request).await.expect("an order").body;
    paid(&customer.client, &order, "pending").await;
    let intent = stand_in.intents()[0].id.clone();

    let now = SystemClock.now();
    let kind = "payment_intent.amount_capturable_updated";
    let good = stand_in.webhook("evt_1", kind, &intent, now).expect("a message");
    let old = now - Duration::from_mins(6);
    let old = stand_in.webhook("evt_1", kind, &intent, old).expect("a message");
    let other = StripeStandIn::sign("whsec_other", good.body.clone(), now).expect("a message");
    let signed = |signature: String| Webhook { body: good.body.clone(), signature };
    let seconds = now.as_secs();
    let mut changed = good.clone();
    changed.body.push(b' ');
    for (why, forged) in [
        ("changed after it was signed", changed),
        ("signed with another secret", other),
        ("not signed", signed(String::new())),
        ("old", old.clone()),
        ("old, with a fresh time behind", signed(format!("{},t={seconds}", old.signature))),
        ("old, with a fresh time in front", signed(format!("t={seconds},{}", old.signature))),
        ("signed with nothing", signed(format!("t={seconds},v1={}", "0".repeat(64)))),
    ] {
        let answer = deliver(&platform, &forged).await;
        assert_eq!(answer, (403, "permission_denied".to_owned()), "{why}");
    }
    let unknown = stand_in.webhook("evt_2", "customer.created", &intent, now).expect("a message");
    assert_eq!(deliver(&platform, &unknown).await.0, 204);
    paid(&customer.client, &order, "pending").await;

    // One that comes before it is true, and one that contradicts it: Stripe is asked.
    for (event, kind) in
        [("evt_3", "payment_intent.succeeded"), ("evt_4", "payment_intent.canceled")]
    {
        let early = stand_in.webhook(event, kind, &intent, now).expect("a message");
        assert_eq!(deliver(&platform, &early).await.0, 204);
    }
    paid(&customer.client, &order, "pending").await;

    stand_in.finish(&intent);
    for _ in 0..2 {
        assert_eq!(deliver(&platform, &good).await.0, 204);
    }
    in_state(&customer.client, &order, "confirmed").await;
    paid(&customer.client, &order, "authorized").await;
    assert_eq!(stand_in.intents().len(), 1);
    let behind = stand_in.webhook("evt_5", "payment_intent.canceled", &intent, now);
    assert_eq!(deliver(&platform, &behind.expect("a message")).await.0, 204);
    paid(&customer.client, &order, "authorized").await;

    // Stripe cancels one that is still waited for.
    let quote = restaurant.quote(&customer, &[(0, 2)], "dine_in").await.unwrap();
    body = json!({ "quote": text(&quote, "/token"), "payment_method": "pm_processing_too" });
    let request = Request::post("/api/v1/orders", fresh("order"), &body);
    let order = customer.client.send(&request).await.expect("an order").body;
    paid(&customer.client, &order, "pending").await;
    let intent = stand_in.intents()[1].id.clone();
    stand_in.lapse(&intent);
    let told = stand_in.webhook("evt_6", "payment_intent.canceled", &intent, now);
    assert_eq!(deliver(&platform, &told.expect("a message")).await.0, 204);
    in_state(&customer.client, &order, "payment_failed").await;

    // Where Stripe is not configured, nobody takes its messages.
    let plain = Platform::shared(topology).await;
    assert_eq!(deliver(plain, &good).await.0, 404);
}

async fn one_card_pays_the_order_its_change_and_its_tip(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let split = json!({ "tenders": [
        { "payment_method": "pm_visa_ada", "amount_minor": 700 },
        { "payment_method": "pm_visa_eve", "amount_minor": 300 },
    ] });
    let order = ordered(&restaurant, &customer, split).await;
    let order = in_state(&customer.client, &order, "confirmed").await;
    // Both cards are asked for another total, and then for what they held before.
    let quote = restaurant.quote(&customer, &[(0, 3)], "dine_in").await.unwrap();
    let path = format!("/api/v1/orders/{}", text(&order, "/id"));
    let change = Request::put(path, &json!({ "quote": text(&quote, "/token") })).prefer_wait(20);
    let changed = customer.client.send(&change.if_match(&order["sequence"])).await;
    changed.expect("a change");
    let order = wait::until("the change is settled", SOON, async || {
        let order = get(&customer.client, &format!("/orders/{}", text(&order, "/id"))).await;
        let order = order.map_err(|error| error.to_string())?;
        if order["changing"] == false { Ok(order) } else { Err(order.to_string()) }
    })
    .await;
    assert_eq!((&order["revision"], &order["change_refused"]), (&json!(1), &Value::Null));
    let payment = eaten(&restaurant, &customer, &order).await;
    assert_eq!(payment["captured"]["amount_minor"], 1500);
    let tip = json!({ "amount_minor": 200 });
    let tipped = post(&customer.client, &of(&order, "tips"), &tip).await.expect("a tip");
    assert_eq!(tipped["captured"]["amount_minor"], 1700);
    assert_eq!(tenders(&tipped).last(), Some(&("tip", "captured", 200)));
    wait::until("what was not kept is given back", SOON, async || {
        let intents = stand_in.intents();
        let seen: Vec<_> = intents.iter().map(|one| (one.amount, one.status)).collect();
        let expected = [
            (700, "canceled"),
            (300, "canceled"),
            (700, "succeeded"),
            (800, "succeeded"),
            (200, "succeeded"),
        ];
        if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // It is this order's card now.
    let again = json!({ "payment_method": "pm_visa_ada" });
    let again = ordered(&restaurant, &customer, again).await;
    in_state(&customer.client, &again, "payment_failed").await;
}

async fn given_back_by_stripe(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let owner = &restaurant.owner.client;
    let refund = |minor: i64| json!({ "amount_minor": minor, "reason": "cold soup" });
    let back = async |order: &Value, minor: i64| {
        wait::until("it is given back", SOON, async || {
            let payment = get(&customer.client, &of(order, "payment")).await.unwrap();
            let refunded = payment["refunded"]["amount_minor"] == minor;
            if refunded { Ok(()) } else { Err(payment.to_string()) }
        })
        .await;
    };

    // Stripe takes days, and forgets the key meanwhile. What it was asked for it is asked about.
    let card = json!({ "payment_method": "pm_refund_waits" });
    let slow = ordered(&restaurant, &customer, card).await;
    eaten(&restaurant, &customer, &slow).await;
    let waits = post(owner, &of(&slow, "refunds"), &refund(400)).await.expect("a refund");
    assert_eq!(waits["refunds"][0]["state"], "pending");
    let path = format!("/api/v1{}", of(&slow, "refunds"));
    let second = Request::post(path, fresh("refund"), &refund(100));
    assert_eq!(code(owner.send(&second).await), "conflict");
    stand_in.pass(Duration::from_hours(3 * 24));
    let now = SystemClock.now();
    let id = stand_in.refunds()[0].id.clone();
    let told = stand_in.webhook("evt_1", "charge.refund.updated", &id, now).expect("a message");
    assert_eq!(deliver(&platform, &told).await.0, 204);
    back(&slow, 0).await;
    assert_eq!(stand_in.refunds().len(), 1);
    stand_in.answer_refunds(true);
    let told = stand_in.webhook("evt_2", "charge.refund.updated", &id, now).expect("a message");
    assert_eq!(deliver(&platform, &told).await.0, 204);
    back(&slow, 400).await;

    // It fails in the end.
    let card = json!({ "payment_method": "pm_refund_fails" });
    let failing = ordered(&restaurant, &customer, card).await;
    eaten(&restaurant, &customer, &failing).await;
    let refused = post(owner, &of(&failing, "refunds"), &refund(400)).await;
    assert_eq!(code(refused), "card_declined");
    back(&failing, 0).await;

    // Both answers to the first ask are lost.
    let card = json!({ "payment_method": "pm_visa_ada" });
    let lost = ordered(&restaurant, &customer, card).await;
    eaten(&restaurant, &customer, &lost).await;
    stand_in.fail(&[StripeFault::LoseAnswer; 2]);
    post(owner, &of(&lost, "refunds"), &refund(400)).await.expect("a refund");
    back(&lost, 400).await;
    let made: Vec<_> = stand_in.refunds().iter().map(|one| (one.amount, one.status)).collect();
    assert_eq!(made, [(400, "succeeded"), (400, "failed"), (400, "succeeded")]);
}

async fn taken_back_by_the_bank(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let (owner, operator) = (&restaurant.owner.client, platform.operator());
    let card = json!({ "payment_method": "pm_visa_ada" });
    let order = ordered(&restaurant, &customer, card).await;
    eaten(&restaurant, &customer, &order).await;
    let refund = json!({ "amount_minor": 400, "reason": "cold soup" });
    let refunds = of(&order, "refunds");
    let done = post(owner, &refunds, &refund).await.expect("a refund");
    assert_eq!(done["refunds"][0]["state"], "done");

    let id = stand_in.refunds()[0].id.clone();
    stand_in.return_refund(&id);
    for event in ["evt_1", "evt_2", "evt_1"] {
        let told = stand_in.webhook(event, "refund.failed", &id, SystemClock.now());
        assert_eq!(deliver(&platform, &told.expect("a message")).await.0, 204);
    }
    let payment = paid(&customer.client, &order, "captured").await;
    assert_eq!(payment["refunded"]["amount_minor"], 0);
    let came_back = &payment["refunds"][0];
    assert_eq!(
        (text(came_back, "/state"), text(came_back, "/refused")),
        ("refused", "lost_or_stolen_card")
    );
    let ledger = get(owner, &of(&order, "ledger")).await.expect("a ledger");
    let entries = ledger["items"].as_array().expect("entries");
    let kinds: Vec<_> = entries.iter().map(|entry| text(entry, "/kind")).collect();
    assert_eq!(kinds, ["capture", "refund", "refund"]);
    let path = format!("/orders/{}", text(&order, "/id"));
    let problem = "refund: lost_or_stolen_card";
    wait::until("whoever operates the platform sees it", SOON, async || {
        let order = get(&operator, &path).await.map_err(|error| error.to_string())?;
        if order["problem"] == problem { Ok(()) } else { Err(order.to_string()) }
    })
    .await;

    // It is given back once more, and whoever saw to it says so.
    let again = post(owner, &refunds, &refund).await.expect("a refund");
    assert_eq!(again["refunded"]["amount_minor"], 400);
    let seen_to = json!({ "problem": problem });
    let resolved = post(&operator, &of(&order, "resolve"), &seen_to).await.expect("resolved");
    assert_eq!(resolved["problem"], Value::Null);
    platform.run(&["verify", "--wait", "30"]).await;
}

async fn voided_before_stripe_heard_of_it(topology: Topology) {
    let (platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    stand_in.fail(&[StripeFault::Refuse(503); 200]);
    let order = restaurant.place(&customer, &[(0, 2)], "pm_visa_ada").await;
    assert_eq!(order["state"], "placed");
    paid(&customer.client, &order, "pending").await;
    let reason = json!({ "reason": "changed my mind" });
    post(&customer.client, &of(&order, "cancel"), &reason).await.expect("cancelled");
    stand_in.recover();
    let payment = paid(&customer.client, &order, "voided").await;
    assert_eq!(payment["captured"]["amount_minor"], 0);
    let intents = stand_in.intents();
    assert!(intents.iter().all(|intent| intent.status == "canceled"), "{intents:?}");
}

async fn killed_while_stripe_holds_an_answer(topology: Topology) {
    let (mut platform, stand_in) = with_stripe(topology).await;
    let restaurant = Restaurant::open(&platform, &[("Dal", 500, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let role = |role: Option<&str>| role.is_none_or(|role| role == "payments");
    let payments = platform.processes.iter().position(|serve| role(serve.role));
    let payments = payments.expect("a process of payments");

    stand_in.fail(&[StripeFault::Hang]);
    let order = restaurant.place(&customer, &[(0, 2)], "pm_visa_ada").await;
    wait::until("Stripe is asked", SOON, async || {
        let intents = stand_in.intents();
        if intents.is_empty() { Err(intents) } else { Ok(()) }
    })
    .await;
    platform.crash(payments).await;
    in_state(&customer.client, &order, "confirmed").await;
    let seen = || {
        let intents = stand_in.intents();
        intents.iter().map(|one| (one.amount, one.status, one.refunded)).collect::<Vec<_>>()
    };
    assert_eq!(seen(), [(1000, "requires_capture", 0)]);

    // The same while the money is taken.
    let courier = courier(&platform, 1).await;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    stand_in.fail(&[StripeFault::Hang]);
    let delivery = assigned(&courier, &order).await;
    step(&courier, &delivery, "pick-up").await;
    step(&courier, &delivery, "drop-off").await;
    wait::until("Stripe is asked to take it", SOON, async || {
        let taken = seen();
        if taken == [(1000, "succeeded", 0)] { Ok(()) } else { Err(taken) }
    })
    .await;
    platform.crash(payments).await;
    paid(&customer.client, &order, "captured").await;
    assert_eq!(seen(), [(1000, "succeeded", 0)]);
}

/// Sends a message as Stripe does; gives the status and the problem's code.
async fn deliver(platform: &Platform, message: &Webhook) -> (u16, String) {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Full<Bytes>>();
    let request = http::Request::post(format!("{}/api/v1/webhooks/stripe", platform.url()))
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", &message.signature)
        .body(Full::new(Bytes::from(message.body.clone())))
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}
