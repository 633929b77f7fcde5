//! Users and what they may do.

use bistro_core::Error;
use bistro_proto::accounts::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request, words},
    ids::{RestaurantId, UserId},
};

words! {
    /// What a user may do on the platform.
    UserRole: "customer", "restaurateur", "chef", "courier", "support", "admin";
    /// A role beside customer, which everybody has.
    OtherRole: "restaurateur", "chef", "courier", "support", "admin";
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
    /// Roles beside customer, which everybody has. Anybody may be a restaurateur, chef or courier;
    /// support and administrators are made by an administrator.
    #[serde(default)]
    roles: Vec<OtherRole>,
}

impl From<NewUser> for v1::RegisterRequest {
    fn from(user: NewUser) -> Self {
        Self {
            email: user.email,
            password: user.password,
            name: user.name,
            roles: user.roles.into_iter().map(OtherRole::into_inner).collect(),
        }
    }
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(value_type = UserId)]
    id: String,
    /// The address to log in with; empty when the person has been erased.
    #[schema(example = "ada@example.org")]
    email: String,
    /// How others see the user.
    #[schema(example = "Ada")]
    name: String,
    roles: Vec<UserRole>,
    /// The restaurants that the user works for.
    memberships: Vec<Membership>,
    /// Whether the person has been erased: nothing but the id is left.
    erased: bool,
    /// One higher with every change; also the ETag.
    pub(crate) version: i64,
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
            erased: user.erased,
            version: user.version,
            created_at: Time::at(user.created_at_ms),
        }
    }
}

/// That a user works for a restaurant.
#[derive(Debug, Serialize, ToSchema)]
struct Membership {
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    role: StaffRole,
}

impl From<v1::Membership> for Membership {
    fn from(membership: v1::Membership) -> Self {
        Self { restaurant_id: membership.restaurant_id, role: membership.role.into() }
    }
}

/// What a user is to become.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "name": "Ada Lovelace"}))]
pub(crate) struct UserChange {
    /// The address to log in with.
    #[schema(format = "email")]
    email: String,
    /// How others see the user.
    name: String,
    /// All roles beside customer; only administrators change them. Left out, they stay.
    #[serde(default)]
    roles: Vec<OtherRole>,
    /// The user's password; needed when the user changes the address.
    #[serde(default)]
    #[schema(format = "password", example = "correct horse battery staple")]
    current_password: Option<String>,
}

impl UserChange {
    /// The roles' words for it.
    pub(crate) fn of(self, id: &str, version: i64) -> v1::UpdateUserRequest {
        v1::UpdateUserRequest {
            id: id.to_owned(),
            version,
            email: self.email,
            name: self.name,
            roles: self.roles.into_iter().map(OtherRole::into_inner).collect(),
            current_password: self.current_password.unwrap_or_default(),
        }
    }
}

/// Which users are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserFilter {
    /// Only those whose address begins like this.
    #[param(required = false, example = "ada@")]
    email: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<UserFilter> for v1::ListUsersRequest {
    type Error = Error;

    fn try_from(filter: UserFilter) -> Result<Self, Error> {
        Ok(Self {
            email_prefix: filter.email,
            page: Some(page_request(filter.cursor, filter.limit)?),
        })
    }
}
