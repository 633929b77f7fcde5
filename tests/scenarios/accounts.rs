//! Accounts in full: sessions, passwords, users and signing keys. Staff, what limits logins, and what
//! is stored of a person have files of their own.

use bistro_client::Client;
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, code, delete, fresh, get, post, put, text},
    permissions::made,
    platform::{Platform, Topology, on_every_topology, plain},
};

on_every_topology!(
    sessions_are_listed_and_ended,
    an_administrator_ends_all_sessions_of_a_user,
    a_password_is_changed,
    a_forgotten_password_is_reset,
    administrators_look_after_users,
    signing_keys_are_rotated,
);

/// The tokens of a new session of `email`.
pub(crate) async fn tokens(platform: &Platform, email: &str, password: &str) -> Value {
    let body = json!({ "email": email, "password": password });
    post(&platform.anybody(), "/sessions", &body).await.expect("a session")
}

pub(crate) async fn refused_login(platform: &Platform, email: &str, password: &str) -> String {
    let body = json!({ "email": email, "password": password });
    code(post(&platform.anybody(), "/sessions", &body).await)
}

pub(crate) fn holder(platform: &Platform, tokens: &Value) -> Client {
    platform.anybody().with_token(text(tokens, "/access_token")).expect("a token")
}

pub(crate) async fn trade(
    platform: &Platform,
    tokens: &Value,
) -> Result<Value, bistro_client::ClientError> {
    let body = json!({ "refresh_token": text(tokens, "/refresh_token") });
    post(&platform.anybody(), "/sessions/refresh", &body).await
}

pub(crate) async fn my_id(client: &Client) -> String {
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

async fn an_administrator_ends_all_sessions_of_a_user(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let email = format!("{}@example.org", fresh("root"));
    let root = json!({ "email": email, "password": PASSWORD, "name": "Root", "roles": ["admin"] });
    post(&platform.operator(), "/users", &root).await.expect("an administrator");
    let roots = tokens(platform, &email, PASSWORD).await;
    let root = holder(platform, &roots);
    let ada = Person::new(platform, "ada", &[]).await;
    let eve = Person::new(platform, "eve", &[]).await;
    let phone = tokens(platform, &ada.email, PASSWORD).await;
    let tablet = tokens(platform, &ada.email, PASSWORD).await;
    let eves = tokens(platform, &eve.email, PASSWORD).await;
    let path = format!("/users/{}/sessions", my_id(&ada.client).await);
    assert_eq!(code(delete(&eve.client, &path).await), "permission_denied");
    let phone = trade(platform, &phone).await.expect("Eve has ended none");

    let ended = delete(&root, &path).await.expect("all of them end");
    assert_eq!(ended["revoked"], 3);
    for hers in [&phone, &tablet] {
        assert_eq!(code(trade(platform, hers).await), "unauthenticated");
    }
    assert_eq!(get(&root, &path).await.expect("none is left")["items"], json!([]));
    // Nobody else's end, and Ada begins another one.
    trade(platform, &eves).await.expect("Eve goes on");
    trade(platform, &roots).await.expect("so does the administrator");
    let again = tokens(platform, &ada.email, PASSWORD).await;
    trade(platform, &again).await.expect("she has logged in again");
    let left = get(&root, &path).await.expect("hers");
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "{left}");
    let ended = delete(&root, &path).await.expect("that one, too");
    assert_eq!(ended["revoked"], 1, "what has ended is not counted again");
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
    // Not the last: some of its bits say nothing.
    let (head, tail) = token.split_at(token.len() - 2);
    let forged = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
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
    // An administrator with a token of their own makes supporters, as the operator does.
    let root = json!({
        "email": format!("{}@example.org", fresh("root")), "password": PASSWORD, "name": "Root",
        "roles": ["admin"],
    });
    post(&platform.operator(), "/users", &root).await.expect("an administrator");
    let root = holder(platform, &tokens(platform, text(&root, "/email"), PASSWORD).await);
    let made = post(&root, "/users", &grace).await.expect("a supporter");
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
    // Support ends a session of hers, and may do no more.
    let hers = get(&grace, &format!("{path}/sessions")).await.expect("her sessions");
    let session = format!("/sessions/{}", text(&hers, "/items/0/id"));
    assert_eq!(get(&ada.client, &session).await.expect("hers")["current"], true);
    assert_eq!(code(get(&eve.client, &session).await), "not_found");
    let denied = put(&grace, &path, Some(&now["version"]), &again).await;
    assert_eq!(code(denied), "permission_denied");
    let phone = tokens(platform, &ada.email, PASSWORD).await;
    let newest = get(&grace, &format!("{path}/sessions")).await.expect("one more");
    let newest = format!("/sessions/{}", text(&newest, "/items/0/id"));
    delete(&eve.client, &newest).await.expect("nothing is there for Eve");
    trade(platform, &phone).await.expect("it goes on");
    delete(&grace, &newest).await.expect("ended by support");
    assert_eq!(code(get(&grace, &newest).await), "not_found");
    assert_eq!(code(trade(platform, &phone).await), "unauthenticated");

    // Another address takes the password, and ends the other sessions.
    let phone = tokens(platform, &ada.email, PASSWORD).await;
    let moved = |email: &str, current_password: Value| {
        let name = "Ada";
        json!({ "email": email, "name": name, "current_password": current_password })
    };
    for (password, refusal) in
        [(Value::Null, "invalid_argument"), (json!("a wrong guess"), "wrong_credentials")]
    {
        let moved = moved(&format!("new-{}", ada.email), password);
        let refused = put(&ada.client, &path, Some(&now["version"]), &moved).await;
        assert_eq!(code(refused), refusal);
    }
    let taken = moved(&eve.email, json!(PASSWORD));
    assert_eq!(
        code(put(&ada.client, &path, Some(&now["version"]), &taken).await),
        "already_exists"
    );
    let address = format!("new-{}", ada.email);
    let moved = moved(&address, json!(PASSWORD));
    let now = put(&ada.client, &path, Some(&now["version"]), &moved).await.expect("moved");
    assert_eq!(now["email"], address.as_str());
    assert_eq!(code(trade(platform, &phone).await), "unauthenticated");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");
    let roles = json!({ "email": address, "name": "Ada", "roles": ["admin"] });
    assert_eq!(
        code(put(&ada.client, &path, Some(&now["version"]), &roles).await),
        "invalid_argument"
    );
    let by_admin = put(&platform.operator(), &path, Some(&now["version"]), &roles).await;
    assert_eq!(by_admin.expect("an administrator")["roles"], json!(["customer", "admin"]));
}

/// The key ids of the published set, each with its public key.
async fn published(platform: &Platform) -> Vec<(String, String)> {
    let url = format!("{}/.well-known/jwks.json", platform.url());
    let (status, body) = crate::platform::get(&plain(), &url).await.expect("an answer");
    assert_eq!(status, 200, "{body}");
    let set: Value = serde_json::from_str(&body).expect("JSON");
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|key| (text(key, "/kid").to_owned(), text(key, "/x").to_owned())).collect()
}

/// The key id in the header of an access token.
fn signed_by(tokens: &Value) -> String {
    let header = jsonwebtoken::decode_header(text(tokens, "/access_token")).expect("a header");
    header.kid.expect("a kid")
}

/// Whether an access token is signed by the Ed25519 key `x`.
fn is_signed_with(tokens: &Value, x: &str) -> bool {
    let key = jsonwebtoken::DecodingKey::from_ed_components(x).expect("a key");
    let mut checks = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    checks.validate_aud = false;
    jsonwebtoken::decode::<Value>(text(tokens, "/access_token"), &key, &checks).is_ok()
}

async fn signing_keys_are_rotated(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let before = published(&platform).await;
    let old = tokens(&platform, &ada.email, PASSWORD).await;
    assert_eq!(code(post(&ada.client, "/keys/rotate", &json!({})).await), "permission_denied");
    // The operator does it in `command.rs`.
    let admin = made(&platform, "admin").await;
    post(&admin.client, "/keys/rotate", &json!({})).await.expect("a new key");
    let after = published(&platform).await;
    assert_eq!(after.len(), before.len() + 1);
    get(&ada.client, "/me").await.expect("an older token is still good");
    let new = tokens(&platform, &ada.email, PASSWORD).await;
    get(&holder(&platform, &new), "/me").await.expect("and so is a newer one, for every role");
    // The new key signs, the old one does not any more, and both can be checked by the set.
    let key_of = |kid: &str| {
        let key = after.iter().find(|(known, _)| known == kid);
        key.unwrap_or_else(|| panic!("{kid} is not in {after:?}")).1.clone()
    };
    let (first, second) = (signed_by(&old), signed_by(&new));
    assert!(before.iter().any(|(kid, _)| *kid == first));
    assert!(before.iter().all(|(kid, _)| *kid != second), "a key that was not there before");
    assert!(is_signed_with(&old, &key_of(&first)) && is_signed_with(&new, &key_of(&second)));
    assert!(!is_signed_with(&new, &key_of(&first)));
    // A session from before goes on, by the new key.
    let traded = trade(&platform, &old).await.expect("new tokens");
    assert_eq!(signed_by(&traded), second);
}
