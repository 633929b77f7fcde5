//! API keys.

use bistro_core::{Error, FieldError, Timestamp};
use bistro_proto::accounts::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    accounts::UserRole,
    common::{Time, unless_empty},
    ids::{ApiKeyId, RestaurantId, UserId},
};

/// A key that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Till 3", "roles": ["customer"]}))]
pub(crate) struct NewApiKey {
    /// What it is for, to know it again by: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100, example = "Till 3")]
    name: String,
    /// The roles that it speaks with, of those that its user has; a membership of a restaurant
    /// counts with its role only (owner and manager with restaurateur, chef with chef). Left out:
    /// all of the user's.
    #[serde(default)]
    #[schema(min_items = 1)]
    roles: Option<Vec<UserRole>>,
    /// The restaurants that it works for, of those that its user works for, at most 100. Left out:
    /// all of the user's.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RestaurantId>>, min_items = 1, max_items = 100)]
    restaurant_ids: Option<Vec<String>>,
    /// When it ends by itself, within five years; RFC 3339. Left out: it does not.
    #[serde(default)]
    #[schema(format = "date-time", example = "2027-06-30T00:00:00Z")]
    expires_at: Option<String>,
}

impl TryFrom<NewApiKey> for v1::CreateApiKeyRequest {
    type Error = Error;

    fn try_from(key: NewApiKey) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let mut refuse = |path: &str, message: &str| {
            wrong.push(FieldError { path: path.to_owned(), message: message.to_owned() });
        };
        // To the role, none is all; who writes none means none.
        if key.roles.as_ref().is_some_and(Vec::is_empty) {
            refuse("roles", "name at least one role, or leave it out for all of them");
        }
        if key.restaurant_ids.as_ref().is_some_and(Vec::is_empty) {
            refuse("restaurant_ids", "name at least one restaurant, or leave it out for all");
        }
        let end = key.expires_at.map(|text| text.parse::<Timestamp>()).transpose();
        if end.is_err() {
            refuse("expires_at", "write a moment in RFC 3339, such as 2027-06-30T00:00:00Z");
        }
        if !wrong.is_empty() {
            return Err(Error::fields(wrong));
        }
        let roles = key.roles.unwrap_or_default().into_iter().map(UserRole::into_inner).collect();
        Ok(Self {
            name: key.name,
            roles,
            restaurant_ids: key.restaurant_ids.unwrap_or_default(),
            // 0 says that it does not end; whatever is not in the future is refused.
            expires_at_ms: end.ok().flatten().map_or(0, |at| at.as_millis().max(1)),
        })
    }
}

/// What a key is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Till 4"}))]
pub(crate) struct ApiKeyChange {
    /// What it is for, to know it again by: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

impl ApiKeyChange {
    /// The role's words for it.
    pub(crate) fn of(self, id: String, version: i64) -> v1::UpdateApiKeyRequest {
        v1::UpdateApiKeyRequest { id, version, name: self.name }
    }
}

/// A key with which a program speaks for a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// What it is called in paths and in the audit trail.
    #[schema(value_type = ApiKeyId)]
    pub(crate) id: String,
    /// Whom it speaks for.
    #[schema(value_type = UserId)]
    user_id: String,
    /// What it is for.
    #[schema(example = "Till 3")]
    name: String,
    /// The roles that it speaks with, as far as the user has them; null: with all of the user's.
    roles: Option<Vec<UserRole>>,
    /// The restaurants that it works for, as far as the user does; null: for all of the user's.
    #[schema(value_type = Option<Vec<RestaurantId>>)]
    restaurant_ids: Option<Vec<String>>,
    /// When it was made.
    created_at: Time,
    /// When it ends by itself; null: it does not.
    expires_at: Option<Time>,
    /// The day (UTC) on which it was used last; null: it never was.
    #[schema(format = "date", example = "2026-11-20")]
    last_used_on: Option<String>,
    /// One higher with every change, use not counted; also the ETag.
    pub(crate) version: i64,
    /// The key itself, to be sent as `Authorization: Bearer …`; only in the answer that made it.
    #[schema(
        example = "bistro_key_01jd3x8k4v9q2w7r5t6y8z0abc4f1c9e02b7a85d3360fe41c2978bd05ea6139c4712d80b5f"
    )]
    key: Option<String>,
}

impl From<v1::ApiKey> for ApiKey {
    fn from(key: v1::ApiKey) -> Self {
        let roles: Vec<UserRole> = key.roles.into_iter().map(UserRole::from).collect();
        let day = Timestamp::from_millis(key.last_used_day_ms).to_string();
        Self {
            id: key.id,
            user_id: key.user_id,
            name: key.name,
            roles: (!roles.is_empty()).then_some(roles),
            restaurant_ids: (!key.restaurant_ids.is_empty()).then_some(key.restaurant_ids),
            created_at: Time::at(key.created_at_ms),
            expires_at: Time::unless_zero(key.expires_at_ms),
            last_used_on: (key.last_used_day_ms != 0)
                .then(|| day.split('T').next().unwrap_or_default().to_owned()),
            version: key.version,
            key: unless_empty(key.text),
        }
    }
}
