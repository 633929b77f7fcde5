//! Users as they are stored.

use std::fmt;

use bistro_core::{Id, Membership, Role, Timestamp, kinds};
use bistro_proto::accounts::v1;
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Users by e-mail address.
pub(crate) const BY_EMAIL: &str = "email";

pub(crate) static USERS: Collection = Collection {
    role: "accounts",
    name: "users",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::unique(BY_EMAIL)],
};

/// An Argon2 hash in the PHC string format. Does not print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PasswordHash(pub(crate) String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A person (or service account) who can log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: Id<kinds::User>,
    /// As [`crate::credentials::normalize_email`] gives it.
    pub(crate) email: String,
    pub(crate) name: String,
    /// In the order of [`Role`], each once.
    pub(crate) roles: Vec<Role>,
    /// One per restaurant at most.
    pub(crate) memberships: Vec<Membership>,
    pub(crate) password: PasswordHash,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

impl Document for User {
    const COLLECTION: &'static Collection = &USERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![(BY_EMAIL, Key::new().text(&self.email))]
    }
}

/// The user as it is shown to itself.
pub(crate) fn message(user: &User) -> v1::User {
    let memberships = user.memberships.iter().map(|member| v1::Membership {
        restaurant_id: member.restaurant.to_string(),
        role: member.role.as_str().to_owned(),
    });
    v1::User {
        id: user.id.to_string(),
        email: user.email.clone(),
        name: user.name.clone(),
        roles: user.roles.iter().map(ToString::to_string).collect(),
        memberships: memberships.collect(),
        created_at_ms: user.created_at.as_millis(),
    }
}
