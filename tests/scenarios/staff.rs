//! Who works for a restaurant: invited, changed, and gone; and who may not say so.

use std::time::Duration;

use bistro_client::ClientError;
use bistro_core::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::{
    accounts::my_id,
    people::{Person, Restaurant, code, delete, fresh, get, post, put, text},
    platform::{Platform, Topology, on_every_topology},
    rude::nobody,
};

on_every_topology!(
    staff_comes_and_goes,
    nobody_becomes_staff_unasked,
    the_last_owner_stays,
    invitations_are_accepted_once,
    an_invitation_is_changed,
    an_invitation_rests_on_who_made_it,
);

/// Where `person` is among the restaurant's members.
async fn at(restaurant: &Restaurant, person: &Person) -> String {
    format!("/restaurants/{}/members/{}", restaurant.id, my_id(&person.client).await)
}

async fn invite(
    restaurant: &Restaurant,
    by: &Person,
    email: &str,
    role: &str,
) -> Result<Value, ClientError> {
    let path = format!("/restaurants/{}/invitations", restaurant.id);
    post(&by.client, &path, &json!({ "email": email, "role": role })).await
}

async fn accept(who: &Person, invitation: &Value) -> Result<Value, ClientError> {
    let body = json!({ "token": text(invitation, "/token") });
    post(&who.client, "/invitations/accept", &body).await
}

/// A restaurant that sells one dish.
async fn restaurant(platform: &Platform) -> Restaurant {
    Restaurant::open(platform, &[("Naan", 250, None)]).await
}

async fn set(by: &Person, at: &str, role: &str) -> Result<Value, ClientError> {
    put(&by.client, at, None, &json!({ "role": role })).await
}

async fn staff_comes_and_goes(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let mut chef = Person::new(platform, "chef", &[]).await;
    let eve = Person::new(platform, "eve", &[]).await;
    let invited = invite(&restaurant, owner, &chef.email, "chef").await.expect("an invitation");
    accept(&chef, &invited).await.expect("a chef");
    chef.log_in(platform).await;
    let members = format!("/restaurants/{}/members", restaurant.id);
    let tickets = format!("/restaurants/{}/tickets", restaurant.id);
    get(&chef.client, &tickets).await.expect("the kitchen");
    let listed = get(&owner.client, &members).await.expect("the staff");
    let roles: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["chef", "owner"]);
    let (chef_at, owner_at) = (at(&restaurant, &chef).await, at(&restaurant, owner).await);
    assert_eq!(get(&chef.client, &chef_at).await.expect("oneself")["role"], "chef");

    // What others may not: 403 of a restaurant that everybody may know.
    for who in [&eve, &chef] {
        assert_eq!(code(get(&who.client, &members).await), "permission_denied");
        assert_eq!(code(get(&who.client, &owner_at).await), "permission_denied");
        assert_eq!(code(set(who, &chef_at, "owner").await), "permission_denied");
        assert_eq!(code(delete(&who.client, &owner_at).await), "permission_denied");
        let invited = invite(&restaurant, who, "new@example.org", "owner").await;
        assert_eq!(code(invited), "permission_denied");
    }

    assert_eq!(set(owner, &chef_at, "manager").await.expect("a manager")["role"], "manager");
    chef.log_in(platform).await;
    get(&chef.client, &members).await.expect("managers see the staff");
    delete(&chef.client, &chef_at).await.expect("whoever wants to may go");
    delete(&owner.client, &chef_at).await.expect("and is gone");
    assert_eq!(code(get(&owner.client, &chef_at).await), "not_found");
    // The next token says so, and the kitchen is shut.
    chef.log_in(platform).await;
    assert_eq!(code(get(&chef.client, &tickets).await), "permission_denied");
    assert_eq!(code(get(&chef.client, &members).await), "permission_denied");
}

async fn nobody_becomes_staff_unasked(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let ada = Person::new(platform, "ada", &[]).await;
    let ada_at = at(&restaurant, &ada).await;
    let unknown = format!("/restaurants/{}/members/{}", restaurant.id, nobody("usr"));
    // Ada and nobody look the same, and nothing of hers is told.
    for at in [&ada_at, &unknown] {
        let refused = set(owner, at, "chef").await.expect_err("a refusal");
        assert_eq!(refused.code(), Some("permission_denied"));
        assert!(!format!("{refused:?}").contains(&ada.email));
        assert_eq!(delete(&owner.client, at).await.expect("nothing to end"), Value::Null);
        assert_eq!(code(get(&owner.client, at).await), "not_found");
    }
    assert_eq!(get(&ada.client, "/me").await.unwrap()["memberships"], json!([]));
    // An administrator may, in a restaurant that there is; the answer is the member alone.
    let operator = platform.operator();
    let member = put(&operator, &ada_at, None, &json!({ "role": "chef" })).await.expect("a chef");
    let mut fields: Vec<&String> = member.as_object().expect("a member").keys().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["name", "role", "user_id"], "{member}");
    let nowhere = ada_at.replace(&restaurant.id, &nobody("rst"));
    let refused = put(&operator, &nowhere, None, &json!({ "role": "chef" })).await;
    assert_eq!(code(refused), "not_found");
    let path = format!("/restaurants/{}/invitations", nobody("rst"));
    let body = json!({ "email": "new@example.org", "role": "chef" });
    assert_eq!(code(post(&operator, &path, &body).await), "not_found");
}

async fn the_last_owner_stays(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let mut eve = Person::new(platform, "eve", &[]).await;
    let (owner_at, eve_at) = (at(&restaurant, owner).await, at(&restaurant, &eve).await);
    assert_eq!(code(delete(&owner.client, &owner_at).await), "wrong_state");
    assert_eq!(code(set(owner, &owner_at, "chef").await), "wrong_state");
    let by_operator = put(&platform.operator(), &owner_at, None, &json!({ "role": "chef" })).await;
    assert_eq!(code(by_operator), "wrong_state");
    let invited = invite(&restaurant, owner, "me@example.org", "chef").await.expect("a trap");
    let still = accept(owner, &invited).await.expect("nothing is taken away");
    assert_eq!(still["memberships"][0]["role"], "owner");

    // With two, one may be demoted, and no more: also when they do it to each other at once.
    let invited = invite(&restaurant, owner, &eve.email, "owner").await.expect("an invitation");
    accept(&eve, &invited).await.expect("another owner");
    eve.log_in(platform).await;
    let (one, other) = tokio::join!(set(owner, &eve_at, "chef"), set(&eve, &owner_at, "chef"));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let left = get(&platform.operator(), &format!("/restaurants/{}/members", restaurant.id)).await;
    let left = left.expect("the staff");
    let roles: Vec<_> = left["items"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["chef", "owner"]);

    // So it is when two leave at once.
    let (first, last) = if one.is_ok() { (owner, &eve) } else { (&eve, owner) };
    let (first_at, last_at) = (at(&restaurant, first).await, at(&restaurant, last).await);
    set(first, &last_at, "owner").await.expect("two again");
    let (one, other) =
        tokio::join!(delete(&first.client, &first_at), delete(&last.client, &last_at));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

async fn invitations_are_accepted_once(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let path = format!("/restaurants/{}/invitations", restaurant.id);
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let first = invite(&restaurant, owner, "chef@example.org", "chef").await.expect("one");
    let twice = invite(&restaurant, owner, "Chef@example.org", "manager").await;
    assert_eq!(code(twice), "already_exists", "an address is invited once");
    let second = invite(&restaurant, owner, "cook@example.org", "chef").await.expect("another");
    let open = get(&owner.client, &path).await.expect("both");
    assert_eq!(open["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(open["items"][0]["token"], Value::Null, "only its maker is shown the token");
    let one = format!("/invitations/{}", text(&second, "/id"));
    let shown = get(&owner.client, &one).await.expect("the second");
    assert_eq!((&shown["email"], &shown["token"]), (&json!("cook@example.org"), &Value::Null));
    assert_eq!(code(get(&eve.client, &one).await), "not_found");

    let joined = accept(&ada, &first).await.expect("a chef");
    assert_eq!(joined["memberships"][0]["role"], "chef");
    assert_eq!(code(accept(&eve, &first).await), "not_found", "it was for one");
    // Whoever is a chef already uses an invitation up, too.
    let third = invite(&restaurant, owner, "chef@example.org", "chef").await.expect("a third");
    accept(&ada, &third).await.expect("a chef still");
    assert_eq!(code(accept(&eve, &third).await), "not_found");
    delete(&owner.client, &one).await.expect("withdrawn");
    delete(&owner.client, &one).await.expect("and gone");
    assert_eq!(code(get(&owner.client, &one).await), "not_found");
    assert_eq!(code(accept(&eve, &second).await), "not_found");
    let open = get(&owner.client, &path).await.expect("none");
    assert_eq!(open["items"], json!([]));
}

async fn an_invitation_is_changed(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let (ada, eve) =
        (Person::new(platform, "ada", &[]).await, Person::new(platform, "eve", &[]).await);
    let made = invite(&restaurant, owner, &ada.email, "chef").await.expect("an invitation");
    let path = format!("/invitations/{}", text(&made, "/id"));
    let (first, manager) = (&made["version"], json!({ "role": "manager" }));
    assert_eq!(code(put(&owner.client, &path, None, &manager).await), "precondition_required");
    // A stranger finds none, and whoever has no token is told to log in.
    assert_eq!(code(put(&eve.client, &path, Some(first), &manager).await), "not_found");
    let by_nobody = put(&platform.anybody(), &path, Some(first), &manager).await;
    assert_eq!(code(by_nobody), "unauthenticated");
    let days = |days: u64| (SystemClock.now() + Duration::from_hours(24 * days)).to_string();
    for wrong in [
        json!({ "role": "king" }),
        json!({ "role": "chef", "expires_at": "tomorrow" }),
        json!({ "role": "chef", "expires_at": "1970-01-01T00:00:00Z" }),
        json!({ "role": "chef", "expires_at": days(40) }),
    ] {
        let refused = put(&owner.client, &path, Some(first), &wrong).await;
        assert_eq!(code(refused), "invalid_argument", "{wrong}");
    }

    let end = days(20);
    let longer = json!({ "role": "manager", "expires_at": end });
    let changed = put(&owner.client, &path, Some(first), &longer).await.expect("a change");
    assert_eq!((&changed["role"], &changed["expires_at"]), (&json!("manager"), &json!(end)));
    assert_eq!((&changed["token"], &changed["email"]), (&Value::Null, &made["email"]));
    let stale = put(&owner.client, &path, Some(first), &json!({ "role": "owner" })).await;
    assert_eq!(code(stale), "version_mismatch");
    assert_eq!(get(&owner.client, &path).await.expect("as it was changed"), changed);
    // Without an end it keeps the one it has; administrators may change it, too.
    let now = &changed["version"];
    let again = put(&platform.operator(), &path, Some(now), &json!({ "role": "chef" })).await;
    let again = again.expect("another change");
    assert_eq!((&again["role"], &again["expires_at"]), (&json!("chef"), &json!(end)));

    // Its token is the same, and gives what it says by now.
    let last = put(&owner.client, &path, Some(&again["version"]), &manager).await;
    let last = last.expect("the last change");
    let joined = accept(&ada, &made).await.expect("a manager");
    assert_eq!(joined["memberships"][0]["role"], "manager");
    let late = put(&owner.client, &path, Some(&last["version"]), &manager).await;
    assert_eq!(code(late), "not_found", "it is used up");
}

async fn an_invitation_rests_on_who_made_it(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = restaurant(platform).await;
    let owner = &restaurant.owner;
    let mut bob = Person::new(platform, "bob", &[]).await;
    let mallory = Person::new(platform, "mallory", &[]).await;
    let invited = invite(&restaurant, owner, &bob.email, "owner").await.expect("an invitation");
    accept(&bob, &invited).await.expect("another owner");
    bob.log_in(platform).await;
    let back = format!("{}@example.org", fresh("back"));
    let backdoor = invite(&restaurant, &bob, &back, "owner").await.expect("a way back");
    delete(&owner.client, &at(&restaurant, &bob).await).await.expect("Bob is dismissed");
    for who in [&bob, &mallory] {
        assert_eq!(code(accept(who, &backdoor).await), "not_found");
    }
    assert_eq!(get(&mallory.client, "/me").await.unwrap()["memberships"], json!([]));
}
