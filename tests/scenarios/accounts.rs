//! Accounts in full: sessions, passwords, users, staff, invitations and signing keys.

use bistro_client::Client;
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, Restaurant, code, delete, fresh, get, post, put, text},
    platform::{Platform, Topology, on_every_topology, plain},
};

on_every_topology!(
    sessions_are_listed_and_ended,
    a_password_is_changed,
    a_forgotten_password_is_reset,
    administrators_look_after_users,
    a_person_is_erased,
    staff_comes_and_goes,
    invitations_are_accepted_once,
    signing_keys_are_rotated,
);

/// The tokens of a new session of `email`.
async fn tokens(platform: &Platform, email: &str, password: &str) -> Value {
    let body = json!({ "email": email, "password": password });
    post(&platform.anybody(), "/sessions", &body).await.expect("a session")
}

async fn refused_login(platform: &Platform, email: &str, password: &str) -> String {
    let body = json!({ "email": email, "password": password });
    code(post(&platform.anybody(), "/sessions", &body).await)
}

fn holder(platform: &Platform, tokens: &Value) -> Client {
    platform.anybody().with_token(text(tokens, "/access_token")).expect("a token")
}

async fn trade(platform: &Platform, tokens: &Value) -> Result<Value, bistro_client::ClientError> {
    let body = json!({ "refresh_token": text(tokens, "/refresh_token") });
    post(&platform.anybody(), "/sessions/refresh", &body).await
}

async fn my_id(client: &Client) -> String {
    text(&get(client, "/me").await.expect("me"), "/id").to_owned()
}

async fn sessions_are_listed_and_ended(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let phone = tokens(platform, &ada.email, PASSWORD).await;
    let tablet = tokens(platform, &ada.email, PASSWORD).await;
    let listed = get(&ada.client, "/sessions").await.unwrap();
    let listed = listed["items"].as_array().expect("sessions");
    assert_eq!(listed.len(), 3);
    assert_eq!(listed.iter().filter(|one| one["current"] == true).count(), 1);
    assert_eq!(listed[2]["current"], true, "newest first: {listed:?}");

    // Somebody else's session is not there for them; ending it ends nothing.
    let eve = Person::new(platform, "eve", &[]).await;
    let of_tablet = text(&listed[0], "/id");
    delete(&eve.client, &format!("/sessions/{of_tablet}")).await.expect("nothing to end");
    let ada_id = my_id(&ada.client).await;
    assert_eq!(
        code(get(&eve.client, &format!("/users/{ada_id}/sessions")).await),
        "permission_denied"
    );
    trade(platform, &tablet).await.expect("the tablet goes on");

    delete(&ada.client, &format!("/sessions/{of_tablet}")).await.expect("it ends");
    let left = get(&ada.client, "/sessions").await.unwrap();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(2));
    trade(platform, &phone).await.expect("the phone goes on");
    let ended = delete(&ada.client, "/sessions").await.expect("all others end");
    assert_eq!(ended["revoked"], 1);
    assert_eq!(code(trade(platform, &phone).await), "unauthenticated");
    let left = get(&ada.client, "/sessions").await.unwrap();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "{left}");
}

async fn a_password_is_changed(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let phone = tokens(platform, &ada.email, PASSWORD).await;
    let here = tokens(platform, &ada.email, PASSWORD).await;
    let client = holder(platform, &here);
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    let wrong =
        put(&client, "/me/password", None, &change("wrong horse", "new horse battery")).await;
    assert_eq!(code(wrong), "wrong_credentials");
    let short = put(&client, "/me/password", None, &change(PASSWORD, "short")).await;
    assert_eq!(code(short), "invalid_argument");
    put(&client, "/me/password", None, &change(PASSWORD, "new horse battery"))
        .await
        .expect("changed");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");
    tokens(platform, &ada.email, "new horse battery").await;
    assert_eq!(code(trade(platform, &phone).await), "unauthenticated");
    trade(platform, &here).await.expect("the session that changed it goes on");
}

async fn a_forgotten_password_is_reset(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let before = tokens(platform, &ada.email, PASSWORD).await;
    for email in [ada.email.as_str(), "nobody@example.org"] {
        let asked = post(&platform.anybody(), "/password-resets", &json!({ "email": email })).await;
        assert_eq!(asked.expect("always the same answer"), Value::Null);
    }
    let no_address = json!({ "email": "no address" });
    let asked = post(&platform.anybody(), "/password-resets", &no_address).await;
    assert_eq!(code(asked), "invalid_argument");
    let path = format!("/users/{}/password-reset", my_id(&ada.client).await);
    assert_eq!(code(post(&ada.client, &path, &json!({})).await), "permission_denied");
    let reset = post(&platform.operator(), &path, &json!({})).await.expect("a token");
    let new = |token: &str| json!({ "token": token, "new": "another horse battery" });
    let set =
        async |token: &str| put(&platform.anybody(), "/password-resets", None, &new(token)).await;
    let token = text(&reset, "/token");
    let forged = format!("{}A", &token[..token.len() - 1]);
    assert_eq!(code(set(&forged).await), "invalid_argument");
    set(token).await.expect("the new password");
    assert_eq!(code(set(token).await), "invalid_argument", "once is enough");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");
    tokens(platform, &ada.email, "another horse battery").await;
    assert_eq!(code(trade(platform, &before).await), "unauthenticated");
}

async fn administrators_look_after_users(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let email = format!("{}@example.org", fresh("grace"));
    let grace =
        json!({ "email": email, "password": PASSWORD, "name": "Grace", "roles": ["support"] });
    assert_eq!(code(post(&platform.anybody(), "/users", &grace).await), "invalid_argument");
    let made = post(&platform.operator(), "/users", &grace).await.expect("a supporter");
    assert_eq!(made["roles"], json!(["customer", "support"]));
    let grace = holder(platform, &tokens(platform, &email, PASSWORD).await);

    let ada = Person::new(platform, "ada", &[]).await;
    let found = get(&grace, &format!("/users?email={}", &ada.email[..ada.email.len() - 4])).await;
    let found = found.expect("support finds users");
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
    let path = format!("/users/{}", text(&found, "/items/0/id"));
    assert_eq!(get(&ada.client, &path).await.unwrap()["email"], ada.email.as_str());
    assert_eq!(code(get(&ada.client, "/users").await), "permission_denied");
    let eve = Person::new(platform, "eve", &[]).await;
    assert_eq!(code(get(&eve.client, &path).await), "not_found");

    let version = &found["items"][0]["version"];
    let renamed = json!({ "email": ada.email, "name": "Ada Lovelace" });
    assert_eq!(code(put(&ada.client, &path, None, &renamed).await), "precondition_required");
    let now = put(&ada.client, &path, Some(version), &renamed).await.expect("a new name");
    assert_eq!(now["name"], "Ada Lovelace");
    let again = json!({ "email": ada.email, "name": "A" });
    let stale = put(&ada.client, &path, Some(version), &again).await;
    assert_eq!(code(stale), "version_mismatch");
    let taken = json!({ "email": eve.email, "name": "Ada" });
    assert_eq!(
        code(put(&ada.client, &path, Some(&now["version"]), &taken).await),
        "already_exists"
    );
    let roles = json!({ "email": ada.email, "name": "Ada", "roles": ["admin"] });
    assert_eq!(
        code(put(&ada.client, &path, Some(&now["version"]), &roles).await),
        "invalid_argument"
    );
    let by_admin = put(&platform.operator(), &path, Some(&now["version"]), &roles).await;
    assert_eq!(by_admin.expect("an administrator")["roles"], json!(["customer", "admin"]));
}

async fn a_person_is_erased(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    let here = tokens(platform, &ada.email, PASSWORD).await;
    let path = format!("/users/{}", my_id(&ada.client).await);
    let export = get(&ada.client, &format!("{path}/export")).await.expect("an export");
    assert_eq!(export["user"]["email"], ada.email.as_str());
    assert_eq!(export["sessions"].as_array().map(Vec::len), Some(2));

    let owner = format!("/users/{}", my_id(&restaurant.owner.client).await);
    assert_eq!(code(delete(&restaurant.owner.client, &owner).await), "wrong_state");
    assert_eq!(code(delete(&restaurant.owner.client, &path).await), "not_found");
    delete(&ada.client, &path).await.expect("erased");
    delete(&platform.operator(), &path).await.expect("and stays erased");
    assert_eq!(code(trade(platform, &here).await), "unauthenticated");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");
    let left = get(&platform.operator(), &path).await.expect("the id");
    assert_eq!((left["erased"].as_bool(), left["email"].as_str()), (Some(true), Some("")));
    // Nothing that names the person is left with the order; the order and its money are.
    let order = get(&restaurant.owner.client, &format!("/orders/{}", text(&order, "/id"))).await;
    assert_eq!(order.expect("the order")["total"]["amount_minor"], 250);
    // The address may be used anew.
    let again = json!({ "email": ada.email, "password": PASSWORD, "name": "Ada" });
    post(&platform.anybody(), "/users", &again).await.expect("a new user");
}

async fn staff_comes_and_goes(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner.client;
    let (chef, eve) =
        (Person::new(platform, "chef", &[]).await, Person::new(platform, "eve", &[]).await);
    let members = format!("/restaurants/{}/members", restaurant.id);
    let of = async |person: &Person| format!("{members}/{}", my_id(&person.client).await);
    let (chef_at, owner_at) = (of(&chef).await, of(&restaurant.owner).await);
    put(owner, &chef_at, None, &json!({ "role": "chef" })).await.expect("a chef");
    let listed = get(owner, &members).await.expect("the staff");
    let roles: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["chef", "owner"]);
    assert_eq!(code(get(&eve.client, &members).await), "permission_denied");
    assert_eq!(code(delete(&eve.client, &chef_at).await), "permission_denied");
    assert_eq!(code(delete(owner, &owner_at).await), "wrong_state", "the last owner stays");
    delete(&chef.client, &chef_at).await.expect("whoever wants to may go");
    delete(owner, &chef_at).await.expect("and is gone");
    put(owner, &of(&eve).await, None, &json!({ "role": "owner" })).await.expect("another owner");
    delete(owner, &owner_at).await.expect("now the first one may go");
    let me = get(owner, "/me").await.unwrap();
    assert_eq!(me["memberships"], json!([]));
}

async fn invitations_are_accepted_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let owner = &restaurant.owner.client;
    let path = format!("/restaurants/{}/invitations", restaurant.id);
    let chef = json!({ "email": "chef@example.org", "role": "chef" });
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    assert_eq!(code(post(&eve.client, &path, &chef).await), "permission_denied");
    let first = post(owner, &path, &chef).await.expect("an invitation");
    let second = post(owner, &path, &chef).await.expect("another one");
    let open = get(owner, &path).await.expect("both");
    assert_eq!(open["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(open["items"][0]["token"], Value::Null, "only its maker is shown the token");

    let accept = async |who: &Person, invitation: &Value| {
        let body = json!({ "token": text(invitation, "/token") });
        post(&who.client, "/invitations/accept", &body).await
    };
    let joined = accept(&ada, &first).await.expect("a chef");
    assert_eq!(joined["memberships"][0]["role"], "chef");
    assert_eq!(code(accept(&eve, &first).await), "not_found", "it was for one");
    delete(owner, &format!("/invitations/{}", text(&second, "/id"))).await.expect("withdrawn");
    assert_eq!(code(accept(&eve, &second).await), "not_found");
    let open = get(owner, &path).await.expect("none");
    assert_eq!(open["items"], json!([]));
}

/// The key ids of the published set.
async fn published(platform: &Platform) -> Vec<String> {
    let url = format!("{}/.well-known/jwks.json", platform.url());
    let (status, text) = crate::platform::get(&plain(), &url).await.expect("an answer");
    assert_eq!(status, 200, "{text}");
    let set: Value = serde_json::from_str(&text).expect("JSON");
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

async fn signing_keys_are_rotated(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let before = published(&platform).await;
    assert_eq!(code(post(&ada.client, "/keys/rotate", &json!({})).await), "permission_denied");
    post(&platform.operator(), "/keys/rotate", &json!({})).await.expect("a new key");
    let after = published(&platform).await;
    assert_eq!(after.len(), before.len() + 1);
    get(&ada.client, "/me").await.expect("an older token is still good");
    let new = holder(&platform, &tokens(&platform, &ada.email, PASSWORD).await);
    get(&new, "/me").await.expect("and so is a newer one, for every role");
}
