//! Deliveries that go wrong: nobody can say whether the food is ready, the courier vanishes with it,
//! or there is no customer any more.

use bistro_client::Request;
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{
        Person, Restaurant, assigned, code, courier, delete, fresh, get, in_state, paid, post,
        step, text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    what_a_courier_vanished_with_is_failed_by_the_restaurant,
    no_words_are_kept_about_who_was_erased_before_the_food_came,
);

/// Has `who` erased, at their own wish.
async fn erase(who: &Person) {
    let me = get(&who.client, "/me").await.expect("me");
    delete(&who.client, &format!("/users/{}", text(&me, "/id"))).await.expect("erased");
}

/// Waits until delivery has been told all that accounts has to tell.
async fn told(platform: &Platform) {
    let operator = platform.operator();
    for (role, left) in [("accounts", "unpublished"), ("delivery", "queued")] {
        wait::until("delivery has been told", SOON, async || {
            let page = get(&operator, &format!("/audit/{role}?limit=1")).await;
            let backlog = page.map_err(|error| error.to_string())?["backlog"].clone();
            let nothing = backlog[left] == 0 && backlog["parked"] == 0;
            if nothing { Ok(()) } else { Err(format!("{role}: {backlog}")) }
        })
        .await;
    }
}

async fn what_a_courier_vanished_with_is_failed_by_the_restaurant(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let elsewhere = Restaurant::open(&platform, &[("Dal", 595, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let delivery = assigned(&cora, &order).await;
    step(&cora, &delivery, "pick-up").await;
    in_state(&customer.client, &order, "in_delivery").await;
    erase(&cora).await;

    wait::until("it is counted", SOON, async || {
        let others = ["state=\"pending\"", "state=\"assigned\""];
        let count = platform.metric("bistro_delivery_open_deliveries", &others).await;
        let age = platform.metric("bistro_delivery_oldest_age_seconds", &others).await;
        if count >= 1.0 && age >= 1.0 { Ok(()) } else { Err((count, age)) }
    })
    .await;
    let path = format!("/deliveries/{}/fail", text(&delivery, "/id"));
    let reason = json!({ "reason": "the courier does not answer", "code": "courier_unable" });
    assert_eq!(code(post(&customer.client, &path, &reason).await), "not_found");
    assert_eq!(code(post(&elsewhere.owner.client, &path, &reason).await), "not_found");
    let failed = post(&restaurant.owner.client, &path, &reason).await.expect("failed");
    assert_eq!(
        (text(&failed, "/state"), text(&failed, "/reason_code")),
        ("failed", "courier_unable")
    );
    in_state(&customer.client, &order, "failed").await;
    paid(&customer.client, &order, "voided").await;
}

async fn no_words_are_kept_about_who_was_erased_before_the_food_came(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 2).await;
    let owner = &restaurant.owner.client;
    let out = json!({ "reason": "Ada at flat 3 was out", "code": "customer_absent" });
    let fail = async |order: &Value| {
        let delivery = assigned(&cora, order).await;
        step(&cora, &delivery, "pick-up").await;
        let path = format!("/deliveries/{}", text(&delivery, "/id"));
        let failed = post(&cora.client, &format!("{path}/fail"), &out).await.expect("failed");
        assert_eq!(text(&failed, "/reason_code"), "customer_absent");
        (path, failed["reason"].clone())
    };
    let before = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.cook(&before).await;
    let (written, reason) = fail(&before).await;
    assert_eq!(reason, "Ada at flat 3 was out");
    let open = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.accept(&open).await;
    erase(&ada).await;
    told(&platform).await;

    wait::until("what was written is erased", SOON, async || {
        let delivery = get(owner, &written).await.map_err(|error| error.to_string())?;
        if delivery["reason"].is_null() { Ok(()) } else { Err(delivery.to_string()) }
    })
    .await;
    // The food of who is erased is brought all the same, and nothing is written down about them.
    restaurant.bump(&open).await;
    let (unwritten, reason) = fail(&open).await;
    assert_eq!(reason, Value::Null);
    let delivery = get(owner, &unwritten).await.expect("the delivery");
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("failed"), &Value::Null));
    in_state(owner, &open, "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_picked_up_while_orders_is_away() {
    let mut platform = Platform::start(Topology::Split, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let cora = courier(&platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let delivery = assigned(&cora, &order).await;
    let path = format!("/api/v1/deliveries/{}/pick-up", text(&delivery, "/id"));
    let pick_up = Request::post(path, fresh("key"), &json!({}));
    let orders = platform.processes.iter().position(|serve| serve.role == Some("orders"));
    platform
        .interlude(orders.expect("a process of orders"), async |_| {
            assert_eq!(code(cora.client.send(&pick_up).await.map(drop)), "unavailable");
            let mine = get(&cora.client, "/couriers/me/deliveries").await.expect("deliveries");
            assert_eq!(mine["items"][0]["state"], "assigned");
        })
        .await;
    step(&cora, &delivery, "pick-up").await;
    in_state(&customer.client, &order, "in_delivery").await;
}
