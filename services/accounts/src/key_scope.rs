//! What an API key may be made to do, and what of that its user may do now, as plain functions.
//!
//! A key has all that its user has, or a part of it. The part is named by roles and restaurants,
//! and is taken of what the user has at the moment when the key is used: what a user loses, the
//! user's keys lose, and what a key was not given it does not gain.

use std::time::Duration;

use bistro_core::{Error, FieldError, Id, Membership, Role, StaffRole, Timestamp, kinds};
use bistro_proto::accounts::v1::CreateApiKeyRequest;
use serde::{Deserialize, Serialize};

use crate::documents::User;

/// Characters of a key's name at most.
const MAX_NAME: usize = 100;
/// Restaurants that a key may name: as many as a user may work for.
const MAX_RESTAURANTS: usize = 100;
/// The furthest that a key's end may be ahead: five years.
const LONGEST: Duration = Duration::from_hours(5 * 365 * 24);

/// The part of a user's rights that a key has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    /// In the order of [`Role`], each once; empty: all of the user's.
    pub(crate) roles: Vec<Role>,
    /// Each once; empty: all of the user's.
    pub(crate) restaurants: Vec<Id<kinds::Restaurant>>,
}

impl Scope {
    /// The roles and memberships that a key with this scope gives of what `user` has.
    ///
    /// A membership counts with the role that it needs, so that a key without the roles of staff
    /// is no staff anywhere.
    pub(crate) fn of(&self, user: &User) -> (Vec<Role>, Vec<Membership>) {
        let has = |role: Role| {
            role == Role::Customer || self.roles.is_empty() || self.roles.contains(&role)
        };
        let within = |restaurant: &Id<kinds::Restaurant>| {
            self.restaurants.is_empty() || self.restaurants.contains(restaurant)
        };
        let roles = user.roles.iter().copied().filter(|role| has(*role)).collect();
        let memberships = user
            .memberships
            .iter()
            .filter(|member| has(needed(member.role)) && within(&member.restaurant));
        (roles, memberships.copied().collect())
    }
}

/// The role on the platform that goes with a role in a restaurant.
fn needed(role: StaffRole) -> Role {
    match role {
        StaffRole::Owner | StaffRole::Manager => Role::Restaurateur,
        StaffRole::Chef => Role::Chef,
    }
}

/// A key that is in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewKey {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Checks a key that `user` wants to make `now`; all mistakes are said at once.
pub(crate) fn check(
    request: &CreateApiKeyRequest,
    user: &User,
    now: Timestamp,
) -> Result<NewKey, Error> {
    let mut wrong = Vec::new();
    let name = match check_name(&request.name) {
        Ok(name) => name,
        Err(mistake) => {
            wrong.push(mistake);
            String::new()
        }
    };
    let roles = read_roles(&request.roles, user, &mut wrong);
    let restaurants = read_restaurants(&request.restaurant_ids, user, &mut wrong);
    let expires_at = (request.expires_at_ms != 0).then(|| {
        let end = Timestamp::from_millis(request.expires_at_ms);
        if end <= now || end > now + LONGEST {
            let message = "write a time to come, at most five years ahead, or leave it out";
            wrong.push(mistake("expires_at", message));
        }
        end
    });
    if wrong.is_empty() {
        Ok(NewKey { name, scope: Scope { roles, restaurants }, expires_at })
    } else {
        Err(Error::fields(wrong))
    }
}

/// The name without space around it.
pub(crate) fn check_name(text: &str) -> Result<String, FieldError> {
    let name = text.trim();
    if (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(mistake("name", &format!("write 1 to {MAX_NAME} characters on one line")))
}

fn read_roles(texts: &[String], user: &User, wrong: &mut Vec<FieldError>) -> Vec<Role> {
    let mut roles = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let message = match text.parse::<Role>() {
            Ok(role) if user.roles.contains(&role) => {
                roles.push(role);
                continue;
            }
            Ok(role) => format!("you are no {role}; name roles that you have"),
            Err(cause) => cause.message().to_owned(),
        };
        wrong.push(mistake(&format!("roles[{place}]"), &message));
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn read_restaurants(
    texts: &[String],
    user: &User,
    wrong: &mut Vec<FieldError>,
) -> Vec<Id<kinds::Restaurant>> {
    if texts.len() > MAX_RESTAURANTS {
        let message = format!("name at most {MAX_RESTAURANTS} restaurants, or none for all");
        wrong.push(mistake("restaurant_ids", &message));
        return Vec::new();
    }
    let mut restaurants = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let works_for = |id: &Id<kinds::Restaurant>| {
            user.memberships.iter().any(|member| member.restaurant == *id)
        };
        let message = match text.parse() {
            Ok(id) if works_for(&id) => {
                restaurants.push(id);
                continue;
            }
            Ok(_) => "you do not work for this restaurant; name some that you work for".to_owned(),
            Err(cause) => format!("{cause}"),
        };
        wrong.push(mistake(&format!("restaurant_ids[{place}]"), &message));
    }
    restaurants.sort_unstable();
    restaurants.dedup();
    restaurants
}

fn mistake(path: &str, message: &str) -> FieldError {
    FieldError { path: path.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn user(roles: &[Role], memberships: &[(u128, StaffRole)]) -> User {
        let memberships = memberships
            .iter()
            .map(|(bits, role)| Membership { restaurant: Id::from_bits(*bits), role: *role });
        // As it is read: fields that came later have defaults.
        let stored = serde_json::json!({
            "id": Id::<kinds::User>::from_bits(1), "email": "ada@example.org", "name": "Ada",
            "roles": roles, "memberships": memberships.collect::<Vec<_>>(), "password": "",
            "sessions_from": NOW, "kept_session": null, "created_at": NOW, "changed_at": NOW,
            "erased_at": null,
        });
        serde_json::from_value(stored).unwrap()
    }

    fn nadia() -> User {
        let roles = [Role::Customer, Role::Restaurateur, Role::Chef];
        user(&roles, &[(7, StaffRole::Owner), (8, StaffRole::Chef)])
    }

    fn request() -> CreateApiKeyRequest {
        CreateApiKeyRequest { name: " Till 3 ".into(), ..CreateApiKeyRequest::default() }
    }

    #[test]
    fn a_plain_key_has_all_that_its_user_has() {
        let key = check(&request(), &nadia(), NOW).unwrap();
        assert_eq!((key.name.as_str(), &key.scope), ("Till 3", &Scope::default()));
        assert_eq!(key.scope.of(&nadia()), (nadia().roles, nadia().memberships));
    }

    #[test]
    fn a_membership_counts_with_its_role() {
        let chef = Scope { roles: vec![Role::Chef], ..Scope::default() };
        let (roles, memberships) = chef.of(&nadia());
        assert_eq!(roles, [Role::Customer, Role::Chef]);
        assert_eq!(memberships, nadia().memberships[1..]);
        let here = Scope { restaurants: vec![Id::from_bits(7)], ..Scope::default() };
        assert_eq!(here.of(&nadia()), (nadia().roles, nadia().memberships[..1].to_vec()));
        let neither = Scope { roles: vec![Role::Chef], restaurants: vec![Id::from_bits(7)] };
        assert!(neither.of(&nadia()).1.is_empty());
        let customer = Scope { roles: vec![Role::Customer], ..Scope::default() };
        assert_eq!(customer.of(&nadia()), (vec![Role::Customer], Vec::new()));
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let wrong = CreateApiKeyRequest {
            name: "\n".into(),
            roles: vec!["chef".into(), "king".into(), "admin".into()],
            restaurant_ids: vec![
                Id::<kinds::Restaurant>::from_bits(9).to_string(),
                Id::<kinds::User>::from_bits(7).to_string(),
            ],
            expires_at_ms: NOW.as_millis(),
        };
        let error = check(&wrong, &nadia(), NOW).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "name",
            "roles[1]",
            "roles[2]",
            "restaurant_ids[0]",
            "restaurant_ids[1]",
            "expires_at",
        ];
        assert_eq!(paths, expected);
        let far = CreateApiKeyRequest { expires_at_ms: i64::MAX, ..request() };
        assert!(check(&far, &nadia(), NOW).is_err());
        let past = CreateApiKeyRequest { expires_at_ms: i64::MIN, ..request() };
        assert!(check(&past, &nadia(), NOW).is_err());
    }

    fn role() -> impl Strategy<Value = Role> {
        use Role::{Admin, Chef, Courier, Customer, Restaurateur, Support};
        prop::sample::select(vec![Customer, Restaurateur, Chef, Courier, Support, Admin])
    }

    fn staff() -> impl Strategy<Value = StaffRole> {
        prop::sample::select(vec![StaffRole::Owner, StaffRole::Manager, StaffRole::Chef])
    }

    proptest! {
        /// Whatever a user has become since a key was made, the key has nothing that the user has
        /// not, and nothing that the key was not given.
        #[test]
        fn a_key_never_has_more_than_its_user_or_its_scope(
            has in prop::collection::vec(role(), 0..6),
            works in prop::collection::btree_map(0_u128..5, staff(), 0..5),
            roles in prop::collection::vec(role(), 0..4),
            restaurants in prop::collection::vec(0_u128..5, 0..4),
        ) {
            let works: Vec<_> = works.into_iter().collect();
            let user = user(&has, &works);
            let scope = Scope {
                roles,
                restaurants: restaurants.into_iter().map(Id::from_bits).collect(),
            };
            let (given, places) = scope.of(&user);
            for role in &given {
                prop_assert!(user.roles.contains(role));
                prop_assert!(
                    *role == Role::Customer || scope.roles.is_empty() || scope.roles.contains(role)
                );
            }
            for place in &places {
                prop_assert!(user.memberships.contains(place));
                prop_assert!(
                    scope.restaurants.is_empty() || scope.restaurants.contains(&place.restaurant)
                );
            }
        }
    }
}
