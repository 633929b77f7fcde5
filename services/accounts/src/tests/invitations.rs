//! Invitations: what they rest on, what they give and take, and how many there may be.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_proto::accounts::v1::{
    AcceptInvitationRequest, CreateInvitationRequest, DeleteInvitationRequest,
    GetInvitationRequest, Invitation, ListInvitationsRequest, Tokens, UpdateInvitationRequest,
    User,
};

use super::{
    members::{PLACE, catalog, end, get, id, set},
    platform::{Platform, as_who, keyed, refusal},
};

const DAY: Duration = Duration::from_hours(24);

async fn invite(
    platform: &Platform,
    by: &Tokens,
    email: &str,
    role: &str,
    key: &str,
) -> Result<Invitation, Error> {
    let request = CreateInvitationRequest {
        restaurant_id: PLACE.to_string(),
        email: email.into(),
        role: role.into(),
    };
    as_who(Some(&by.access_token), platform.client().create_invitation(keyed(request, key))).await
}

async fn accept(
    platform: &Platform,
    who: &Tokens,
    invitation: &Invitation,
    key: &str,
) -> Result<User, Error> {
    let request = AcceptInvitationRequest { token: invitation.token.clone() };
    as_who(Some(&who.access_token), platform.client().accept_invitation(keyed(request, key))).await
}

async fn show(platform: &Platform, token: &str, id: &str) -> Result<Invitation, Error> {
    let request = GetInvitationRequest { id: id.into() };
    as_who(Some(token), platform.client().get_invitation(request)).await
}

/// A restaurant with two owners, and somebody who is none.
async fn restaurant(platform: &Platform) -> (Tokens, Tokens, Tokens) {
    let (ada, bob) = (platform.user("ada").await, platform.user("bob").await);
    let eve = platform.user("eve").await;
    for (owner, key) in [(&ada, "c1"), (&bob, "c2")] {
        set(platform, &catalog(platform), &id(owner), "owner", key).await.unwrap();
    }
    (ada, bob, eve)
}

#[tokio::test]
async fn an_invitation_does_not_outlive_the_right_of_who_made_it() {
    let platform = Platform::new();
    let (ada, bob, eve) = restaurant(&platform).await;
    let backdoor = invite(&platform, &ada, "eve@example.org", "owner", "i").await.unwrap();
    let honest = invite(&platform, &bob, "carl@example.org", "chef", "i").await.unwrap();
    end(&platform, &bob.access_token, &id(&ada), "r").await.unwrap();
    assert_eq!(refusal(accept(&platform, &eve, &backdoor, "a1").await), ErrorCode::NotFound);
    assert_eq!(refusal(get(&platform, &catalog(&platform), &id(&eve)).await), ErrorCode::NotFound);
    // Nor does whoever made it come back by it.
    assert_eq!(refusal(accept(&platform, &ada, &backdoor, "a2").await), ErrorCode::NotFound);
    assert!(accept(&platform, &eve, &honest, "a3").await.is_ok());
}

#[tokio::test]
async fn whoever_is_a_member_already_loses_nothing_and_uses_it_up() {
    let platform = Platform::new();
    let (ada, bob, eve) = restaurant(&platform).await;
    let chef = invite(&platform, &ada, "somebody@example.org", "chef", "i1").await.unwrap();
    let joined = accept(&platform, &ada, &chef, "a1").await.unwrap();
    assert_eq!(joined.memberships[0].role, "owner");
    assert_eq!(accept(&platform, &ada, &chef, "a1").await.unwrap(), joined, "asked again");
    assert_eq!(refusal(accept(&platform, &eve, &chef, "a2").await), ErrorCode::NotFound);
    // A chef becomes more by one.
    let chef = invite(&platform, &bob, "eve@example.org", "chef", "i2").await.unwrap();
    accept(&platform, &eve, &chef, "a3").await.unwrap();
    let manager = invite(&platform, &bob, "eve@example.org", "manager", "i3").await.unwrap();
    let joined = accept(&platform, &eve, &manager, "a4").await.unwrap();
    assert_eq!(joined.memberships[0].role, "manager");
    assert!(!platform.store.dump().contains("somebody@example.org"), "an accepted one forgets");
}

#[tokio::test]
async fn an_address_is_invited_once_and_a_restaurant_invites_so_many() {
    let platform = Platform::new();
    let (ada, bob, eve) = restaurant(&platform).await;
    let first = invite(&platform, &ada, "new@example.org", "chef", "i1").await.unwrap();
    assert_eq!(
        invite(&platform, &ada, "New@example.org", "chef", "i1b").await.unwrap_err().code(),
        ErrorCode::AlreadyExists
    );
    let again = invite(&platform, &ada, "new@example.org", "chef", "i1").await.unwrap();
    assert_eq!(again, first, "the same request");
    for number in 1..100 {
        let email = format!("new{number}@example.org");
        invite(&platform, &bob, &email, "chef", &format!("i{number}")).await.unwrap();
    }
    let full = invite(&platform, &ada, "one-more@example.org", "chef", "i2").await;
    assert_eq!(refusal(full), ErrorCode::WrongState);
    let denied = invite(&platform, &eve, "one-more@example.org", "chef", "i3").await;
    assert_eq!(refusal(denied), ErrorCode::PermissionDenied);
    // One that has ended is in nobody's way, and is of no use.
    platform.clock.advance(DAY * 7);
    let ada = platform.log_in("ada@example.org", super::platform::PASSWORD).await.unwrap();
    let eve = platform.log_in("eve@example.org", super::platform::PASSWORD).await.unwrap();
    platform.sweep().await;
    assert!(invite(&platform, &ada, "new@example.org", "chef", "i4").await.is_ok());
    assert_eq!(refusal(accept(&platform, &eve, &first, "a1").await), ErrorCode::NotFound);
}

#[tokio::test]
async fn an_ended_invitation_makes_room_before_it_is_swept() {
    let platform = Platform::new();
    let (ada, _, _) = restaurant(&platform).await;
    let first = invite(&platform, &ada, "new@example.org", "chef", "i1").await.unwrap();
    platform.clock.advance(DAY * 7);
    let ada = platform.log_in("ada@example.org", super::platform::PASSWORD).await.unwrap();
    let second = invite(&platform, &ada, "new@example.org", "manager", "i2").await.unwrap();
    assert_ne!(first.id, second.id);
    let gone = show(&platform, &ada.access_token, &first.id).await;
    assert_eq!(refusal(gone), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_role_that_brings_it_reads_the_token_and_an_owner_changes_it() {
    let platform = Platform::new();
    let (ada, bob, eve) = restaurant(&platform).await;
    let made = invite(&platform, &ada, "new@example.org", "chef", "i1").await.unwrap();
    let brought = show(&platform, &catalog(&platform), &made.id).await.unwrap();
    assert_eq!((&brought.token, brought.version), (&made.token, 1));
    let seen = show(&platform, &bob.access_token, &made.id).await.unwrap();
    assert_eq!((seen.token.as_str(), seen.email.as_str()), ("", "new@example.org"));
    assert_eq!(refusal(show(&platform, &eve.access_token, &made.id).await), ErrorCode::NotFound);

    let change = async |who: &Tokens, version, role: &str, expires_at_ms, key: &str| {
        let id = made.id.clone();
        let request = UpdateInvitationRequest { id, version, role: role.into(), expires_at_ms };
        as_who(Some(&who.access_token), platform.client().update_invitation(keyed(request, key)))
            .await
    };
    assert_eq!(refusal(change(&eve, 1, "owner", 0, "u1").await), ErrorCode::NotFound);
    assert_eq!(refusal(change(&bob, 2, "manager", 0, "u2").await), ErrorCode::VersionMismatch);
    let late = made.expires_at_ms + 365 * 24 * 3_600_000;
    assert_eq!(refusal(change(&bob, 1, "king", late, "u3").await), ErrorCode::InvalidArgument);
    let later = made.created_at_ms + 20 * 24 * 3_600_000;
    let changed = change(&bob, 1, "manager", later, "u4").await.unwrap();
    assert_eq!((changed.role.as_str(), changed.version), ("manager", 2));
    assert_eq!(changed.expires_at_ms, later);
    assert_eq!(change(&bob, 1, "manager", later, "u4").await.unwrap(), changed, "asked again");
    // It rests on Bob by now.
    end(&platform, &bob.access_token, &id(&ada), "r").await.unwrap();
    assert!(accept(&platform, &eve, &made, "a").await.is_ok());
    let none = Id::<kinds::Invitation>::from_bits(1).to_string();
    assert_eq!(refusal(show(&platform, &bob.access_token, &none).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_withdrawn_invitation_is_gone() {
    let platform = Platform::new();
    let (ada, _, eve) = restaurant(&platform).await;
    let made = invite(&platform, &ada, "new@example.org", "chef", "i1").await.unwrap();
    let withdraw = async |who: &Tokens, key: &str| {
        let request = DeleteInvitationRequest { id: made.id.clone() };
        as_who(Some(&who.access_token), platform.client().delete_invitation(keyed(request, key)))
            .await
    };
    assert_eq!(refusal(withdraw(&eve, "w1").await), ErrorCode::NotFound);
    withdraw(&ada, "w2").await.unwrap();
    withdraw(&ada, "w3").await.unwrap();
    assert_eq!(refusal(accept(&platform, &eve, &made, "a").await), ErrorCode::NotFound);
    let list = ListInvitationsRequest { restaurant_id: PLACE.to_string(), page: None };
    let listed = as_who(Some(&ada.access_token), platform.client().list_invitations(list)).await;
    assert!(listed.unwrap().invitations.is_empty());
}
