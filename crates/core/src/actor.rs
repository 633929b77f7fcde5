//! Who asks: a user, another role, or the operator of the platform.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Id, kinds};

/// What a user may do on the platform as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders food.
    Customer,
    /// Owns or manages restaurants.
    Restaurateur,
    /// Cooks.
    Chef,
    /// Delivers.
    Courier,
    /// Helps people with their orders: sees what they see, and refunds.
    Support,
    /// Runs the platform.
    Admin,
}

impl Role {
    /// The word in tokens and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Restaurateur => "restaurateur",
            Self::Chef => "chef",
            Self::Courier => "courier",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "customer" => Self::Customer,
            "restaurateur" => Self::Restaurateur,
            "chef" => Self::Chef,
            "courier" => Self::Courier,
            "support" => Self::Support,
            "admin" => Self::Admin,
            _ => {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!(
                        "{text:?} is not a role; write customer, restaurateur, chef, courier, support or admin"
                    ),
                ));
            }
        })
    }
}

/// What a user does in one restaurant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffRole {
    /// May change the restaurant and its menu, and everything below.
    Owner,
    /// Accepts and rejects orders, and everything below.
    Manager,
    /// Works on the kitchen's tickets.
    Chef,
}

impl StaffRole {
    /// The word in tokens and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Chef => "chef",
        }
    }
}

impl FromStr for StaffRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "owner" => Self::Owner,
            "manager" => Self::Manager,
            "chef" => Self::Chef,
            _ => {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("{text:?} is not a staff role; write owner, manager or chef"),
                ));
            }
        })
    }
}

/// That a user works for a restaurant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The restaurant.
    pub restaurant: Id<kinds::Restaurant>,
    /// What the user does there.
    pub role: StaffRole,
}

/// Who a request speaks for, as a checked token says.
///
/// Memberships are as old as the token at most (`auth.access_token_ttl`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// A logged-in user.
    User {
        /// Who.
        id: Id<kinds::User>,
        /// The session that the token belongs to.
        session: Id<kinds::Session>,
        /// What the user may do.
        roles: Vec<Role>,
        /// Where the user works.
        memberships: Vec<Membership>,
        /// Whether a program asks with an API key of the user, which has what the user had a
        /// moment ago, or less.
        api_key: bool,
    },
    /// A role of the platform that speaks for itself.
    Workload(String),
    /// Whoever holds the operator token: may do everything a user may.
    Operator,
}

impl Principal {
    /// A stable name, for idempotency and audit: `usr_…`, `role:orders`, `operator`, `anonymous`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { id, .. } => id.to_string(),
            Self::Workload(role) => format!("role:{role}"),
            Self::Operator => "operator".to_owned(),
        }
    }

    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<Id<kinds::User>> {
        match self {
            Self::User { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The logged-in user, or the error that asks for a login.
    pub fn require_user(&self) -> Result<Id<kinds::User>, Error> {
        self.user().ok_or_else(|| match self {
            Self::Anonymous => Error::unauthenticated(),
            _ => Error::new(ErrorCode::PermissionDenied, "only a logged-in user can do this"),
        })
    }

    /// Passes administrators and the operator.
    pub fn require_admin(&self) -> Result<(), Error> {
        match self {
            Self::Operator => Ok(()),
            Self::User { roles, .. } if roles.contains(&Role::Admin) => Ok(()),
            _ => Err(self.denied("an administrator")),
        }
    }

    /// Passes support, administrators and the operator.
    pub fn require_support(&self) -> Result<(), Error> {
        match self {
            Self::User { roles, .. } if roles.contains(&Role::Support) => Ok(()),
            _ => self.require_admin().map_err(|_| self.denied("support")),
        }
    }

    /// Passes the user `id`, support, administrators and the operator.
    pub fn require_self_or_support(&self, id: Id<kinds::User>) -> Result<(), Error> {
        if self.user() == Some(id) { Ok(()) } else { self.require_support() }
    }

    /// Passes the user `id`, administrators and the operator.
    pub fn require_self_or_admin(&self, id: Id<kinds::User>) -> Result<(), Error> {
        if self.user() == Some(id) { Ok(()) } else { self.require_admin() }
    }

    /// Passes other roles of the platform, and the operator.
    pub fn require_workload(&self) -> Result<(), Error> {
        match self {
            Self::Operator | Self::Workload(_) => Ok(()),
            _ => Err(self.denied("a role of the platform")),
        }
    }

    /// Passes who works for `restaurant` in one of `roles`; owners, administrators and the
    /// operator always pass.
    pub fn require_staff(
        &self,
        restaurant: Id<kinds::Restaurant>,
        roles: &[StaffRole],
    ) -> Result<(), Error> {
        let works_there = |member: &Membership| {
            member.restaurant == restaurant
                && (member.role == StaffRole::Owner || roles.contains(&member.role))
        };
        match self {
            Self::Operator => Ok(()),
            Self::User { roles, .. } if roles.contains(&Role::Admin) => Ok(()),
            Self::User { memberships, .. } if memberships.iter().any(works_there) => Ok(()),
            _ => Err(self.denied("the restaurant's staff")),
        }
    }

    fn denied(&self, who: &str) -> Error {
        match self {
            Self::Anonymous => Error::unauthenticated(),
            _ => Error::new(ErrorCode::PermissionDenied, format!("only {who} may do this")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chef_at(restaurant: u128) -> Principal {
        Principal::User {
            id: Id::from_bits(1),
            session: Id::from_bits(2),
            roles: vec![Role::Chef],
            memberships: vec![Membership {
                restaurant: Id::from_bits(restaurant),
                role: StaffRole::Chef,
            }],
            api_key: false,
        }
    }

    #[test]
    fn staff_pass_only_for_their_restaurant_and_role() {
        let chef = chef_at(7);
        assert!(chef.require_staff(Id::from_bits(7), &[StaffRole::Chef]).is_ok());
        let refused = chef.require_staff(Id::from_bits(7), &[StaffRole::Manager]).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PermissionDenied);
        assert!(chef.require_staff(Id::from_bits(8), &[StaffRole::Chef]).is_err());
        assert!(Principal::Operator.require_staff(Id::from_bits(8), &[]).is_ok());
    }

    #[test]
    fn nobody_is_asked_to_log_in_rather_than_told_no() {
        let refused = Principal::Anonymous.require_admin().unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthenticated);
    }
}
