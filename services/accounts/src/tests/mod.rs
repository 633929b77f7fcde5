//! The role as others see it: over gRPC, with its tokens checked by the platform's verifier.

mod activity;
mod api_keys;
mod invitations;
mod members;
mod memory;
mod passwords;
mod people;
mod platform;

use std::{sync::Arc, time::Duration};

use bistro_core::{ErrorCode, Id, Principal, Role};
use bistro_proto::{
    accounts::v1::{GetMeRequest, ListKeysRequest, LogOutRequest, RegisterRequest, Tokens},
    common::v1::AuditRequest,
};
use prost::Message as _;
use tokio::sync::Barrier;

use self::platform::{ACCESS, GRACE, IDLE, PASSWORD, Platform, as_who, keyed, new_user, refusal};
use crate::keys::Keys;

async fn principal(platform: &Platform, tokens: &Tokens) -> Principal {
    let header = format!("Bearer {}", tokens.access_token);
    platform.verifier.principal(Some(&header)).await.unwrap()
}

#[tokio::test]
async fn who_registers_can_log_in_and_is_known_by_the_token() {
    let platform = Platform::new();
    let request = RegisterRequest { roles: vec!["courier".into()], ..new_user(" Ada@Example.org") };
    let registered = platform.register(request, "k").await.unwrap();
    assert_eq!(registered.roles, ["customer", "courier"]);
    let tokens = platform.log_in("ADA@example.org ", PASSWORD).await.unwrap();
    assert_eq!(tokens.expires_in, 600);
    assert_eq!(tokens.user.as_ref(), Some(&registered));
    let Principal::User { id, roles, .. } = principal(&platform, &tokens).await else { panic!() };
    assert_eq!(
        (id.to_string(), roles),
        (registered.id.clone(), vec![Role::Customer, Role::Courier])
    );
    let me = as_who(Some(&tokens.access_token), platform.client().get_me(GetMeRequest {})).await;
    assert_eq!(me.unwrap(), registered);
    platform.clock.advance(ACCESS);
    let late = as_who(Some(&tokens.access_token), platform.client().get_me(GetMeRequest {})).await;
    assert_eq!(refusal(late), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_repeated_registration_makes_one_user() {
    let platform = Platform::new();
    let first = platform.register(new_user("ada@example.org"), "k").await.unwrap();
    assert_eq!(platform.register(new_user("ada@example.org"), "k").await.unwrap(), first);
    let other =
        RegisterRequest { password: "another password".into(), ..new_user("ada@example.org") };
    assert_eq!(refusal(platform.register(other, "k").await), ErrorCode::IdempotencyKeyReused);
    let renamed = RegisterRequest { name: "Eve".into(), ..new_user("ada@example.org") };
    assert_eq!(refusal(platform.register(renamed, "k").await), ErrorCode::IdempotencyKeyReused);
    let again = platform.register(new_user("Ada@example.org"), "k2").await;
    assert_eq!(refusal(again), ErrorCode::AlreadyExists);
    let keyless = as_who(None, platform.client().register(new_user("eve@example.org"))).await;
    assert_eq!(refusal(keyless), ErrorCode::PreconditionRequired);
}

#[tokio::test]
async fn registrations_that_race_for_an_address_make_one_user() {
    let platform = Platform::new();
    *platform.store.gate.lock() = Some(Arc::new(Barrier::new(2)));
    let (one, other) = tokio::join!(
        platform.register(new_user("ada@example.org"), "k1"),
        platform.register(new_user("ada@example.org"), "k2"),
    );
    let refused = if one.is_ok() { other } else { one };
    assert_eq!(refusal(refused), ErrorCode::AlreadyExists);
}

#[tokio::test]
async fn nothing_stored_gives_a_secret_away() {
    let platform = Platform::new();
    let tokens = platform.user("ada").await;
    let next = platform.refresh(&tokens.refresh_token).await.unwrap();
    let stored = platform.store.dump();
    let secret = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for hidden in [
        PASSWORD.to_owned(),
        secret(&tokens.refresh_token),
        secret(&next.refresh_token),
        secret(&next.access_token),
    ] {
        assert!(!stored.contains(&hidden));
    }
    // Nor a fast hash of the body with the password in it.
    let body = new_user("ada@example.org").encode_to_vec();
    let whole = bistro_store::Cause::request("anonymous", "accounts.register", "ada", &body);
    let bistro_store::Cause::Request { key, body_hash } = whole else { panic!() };
    assert!(stored.contains(&key) && !stored.contains(&body_hash));
}

#[tokio::test]
async fn only_the_operator_registers_administrators() {
    let platform = Platform::new();
    let request = RegisterRequest { roles: vec!["admin".into()], ..new_user("root@example.org") };
    let refused = platform.register(request.clone(), "k").await;
    assert_eq!(refusal(refused), ErrorCode::InvalidArgument);
    let operator = platform.authority.operator_token().unwrap();
    let made = as_who(Some(&operator), platform.client().register(keyed(request, "k"))).await;
    assert_eq!(made.unwrap().roles, ["customer", "admin"]);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_addresses_look_the_same_and_are_slowed_down() {
    let platform = Platform::new();
    platform.user("ada").await;
    for email in ["ada@example.org", "eve@example.org"] {
        for _ in 0..10 {
            let wrong = platform.log_in(email, "not the password").await;
            assert_eq!(refusal(wrong), ErrorCode::WrongCredentials);
        }
        let slowed = platform.log_in(email, PASSWORD).await.unwrap_err();
        assert_eq!(slowed.code(), ErrorCode::RateLimited);
        assert_eq!(slowed.retry_delay(), Some(Duration::from_secs(1)));
    }
    // The owner, elsewhere, does not wait for it.
    assert!(platform.log_in_from("work", "ada@example.org", PASSWORD).await.is_ok());
    assert_eq!(refusal(platform.log_in("ada@example.org", PASSWORD).await), ErrorCode::RateLimited);
    platform.clock.advance(Duration::from_secs(1));
    assert!(platform.log_in("ada@example.org", PASSWORD).await.is_ok());
    let long = platform.log_in("ada@example.org", &"x".repeat(129)).await;
    assert_eq!(refusal(long), ErrorCode::WrongCredentials);
}

/// Hashing is what a login costs: how long it takes tells nothing where it is done as often.
#[tokio::test]
async fn a_login_makes_one_hash_whether_there_is_such_a_user_or_not() {
    let platform = Platform::new();
    platform.user("ada").await;
    let log_in = async |name: &str, password: &str| {
        let before = platform.hashes();
        let outcome = platform.log_in(&format!("{name}@example.org"), password).await;
        (platform.hashes() - before, outcome.map(|_| ()).map_err(|refused| refused.code()))
    };
    let wrong = Err(ErrorCode::WrongCredentials);
    assert_eq!(log_in("ada", PASSWORD).await, (1, Ok(())));
    for name in ["ada", "nobody"] {
        assert_eq!(log_in(name, "not the password").await, (1, wrong), "{name}");
        // No user has one as long.
        assert_eq!(log_in(name, &"x".repeat(129)).await, (0, wrong), "{name}");
    }
    // Nor does it tell when there are too many.
    for name in ["ada", "nobody"] {
        for _ in 1..10 {
            assert_eq!(log_in(name, "not the password").await, (1, wrong), "{name}");
        }
        let slowed = Err(ErrorCode::RateLimited);
        assert_eq!(log_in(name, "not the password").await, (0, slowed), "{name}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_traded_once_and_its_reuse_ends_the_session() {
    let platform = Platform::new();
    let first = platform.user("ada").await;
    let second = platform.refresh(&first.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    // The answer was lost: the same token again.
    let again = platform.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
    platform.clock.advance(GRACE);
    let third = platform.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(refusal(platform.refresh(&first.refresh_token).await), ErrorCode::Unauthenticated);
    // The thief's token, or the victim's, is of no more use either.
    assert_eq!(refusal(platform.refresh(&third.refresh_token).await), ErrorCode::Unauthenticated);
    // Another session of the user goes on.
    let other = platform.log_in("ada@example.org", PASSWORD).await.unwrap();
    assert!(platform.refresh(&other.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_made_up_token_ends_nobodys_session() {
    let platform = Platform::new();
    let tokens = platform.user("ada").await;
    let session = tokens.refresh_token.split('.').next().unwrap();
    for forged in
        [String::new(), session.to_owned(), format!("{session}.0.AAAA"), "x.y.z".to_owned()]
    {
        assert_eq!(refusal(platform.refresh(&forged).await), ErrorCode::Unauthenticated);
    }
    assert!(platform.refresh(&tokens.refresh_token).await.is_ok());
}

#[tokio::test]
async fn trades_that_race_have_one_winner_and_give_the_same_token() {
    let platform = Platform::new();
    let tokens = platform.user("ada").await;
    *platform.store.gate.lock() = Some(Arc::new(Barrier::new(2)));
    let (one, other) = tokio::join!(
        platform.refresh(&tokens.refresh_token),
        platform.refresh(&tokens.refresh_token),
    );
    *platform.store.gate.lock() = None;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.refresh_token, other.refresh_token);
    assert!(platform.refresh(&one.refresh_token).await.is_ok());
}

#[tokio::test]
async fn logging_out_ends_the_session_of_the_token() {
    let platform = Platform::new();
    let tokens = platform.user("ada").await;
    for _ in 0..2 {
        let mut client = platform.client();
        as_who(Some(&tokens.access_token), client.log_out(LogOutRequest {})).await.unwrap();
    }
    assert_eq!(refusal(platform.refresh(&tokens.refresh_token).await), ErrorCode::Unauthenticated);
    let nobody = as_who(None, platform.client().log_out(LogOutRequest {})).await;
    assert_eq!(refusal(nobody), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn processes_that_start_together_agree_on_one_key() {
    let platform = Platform::new();
    let keys = || Keys::new(platform.engine.clone(), b"a secret of the test", ACCESS).unwrap();
    let (one, other) = (keys(), keys());
    *platform.store.gate.lock() = Some(Arc::new(Barrier::new(2)));
    let (a, b) = tokio::join!(one.signer(), other.signer());
    *platform.store.gate.lock() = None;
    let session = Id::from_bits(1);
    assert_eq!(a.unwrap().refresh(session, 1), b.unwrap().refresh(session, 1));
    let listed = as_who(None, platform.client().list_keys(ListKeysRequest {})).await.unwrap();
    assert_eq!(listed.keys.len(), 1);
    assert_eq!(listed.keys[0].ed25519.len(), 32);

    let tokens = platform.user("ada").await;
    let another = Platform::over(platform.store.clone(), Arc::clone(&platform.clock));
    principal(&another, &tokens).await;
    assert!(another.refresh(&tokens.refresh_token).await.is_ok());
    let wrong = Keys::new(platform.engine.clone(), b"another secret", ACCESS).unwrap();
    assert_eq!(wrong.signer().await.err().unwrap().code(), ErrorCode::Internal);
}

#[tokio::test]
async fn expired_sessions_are_removed() {
    let platform = Platform::new();
    platform.user("ada").await;
    platform.clock.advance(IDLE + Duration::from_secs(1));
    let live = platform.user("eve").await;
    let of_session = |line: &&str| line.starts_with("accounts.sessions/");
    let sessions = || platform.store.dump().lines().filter(of_session).count();
    assert_eq!(sessions(), 2);
    platform.sweep().await;
    assert_eq!(sessions(), 1);
    assert!(platform.refresh(&live.refresh_token).await.is_ok());
}

#[tokio::test]
async fn the_audit_names_users_and_nothing_personal() {
    let platform = Platform::new();
    let tokens = platform.user("ada").await;
    let operator = platform.authority.operator_token().unwrap();
    let page =
        as_who(Some(&operator), platform.client().audit(AuditRequest::default())).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!((page.rows[0].kind.as_str(), page.rows[0].state.as_str()), ("user", "active"));
    assert!(page.backlog.is_some());
    assert!(!format!("{page:?}").contains("ada"));
    let user =
        as_who(Some(&tokens.access_token), platform.client().audit(AuditRequest::default())).await;
    assert_eq!(refusal(user), ErrorCode::PermissionDenied);
}
