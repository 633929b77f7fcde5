//! Who works for a restaurant: adds, changes, removes and lists its members.
//!
//! Nobody is told more of a member than name and role, and nobody becomes one unasked, unless an
//! administrator or another role says so. A Work that changes a membership also requires that whoever
//! asked for it may still do so, and, where it takes an owner away, that another one is left: two
//! owners who take it from each other at the same moment do not both succeed.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    AddMembershipRequest, GetMembershipRequest, ListMembersRequest, ListMembersResponse,
    Member as MemberMessage, RemoveMembershipRequest, RemoveMembershipResponse,
};
use bistro_runtime::Asked;
use bistro_store::{Document, DocumentRef, Query, StoreExt as _, Versioned, Work};

use crate::{
    documents::{BY_RESTAURANT, Member, User},
    membership,
    service::AccountsService,
    users::user_id,
};

impl AccountsService {
    /// Makes a user a member of a restaurant, or changes what a member does there.
    pub(crate) async fn set_membership(
        &self,
        asked: &Asked,
        request: &AddMembershipRequest,
    ) -> Result<MemberMessage, Error> {
        let user = user_id("user_id", &request.user_id)?;
        let restaurant = restaurant_id(&request.restaurant_id)?;
        let role: StaffRole =
            request.role.parse().map_err(|cause: Error| Error::field("role", cause.message()))?;
        let command = asked.command("accounts.add_membership", request)?;
        let decide = |mut work: Work| async move {
            let asker = self.may_set(&asked.principal, restaurant).await?;
            let there = self.member(user, restaurant).await?;
            if let Some(asker) = &asker {
                if there.is_none() {
                    membership::may_add(asker)?;
                }
                if asker.id == user {
                    membership::may_set_own(asker, restaurant, role)?;
                }
            }
            let before = self.user(user).await?;
            let member = Member { user, restaurant, role };
            let answer = member.message(before.name.clone());
            if self.join(&mut work, &before, there, &member).await?.is_none() {
                return Ok(Decision::Answer(answer));
            }
            if let Some(asker) = &asker {
                require_once(&mut work, asker);
            }
            Ok(Decision::commit(work, answer))
        };
        let replay = |_| async move {
            // As it is now; if it has ended since, as it was made.
            let made = Member { user, restaurant, role };
            let member = self.member(user, restaurant).await?.map_or(made, |there| there.value);
            Ok(member.message(self.user(user).await?.name.clone()))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Writes a membership on both sides, in place of the one that is `there`; none when nothing
    /// changes by it.
    pub(crate) async fn join(
        &self,
        work: &mut Work,
        before: &Versioned<User>,
        there: Option<Versioned<Member>>,
        member: &Member,
    ) -> Result<Option<User>, Error> {
        if before.erased_at.is_some() {
            return Err(Error::not_found(format_args!("user {}", before.id)));
        }
        let Some(after) = membership::add(before, member.restaurant, member.role, work.time)?
        else {
            return Ok(None);
        };
        work.replace(before, &after)?;
        match there {
            Some(there) => {
                if there.role == StaffRole::Owner && member.role != StaffRole::Owner {
                    self.keep_an_owner(work, &there).await?;
                }
                work.replace(&there, member)?;
            }
            None => {
                work.insert(member)?;
            }
        }
        Ok(Some(after))
    }

    /// Ends a membership. Where there is none, nothing is said of the user.
    pub(crate) async fn remove_membership(
        &self,
        asked: &Asked,
        request: &RemoveMembershipRequest,
    ) -> Result<RemoveMembershipResponse, Error> {
        let user = user_id("user_id", &request.user_id)?;
        let restaurant = restaurant_id(&request.restaurant_id)?;
        let command = asked.command("accounts.remove_membership", request)?;
        let decide = |mut work: Work| async move {
            // That everybody may for themselves.
            let asker = if asked.principal.user() == Some(user) {
                None
            } else {
                self.may_set(&asked.principal, restaurant).await?
            };
            let Some(member) = self.member(user, restaurant).await? else {
                return Ok(Decision::Answer(RemoveMembershipResponse {}));
            };
            let before = self.user(user).await?;
            let Some(after) = membership::remove(&before, restaurant, work.time) else {
                return Ok(Decision::Answer(RemoveMembershipResponse {}));
            };
            work.replace(&before, &after)?;
            work.delete(&member);
            if member.role == StaffRole::Owner {
                self.keep_an_owner(&mut work, &member).await?;
            }
            if let Some(asker) = &asker {
                require_once(&mut work, asker);
            }
            Ok(Decision::commit(work, RemoveMembershipResponse {}))
        };
        let replay = |_| async { Ok(RemoveMembershipResponse {}) };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// One member, for the member, owners and managers, support, administrators and other roles.
    pub(crate) async fn membership(
        &self,
        principal: &Principal,
        request: &GetMembershipRequest,
    ) -> Result<MemberMessage, Error> {
        let user = user_id("user_id", &request.user_id)?;
        let restaurant = restaurant_id(&request.restaurant_id)?;
        if principal.user() != Some(user) && principal.require_workload().is_err() {
            may_list(principal, restaurant)?;
        }
        let member = self.member(user, restaurant).await?.ok_or_else(|| no_member(user))?;
        Ok(member.message(self.user(user).await?.name.clone()))
    }

    /// Who works for a restaurant, for its owners and managers, support and administrators.
    pub(crate) async fn members(
        &self,
        principal: &Principal,
        request: ListMembersRequest,
    ) -> Result<ListMembersResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        may_list(principal, restaurant)?;
        let page = request.page.unwrap_or_default();
        let query = Query::prefix::<Member>(BY_RESTAURANT, &Member::keys_of(restaurant))
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Member>(query).await?;
        let ids: Vec<String> = found.items.iter().map(|member| member.user.to_string()).collect();
        let users = self.engine.store().load_many::<User>(&ids).await?;
        let name = |id| users.iter().find(|user| user.id == id).map(|user| user.name.clone());
        let shown =
            found.items.iter().map(|member| member.message(name(member.user).unwrap_or_default()));
        Ok(ListMembersResponse {
            members: shown.collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn member(
        &self,
        user: Id<kinds::User>,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Versioned<Member>>, Error> {
        Ok(self.engine.store().load::<Member>(&Member::id_of(user, restaurant)).await?)
    }

    /// Holds the Work, which takes the owner `leaving` away, to there being another one.
    async fn keep_an_owner(
        &self,
        work: &mut Work,
        leaving: &Versioned<Member>,
    ) -> Result<(), Error> {
        let owners = Member::keys_of(leaving.restaurant).text(StaffRole::Owner.as_str());
        let query = Query::prefix::<Member>(BY_RESTAURANT, &owners).limit(2);
        let owners = self.engine.store().list::<Member>(query).await?.items;
        let other = owners.iter().find(|member| member.user != leaving.user);
        require_once(work, other.ok_or_else(last_owner)?);
        Ok(())
    }

    /// Passes owners of the restaurant and administrators, as they are stored: a token may be older
    /// than a new restaurant, or than the loss of one. The asker is to be required by what follows;
    /// none where there is nothing to require.
    pub(crate) async fn may_set(
        &self,
        principal: &Principal,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Versioned<User>>, Error> {
        match principal {
            Principal::Operator | Principal::Workload(_) => Ok(None),
            Principal::Anonymous => Err(Error::unauthenticated()),
            Principal::User { id, .. } => {
                let asker = self.engine.store().load::<User>(&id.to_string()).await?;
                let asker = asker.ok_or_else(Error::unauthenticated)?;
                membership::may_set(&asker, restaurant)?;
                Ok(Some(asker))
            }
        }
    }
}

/// Passes owners and managers of the restaurant, support and administrators.
fn may_list(principal: &Principal, restaurant: Id<kinds::Restaurant>) -> Result<(), Error> {
    principal
        .require_staff(restaurant, &[StaffRole::Manager])
        .or_else(|refused| principal.require_support().map_err(|_| refused))
}

/// Requires what was read to be as it was, unless the Work is held to it already.
pub(crate) fn require_once<D: Document>(work: &mut Work, read: &Versioned<D>) {
    let document = DocumentRef::of::<D>(read.value.id());
    if work.writes.iter().all(|write| *write.document() != document) {
        work.require(read);
    }
}

pub(crate) fn restaurant_id(text: &str) -> Result<Id<kinds::Restaurant>, Error> {
    text.parse().map_err(|cause| Error::field("restaurant_id", format!("{cause}")))
}

fn last_owner() -> Error {
    let message = "a restaurant needs an owner; make somebody else one first";
    Error::new(ErrorCode::WrongState, message)
}

fn no_member(user: Id<kinds::User>) -> Error {
    Error::not_found(format_args!("member {user}"))
}
