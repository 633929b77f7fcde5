//! Sessions, tokens and passwords.

use std::fmt;

use bistro_proto::accounts::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    accounts::User,
    common::Time,
    ids::{SessionId, UserId},
};

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "password": "correct horse battery staple"}))]
pub(crate) struct LogIn {
    /// The address.
    #[schema(format = "email")]
    email: String,
    /// The password.
    #[schema(format = "password")]
    password: String,
}

impl LogIn {
    /// The roles' words for it; `client` is what logs in, as it calls itself, from `network`.
    pub(crate) fn of_client(self, client: String, network: String) -> v1::LogInRequest {
        v1::LogInRequest { email: self.email, password: self.password, client, network }
    }
}

/// A session to be gone on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The refresh token that was given last. It may be traded once; a response that was lost may
    /// be asked for again within some seconds.
    #[schema(
        example = "ses_01jd3x8k4v9q2w7r5t6y8z0abc.0.pW3kQ9rT1yB6nZ4vXc8sLd2mGf7hJa5eUo0iKqRtYwE"
    )]
    refresh_token: String,
}

impl From<Refresh> for v1::RefreshRequest {
    fn from(refresh: Refresh) -> Self {
        Self { refresh_token: refresh.refresh_token }
    }
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Send it as `Authorization: Bearer …`.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJleHAiOjE3OTUyOTg0MDB9.c2lnbmF0dXJl")]
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 600)]
    expires_in: i64,
    /// Trade it for new tokens at `POST /api/v1/sessions/refresh`.
    #[schema(
        example = "ses_01jd3x8k4v9q2w7r5t6y8z0abc.0.pW3kQ9rT1yB6nZ4vXc8sLd2mGf7hJa5eUo0iKqRtYwE"
    )]
    refresh_token: String,
    /// Who the session belongs to.
    user: Option<User>,
}

impl From<v1::Tokens> for Tokens {
    fn from(tokens: v1::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            refresh_token: tokens.refresh_token,
            user: tokens.user.map(User::from),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A login that has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    #[schema(value_type = SessionId)]
    id: String,
    /// What logged in, as it called itself (`User-Agent`).
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    client: String,
    /// Whether it is the one that asks.
    current: bool,
    created_at: Time,
    /// When its tokens were last traded.
    used_at: Time,
    /// When it ends unless its tokens are traded before.
    expires_at: Time,
}

impl From<v1::Session> for Session {
    fn from(session: v1::Session) -> Self {
        Self {
            id: session.id,
            client: session.client,
            current: session.current,
            created_at: Time::at(session.created_at_ms),
            used_at: Time::at(session.used_at_ms),
            expires_at: Time::at(session.expires_at_ms),
        }
    }
}

/// How many sessions have been ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// How many.
    revoked: u32,
}

impl From<v1::RevokeSessionsResponse> for Revoked {
    fn from(response: v1::RevokeSessionsResponse) -> Self {
        Self { revoked: response.revoked }
    }
}

/// A new password in place of the present one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password that is to be changed.
    #[schema(format = "password", example = "correct horse battery staple")]
    current: String,
    /// The new one: 8 to 128 characters of any kind.
    #[schema(format = "password", example = "two mules and a charger")]
    new: String,
}

impl From<PasswordChange> for v1::ChangePasswordRequest {
    fn from(change: PasswordChange) -> Self {
        Self { current: change.current, new: change.new }
    }
}

/// Whose password is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org"}))]
pub(crate) struct ForgottenPassword {
    /// The address that the user logs in with.
    #[schema(format = "email")]
    email: String,
}

impl From<ForgottenPassword> for v1::RequestPasswordResetRequest {
    fn from(forgotten: ForgottenPassword) -> Self {
        Self { email: forgotten.email }
    }
}

/// A new password in place of a forgotten one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// What the user was brought.
    #[schema(
        example = "pwr_01jd3x8k4v9q2w7r5t6y8z0abc.Zt6bN1mQ8xWc4vKp0rLs7yDg2hJf9aEu5oTiRqYkXnB"
    )]
    token: String,
    /// The new password: 8 to 128 characters of any kind.
    #[schema(format = "password", example = "two mules and a charger")]
    new: String,
}

impl From<NewPassword> for v1::ResetPasswordRequest {
    fn from(new: NewPassword) -> Self {
        Self { token: new.token, new: new.new }
    }
}

/// A way to a new password, for who brings it to the user.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasswordReset {
    #[schema(value_type = UserId)]
    user_id: String,
    /// Sets a password, once.
    #[schema(
        example = "pwr_01jd3x8k4v9q2w7r5t6y8z0abc.Zt6bN1mQ8xWc4vKp0rLs7yDg2hJf9aEu5oTiRqYkXnB"
    )]
    token: String,
    /// Until when the token can be used.
    expires_at: Time,
}

impl From<v1::PasswordReset> for PasswordReset {
    fn from(reset: v1::PasswordReset) -> Self {
        Self {
            user_id: reset.user_id,
            token: reset.token,
            expires_at: Time::at(reset.expires_at_ms),
        }
    }
}
