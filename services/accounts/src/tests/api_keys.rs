//! API keys over gRPC: made, traded, narrowed, ended.

use std::time::Duration;

use bistro_core::{ApiKeyText, ErrorCode, Id, Membership, Principal, Role, StaffRole, kinds};
use bistro_proto::accounts::v1::{
    AddMembershipRequest, ApiKey, CreateApiKeyRequest, CreatePasswordResetRequest,
    DeleteApiKeyRequest, DeleteUserRequest, ExchangeApiKeyRequest, ExchangeApiKeyResponse,
    GetApiKeyRequest, ListApiKeysRequest, ResetPasswordRequest, Tokens, UpdateApiKeyRequest,
};

use super::platform::{Platform, as_who, keyed, refusal};

const DAY: Duration = Duration::from_hours(24);

fn named(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { name: name.into(), ..CreateApiKeyRequest::default() }
}

async fn make(
    platform: &Platform,
    token: &str,
    request: CreateApiKeyRequest,
    key: &str,
) -> Result<ApiKey, bistro_core::Error> {
    as_who(Some(token), platform.client().create_api_key(keyed(request, key))).await
}

async fn exchange(
    platform: &Platform,
    text: &str,
) -> Result<ExchangeApiKeyResponse, bistro_core::Error> {
    let gateway = platform.authority.workload_token("gateway").unwrap();
    let request = ExchangeApiKeyRequest { text: text.into() };
    as_who(Some(&gateway), platform.client().exchange_api_key(request)).await
}

async fn get(platform: &Platform, token: &str, id: &str) -> Result<ApiKey, bistro_core::Error> {
    let request = GetApiKeyRequest { id: id.into() };
    as_who(Some(token), platform.client().get_api_key(request)).await
}

async fn listed(platform: &Platform, token: &str, user: &str) -> Vec<String> {
    let request = ListApiKeysRequest { user_id: user.into(), page: None };
    let page = as_who(Some(token), platform.client().list_api_keys(request)).await.unwrap();
    assert!(page.keys.iter().all(|key| key.text.is_empty()), "shown once");
    page.keys.into_iter().map(|key| key.name).collect()
}

async fn revoke(platform: &Platform, token: &str, id: &str) -> Result<(), bistro_core::Error> {
    let request = DeleteApiKeyRequest { id: id.into() };
    as_who(Some(token), platform.client().delete_api_key(keyed(request, id))).await.map(|_| ())
}

async fn speaks(platform: &Platform, traded: &ExchangeApiKeyResponse) -> Principal {
    let header = format!("Bearer {}", traded.access_token);
    platform.verifier.principal(Some(&header)).await.unwrap()
}

#[tokio::test]
async fn a_key_is_traded_for_a_token_of_its_user() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    assert_eq!((key.name.as_str(), key.version, key.last_used_day_ms), ("Till", 1, 0));
    let text: ApiKeyText = key.text.parse().unwrap();
    assert_eq!(text.id.to_string(), key.id);

    let traded = exchange(&platform, &key.text).await.unwrap();
    assert_eq!(traded.good_for_ms, 300_000);
    let Principal::User { id, session, roles, memberships, api_key } =
        speaks(&platform, &traded).await
    else {
        panic!()
    };
    assert!(api_key, "roles know that a key asks");
    assert_eq!((id.to_string(), session.sibling()), (key.user_id.clone(), text.id));
    assert_eq!((roles, memberships), (vec![Role::Customer], Vec::new()));

    // The answer was lost: the same request again makes no other key.
    let again = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    assert_eq!((again.id, again.text), (key.id.clone(), key.text.clone()));
    let other = make(&platform, &ada.access_token, named("Tablet"), "k").await;
    assert_eq!(refusal(other), ErrorCode::IdempotencyKeyReused);
    assert_eq!(listed(&platform, &ada.access_token, "").await, ["Till"]);
    // Nothing that is stored gives it away.
    let proof = &key.text[key.text.len() - 48..key.text.len() - 8];
    assert!(!platform.store.dump().contains(proof));
}

#[tokio::test]
async fn only_other_roles_trade_keys() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let request = || ExchangeApiKeyRequest { text: key.text.clone() };
    let user = as_who(Some(&ada.access_token), platform.client().exchange_api_key(request())).await;
    assert_eq!(refusal(user), ErrorCode::PermissionDenied);
    let nobody = as_who(None, platform.client().exchange_api_key(request())).await;
    assert_eq!(refusal(nobody), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn keys_that_were_never_given_are_refused() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let whole: ApiKeyText = key.text.parse().unwrap();
    let mut forged = whole.clone();
    forged.proof[0] ^= 1;
    let moved = ApiKeyText { id: Id::from_bits(5), ..whole };
    let cut = key.text[..key.text.len() - 1].to_owned();
    for text in [String::new(), cut, key.id.clone(), forged.expose(), moved.expose()] {
        assert_eq!(refusal(exchange(&platform, &text).await), ErrorCode::Unauthenticated);
    }
    assert!(exchange(&platform, &key.text).await.is_ok());
}

#[tokio::test]
async fn a_key_is_renamed_and_revoked_by_its_user() {
    let platform = Platform::new();
    let (ada, eve) = (platform.user("ada").await, platform.user("eve").await);
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let rename = async |token: &str, version, name: &str| {
        let request = UpdateApiKeyRequest { id: key.id.clone(), version, name: name.into() };
        let mut client = platform.client();
        as_who(Some(token), client.update_api_key(keyed(request, name))).await
    };
    // That it is used is no change that its user's would fail for.
    exchange(&platform, &key.text).await.unwrap();
    let renamed = rename(&ada.access_token, 1, "Till 2").await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.version), ("Till 2", 2));
    assert_eq!(rename(&ada.access_token, 1, "Till 2").await.unwrap(), renamed, "repeated");
    let stale = rename(&ada.access_token, 1, "Till 3").await;
    assert_eq!(refusal(stale), ErrorCode::VersionMismatch);
    assert_eq!(refusal(rename(&ada.access_token, 2, " ").await), ErrorCode::InvalidArgument);

    assert_eq!(refusal(rename(&eve.access_token, 2, "Mine").await), ErrorCode::NotFound);
    assert_eq!(refusal(get(&platform, &eve.access_token, &key.id).await), ErrorCode::NotFound);
    assert_eq!(refusal(revoke(&platform, &eve.access_token, &key.id).await), ErrorCode::NotFound);
    assert_eq!(get(&platform, &ada.access_token, &key.id).await.unwrap().name, "Till 2");
    assert!(exchange(&platform, &key.text).await.is_ok());
    for _ in 0..2 {
        revoke(&platform, &ada.access_token, &key.id).await.unwrap();
    }
    assert_eq!(refusal(exchange(&platform, &key.text).await), ErrorCode::Unauthenticated);
    assert_eq!(refusal(get(&platform, &ada.access_token, &key.id).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn administrators_see_and_revoke_keys() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let operator = platform.authority.operator_token().unwrap();
    assert_eq!(listed(&platform, &operator, &key.user_id).await, ["Till"]);
    let none = make(&platform, &operator, named("Mine"), "k").await;
    assert_eq!(refusal(none), ErrorCode::PermissionDenied, "the operator is no user");
    let eve = platform.user("eve").await;
    let request = ListApiKeysRequest { user_id: key.user_id.clone(), page: None };
    let others = as_who(Some(&eve.access_token), platform.client().list_api_keys(request)).await;
    assert_eq!(refusal(others), ErrorCode::PermissionDenied);
    revoke(&platform, &operator, &key.id).await.unwrap();
    assert_eq!(refusal(exchange(&platform, &key.text).await), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_key_makes_and_changes_no_keys() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let token = exchange(&platform, &key.text).await.unwrap().access_token;
    let made = make(&platform, &token, named("Child"), "k2").await;
    assert_eq!(refusal(made), ErrorCode::PermissionDenied);
    assert_eq!(refusal(revoke(&platform, &token, &key.id).await), ErrorCode::PermissionDenied);
    assert_eq!(listed(&platform, &ada.access_token, "").await, ["Till"]);
}

#[tokio::test]
async fn keys_are_bounded_and_listed_newest_first() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    for number in 0..20 {
        platform.clock.advance(Duration::from_millis(1));
        let name = format!("key {number}");
        make(&platform, &ada.access_token, named(&name), &name).await.unwrap();
    }
    let one_more = make(&platform, &ada.access_token, named("more"), "more").await;
    assert_eq!(refusal(one_more), ErrorCode::WrongState);
    let names = listed(&platform, &ada.access_token, "").await;
    assert_eq!((names.len(), names[0].as_str(), names[19].as_str()), (20, "key 19", "key 0"));
    // A key that is there is still answered.
    let first = make(&platform, &ada.access_token, named("key 0"), "key 0").await.unwrap();
    revoke(&platform, &ada.access_token, &first.id).await.unwrap();
    make(&platform, &ada.access_token, named("more"), "more").await.unwrap();
}

#[tokio::test]
async fn a_key_has_what_it_was_given_of_what_its_user_has() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let user = ada.user.as_ref().unwrap().id.clone();
    let (here, there): (Id<kinds::Restaurant>, Id<kinds::Restaurant>) =
        (Id::from_bits(7), Id::from_bits(8));
    let catalog = platform.authority.workload_token("catalog").unwrap();
    for (place, role) in [(here, "owner"), (there, "chef")] {
        let request = AddMembershipRequest {
            user_id: user.clone(),
            restaurant_id: place.to_string(),
            role: role.into(),
        };
        let mut client = platform.client();
        as_who(Some(&catalog), client.add_membership(keyed(request, role))).await.unwrap();
    }
    let request = CreateApiKeyRequest {
        roles: vec!["restaurateur".into()],
        restaurant_ids: vec![here.to_string(), there.to_string()],
        ..named("Till")
    };
    let key = make(&platform, &ada.access_token, request, "k").await.unwrap();
    assert_eq!((key.roles.as_slice(), key.restaurant_ids.len()), (&["restaurateur".into()][..], 2));
    let traded = exchange(&platform, &key.text).await.unwrap();
    let Principal::User { roles, memberships, .. } = speaks(&platform, &traded).await else {
        panic!()
    };
    assert_eq!(roles, [Role::Customer, Role::Restaurateur]);
    assert_eq!(memberships, [Membership { restaurant: here, role: StaffRole::Owner }]);

    let wrong = CreateApiKeyRequest {
        roles: vec!["courier".into()],
        restaurant_ids: vec![Id::<kinds::Restaurant>::from_bits(9).to_string()],
        ..named("Till")
    };
    let error = make(&platform, &ada.access_token, wrong, "k2").await.unwrap_err();
    let fields: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
    assert_eq!(fields, ["roles[0]", "restaurant_ids[0]"]);
}

#[tokio::test]
async fn a_key_ends_when_it_was_made_to_and_is_swept_later() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let now = 1_800_000_000_000;
    let request = CreateApiKeyRequest { expires_at_ms: now + 60_000, ..named("Till") };
    let key = make(&platform, &ada.access_token, request, "k").await.unwrap();
    assert_eq!(exchange(&platform, &key.text).await.unwrap().good_for_ms, 60_000);
    let past = CreateApiKeyRequest { expires_at_ms: now, ..named("Till") };
    let past = make(&platform, &ada.access_token, past, "k2").await;
    assert_eq!(refusal(past), ErrorCode::InvalidArgument);
    platform.clock.advance(Duration::from_mins(1));
    assert_eq!(refusal(exchange(&platform, &key.text).await), ErrorCode::Unauthenticated);
    platform.sweep().await;
    assert_eq!(listed(&platform, &ada.access_token, "").await, ["Till"]);
    platform.clock.advance(DAY * 31);
    platform.sweep().await;
    let operator = platform.authority.operator_token().unwrap();
    assert!(listed(&platform, &operator, &key.user_id).await.is_empty());
}

#[tokio::test]
async fn the_day_of_the_last_use_is_shown() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let operator = platform.authority.operator_token().unwrap();
    for days in [0, 1, 2] {
        exchange(&platform, &key.text).await.unwrap();
        platform.clock.advance(Duration::from_secs(1));
        exchange(&platform, &key.text).await.unwrap();
        let used = get(&platform, &operator, &key.id).await.unwrap().last_used_day_ms;
        assert_eq!(used % 86_400_000, 0);
        assert_eq!(used / 86_400_000, 1_800_000_000_000 / 86_400_000 + days);
        platform.clock.advance(DAY);
    }
}

#[tokio::test]
async fn erasing_the_person_and_resetting_the_password_end_keys() {
    let platform = Platform::new();
    let operator = platform.authority.operator_token().unwrap();
    let id = |tokens: &Tokens| tokens.user.as_ref().unwrap().id.clone();
    let ada = platform.user("ada").await;
    let key = make(&platform, &ada.access_token, named("Till"), "k").await.unwrap();
    let request = keyed(CreatePasswordResetRequest { user_id: id(&ada) }, "reset");
    let made = as_who(Some(&operator), platform.client().create_password_reset(request)).await;
    let new = ResetPasswordRequest { token: made.unwrap().token, new: "another horse".into() };
    as_who(None, platform.client().reset_password(new)).await.unwrap();
    assert_eq!(refusal(exchange(&platform, &key.text).await), ErrorCode::Unauthenticated);

    let eve = platform.user("eve").await;
    let key = make(&platform, &eve.access_token, named("Eve's"), "k").await.unwrap();
    let request = keyed(DeleteUserRequest { id: id(&eve) }, "erase");
    as_who(Some(&eve.access_token), platform.client().delete_user(request)).await.unwrap();
    assert_eq!(refusal(exchange(&platform, &key.text).await), ErrorCode::Unauthenticated);
    assert!(!platform.store.dump().contains("Eve's"), "its name was a person's words");
    let late = make(&platform, &eve.access_token, named("Late"), "k2").await;
    assert_eq!(refusal(late), ErrorCode::NotFound);
}
