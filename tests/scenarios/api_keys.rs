//! API keys: made by people, used by their programs, narrowed, revoked, and never shown twice.

use std::time::Duration;

use bistro_client::{Client, Request};
use bistro_core::{ApiKeyText, Clock as _, Id, SystemClock};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, Restaurant, code, delete, get, in_state, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    a_key_speaks_for_its_user,
    a_key_is_made_once,
    a_key_is_its_users_own,
    a_revoked_key_is_of_no_use,
    a_key_has_the_part_it_was_given,
    a_narrow_key_is_no_courier_and_no_founder,
    what_decides_who_gets_in_refuses_keys,
    keys_that_are_none_are_refused,
    administrators_list_and_revoke_keys,
    erasing_and_resetting_end_keys,
    nothing_written_down_gives_a_key_away,
);

/// How long a revoked key may go on to work, and the time to notice.
const NO_LONGER: Duration = Duration::from_secs(15 + 10);

/// A new key of `person`, as its making is answered.
async fn make(person: &Person, body: Value) -> Value {
    post(&person.client, "/me/api-keys", &body).await.expect("a key")
}

/// Who asks with `key`.
fn holder(platform: &Platform, key: &Value) -> Client {
    platform.anybody().with_token(text(key, "/key")).expect("a token")
}

async fn my_id(client: &Client) -> String {
    text(&get(client, "/me").await.expect("me"), "/id").to_owned()
}

/// Waits until the key is refused.
async fn ends(client: &Client) {
    wait::until("the key is refused", NO_LONGER, async || match get(client, "/me").await {
        Err(error) if error.code() == Some("unauthenticated") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn a_key_speaks_for_its_user(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let mut ada = Person::new(platform, "ada", &[]).await;
    let ada_id = my_id(&ada.client).await;
    let key = make(&ada, json!({ "name": "My app" })).await;
    assert!(text(&key, "/key").starts_with("bistro_key_"), "{key}");
    assert_eq!((&key["user_id"], &key["roles"]), (&json!(ada_id), &Value::Null));
    assert_eq!((&key["last_used_on"], &key["expires_at"]), (&Value::Null, &Value::Null));
    let path = format!("/api-keys/{}", text(&key, "/id"));

    let session = ada.client.clone();
    ada.client = holder(platform, &key);
    assert_eq!(my_id(&ada.client).await, ada_id);
    let order = restaurant.order(&ada, &[(0, 2)], "card_ok").await;
    in_state(&session, &order, "confirmed").await;
    // The restaurant's till, too, with all that goes on behind it.
    let till = make(&restaurant.owner, json!({ "name": "Till" })).await;
    let accept = format!("/orders/{}/accept", text(&order, "/id"));
    let till = holder(platform, &till);
    post(&till, &accept, &json!({ "minutes": 20 })).await.expect("accepted");

    let shown = get(&session, &path).await.expect("the key");
    assert_eq!(shown["key"], Value::Null, "shown once");
    let today = SystemClock.now().to_string();
    assert_eq!(text(&shown, "/last_used_on").len(), 10);
    assert!(text(&shown, "/last_used_on") <= &today[..10], "{shown}");
    let listed = get(&session, "/me/api-keys").await.expect("the keys");
    assert_eq!(listed["items"], json!([shown]));
}

async fn a_key_is_made_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let request =
        |name: &str| Request::post("/api/v1/me/api-keys", "once", &json!({ "name": name }));
    let first = request("My app");
    let sent = futures::future::join_all((0..4).map(|_| ada.client.send(&first))).await;
    let made: Vec<Value> = sent.into_iter().map(|answer| answer.expect("a key").body).collect();
    assert!(made.iter().all(|key| key == &made[0]), "one key, and always its text: {made:?}");
    let other = request("Another app");
    assert_eq!(code(ada.client.send(&other).await), "idempotency_key_reused");

    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": " " }), "name"),
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "a", "roles": [] }), "roles"),
        (json!({ "name": "a", "roles": ["king"] }), "roles[0]"),
        (json!({ "name": "a", "roles": ["admin"] }), "roles[0]"),
        (json!({ "name": "a", "restaurant_ids": ["usr_1"] }), "restaurant_ids[0]"),
        (
            json!({ "name": "a", "restaurant_ids": ["rst_01jd3x8k4v9q2w7r5t6y8z0abc"] }),
            "restaurant_ids[0]",
        ),
        (json!({ "name": "a", "expires_at": "tomorrow" }), "expires_at"),
        (json!({ "name": "a", "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "name": "a", "expires_at": "9999-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "name": "a", "scopes": ["all"] }), "scopes"),
    ] {
        let refused = post(&ada.client, "/me/api-keys", &body).await;
        let problem = format!("{:?}", refused.as_ref().expect_err("a refusal"));
        assert_eq!(code(refused), "invalid_argument", "{body}");
        assert!(problem.contains(&format!("{field:?}")), "{body}: {problem}");
    }
    for number in 1..20 {
        make(&ada, json!({ "name": format!("app {number}") })).await;
    }
    let one_more = post(&ada.client, "/me/api-keys", &json!({ "name": "more" })).await;
    assert_eq!(code(one_more), "wrong_state");
    let page = get(&ada.client, "/me/api-keys?limit=15").await.expect("a page");
    let next = format!("/me/api-keys?limit=15&cursor={}", text(&page, "/next_cursor"));
    let next = get(&ada.client, &next).await.expect("the rest");
    let count = |page: &Value| page["items"].as_array().map(Vec::len);
    assert_eq!((count(&page), count(&next)), (Some(15), Some(5)));
    assert_eq!(next["items"][4]["name"], "My app", "newest first");
}

async fn a_key_is_its_users_own(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let key = make(&ada, json!({ "name": "My app" })).await;
    let path = format!("/api-keys/{}", text(&key, "/id"));
    let named = |name: &str| json!({ "name": name });
    for client in [&eve.client, &holder(platform, &make(&eve, named("Eve's")).await)] {
        let refused = [
            code(get(client, &path).await),
            code(put(client, &path, Some(&json!(1)), &named("Mine")).await),
            code(delete(client, &path).await),
        ];
        // Eve finds none; her program may not even look.
        let expected = if get(client, "/me/api-keys").await.is_ok() {
            "not_found"
        } else {
            "permission_denied"
        };
        assert_eq!(refused, [expected; 3]);
    }
    let of_ada = format!("/users/{}/api-keys", my_id(&ada.client).await);
    assert_eq!(code(get(&eve.client, &of_ada).await), "permission_denied");
    assert_eq!(code(get(&platform.anybody(), &path).await), "unauthenticated");
    let no_key = format!("/api-keys/{}", my_id(&ada.client).await);
    assert_eq!(code(get(&ada.client, &no_key).await), "invalid_argument");

    assert_eq!(code(put(&ada.client, &path, None, &named("B")).await), "precondition_required");
    let renamed = put(&ada.client, &path, Some(&key["version"]), &named("B")).await;
    assert_eq!(renamed.expect("a new name")["name"], "B");
    let stale = put(&ada.client, &path, Some(&key["version"]), &named("C")).await;
    assert_eq!(code(stale), "version_mismatch");
    let long = put(&ada.client, &path, Some(&json!(2)), &named(&"x".repeat(101))).await;
    assert_eq!(code(long), "invalid_argument");
    get(&holder(platform, &key), "/me").await.expect("it goes on under its new name");
}

async fn a_revoked_key_is_of_no_use(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let key = make(&ada, json!({ "name": "My app" })).await;
    let (program, path) = (holder(platform, &key), format!("/api-keys/{}", text(&key, "/id")));
    get(&program, "/me").await.expect("it works");
    delete(&ada.client, &path).await.expect("revoked");
    delete(&ada.client, &path).await.expect("and stays revoked");
    ends(&program).await;
    assert_eq!(code(get(&ada.client, &path).await), "not_found");
    let renamed = put(&ada.client, &path, Some(&json!(1)), &json!({ "name": "B" })).await;
    assert_eq!(code(renamed), "not_found");
    get(&ada.client, "/me").await.expect("the session goes on");
}

async fn a_key_has_the_part_it_was_given(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let here = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let other = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    // The owner of the one cooks in the other, too.
    let member = format!("/restaurants/{}/members/{}", other.id, my_id(&here.owner.client).await);
    put(&platform.operator(), &member, None, &json!({ "role": "chef" })).await.expect("a chef");
    let sees = async |key: Value| {
        let program = holder(platform, &key);
        let mut sees = Vec::new();
        for restaurant in [&here, &other] {
            sees.push(match get(&program, &tickets_of(restaurant)).await {
                Ok(_) => true,
                refused => {
                    assert_eq!(code(refused), "permission_denied");
                    false
                }
            });
        }
        (sees[0], sees[1])
    };
    let owner = &here.owner;
    assert_eq!(sees(make(owner, json!({ "name": "all" })).await).await, (true, true));
    let one = json!({ "name": "one", "restaurant_ids": [here.id] });
    assert_eq!(sees(make(owner, one).await).await, (true, false));
    let chef = json!({ "name": "chef", "roles": ["chef"] });
    assert_eq!(sees(make(owner, chef).await).await, (false, true));
    let customer = json!({ "name": "customer", "roles": ["customer"] });
    assert_eq!(sees(make(owner, customer).await).await, (false, false));
}

async fn a_narrow_key_is_no_courier_and_no_founder(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let cora = Person::new(platform, "cora", &["courier"]).await;
    post(&cora.client, "/couriers", &json!({ "name": "Cora" })).await.expect("a courier");
    let narrow = json!({ "name": "orders only", "roles": ["customer"] });
    let orders_only = holder(platform, &make(&cora, narrow.clone()).await);
    let duty = Request::put("/api/v1/couriers/me/duty", &json!({ "on_duty": true }));
    let refused = [
        code(get(&orders_only, "/couriers/me").await),
        code(get(&orders_only, "/couriers/me/deliveries").await),
        code(orders_only.send(&duty).await),
        code(delete(&orders_only, "/couriers/me").await),
    ];
    assert_eq!(refused, ["not_found"; 4]);
    let whole = holder(platform, &make(&cora, json!({ "name": "all" })).await);
    assert_eq!(get(&whole, "/couriers/me").await.expect("she is")["name"], "Cora");

    // Whoever has just founded one may change it with the token of before; a narrow key may not.
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let path = format!("/restaurants/{}", restaurant.id);
    let other = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let member =
        format!("/restaurants/{}/members/{}", other.id, my_id(&restaurant.owner.client).await);
    put(&platform.operator(), &member, None, &json!({ "role": "chef" })).await.expect("a chef");
    for narrow in [narrow, json!({ "name": "elsewhere", "restaurant_ids": [other.id] })] {
        let key = holder(platform, &make(&restaurant.owner, narrow).await);
        assert_eq!(code(delete(&key, &path).await), "permission_denied");
    }
    get(&platform.anybody(), &path).await.expect("it is still there");
}

async fn what_decides_who_gets_in_refuses_keys(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner;
    let key = make(owner, json!({ "name": "Till" })).await;
    let (program, me) = (holder(platform, &key), my_id(&owner.client).await);
    let new = json!({ "email": "x@example.org", "password": PASSWORD, "name": "X" });
    let login = json!({ "email": owner.email, "password": PASSWORD });
    let chef = json!({ "email": "chef@example.org", "role": "chef" });
    let change = json!({ "current": PASSWORD, "new": "another horse" });
    let moved = json!({ "email": "y@example.org", "name": "Y" });
    let invitations = format!("/restaurants/{}/invitations", restaurant.id);
    let invited = post(&owner.client, &invitations, &chef).await.expect("an invitation");
    let invitation = format!("/invitations/{}", text(&invited, "/id"));
    let member = format!("/restaurants/{}/members/{me}", restaurant.id);
    let user = format!("/users/{me}");
    let one = json!(1);
    let refused = [
        code(post(&program, "/me/api-keys", &json!({ "name": "Child" })).await),
        code(get(&program, "/me/api-keys").await),
        code(post(&program, "/users", &new).await),
        code(post(&program, "/sessions", &login).await),
        code(get(&program, "/sessions").await),
        code(delete(&program, "/sessions").await),
        code(put(&program, "/me/password", None, &change).await),
        code(put(&program, &user, Some(&one), &moved).await),
        code(delete(&program, &user).await),
        code(get(&program, &format!("{user}/export")).await),
        code(post(&program, &invitations, &chef).await),
        code(put(&program, &invitation, Some(&one), &json!({ "role": "owner" })).await),
        code(delete(&program, &invitation).await),
        code(put(&program, &member, None, &json!({ "role": "chef" })).await),
        code(delete(&program, &member).await),
    ];
    assert_eq!(refused, ["permission_denied"; 15]);
    get(&program, &user).await.expect("whom it speaks for it may know");
    get(&program, &tickets_of(&restaurant)).await.expect("and it goes on to work");
}

fn tickets_of(restaurant: &Restaurant) -> String {
    format!("/restaurants/{}/tickets", restaurant.id)
}

async fn keys_that_are_none_are_refused(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let key = make(&ada, json!({ "name": "My app" })).await;
    let whole: ApiKeyText = text(&key, "/key").parse().expect("a key");
    let mut forged = whole.clone();
    forged.proof[7] ^= 0x10;
    let moved = ApiKeyText { id: Id::from_bits(7), ..whole.clone() };
    let written = whole.expose();
    for wrong in [
        written[..written.len() - 1].to_owned(),
        format!("{written}0"),
        written.to_uppercase(),
        written.replacen("bistro_key_0", "bistro_key_1", 1),
        forged.expose(),
        moved.expose(),
        text(&key, "/id").to_owned(),
        "bistro_key_".to_owned(),
    ] {
        let program = platform.anybody().with_token(&wrong).expect("a token");
        let refused = get(&program, "/me").await;
        let said = format!("{refused:?}");
        assert_eq!(code(refused), "unauthenticated");
        assert!(!said.contains(&wrong) || wrong.len() < 40, "{said}");
        // What everybody may see is not shown to who brings a wrong key: something is amiss.
        assert_eq!(code(get(&program, "/restaurants").await), "unauthenticated");
    }
    get(&holder(platform, &key), "/me").await.expect("the right one works");

    let end = SystemClock.now() + Duration::from_secs(8);
    let brief = make(&ada, json!({ "name": "Brief", "expires_at": end.to_string() })).await;
    ends(&holder(platform, &brief)).await;
    let path = format!("/api-keys/{}", text(&brief, "/id"));
    let shown = get(&ada.client, &path).await.expect("its user still sees it");
    assert_eq!(shown["expires_at"], end.to_string());
}

async fn administrators_list_and_revoke_keys(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let key = make(&ada, json!({ "name": "My app" })).await;
    let program = holder(platform, &key);
    get(&program, "/me").await.expect("it works");
    let operator = platform.operator();
    let of_ada = format!("/users/{}/api-keys", my_id(&ada.client).await);
    let listed = get(&operator, &of_ada).await.expect("the keys");
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["key"]), (&key["id"], &Value::Null));
    let none = post(&operator, "/me/api-keys", &json!({ "name": "Mine" })).await;
    assert_eq!(code(none), "permission_denied", "the operator is no user");
    delete(&operator, &format!("/api-keys/{}", text(&key, "/id"))).await.expect("revoked");
    ends(&program).await;
    assert_eq!(get(&operator, &of_ada).await.expect("none")["items"], json!([]));
}

async fn erasing_and_resetting_end_keys(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let operator = platform.operator();
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let of_ada = holder(platform, &make(&ada, json!({ "name": "Ada's" })).await);
    let of_eve = holder(platform, &make(&eve, json!({ "name": "Eve's" })).await);
    let eve_id = my_id(&of_eve).await;
    let reset = format!("/users/{}/password-reset", my_id(&of_ada).await);
    let reset = post(&operator, &reset, &json!({})).await.expect("a reset");
    let new = json!({ "token": text(&reset, "/token"), "new": "another horse battery" });
    put(&platform.anybody(), "/password-resets", None, &new).await.expect("a new password");
    delete(&eve.client, &format!("/users/{eve_id}")).await.expect("erased");
    ends(&of_ada).await;
    ends(&of_eve).await;
    let left = get(&operator, &format!("/users/{eve_id}/api-keys")).await.expect("none");
    assert_eq!(left["items"], json!([]));
    // A change of the password, by who knows it, leaves keys: programs do not log in.
    let bob = Person::new(platform, "bob", &[]).await;
    let of_bob = holder(platform, &make(&bob, json!({ "name": "Bob's" })).await);
    let change = json!({ "current": PASSWORD, "new": "another horse battery" });
    put(&bob.client, "/me/password", None, &change).await.expect("changed");
    get(&of_bob, "/me").await.expect("Bob's program goes on");
}

async fn nothing_written_down_gives_a_key_away(topology: Topology) {
    let platform = Platform::start(topology, &[("BISTRO__LOG__LEVEL", "debug")]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let key = make(&ada, json!({ "name": "My app" })).await;
    let program = holder(&platform, &key);
    get(&program, "/me").await.expect("it works");
    let wrong = post(&program, "/me/api-keys", &json!({ "name": "Child" })).await;
    assert_eq!(code(wrong), "permission_denied");
    // What the program did, and that it was the program, is in the trail under the key's id.
    let operator = platform.operator();
    let path = format!("/audit-trail?subject={}", text(&key, "/id"));
    let trail = wait::until("what the key did is in the trail", SOON, async || {
        let page = get(&operator, &path).await.map_err(|error| error.to_string())?;
        let entries = page["items"].as_array().cloned().unwrap_or_default();
        let refused = |entry: &Value| entry["status"] == 403;
        if entries.iter().any(refused) { Ok(entries) } else { Err(page.to_string()) }
    })
    .await;
    assert_eq!(trail.len(), 2, "made and refused: {trail:?}");
    let proof = &text(&key, "/key")[37..];
    assert!(!json!(trail).to_string().contains(proof));
    for serve in &platform.processes {
        let log = std::fs::read_to_string(serve.process.log()).expect("a log");
        assert!(!log.contains(proof), "{:?} has logged a key", serve.role);
    }
}
