//! The audit trail: who did what, read by administrators, kept over a stop.

use bistro_client::{Client, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, Restaurant, code, delete, fresh, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    who_did_what_is_shown_to_administrators,
    a_request_is_found_by_everything_it_names,
    what_support_reads_of_others_is_recorded,
    nothing_is_lost_when_the_edge_stops,
);

async fn my_id(client: &Client) -> String {
    text(&get(client, "/me").await.expect("me"), "/id").to_owned()
}

/// The entries of `query` once one of them is `action`, newest first.
async fn trail(client: &Client, query: &str, action: &str) -> Vec<Value> {
    wait::until(&format!("{action} is in the trail"), SOON, async || {
        let page = get(client, &format!("/audit-trail?{query}")).await;
        let page = page.map_err(|error| error.to_string())?;
        let entries = page["items"].as_array().cloned().unwrap_or_default();
        let there = entries.iter().any(|entry| entry["action"] == action);
        if there { Ok(entries) } else { Err(page.to_string()) }
    })
    .await
}

fn of<'a>(entries: &'a [Value], action: &str) -> &'a Value {
    entries.iter().find(|entry| entry["action"] == action).unwrap_or_else(|| panic!("{action}"))
}

async fn who_did_what_is_shown_to_administrators(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let order_id = text(&order, "/id");
    let path = format!("/orders/{order_id}/cancel");
    let late = post(&ada.client, &path, &json!({ "reason": "a secret reason" })).await;
    assert_eq!(code(late), "wrong_state");

    let operator = platform.operator();
    let cancel = "POST /api/v1/orders/{id}/cancel";
    let entries = trail(&operator, &format!("subject={order_id}"), cancel).await;
    let placed = of(&entries, "POST /api/v1/orders");
    let (ada_id, owner_id) = (my_id(&ada.client).await, my_id(&restaurant.owner.client).await);
    assert_eq!((&placed["actor"], &placed["status"]), (&json!(ada_id), &json!(201)), "{placed}");
    assert_eq!((&placed["code"], &placed["privileged"]), (&Value::Null, &json!(false)));
    assert!(text(placed, "/request_id").starts_with("req_") && placed["id"] != Value::Null);
    assert_eq!(placed["address"], "127.0.0.0/24");
    let accepted = of(&entries, "POST /api/v1/orders/{id}/accept");
    assert_eq!((&accepted["actor"], &accepted["status"]), (&json!(owner_id), &json!(200)));
    let refused = of(&entries, cancel);
    assert_eq!((&refused["status"], &refused["code"]), (&json!(409), &json!("wrong_state")));
    let said = json!(entries).to_string();
    assert!(!said.contains("secret reason") && !said.contains("High Street"), "{said}");

    // By actor, and by time.
    let mine = trail(&operator, &format!("actor={ada_id}"), cancel).await;
    assert!(mine.iter().all(|entry| entry["actor"] == ada_id.as_str()), "{mine:?}");
    let times: Vec<&str> = mine.iter().map(|entry| text(entry, "/at")).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let since = format!("/audit-trail?actor={ada_id}&from={}", times[0]);
    let newest = get(&operator, &since).await.unwrap();
    assert_eq!(newest["items"][0]["id"], mine[0]["id"]);
    let before = format!("/audit-trail?actor={ada_id}&until={}", times[times.len() - 1]);
    assert_eq!(get(&operator, &before).await.unwrap()["items"], json!([]));

    // A login, also one that fails, names whose account it is, if there is one; never the address.
    let login = "POST /api/v1/sessions";
    let logins = trail(&operator, &format!("subject={ada_id}"), login).await;
    assert_eq!(
        (&of(&logins, login)["status"], &of(&logins, login)["actor"]),
        (&json!(200), &json!("anonymous"))
    );
    let nobody = format!("{}@example.org", fresh("nobody"));
    for email in [&ada.email, &nobody] {
        let wrong = json!({ "email": email, "password": "not this one" });
        let request = Request::post("/api/v1/sessions", fresh("key"), &wrong);
        let refused = platform.anybody().send(&request).await.expect_err("a refusal");
        assert_eq!(refused.code(), Some("wrong_credentials"));
        assert!(!format!("{refused:?}").contains(&ada_id), "the asker is not told: {refused:?}");
    }
    let logins = wait::until("the failed login is in the trail", SOON, async || {
        let logins = trail(&operator, &format!("subject={ada_id}"), login).await;
        let failed = logins.iter().any(|entry| entry["status"] == 401);
        if failed { Ok(logins) } else { Err(json!(logins).to_string()) }
    })
    .await;
    let failed = logins.iter().find(|entry| entry["status"] == 401).expect("the failed one");
    assert_eq!(
        (&failed["action"], &failed["actor"], &failed["code"]),
        (&json!(login), &json!("anonymous"), &json!("wrong_credentials"))
    );
    let all = trail(&operator, "actor=anonymous&limit=200", login).await;
    let said = json!([logins, all]).to_string();
    assert!(!said.contains(&nobody), "{said}");
    assert!(!said.contains(&ada.email) && !said.contains(PASSWORD), "{said}");

    assert_eq!(code(get(&ada.client, "/audit-trail").await), "permission_denied");
    assert_eq!(code(get(&platform.anybody(), "/audit-trail").await), "unauthenticated");
}

async fn a_request_is_found_by_everything_it_names(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let mut chef = Person::new(platform, "chef", &[]).await;
    let chef_id = my_id(&chef.client).await;
    let path = format!("/restaurants/{}/members/{chef_id}", restaurant.id);
    restaurant.hire(platform, &mut chef, "chef").await;
    for role in ["manager", "chef"] {
        let member = json!({ "role": role });
        put(&restaurant.owner.client, &path, None, &member).await.expect("a member");
    }
    delete(&restaurant.owner.client, &path).await.expect("the chef has gone");

    let operator = platform.operator();
    let gone = "DELETE /api/v1/restaurants/{id}/members/{user_id}";
    let named = [restaurant.id.as_str(), chef_id.as_str()];
    let mut seen = Vec::new();
    for id in named {
        let entries = trail(&operator, &format!("subject={id}"), gone).await;
        let of_members = |entry: &&Value| text(entry, "/action").contains("/members/");
        let ids: Vec<String> =
            entries.iter().filter(of_members).map(|entry| text(entry, "/id").to_owned()).collect();
        assert!(ids.len() >= 4, "{id}: {entries:?}");
        let (subject, also) = (&of(&entries, gone)["subject"], &of(&entries, gone)["also"]);
        assert_eq!((subject, also), (&json!(restaurant.id), &json!([chef_id])));
        seen.push(ids);
    }
    assert_eq!(seen[0], seen[1], "by the restaurant and by the chef");
    // Page by page it is the same list, and nothing is in it twice.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/audit-trail?subject={chef_id}&limit=1&cursor={cursor}");
        let page = get(&operator, &path).await.expect("a page");
        let rows = page["items"].as_array().expect("rows");
        assert!(rows.len() <= 1, "{page}");
        let of_members = |entry: &&Value| text(entry, "/action").contains("/members/");
        paged.extend(rows.iter().filter(of_members).map(|entry| text(entry, "/id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(paged, seen[1]);
}

async fn what_support_reads_of_others_is_recorded(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let email = format!("{}@example.org", fresh("sue"));
    let sue = json!({ "email": email, "password": PASSWORD, "name": "Sue", "roles": ["support"] });
    post(&platform.operator(), "/users", &sue).await.expect("a supporter");
    let tokens = json!({ "email": email, "password": PASSWORD });
    let tokens = post(&platform.anybody(), "/sessions", &tokens).await.expect("a session");
    let sue = platform.anybody().with_token(text(&tokens, "/access_token")).expect("a token");
    let ada = Person::new(platform, "ada", &[]).await;
    let ada_id = my_id(&ada.client).await;
    get(&sue, &format!("/users/{ada_id}")).await.expect("support sees users");
    get(&ada.client, &format!("/users/{ada_id}")).await.expect("so does Ada, herself");
    delete(&ada.client, &format!("/users/{ada_id}")).await.expect("erased");

    let operator = platform.operator();
    let erased = "DELETE /api/v1/users/{id}";
    let entries = trail(&operator, &format!("subject={ada_id}"), erased).await;
    let reads: Vec<&Value> =
        entries.iter().filter(|entry| entry["action"] == "GET /api/v1/users/{id}").collect();
    assert_eq!(reads.len(), 1, "what Ada reads of herself is nobody's business: {entries:?}");
    assert_eq!(reads[0]["actor"], my_id(&sue).await.as_str());
    assert_eq!((&reads[0]["privileged"], &reads[0]["status"]), (&json!(true), &json!(200)));
    // The trail outlives the person, and holds the id alone.
    assert!(!json!(entries).to_string().contains(&ada.email));
    // Who reads the trail is in it.
    trail(&operator, "actor=operator&limit=200", "GET /api/v1/audit-trail").await;
}

async fn nothing_is_lost_when_the_edge_stops(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let ada_id = my_id(&ada.client).await;
    for _ in 0..20 {
        delete(&ada.client, "/sessions").await.expect("no other sessions");
    }
    // The edge is the last process; what it has not written yet it writes now.
    let edge = platform.processes.len() - 1;
    platform.restart(edge).await;
    let page = get(&platform.operator(), &format!("/audit-trail?actor={ada_id}&limit=200")).await;
    let page = page.expect("the trail");
    let entries = page["items"].as_array().expect("entries");
    let ended = entries.iter().filter(|entry| entry["action"] == "DELETE /api/v1/sessions");
    assert_eq!(ended.count(), 20, "{page}");
    let ids: std::collections::BTreeSet<&str> =
        entries.iter().map(|entry| text(entry, "/id")).collect();
    assert_eq!(ids.len(), entries.len(), "each once");
}
