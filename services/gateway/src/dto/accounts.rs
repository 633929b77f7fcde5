//! Users, sessions and memberships.

use std::fmt;

use bistro_proto::accounts::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::{Time, words};

words! {
    /// What a user may do on the platform.
    UserRole: "customer", "restaurateur", "chef", "courier", "admin";
    /// A role that anybody may take when registering, beside customer.
    FreeRole: "restaurateur", "chef", "courier";
    /// What a user does in one restaurant.
    StaffRole: "owner", "manager", "chef";
}

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@example.org", "password": "correct horse battery staple", "name": "Ada",
    "roles": ["restaurateur"]
}))]
pub(crate) struct NewUser {
    /// The address to log in with.
    #[schema(format = "email")]
    email: String,
    /// The password.
    #[schema(format = "password")]
    password: String,
    /// How others see the user.
    name: String,
    /// Roles beside customer, which everybody has.
    #[serde(default)]
    roles: Vec<FreeRole>,
}

impl From<NewUser> for v1::RegisterRequest {
    fn from(user: NewUser) -> Self {
        Self {
            email: user.email,
            password: user.password,
            name: user.name,
            roles: user.roles.into_iter().map(FreeRole::into_inner).collect(),
        }
    }
}

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

impl From<LogIn> for v1::LogInRequest {
    fn from(login: LogIn) -> Self {
        Self { email: login.email, password: login.password }
    }
}

/// A session to be gone on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The refresh token that was given last. It may be traded once; a response that was lost may
    /// be asked for again within some seconds.
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
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 600)]
    expires_in: i64,
    /// Trade it for new tokens at `POST /api/v1/sessions/refresh`.
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

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(example = "usr_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(format = "email", example = "ada@example.org")]
    email: String,
    name: String,
    roles: Vec<UserRole>,
    memberships: Vec<Membership>,
    created_at: Time,
}

impl From<v1::User> for User {
    fn from(user: v1::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            roles: user.roles.into_iter().map(UserRole::from).collect(),
            memberships: user.memberships.into_iter().map(Membership::from).collect(),
            created_at: Time::at(user.created_at_ms),
        }
    }
}

/// That a user works for a restaurant.
#[derive(Debug, Serialize, ToSchema)]
struct Membership {
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    role: StaffRole,
}

impl From<v1::Membership> for Membership {
    fn from(membership: v1::Membership) -> Self {
        Self { restaurant_id: membership.restaurant_id, role: membership.role.into() }
    }
}

/// What a user is to do in a restaurant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    /// The role there.
    pub(crate) role: StaffRole,
}
