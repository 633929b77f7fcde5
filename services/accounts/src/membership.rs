//! Who works where: what adding a membership changes, and who may add one, as plain functions.

use bistro_core::{Error, ErrorCode, Id, Membership, Role, StaffRole, Timestamp, kinds};

use crate::documents::User;

/// Restaurants that one user may work for: access tokens carry all of them.
const MAX_MEMBERSHIPS: usize = 100;

fn owns(user: &User, restaurant: Id<kinds::Restaurant>) -> bool {
    let owner = Membership { restaurant, role: StaffRole::Owner };
    user.memberships.contains(&owner)
}

/// Whether `asker`, as stored now, may set a member's role in `restaurant`, and invite others.
pub(crate) fn may_set(asker: &User, restaurant: Id<kinds::Restaurant>) -> Result<(), Error> {
    if asker.roles.contains(&Role::Admin) || owns(asker, restaurant) {
        return Ok(());
    }
    let message = "only the restaurant's owners and administrators may say who works there";
    Err(Error::new(ErrorCode::PermissionDenied, message))
}

/// Whether `asker`, as stored now, may make somebody a member who is not asked. It must not tell
/// whether there is such a user.
pub(crate) fn may_add(asker: &User) -> Result<(), Error> {
    if asker.roles.contains(&Role::Admin) {
        return Ok(());
    }
    let message = "nobody becomes a member without being asked: send an invitation instead";
    Err(Error::new(ErrorCode::PermissionDenied, message))
}

/// What somebody who is a member in role `has` becomes by an invitation: it takes nothing away.
pub(crate) fn invited_to(has: Option<StaffRole>, role: StaffRole) -> StaffRole {
    // In the order of the roles, the one that may do more comes first.
    has.map_or(role, |has| has.min(role))
}

/// An owner stays one until another owner says otherwise, so that a restaurant does not lose its
/// last one by a slip.
pub(crate) fn may_set_own(
    asker: &User,
    restaurant: Id<kinds::Restaurant>,
    role: StaffRole,
) -> Result<(), Error> {
    if role != StaffRole::Owner && owns(asker, restaurant) {
        let message = "an owner cannot give up the restaurant alone; ask another owner to do it";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    Ok(())
}

/// The user as a member of `restaurant` in `role`; none if that is so already.
///
/// Whoever runs a restaurant is a restaurateur, and whoever cooks in one is a chef.
pub(crate) fn add(
    user: &User,
    restaurant: Id<kinds::Restaurant>,
    role: StaffRole,
    now: Timestamp,
) -> Result<Option<User>, Error> {
    let mut after = user.clone();
    match after.memberships.iter().position(|member| member.restaurant == restaurant) {
        Some(place) => after.memberships[place].role = role,
        None if after.memberships.len() >= MAX_MEMBERSHIPS => {
            let message = format!("a user can work for at most {MAX_MEMBERSHIPS} restaurants");
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        None => after.memberships.push(Membership { restaurant, role }),
    }
    let takes = match role {
        StaffRole::Owner | StaffRole::Manager => Role::Restaurateur,
        StaffRole::Chef => Role::Chef,
    };
    after.roles.push(takes);
    after.roles.sort_unstable();
    after.roles.dedup();
    if after.memberships == user.memberships && after.roles == user.roles {
        return Ok(None);
    }
    after.changed_at = now;
    Ok(Some(after))
}

/// The user without the membership in `restaurant`; none if there is none. Roles stay: they say
/// what somebody may be, not where.
pub(crate) fn remove(
    user: &User,
    restaurant: Id<kinds::Restaurant>,
    now: Timestamp,
) -> Option<User> {
    let mut after = user.clone();
    after.memberships.retain(|member| member.restaurant != restaurant);
    if after.memberships.len() == user.memberships.len() {
        return None;
    }
    after.changed_at = now;
    Some(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::documents::PasswordHash;

    fn user() -> User {
        User {
            id: Id::from_bits(1),
            email: "ada@example.org".into(),
            name: "Ada".into(),
            roles: vec![Role::Customer],
            memberships: Vec::new(),
            password: PasswordHash(String::new()),
            credential_changes: 0,
            sessions_from: Timestamp::from_millis(0),
            kept_session: None,
            erased_at: None,
            created_at: Timestamp::from_millis(0),
            changed_at: Timestamp::from_millis(0),
        }
    }

    fn role() -> impl Strategy<Value = StaffRole> {
        prop::sample::select(vec![StaffRole::Owner, StaffRole::Manager, StaffRole::Chef])
    }

    #[test]
    fn an_invitation_takes_nothing_away() {
        use StaffRole::{Chef, Manager, Owner};
        assert_eq!(invited_to(None, Chef), Chef);
        assert_eq!(invited_to(Some(Owner), Chef), Owner);
        assert_eq!(invited_to(Some(Manager), Chef), Manager);
        assert_eq!(invited_to(Some(Chef), Manager), Manager);
    }

    #[test]
    fn only_owners_and_administrators_set_members_and_only_administrators_add_any() {
        let now = Timestamp::from_millis(1);
        let place = Id::from_bits(7);
        assert_eq!(may_set(&user(), place).unwrap_err().code(), ErrorCode::PermissionDenied);
        let manager = add(&user(), place, StaffRole::Manager, now).unwrap().unwrap();
        assert!(may_set(&manager, place).is_err());
        let owner = add(&manager, place, StaffRole::Owner, now).unwrap().unwrap();
        assert!(may_set(&owner, place).is_ok());
        assert!(may_set(&owner, Id::from_bits(8)).is_err());
        assert_eq!(may_add(&owner).unwrap_err().code(), ErrorCode::PermissionDenied);
        let admin = User { roles: vec![Role::Admin], ..user() };
        assert!(may_set(&admin, place).is_ok() && may_add(&admin).is_ok());
        assert!(may_set_own(&owner, place, StaffRole::Owner).is_ok());
        assert_eq!(
            may_set_own(&owner, place, StaffRole::Chef).unwrap_err().code(),
            ErrorCode::WrongState
        );
    }

    #[test]
    fn memberships_are_bounded() {
        let now = Timestamp::from_millis(1);
        let mut busy = user();
        for number in 0..100 {
            busy = add(&busy, Id::from_bits(number), StaffRole::Chef, now).unwrap().unwrap();
        }
        assert!(add(&busy, Id::from_bits(100), StaffRole::Chef, now).is_err());
        assert!(add(&busy, Id::from_bits(99), StaffRole::Owner, now).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn the_last_role_counts_and_adding_it_twice_changes_nothing(
            roles in prop::collection::vec((0_u128..3, role()), 1..12),
        ) {
            let mut member = user();
            for (number, (place, role)) in roles.iter().enumerate() {
                let now = Timestamp::from_millis(i64::try_from(number).unwrap() + 1);
                if let Some(changed) = add(&member, Id::from_bits(*place), *role, now).unwrap() {
                    prop_assert_eq!(changed.changed_at, now);
                    member = changed;
                }
                prop_assert!(add(&member, Id::from_bits(*place), *role, now).unwrap().is_none());
                let there = member.memberships.iter().filter(|m| m.restaurant.bits() == *place);
                prop_assert_eq!(there.map(|m| m.role).collect::<Vec<_>>(), vec![*role]);
            }
            prop_assert!(member.roles.is_sorted() && member.roles.contains(&Role::Customer));
        }
    }
}
