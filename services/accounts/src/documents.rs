//! Users and members as they are stored.

use std::fmt;

use bistro_core::{Id, Membership, Role, StaffRole, Timestamp, kinds};
use bistro_proto::accounts::v1;
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Users by e-mail address.
pub(crate) const BY_EMAIL: &str = "email";
/// Members by restaurant and role.
pub(crate) const BY_RESTAURANT: &str = "restaurant";

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
    /// How often password or address were changed: a way to a new password that was made before is
    /// of no use any more.
    #[serde(default)]
    pub(crate) credential_changes: i64,
    /// Sessions that began before this have ended, but for the one that is kept.
    pub(crate) sessions_from: Timestamp,
    pub(crate) kept_session: Option<Id<kinds::Session>>,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    /// When the person was erased: only the id is left, which orders and the ledger name.
    pub(crate) erased_at: Option<Timestamp>,
}

impl User {
    /// Whether the user's sessions, as far as the user goes, include this one.
    pub(crate) fn has_session(&self, id: Id<kinds::Session>, began: Timestamp) -> bool {
        self.erased_at.is_none() && (began >= self.sessions_from || self.kept_session == Some(id))
    }

    /// The user with all sessions ended at `now`, but for the one that is kept.
    pub(crate) fn without_sessions(
        &self,
        kept: Option<Id<kinds::Session>>,
        now: Timestamp,
    ) -> Self {
        Self { sessions_from: now, kept_session: kept, changed_at: now, ..self.clone() }
    }
}

impl Document for User {
    const COLLECTION: &'static Collection = &USERS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        match self.erased_at {
            None => vec![(BY_EMAIL, Key::new().text(&self.email))],
            Some(_) => Vec::new(),
        }
    }
}

pub(crate) static MEMBERS: Collection = Collection {
    role: "accounts",
    name: "members",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_RESTAURANT)],
};

/// One membership, beside the user's own list of them: the restaurant's side of it. Both are
/// written by the same Work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) user: Id<kinds::User>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) role: StaffRole,
}

impl Member {
    /// The id of this user's membership in this restaurant.
    pub(crate) fn id_of(user: Id<kinds::User>, restaurant: Id<kinds::Restaurant>) -> String {
        format!("{restaurant}/{user}")
    }

    /// The prefix of a restaurant's members in [`BY_RESTAURANT`].
    pub(crate) fn keys_of(restaurant: Id<kinds::Restaurant>) -> Key {
        Key::new().id(restaurant)
    }

    /// The member as others are shown it.
    pub(crate) fn message(&self, name: String) -> v1::Member {
        v1::Member {
            user_id: self.user.to_string(),
            name,
            role: self.role.as_str().to_owned(),
            restaurant_id: self.restaurant.to_string(),
        }
    }
}

impl Document for Member {
    const COLLECTION: &'static Collection = &MEMBERS;

    fn id(&self) -> String {
        Self::id_of(self.user, self.restaurant)
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let key = Self::keys_of(self.restaurant).text(self.role.as_str()).id(self.user);
        vec![(BY_RESTAURANT, key)]
    }
}

/// The user at `version`, as it is shown to itself.
pub(crate) fn message(user: &User, version: i64) -> v1::User {
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
        version,
        erased: user.erased_at.is_some(),
    }
}
