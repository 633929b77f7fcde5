//! Passwords: who may change them, what resets them, and what strangers' tries cost the owner.

use std::time::Duration;

use bistro_core::{Error, ErrorCode};
use bistro_proto::accounts::v1::{
    ChangePasswordRequest, CreatePasswordResetRequest, GetMeRequest, GetPasswordResetRequest,
    PasswordReset, RequestPasswordResetRequest, ResetPasswordRequest, Tokens, UpdateUserRequest,
    User,
};

use super::platform::{PASSWORD, Platform, as_who, keyed, new_user, refusal};

const HOUR: Duration = Duration::from_hours(1);
const NEW: &str = "another horse battery";
const ADA: &str = "ada@example.org";

async fn change(platform: &Platform, who: &Tokens, current: &str, new: &str) -> Result<(), Error> {
    let request = ChangePasswordRequest { current: current.into(), new: new.into() };
    as_who(Some(&who.access_token), platform.client().change_password(request)).await.map(|_| ())
}

async fn reset(platform: &Platform, token: &str, new: &str) -> Result<(), Error> {
    let request = ResetPasswordRequest { token: token.into(), new: new.into() };
    as_who(None, platform.client().reset_password(request)).await.map(|_| ())
}

/// A reset that an administrator makes.
async fn made_for(platform: &Platform, user: &User, key: &str) -> PasswordReset {
    let operator = platform.authority.operator_token().unwrap();
    let request = CreatePasswordResetRequest { user_id: user.id.clone() };
    as_who(Some(&operator), platform.client().create_password_reset(keyed(request, key)))
        .await
        .unwrap()
}

/// The id of the one stored reset.
fn stored_reset(platform: &Platform) -> String {
    let dump = platform.store.dump();
    let mut resets = dump.lines().filter_map(|line| line.strip_prefix("accounts.password_resets/"));
    let id = resets.next().and_then(|rest| rest.split(' ').next()).expect("a reset").to_owned();
    assert!(resets.next().is_none(), "only one");
    id
}

async fn ask_for_reset(platform: &Platform, email: &str, key: &str) {
    let request = RequestPasswordResetRequest { email: email.into() };
    as_who(None, platform.client().request_password_reset(keyed(request, key))).await.unwrap();
}

async fn bring(platform: &Platform, token: &str, id: &str) -> Result<PasswordReset, Error> {
    let request = GetPasswordResetRequest { id: id.into() };
    as_who(Some(token), platform.client().get_password_reset(request)).await
}

#[tokio::test]
async fn who_asks_for_a_reset_is_brought_a_token_that_works_once() {
    let platform = Platform::new();
    let before = platform.user("ada").await;
    ask_for_reset(&platform, ADA, "r").await;
    let id = stored_reset(&platform);
    assert_eq!(
        refusal(bring(&platform, &before.access_token, &id).await),
        ErrorCode::PermissionDenied
    );
    let letters = platform.authority.workload_token("letters").unwrap();
    let brought = bring(&platform, &letters, &id).await.unwrap();
    assert_eq!(brought.user_id, before.user.as_ref().unwrap().id);
    assert_eq!(
        refusal(reset(&platform, &brought.token, "short").await),
        ErrorCode::InvalidArgument
    );
    platform.clock.advance(Duration::from_secs(1));
    reset(&platform, &brought.token, NEW).await.unwrap();
    assert_eq!(refusal(reset(&platform, &brought.token, NEW).await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(bring(&platform, &letters, &id).await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(platform.log_in(ADA, PASSWORD).await), ErrorCode::WrongCredentials);
    assert_eq!(refusal(platform.refresh(&before.refresh_token).await), ErrorCode::Unauthenticated);
    assert!(platform.log_in(ADA, NEW).await.is_ok());
}

#[tokio::test]
async fn a_reset_of_nobody_and_one_that_has_ended_are_of_no_use() {
    let platform = Platform::new();
    let letters = platform.authority.workload_token("letters").unwrap();
    ask_for_reset(&platform, "nobody@example.org", "r").await;
    let of_nobody = bring(&platform, &letters, &stored_reset(&platform)).await;
    assert_eq!(refusal(of_nobody), ErrorCode::InvalidArgument);
    let ada = platform.user("ada").await;
    let made = made_for(&platform, ada.user.as_ref().unwrap(), "k").await;
    platform.clock.advance(HOUR);
    assert_eq!(refusal(reset(&platform, &made.token, NEW).await), ErrorCode::InvalidArgument);
    assert!(platform.log_in(ADA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_new_password_or_address_ends_every_open_reset() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let user = ada.user.as_ref().unwrap();
    let (one, two) = (made_for(&platform, user, "k1").await, made_for(&platform, user, "k2").await);
    change(&platform, &ada, PASSWORD, NEW).await.unwrap();
    for stolen in [&one, &two] {
        let used = reset(&platform, &stolen.token, "the thief's words").await;
        assert_eq!(refusal(used), ErrorCode::InvalidArgument);
    }
    // One of two that are made after it ends the other.
    let (one, two) = (made_for(&platform, user, "k3").await, made_for(&platform, user, "k4").await);
    reset(&platform, &one.token, PASSWORD).await.unwrap();
    assert_eq!(refusal(reset(&platform, &two.token, NEW).await), ErrorCode::InvalidArgument);
    let three = made_for(&platform, user, "k5").await;
    let ada = platform.log_in(ADA, PASSWORD).await.unwrap();
    moved(&platform, &ada, "ada@new.example.org", PASSWORD, "m").await.unwrap();
    assert_eq!(refusal(reset(&platform, &three.token, NEW).await), ErrorCode::InvalidArgument);
}

async fn moved(
    platform: &Platform,
    who: &Tokens,
    email: &str,
    password: &str,
    key: &str,
) -> Result<User, Error> {
    let user = who.user.as_ref().unwrap();
    let now = as_who(Some(&who.access_token), platform.client().get_me(GetMeRequest {})).await;
    let request = UpdateUserRequest {
        id: user.id.clone(),
        version: now.unwrap().version,
        email: email.into(),
        name: "Ada".into(),
        roles: Vec::new(),
        current_password: password.into(),
    };
    as_who(Some(&who.access_token), platform.client().update_user(keyed(request, key))).await
}

#[tokio::test]
async fn another_address_takes_the_password_and_ends_other_sessions() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    let phone = platform.log_in(ADA, PASSWORD).await.unwrap();
    let without = moved(&platform, &ada, "eve@example.org", "", "m1").await.unwrap_err();
    assert_eq!(without.field_errors()[0].path, "current_password");
    let wrong = moved(&platform, &ada, "eve@example.org", "guessed it", "m2").await;
    assert_eq!(refusal(wrong), ErrorCode::WrongCredentials);
    assert!(platform.refresh(&phone.refresh_token).await.is_ok(), "nothing has changed");
    // Another name takes none.
    moved(&platform, &ada, ADA, "", "m3").await.unwrap();
    platform.clock.advance(Duration::from_secs(1));
    let there = moved(&platform, &ada, "lovelace@example.org", PASSWORD, "m4").await.unwrap();
    assert_eq!(there.email, "lovelace@example.org");
    let phone = platform.refresh(&phone.refresh_token).await;
    assert_eq!(refusal(phone), ErrorCode::Unauthenticated);
    assert!(platform.refresh(&ada.refresh_token).await.is_ok(), "the one that asked goes on");
    assert!(!platform.store.dump().contains(PASSWORD));
    // An administrator needs none.
    let operator = platform.authority.operator_token().unwrap();
    let request = UpdateUserRequest {
        id: there.id.clone(),
        version: there.version,
        email: ADA.into(),
        name: "Ada".into(),
        ..UpdateUserRequest::default()
    };
    let back = as_who(Some(&operator), platform.client().update_user(keyed(request, "m5"))).await;
    assert_eq!(back.unwrap().email, ADA);
}

#[tokio::test]
async fn a_stranger_who_guesses_keeps_the_owner_neither_out_nor_from_a_new_password() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    // Until the stranger has to wait.
    while platform.log_in_from("far", ADA, "a wrong guess").await.unwrap_err().code()
        == ErrorCode::WrongCredentials
    {}
    assert_eq!(refusal(platform.log_in_from("far", ADA, PASSWORD).await), ErrorCode::RateLimited);
    change(&platform, &ada, PASSWORD, NEW).await.unwrap();
    assert!(platform.log_in(ADA, NEW).await.is_ok());
}

#[tokio::test]
async fn a_reset_lets_the_owner_in_at_once() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    while platform.log_in(ADA, "forgotten it").await.unwrap_err().code()
        == ErrorCode::WrongCredentials
    {}
    let made = made_for(&platform, ada.user.as_ref().unwrap(), "k").await;
    reset(&platform, &made.token, NEW).await.unwrap();
    assert!(platform.log_in(ADA, NEW).await.is_ok());
}

#[tokio::test]
async fn guessing_the_present_password_is_slowed_down_too() {
    let platform = Platform::new();
    let ada = platform.user("ada").await;
    for _ in 0..10 {
        let wrong = change(&platform, &ada, "a wrong guess", NEW).await;
        assert_eq!(refusal(wrong), ErrorCode::WrongCredentials);
    }
    let slowed = change(&platform, &ada, PASSWORD, NEW).await.unwrap_err();
    assert_eq!(slowed.code(), ErrorCode::RateLimited);
    assert_eq!(slowed.retry_delay(), Some(Duration::from_secs(1)));
    assert!(platform.log_in(ADA, PASSWORD).await.is_ok(), "logging in is another matter");
    platform.register(new_user("eve@example.org"), "e").await.unwrap();
}
