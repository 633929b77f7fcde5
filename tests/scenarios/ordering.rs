//! Orders in full: what a quote refuses, what an order costs, how it is found again, put off,
//! ordered again and rated, and what is left of it when its customer is erased.

use bistro_client::{Client, ClientError, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{
        PASSWORD, Person, Restaurant, code, delete, fresh, get, in_state, paid, post, put, text,
    },
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    quotes_say_all_that_is_wrong,
    baskets_have_an_end,
    a_tip_is_paid_with_the_order,
    tenders_pay_the_total_together,
    a_quote_holds_its_price_and_not_its_stock,
    a_quote_is_its_askers,
    orders_are_found_by_state_and_time,
    cursors_are_of_their_list,
    support_sees_what_customers_see,
    an_order_is_put_off,
    an_order_is_had_again,
    an_order_is_rated_once,
    allergies_are_kept_by_their_person,
    an_erased_person_leaves_no_words,
    a_stream_is_gone_on_with,
);

/// What a basket of `lines` (place on the menu, quantity) asks for.
fn basket(restaurant: &Restaurant, lines: &[(usize, i64)], fulfilment: &str) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(place, quantity)| {
            json!({ "item_id": restaurant.items[*place].1, "quantity": quantity })
        })
        .collect();
    json!({ "restaurant_id": restaurant.id, "fulfilment": fulfilment, "lines": lines })
}

/// `value` with `more` in it.
fn with(mut value: Value, more: &Value) -> Value {
    for (name, field) in more.as_object().expect("fields") {
        value[name] = field.clone();
    }
    value
}

/// The fields that a refusal is about.
fn fields(result: Result<Value, ClientError>) -> Vec<String> {
    let refused = result.expect_err("a refusal");
    let ClientError::Problem { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!(problem.code, "invalid_argument", "{}", problem.detail);
    problem.errors.iter().map(|error| error.field.clone()).collect()
}

/// Places an order for `body` and waits until it is decided.
async fn placed(who: &Person, body: &Value) -> Value {
    let request = Request::post("/api/v1/orders", fresh("order"), body).prefer_wait(10);
    let answer = who.client.insist(&request, &mut Insistence::lasting(SOON)).await;
    answer.expect("an order").body
}

/// An order of one of the first item, by `fulfilment`, confirmed.
async fn confirmed(restaurant: &Restaurant, who: &Person, fulfilment: &str) -> Value {
    let quote = restaurant.quote(who, &[(0, 1)], fulfilment).await.expect("a quote");
    let order = placed(who, &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!(order["state"], "confirmed", "{order}");
    order
}

/// The same, completed at the counter.
async fn completed(restaurant: &Restaurant, who: &Person) -> Value {
    let order = confirmed(restaurant, who, "pick_up").await;
    restaurant.cook(&order).await;
    in_state(&who.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.expect("handed over")
}

async fn quotes_say_all_that_is_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant =
        Restaurant::open(platform, &[("Naan", 250, Some(3)), ("Dal", 595, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let quote = async |body: &Value| post(&ada.client, "/quotes", body).await;

    let wrong = with(
        basket(&restaurant, &[(0, 0), (1, 1_000_000_000)], "dine_in"),
        &json!({ "tip_minor": -1, "drop_off": { "latitude": 10, "longitude": 20 } }),
    );
    assert_eq!(
        fields(quote(&wrong).await),
        ["lines[0].quantity", "lines[1].quantity", "tip_minor"]
    );
    // A number that is none of its kind does not read at all.
    let negative = quote(&basket(&restaurant, &[(0, -1)], "dine_in")).await;
    assert!(["invalid_argument", "malformed_body"].contains(&code(negative).as_str()));
    let sold_out = quote(&basket(&restaurant, &[(0, 4), (1, 1), (0, 1)], "dine_in")).await;
    assert_eq!(fields(sold_out), ["lines[0].item_id", "lines[2].item_id"]);
    let tip =
        |tip: i64| with(basket(&restaurant, &[(0, 1)], "dine_in"), &json!({ "tip_minor": tip }));
    for much in [2501, i64::MAX] {
        assert_eq!(fields(quote(&tip(much)).await), ["tip_minor"]);
    }
    let long = json!({ "lines": [
        { "item_id": restaurant.items[0].1, "quantity": 1, "note": "x".repeat(201) }
    ] });
    let long = with(basket(&restaurant, &[], "dine_in"), &long);
    assert_eq!(fields(quote(&long).await), ["lines[0].note"]);
    let later = json!({ "scheduled_for": "2020-01-01T00:00:00Z" });
    let later = with(basket(&restaurant, &[(0, 1)], "dine_in"), &later);
    assert!(fields(quote(&later).await).contains(&"scheduled_for".to_owned()));
    let unknown = with(basket(&restaurant, &[(0, 1)], "dine_in"), &json!({ "colour": "red" }));
    assert!(["invalid_argument", "malformed_body"].contains(&code(quote(&unknown).await).as_str()));
}

async fn baskets_have_an_end(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(100))]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let lines = |count| vec![(0, 1); count];
    let quote = restaurant.quote(&ada, &lines(60), "pick_up").await.expect("60 lines are fine");
    assert_eq!(quote["total"]["amount_minor"], 60 * 250);
    let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!(order["state"], "confirmed", "{order}");
    assert_eq!(restaurant.free(0).await, 40);
    assert_eq!(fields(restaurant.quote(&ada, &lines(201), "pick_up").await), ["lines"]);
    let many = restaurant.quote(&ada, &lines(10_000), "pick_up").await;
    assert!(["invalid_argument", "too_large"].contains(&code(many).as_str()));
}

async fn a_tip_is_paid_with_the_order(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let body = with(basket(&restaurant, &[(0, 3)], "pick_up"), &json!({ "tip_minor": 100 }));
    let quote = post(&ada.client, "/quotes", &body).await.expect("a quote");
    assert_eq!(quote["total"]["amount_minor"], 850);
    let amounts = &quote["amounts"];
    assert_eq!(amounts["subtotal"]["amount_minor"], 750);
    assert_eq!(amounts["tip"], json!({ "amount_minor": 100, "currency": "GBP" }));
    let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!((&order["amounts"], &order["state"]), (amounts, &json!("confirmed")));
    let payment = paid(&ada.client, &order, "authorized").await;
    assert_eq!(payment["amount"]["amount_minor"], 850);
}

async fn tenders_pay_the_total_together(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&ada, &[(0, 4)], "pick_up").await.expect("a quote");
    let pay = |tenders: Value| json!({ "quote": text(&quote, "/token"), "tenders": tenders });
    let tender =
        |card: &str, amount: i64| json!({ "payment_method": card, "amount_minor": amount });
    let place = async |body: &Value| post(&ada.client, "/orders", body).await;
    let short = pay(json!([tender("card_ok", 300), tender("card_ok", 600)]));
    assert_eq!(fields(place(&short).await), ["tenders"]);
    let card = pay(json!([tender("4242424242424242", 1000)]));
    assert_eq!(fields(place(&card).await), ["tenders[0].payment_method"]);
    let nothing = json!({ "quote": text(&quote, "/token") });
    assert_eq!(fields(place(&nothing).await), ["payment_method"]);
    let rest = json!({ "payment_method": "card_ok" });
    let order = placed(&ada, &pay(json!([tender("card_ok", 300), rest]))).await;
    assert_eq!(order["state"], "confirmed", "{order}");
    let payment = paid(&ada.client, &order, "authorized").await;
    let amounts: Vec<_> = payment["tenders"]
        .as_array()
        .expect("tenders")
        .iter()
        .map(|tender| tender["amount"]["amount_minor"].as_i64())
        .collect();
    assert_eq!(amounts, [Some(300), Some(700)]);
}

async fn a_quote_holds_its_price_and_not_its_stock(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None), ("Dal", 595, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let owner = &restaurant.owner.client;
    let quote = restaurant.quote(&ada, &[(0, 2)], "pick_up").await.expect("a quote");
    let (_, item, version) = &restaurant.items[0];
    let dearer = json!({ "name": "Naan", "price_minor": 900, "available": true });
    let path = format!("/items/{item}");
    let item = put(owner, &path, Some(&json!(version)), &dearer).await.expect("a new price");
    let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!(order["total"]["amount_minor"], 500, "as it was quoted");
    assert_eq!(order["state"], "confirmed");

    let quote = restaurant.quote(&ada, &[(0, 1)], "pick_up").await.expect("a quote");
    assert_eq!(quote["total"]["amount_minor"], 900);
    let gone = json!({ "name": "Naan", "price_minor": 900, "available": false });
    put(owner, &path, Some(&item["version"]), &gone).await.expect("86");
    let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!((text(&order, "/state"), text(&order, "/reason")), ("rejected", "sold_out"));
}

async fn a_quote_is_its_askers(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let quote = restaurant.quote(&ada, &[(0, 1)], "pick_up").await.expect("a quote");
    let stolen = post(&eve.client, "/orders", &Restaurant::placing(&quote, "card_ok")).await;
    assert_eq!(fields(stolen), ["quote"]);
    let mut forged = Restaurant::placing(&quote, "card_ok");
    forged["quote"] = json!(format!("A{}", text(&quote, "/token")));
    assert_eq!(fields(post(&ada.client, "/orders", &forged).await), ["quote"]);
}

/// The ids of a list.
async fn ids(client: &Client, path: &str) -> Vec<String> {
    let page = get(client, path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    let items = page["items"].as_array().expect("items");
    items.iter().map(|order| text(order, "/id").to_owned()).collect()
}

async fn orders_are_found_by_state_and_time(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let id = |order: &Value| text(order, "/id").to_owned();
    let (done, open) =
        (completed(&restaurant, &ada).await, confirmed(&restaurant, &ada, "pick_up").await);
    let lost = confirmed(&restaurant, &ada, "pick_up").await;
    let reject = format!("/orders/{}/reject", id(&lost));
    let reason = json!({ "reason": "no flour" });
    post(&restaurant.owner.client, &reject, &reason).await.expect("rejected");

    let (done, open, lost) = (id(&done), id(&open), id(&lost));
    for (client, whose) in [
        (&ada.client, "/orders?".to_owned()),
        (&restaurant.owner.client, format!("/orders?restaurant_id={}&", restaurant.id)),
    ] {
        let list = async |filter: &str| ids(client, &format!("{whose}{filter}")).await;
        assert_eq!(list("").await, [lost.as_str(), &open, &done]);
        assert_eq!(list("state=open").await, [open.as_str()]);
        assert_eq!(list("state=confirmed").await, [open.as_str()]);
        assert_eq!(list("state=rejected").await, [lost.as_str()]);
        assert_eq!(list("state=completed").await, [done.as_str()]);
        assert_eq!(list("state=failed").await, [""; 0]);
        let path = format!("/orders/{open}");
        let placed_at = get(client, &path).await.expect("the order");
        let placed_at = text(&placed_at, "/placed_at");
        assert_eq!(list(&format!("from={placed_at}")).await, [lost.as_str(), &open]);
        assert_eq!(list(&format!("to={placed_at}")).await, [done.as_str()]);
        assert_eq!(list(&format!("state=open&to={placed_at}")).await, [""; 0]);
        for (wrong, field) in
            [("state=burnt", "state"), ("from=yesterday", "from"), ("limit=0", "limit")]
        {
            assert_eq!(fields(get(client, &format!("{whose}{wrong}")).await), [field]);
        }
    }
}

async fn cursors_are_of_their_list(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    for _ in 0..3 {
        confirmed(&restaurant, &ada, "pick_up").await;
    }
    let path = format!("/orders?restaurant_id={}&limit=2", restaurant.id);
    let owner = &restaurant.owner.client;
    let first = get(owner, &path).await.expect("a page");
    let cursor = text(&first, "/next_cursor");
    assert_eq!(ids(owner, &format!("{path}&cursor={cursor}")).await.len(), 1);
    for other in [
        format!("{path}&state=open&cursor={cursor}"),
        format!("{path}&state=completed&cursor={cursor}"),
        format!("{path}&from=2020-01-01T00:00:00Z&cursor={cursor}"),
        format!("/orders?limit=2&cursor={cursor}"),
    ] {
        assert_eq!(fields(get(owner, &other).await), ["cursor"], "{other}");
    }
}

async fn support_sees_what_customers_see(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let email = format!("{}@example.org", fresh("grace"));
    let grace =
        json!({ "email": email, "password": PASSWORD, "name": "Grace", "roles": ["support"] });
    post(&platform.operator(), "/users", &grace).await.expect("a supporter");
    let mut grace = Person { client: platform.anybody(), email };
    grace.log_in(platform).await;

    let order = confirmed(&restaurant, &ada, "pick_up").await;
    let me = get(&ada.client, "/me").await.expect("me");
    let path = format!("/orders?customer_id={}", text(&me, "/id"));
    for client in [&grace.client, &ada.client, &platform.operator()] {
        assert_eq!(ids(client, &path).await, [text(&order, "/id")]);
    }
    assert_eq!(code(get(&eve.client, &path).await), "permission_denied");
    let own = format!("/orders/{}", text(&order, "/id"));
    assert_eq!(get(&grace.client, &own).await.expect("the order")["id"], order["id"]);
    let cancel = post(&grace.client, &format!("{own}/cancel"), &json!({ "reason": "x" })).await;
    assert_eq!(code(cancel), "permission_denied");
}

async fn an_order_is_put_off(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = confirmed(&restaurant, &ada, "pick_up").await;
    let path = format!("/orders/{}/delay", text(&order, "/id"));
    let delay = |minutes: i64| json!({ "minutes": minutes, "reason": "the oven is full" });
    let owner = &restaurant.owner.client;
    assert_eq!(code(post(owner, &path, &delay(10)).await), "wrong_state");
    let accept = format!("/orders/{}/accept", text(&order, "/id"));
    let accepted = post(owner, &accept, &json!({ "minutes": 20 })).await.expect("accepted");
    assert_eq!(code(post(&ada.client, &path, &delay(10)).await), "permission_denied");
    for wrong in [0, 241] {
        assert_eq!(fields(post(owner, &path, &delay(wrong)).await), ["minutes"]);
    }
    let no_words = json!({ "minutes": 5, "reason": "" });
    assert_eq!(fields(post(owner, &path, &no_words).await), ["reason"]);
    let delayed = post(owner, &path, &delay(10)).await.expect("delayed");
    let ready: [jiff::Timestamp; 2] =
        [&accepted, &delayed].map(|order| text(order, "/ready_at").parse().expect("a time"));
    assert_eq!(ready[1].as_second() - ready[0].as_second(), 600);
    let seen = get(&ada.client, &format!("/orders/{}", text(&order, "/id"))).await.unwrap();
    assert_eq!(
        (text(&seen, "/delayed_because"), text(&seen, "/state")),
        ("the oven is full", "accepted")
    );
    // Cancelling is for the staff by now.
    let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
    let late = post(&ada.client, &cancel, &json!({ "reason": "too slow" })).await;
    assert_eq!(code(late), "wrong_state");
}

async fn an_order_is_had_again(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant =
        Restaurant::open(platform, &[("Naan", 250, Some(2)), ("Dal", 595, None)]).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let quote = restaurant.quote(&ada, &[(0, 2), (1, 1)], "pick_up").await.expect("a quote");
    let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
    let path = format!("/orders/{}/reorder", text(&order, "/id"));
    assert_eq!(code(post(&eve.client, &path, &json!({})).await), "not_found");
    // The last two are in the first order: without them it can be had again.
    let again = post(&ada.client, &path, &json!({ "tip_minor": 5 })).await.expect("a quote");
    assert_eq!(again["left_out"], json!([{ "name": "Naan", "reason": "sold_out" }]));
    assert_eq!(
        (&again["fulfilment"], &again["total"]["amount_minor"]),
        (&json!("pick_up"), &json!(600))
    );
    let second = placed(&ada, &Restaurant::placing(&again, "card_ok")).await;
    assert_eq!((text(&second, "/state"), text(&second, "/lines/0/name")), ("confirmed", "Dal"));
}

async fn an_order_is_rated_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let opinion = |stars: i64| json!({ "stars": stars, "comment": "Still warm" });
    let early = confirmed(&restaurant, &ada, "pick_up").await;
    let path = |order: &Value| format!("/orders/{}/rating", text(order, "/id"));
    assert_eq!(code(post(&ada.client, &path(&early), &opinion(5)).await), "wrong_state");
    let first = completed(&restaurant, &ada).await;
    assert_eq!(code(get(&ada.client, &path(&first)).await), "not_found");
    let wrong = json!({ "stars": 6, "delivery_stars": 3, "comment": "x".repeat(1001) });
    assert_eq!(
        fields(post(&ada.client, &path(&first), &wrong).await),
        ["stars", "delivery_stars", "comment"]
    );
    assert_eq!(code(post(&eve.client, &path(&first), &opinion(1)).await), "not_found");
    let by_owner = post(&restaurant.owner.client, &path(&first), &opinion(5)).await;
    assert_eq!(code(by_owner), "permission_denied");

    let rating = post(&ada.client, &path(&first), &opinion(2)).await.expect("a rating");
    assert_eq!(code(post(&ada.client, &path(&first), &opinion(5)).await), "already_exists");
    let second = completed(&restaurant, &ada).await;
    post(&ada.client, &path(&second), &opinion(5)).await.expect("another rating");
    let list = format!("/restaurants/{}/ratings", restaurant.id);
    let all = get(&platform.anybody(), &list).await.expect("ratings");
    assert_eq!((&all["count"], &all["stars"]), (&json!(2), &json!(7)));
    // Which orders they are of is not for everybody.
    assert_eq!(all["items"][0]["order_id"], Value::Null);
    let shown = text(&all, "/items/0/id").trim_start_matches("rat_");
    assert_ne!(shown, text(&second, "/id").trim_start_matches("ord_"));
    let seen = get(&eve.client, &list).await.expect("ratings");
    assert_eq!(seen["items"], all["items"]);
    for client in [&ada.client, &restaurant.owner.client, &platform.operator()] {
        let all = get(client, &list).await.expect("ratings");
        assert_eq!(all["items"][0]["order_id"], second["id"], "newest first");
    }

    assert_eq!(
        code(put(&ada.client, &path(&first), None, &opinion(4)).await),
        "precondition_required"
    );
    let stale = put(&ada.client, &path(&first), Some(&json!(7)), &opinion(4)).await;
    assert_eq!(code(stale), "version_mismatch");
    let version = &rating["version"];
    let changed = put(&ada.client, &path(&first), Some(version), &opinion(4)).await;
    assert_eq!(changed.expect("changed")["stars"], 4);
    assert_eq!(code(delete(&eve.client, &path(&first)).await), "not_found");
    delete(&platform.operator(), &path(&second)).await.expect("taken down");
    delete(&ada.client, &path(&second)).await.expect("is gone already");
    let all = get(&platform.anybody(), &list).await.expect("ratings");
    assert_eq!((&all["count"], &all["stars"]), (&json!(1), &json!(4)));
    post(&ada.client, &path(&second), &opinion(1)).await.expect("rated anew");
    let all = get(&platform.anybody(), &list).await.expect("ratings");
    assert_eq!((&all["count"], &all["stars"]), (&json!(2), &json!(5)));
}

async fn allergies_are_kept_by_their_person(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let path = "/me/allergy-profile";
    let none = get(&ada.client, path).await.expect("none");
    assert_eq!(none, json!({ "allergens": [], "mode": "warn", "version": 0 }));
    let profile = json!({ "allergens": ["nuts", "milk"], "mode": "block" });
    assert_eq!(code(put(&ada.client, path, None, &profile).await), "precondition_required");
    let set = put(&ada.client, path, Some(&json!(0)), &profile).await.expect("set");
    assert_eq!(set, json!({ "allergens": ["milk", "nuts"], "mode": "block", "version": 1 }));
    let stale = put(&ada.client, path, Some(&json!(0)), &profile).await;
    assert_eq!(code(stale), "version_mismatch");
    let wrong = json!({ "allergens": ["dust"], "mode": "block" });
    let refused = put(&ada.client, path, Some(&json!(1)), &wrong).await;
    assert!(["invalid_argument", "malformed_body"].contains(&code(refused).as_str()));

    let me = get(&ada.client, "/me").await.expect("me");
    let of_ada = format!("/users/{}/allergy-profile", text(&me, "/id"));
    assert_eq!(code(get(&eve.client, &of_ada).await), "permission_denied");
    assert_eq!(get(&platform.operator(), &of_ada).await.expect("the profile"), set);
    // The restaurant is told with the order; a courier, or anybody else, is not.
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let order = confirmed(&restaurant, &ada, "pick_up").await;
    assert_eq!(order["allergies"], json!(["milk", "nuts"]));
    let own = format!("/orders/{}", text(&order, "/id"));
    let seen = get(&restaurant.owner.client, &own).await.expect("the order");
    assert_eq!(seen["allergies"], json!(["milk", "nuts"]));
}

async fn an_erased_person_leaves_no_words(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let profile = json!({ "allergens": ["milk"], "mode": "warn" });
    put(&ada.client, "/me/allergy-profile", Some(&json!(0)), &profile).await.expect("set");
    let done = completed(&restaurant, &ada).await;
    let rating = json!({ "stars": 1, "comment": "Ada was not amused" });
    let rating_of = format!("/orders/{}/rating", text(&done, "/id"));
    post(&ada.client, &rating_of, &rating).await.expect("a rating");
    paid(&ada.client, &done, "captured").await;
    let refunds = format!("/orders/{}/refunds", text(&done, "/id"));
    let refund = json!({ "amount_minor": 50, "reason": "Ada's naan was cold" });
    post(&restaurant.owner.client, &refunds, &refund).await.expect("a refund");
    let mut lost = Vec::new();
    for _ in 0..3 {
        let body = with(
            basket(&restaurant, &[], "delivery"),
            &json!({ "lines": [{
                "item_id": restaurant.items[0].1, "quantity": 1, "note": "ring twice at Ada's"
            }] }),
        );
        let quote = post(&ada.client, "/quotes", &body).await.expect("a quote");
        let order = placed(&ada, &Restaurant::placing(&quote, "card_ok")).await;
        assert_eq!(text(&order, "/lines/0/note"), "ring twice at Ada's");
        let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
        let reason = json!({ "reason": "Ada moved" });
        post(&ada.client, &cancel, &reason).await.expect("cancelled");
        lost.push(order);
    }
    let open = confirmed(&restaurant, &ada, "delivery").await;
    let me = get(&ada.client, "/me").await.expect("me");
    delete(&ada.client, &format!("/users/{}", text(&me, "/id"))).await.expect("erased");

    let owner = &restaurant.owner.client;
    for order in &lost {
        let path = format!("/orders/{}", text(order, "/id"));
        wait::until("nothing of Ada's is left", SOON, async || {
            let order = get(owner, &path).await.map_err(|error| error.to_string())?;
            let words = ["Ada", "ring twice", "High Street", "milk"];
            match words.iter().find(|words| order.to_string().contains(*words)) {
                None if order["state"] == "cancelled" => Ok(()),
                _ => Err(order.to_string()),
            }
        })
        .await;
    }
    wait::until(
        "why money was given back is forgotten, and that it was is not",
        SOON,
        async || {
            let path = format!("/orders/{}/payment", text(&done, "/id"));
            let payment = get(owner, &path).await.map_err(|error| error.to_string())?;
            let back = &payment["refunds"][0]["amount"]["amount_minor"];
            let forgotten = !payment.to_string().contains("Ada") && *back == 50;
            if forgotten { Ok(()) } else { Err(payment.to_string()) }
        },
    )
    .await;
    wait::until("the comment is gone, and its stars are not", SOON, async || {
        let list = format!("/restaurants/{}/ratings", restaurant.id);
        let all = get(owner, &list).await.map_err(|error| error.to_string())?;
        let silent = all["items"][0]["comment"].is_null() && all["stars"] == 1;
        if silent { Ok(()) } else { Err(all.to_string()) }
    })
    .await;
    let profile = format!("/users/{}/allergy-profile", text(&me, "/id"));
    let profile = get(&platform.operator(), &profile).await.expect("a profile");
    assert_eq!(profile["allergens"], json!([]));
    // Whoever cooks and brings what is under way still has to know.
    let path = format!("/orders/{}", text(&open, "/id"));
    let open = get(owner, &path).await.expect("the order");
    assert_eq!((text(&open, "/address"), &open["allergies"]), ("1 High Street", &json!(["milk"])));
    // When it has ended nobody has, and what somebody said about her then goes too.
    let reason = json!({ "reason": "Ada is not at home" });
    post(owner, &format!("{path}/reject"), &reason).await.expect("rejected");
    wait::until("nothing of Ada's is left of what was open", SOON, async || {
        let order = get(owner, &path).await.map_err(|error| error.to_string())?;
        let words = ["Ada", "High Street", "milk"];
        match words.iter().find(|words| order.to_string().contains(*words)) {
            None if order["state"] == "rejected" => Ok(()),
            _ => Err(order.to_string()),
        }
    })
    .await;
}

async fn a_stream_is_gone_on_with(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = confirmed(&restaurant, &ada, "pick_up").await;
    let id = text(&order, "/id");
    let mut events = ada.client.order_events(id).await.expect("events");
    let first = events.next().await.expect("an event").expect("the order");
    assert_eq!(first["state"], "confirmed");
    drop(events);
    restaurant.accept(&order).await;
    let seen = first["sequence"].as_i64().expect("a sequence");
    let mut events = ada.client.order_events_after(id, seen).await.expect("events");
    let next = events.next().await.expect("an event").expect("the order");
    assert_eq!(next["state"], "accepted");
    assert!(next["sequence"].as_i64() > Some(seen));
}
