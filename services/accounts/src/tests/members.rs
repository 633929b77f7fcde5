//! Who may say who works for a restaurant, and what is told of members.

use std::sync::Arc;

use bistro_core::{Error, ErrorCode, Id, Membership, Principal, StaffRole, kinds};
use bistro_proto::accounts::v1::{
    AddMembershipRequest, GetMembershipRequest, Member, RemoveMembershipRequest, Tokens,
};
use tokio::sync::Barrier;

use super::{
    platform::{Platform, as_who, keyed, refusal},
    principal,
};

/// The restaurant of these tests.
pub(super) const PLACE: Id<kinds::Restaurant> = Id::from_bits(7);

pub(super) fn id(tokens: &Tokens) -> String {
    tokens.user.as_ref().unwrap().id.clone()
}

/// Sets what `user` does in the restaurant, as whoever holds `token`.
pub(super) async fn set(
    platform: &Platform,
    token: &str,
    user: &str,
    role: &str,
    key: &str,
) -> Result<Member, Error> {
    let request = AddMembershipRequest {
        user_id: user.into(),
        restaurant_id: PLACE.to_string(),
        role: role.into(),
    };
    as_who(Some(token), platform.client().add_membership(keyed(request, key))).await
}

/// Ends a membership, as whoever holds `token`.
pub(super) async fn end(
    platform: &Platform,
    token: &str,
    user: &str,
    key: &str,
) -> Result<(), Error> {
    let request =
        RemoveMembershipRequest { user_id: user.into(), restaurant_id: PLACE.to_string() };
    as_who(Some(token), platform.client().remove_membership(keyed(request, key))).await.map(|_| ())
}

pub(super) async fn get(platform: &Platform, token: &str, user: &str) -> Result<Member, Error> {
    let request = GetMembershipRequest { user_id: user.into(), restaurant_id: PLACE.to_string() };
    as_who(Some(token), platform.client().get_membership(request)).await
}

/// The token of catalog, which makes owners of who founds restaurants.
pub(super) fn catalog(platform: &Platform) -> String {
    platform.authority.workload_token("catalog").unwrap()
}

/// What the stored user does in the restaurant.
async fn role_of(platform: &Platform, user: &str) -> Option<String> {
    get(platform, &catalog(platform), user).await.ok().map(|member| member.role)
}

#[tokio::test]
async fn owners_change_members_and_the_next_token_says_so() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let (ada_id, eve_id) = (id(&ada), id(&eve));
    let early = set(&platform, &ada.access_token, &eve_id, "chef", "k1").await;
    assert_eq!(refusal(early), ErrorCode::PermissionDenied);
    let made = set(&platform, &catalog(&platform), &ada_id, "owner", "c1").await.unwrap();
    assert_eq!((made.role.as_str(), made.user_id.as_str()), ("owner", ada_id.as_str()));
    let again = set(&platform, &catalog(&platform), &ada_id, "owner", "c1").await.unwrap();
    assert_eq!(again, made);
    set(&platform, &catalog(&platform), &eve_id, "chef", "c2").await.unwrap();
    // With the token from before: what is stored decides.
    let made = set(&platform, &ada.access_token, &eve_id, "manager", "k2").await.unwrap();
    assert_eq!(made.role, "manager");
    let stranger = set(&platform, &eve.access_token, &eve_id, "owner", "k3").await;
    assert_eq!(refusal(stranger), ErrorCode::PermissionDenied);
    let next = platform.refresh(&eve.refresh_token).await.unwrap();
    let Principal::User { memberships, .. } = principal(&platform, &next).await else { panic!() };
    assert_eq!(memberships, [Membership { restaurant: PLACE, role: StaffRole::Manager }]);
}

#[tokio::test]
async fn nobody_is_made_a_member_by_an_owner_or_told_of() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    set(&platform, &catalog(&platform), &id(&ada), "owner", "c").await.unwrap();
    let nobody = Id::<kinds::User>::from_bits(1).to_string();
    // Whether there is such a user makes no difference.
    let there = set(&platform, &ada.access_token, &id(&eve), "chef", "k1").await.unwrap_err();
    let not = set(&platform, &ada.access_token, &nobody, "chef", "k2").await.unwrap_err();
    assert_eq!((there.code(), there.message()), (not.code(), not.message()));
    assert_eq!(there.code(), ErrorCode::PermissionDenied);
    for (user, key) in [(&id(&eve), "k3"), (&nobody, "k4")] {
        end(&platform, &ada.access_token, user, key).await.unwrap();
        let shown = get(&platform, &ada.access_token, user).await;
        assert_eq!(refusal(shown), ErrorCode::PermissionDenied, "the token is from before");
    }
    let ada = platform.refresh(&ada.refresh_token).await.unwrap();
    for user in [&id(&eve), &nobody] {
        assert_eq!(refusal(get(&platform, &ada.access_token, user).await), ErrorCode::NotFound);
    }
    let unknown = set(&platform, &catalog(&platform), &nobody, "chef", "c2").await;
    assert_eq!(refusal(unknown), ErrorCode::NotFound);
    let request = GetMembershipRequest { user_id: id(&ada), restaurant_id: PLACE.to_string() };
    let none = as_who(None, platform.client().get_membership(request)).await;
    assert_eq!(refusal(none), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn the_last_owner_stays_whoever_says_otherwise() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let ada_id = id(&ada);
    set(&platform, &catalog(&platform), &ada_id, "owner", "c").await.unwrap();
    let operator = platform.authority.operator_token().unwrap();
    for (token, key) in [(&ada.access_token, "k1"), (&operator, "k2"), (&catalog(&platform), "k3")]
    {
        let lowered = set(&platform, token, &ada_id, "chef", key).await;
        assert_eq!(refusal(lowered), ErrorCode::WrongState);
        let ended = end(&platform, token, &ada_id, key).await;
        assert_eq!(refusal(ended), ErrorCode::WrongState);
    }
    assert_eq!(role_of(&platform, &ada_id).await.as_deref(), Some("owner"));
}

#[tokio::test]
async fn two_owners_who_demote_each_other_leave_one() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let (ada_id, eve_id) = (id(&ada), id(&eve));
    set(&platform, &catalog(&platform), &ada_id, "owner", "c1").await.unwrap();
    set(&platform, &catalog(&platform), &eve_id, "owner", "c2").await.unwrap();
    race(&platform, async {
        tokio::join!(
            set(&platform, &ada.access_token, &eve_id, "chef", "k1"),
            set(&platform, &eve.access_token, &ada_id, "chef", "k2"),
        )
    })
    .await;
    assert_eq!(owners(&platform, &[&ada_id, &eve_id]).await, 1);
}

#[tokio::test]
async fn two_owners_who_leave_together_leave_one() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let (ada_id, eve_id) = (id(&ada), id(&eve));
    set(&platform, &catalog(&platform), &ada_id, "owner", "c1").await.unwrap();
    set(&platform, &catalog(&platform), &eve_id, "owner", "c2").await.unwrap();
    race(&platform, async {
        tokio::join!(
            end(&platform, &ada.access_token, &ada_id, "k1"),
            end(&platform, &eve.access_token, &eve_id, "k2"),
        )
    })
    .await;
    assert_eq!(owners(&platform, &[&ada_id, &eve_id]).await, 1);
}

async fn owners(platform: &Platform, users: &[&String]) -> usize {
    let mut owners = 0;
    for user in users {
        owners += usize::from(role_of(platform, user).await.as_deref() == Some("owner"));
    }
    owners
}

/// Has both of two commands read before either commits. The loser is refused when it reads again.
async fn race<T, U>(
    platform: &Platform,
    both: impl Future<Output = (Result<T, Error>, Result<U, Error>)>,
) {
    *platform.store.gate.lock() = Some(Arc::new(Barrier::new(2)));
    let (one, other) = both.await;
    *platform.store.gate.lock() = None;
    assert!(one.is_ok() != other.is_ok(), "one of them, and not both");
}
