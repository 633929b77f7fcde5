//! Who works for a restaurant, and who is invited to.

use bistro_core::{Error, Timestamp};
use bistro_proto::accounts::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    accounts::StaffRole,
    common::{Time, unless_empty},
    ids::{InvitationId, RestaurantId, UserId},
};

/// What somebody is to do in a restaurant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    /// The role there.
    pub(crate) role: StaffRole,
}

/// Somebody who works for a restaurant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = UserId)]
    user_id: String,
    /// How others see the user.
    #[schema(example = "Ada")]
    name: String,
    role: StaffRole,
}

impl From<v1::Member> for Member {
    fn from(member: v1::Member) -> Self {
        Self { user_id: member.user_id, name: member.name, role: member.role.into() }
    }
}

/// Who is to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "chef@example.org", "role": "chef"}))]
pub(crate) struct NewInvitation {
    /// The address that the invitation is brought to.
    #[schema(format = "email")]
    email: String,
    /// The role in the restaurant.
    role: StaffRole,
}

impl NewInvitation {
    /// The roles' words for it.
    pub(crate) fn to(self, restaurant: &str) -> v1::CreateInvitationRequest {
        v1::CreateInvitationRequest {
            restaurant_id: restaurant.to_owned(),
            email: self.email,
            role: self.role.into_inner(),
        }
    }
}

/// What an invitation is to become.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
pub(crate) struct InvitationChange {
    /// The role in the restaurant.
    role: StaffRole,
    /// Until when it may be accepted, within 30 days; RFC 3339. Left out: as it is.
    #[serde(default)]
    #[schema(format = "date-time", example = "2026-12-11T18:30:00Z")]
    expires_at: Option<String>,
}

impl InvitationChange {
    /// The role's words for it.
    pub(crate) fn of(self, id: String, version: i64) -> Result<v1::UpdateInvitationRequest, Error> {
        let end = self.expires_at.map(|text| text.parse::<Timestamp>()).transpose();
        let end = end.map_err(|_| {
            let message = "write a moment in RFC 3339, such as 2026-12-11T18:30:00Z";
            Error::field("expires_at", message)
        })?;
        Ok(v1::UpdateInvitationRequest {
            id,
            version,
            role: self.role.into_inner(),
            // 0 leaves it as it is; whatever is not in the future is refused.
            expires_at_ms: end.map_or(0, |at| at.as_millis().max(1)),
        })
    }
}

/// An invitation that may still be accepted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    #[schema(value_type = InvitationId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    /// The address that the invitation is brought to.
    #[schema(format = "email", example = "chef@example.org")]
    email: String,
    role: StaffRole,
    created_at: Time,
    /// Until when it may be accepted.
    expires_at: Time,
    /// One higher with every change; also the entity tag.
    #[schema(example = 1)]
    pub(crate) version: i64,
    /// What accepts it; only in the answer to whoever made it.
    #[schema(
        example = "inv_01jd3x8k4v9q2w7r5t6y8z0abc.mJ2pXkq0dZc1r8vT5nYw3uGhB7sLfE9oQaKxVtC4iR6"
    )]
    token: Option<String>,
}

impl From<v1::Invitation> for Invitation {
    fn from(invitation: v1::Invitation) -> Self {
        Self {
            id: invitation.id,
            restaurant_id: invitation.restaurant_id,
            email: invitation.email,
            role: invitation.role.into(),
            created_at: Time::at(invitation.created_at_ms),
            expires_at: Time::at(invitation.expires_at_ms),
            version: invitation.version,
            token: unless_empty(invitation.token),
        }
    }
}

/// An invitation that is accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationToken {
    /// The invitation's token.
    #[schema(
        example = "inv_01jd3x8k4v9q2w7r5t6y8z0abc.mJ2pXkq0dZc1r8vT5nYw3uGhB7sLfE9oQaKxVtC4iR6"
    )]
    token: String,
}

impl From<InvitationToken> for v1::AcceptInvitationRequest {
    fn from(shown: InvitationToken) -> Self {
        Self { token: shown.token }
    }
}
