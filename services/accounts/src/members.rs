//! Who works for a restaurant: adds, removes and lists its members.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    AddMembershipRequest, ListMembersRequest, ListMembersResponse, Member as MemberMessage,
    RemoveMembershipRequest, User as UserMessage,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Query, StoreExt as _, Versioned, Work};

use crate::{
    documents::{BY_RESTAURANT, Member, User, message},
    membership,
    service::AccountsService,
    users::user_id,
};

impl AccountsService {
    /// Makes a user a member of a restaurant.
    pub(crate) async fn set_membership(
        &self,
        asked: &Asked,
        request: &AddMembershipRequest,
    ) -> Result<UserMessage, Error> {
        let user = user_id("user_id", &request.user_id)?;
        let restaurant = restaurant_id(&request.restaurant_id)?;
        let role: StaffRole =
            request.role.parse().map_err(|cause: Error| Error::field("role", cause.message()))?;
        let command = asked.command("accounts.add_membership", request)?;
        let decide = |mut work: Work| async move {
            self.may_set(&asked.principal, user, restaurant, Some(role)).await?;
            let before = self.user(user).await?;
            match self.join(&mut work, &before, restaurant, role).await? {
                Some(after) => {
                    let answer = message(&after, before.version + 1);
                    Ok(Decision::commit(work, answer))
                }
                None => Ok(Decision::Answer(message(&before, before.version))),
            }
        };
        let replay = |_| self.shown(user);
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Writes a membership on both sides; none when it is there already.
    pub(crate) async fn join(
        &self,
        work: &mut Work,
        before: &Versioned<User>,
        restaurant: Id<kinds::Restaurant>,
        role: StaffRole,
    ) -> Result<Option<User>, Error> {
        if before.erased_at.is_some() {
            return Err(Error::not_found(format_args!("user {}", before.id)));
        }
        let Some(after) = membership::add(before, restaurant, role, work.time)? else {
            return Ok(None);
        };
        work.replace(before, &after)?;
        let member = Member { user: before.id, restaurant, role };
        match self.member(before.id, restaurant).await? {
            Some(there) => work.replace(&there, &member)?,
            None => work.insert(&member)?,
        };
        Ok(Some(after))
    }

    /// Ends a membership.
    pub(crate) async fn remove_membership(
        &self,
        asked: &Asked,
        request: &RemoveMembershipRequest,
    ) -> Result<UserMessage, Error> {
        let user = user_id("user_id", &request.user_id)?;
        let restaurant = restaurant_id(&request.restaurant_id)?;
        let command = asked.command("accounts.remove_membership", request)?;
        let decide = |mut work: Work| async move {
            self.may_set(&asked.principal, user, restaurant, None).await?;
            let before = self.user(user).await?;
            let Some(after) = membership::remove(&before, restaurant, work.time) else {
                return Ok(Decision::Answer(message(&before, before.version)));
            };
            work.replace(&before, &after)?;
            if let Some(member) = self.member(user, restaurant).await? {
                if member.role == StaffRole::Owner {
                    // The restaurant keeps an owner, also when two leave at once.
                    let other = self.other_owner(restaurant, user).await?;
                    work.require(&other.ok_or_else(last_owner)?);
                }
                work.delete(&member);
            }
            let answer = message(&after, before.version + 1);
            Ok(Decision::commit(work, answer))
        };
        let replay = |_| self.shown(user);
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Who works for a restaurant, for its owners and managers, support and administrators.
    pub(crate) async fn members(
        &self,
        principal: &Principal,
        request: ListMembersRequest,
    ) -> Result<ListMembersResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        principal
            .require_staff(restaurant, &[StaffRole::Manager])
            .or_else(|refused| principal.require_support().map_err(|_| refused))?;
        let page = request.page.unwrap_or_default();
        let query = Query::prefix::<Member>(BY_RESTAURANT, &Member::keys_of(restaurant))
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Member>(query).await?;
        let ids: Vec<String> = found.items.iter().map(|member| member.user.to_string()).collect();
        let users = self.engine.store().load_many::<User>(&ids).await?;
        let name = |id| users.iter().find(|user| user.id == id).map(|user| user.name.clone());
        let shown = found.items.iter().map(|member| MemberMessage {
            user_id: member.user.to_string(),
            name: name(member.user).unwrap_or_default(),
            role: member.role.as_str().to_owned(),
        });
        Ok(ListMembersResponse {
            members: shown.collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    async fn member(
        &self,
        user: Id<kinds::User>,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Versioned<Member>>, Error> {
        Ok(self.engine.store().load::<Member>(&Member::id_of(user, restaurant)).await?)
    }

    async fn other_owner(
        &self,
        restaurant: Id<kinds::Restaurant>,
        than: Id<kinds::User>,
    ) -> Result<Option<Versioned<Member>>, Error> {
        let owners = Member::keys_of(restaurant).text(StaffRole::Owner.as_str());
        let query = Query::prefix::<Member>(BY_RESTAURANT, &owners).limit(2);
        let owners = self.engine.store().list::<Member>(query).await?.items;
        Ok(owners.into_iter().find(|member| member.user != than))
    }

    /// Asks the stored user and not the token, which may be older than a new restaurant. No role
    /// ends the membership: that everybody may for themselves.
    pub(crate) async fn may_set(
        &self,
        principal: &Principal,
        user: Id<kinds::User>,
        restaurant: Id<kinds::Restaurant>,
        role: Option<StaffRole>,
    ) -> Result<(), Error> {
        match principal {
            Principal::Operator | Principal::Workload(_) => Ok(()),
            Principal::Anonymous => Err(Error::unauthenticated()),
            Principal::User { id, .. } => {
                let asker = self.engine.store().load::<User>(&id.to_string()).await?;
                let asker = asker.ok_or_else(Error::unauthenticated)?;
                match role {
                    None if *id == user => Ok(()),
                    Some(role) if *id == user => {
                        membership::may_add(&asker, restaurant)?;
                        membership::may_set_own(&asker, restaurant, role)
                    }
                    _ => membership::may_add(&asker, restaurant),
                }
            }
        }
    }

    async fn shown(&self, id: Id<kinds::User>) -> Result<UserMessage, Error> {
        let user = self.user(id).await?;
        Ok(message(&user, user.version))
    }
}

pub(crate) fn restaurant_id(text: &str) -> Result<Id<kinds::Restaurant>, Error> {
    text.parse().map_err(|cause| Error::field("restaurant_id", format!("{cause}")))
}

fn last_owner() -> Error {
    let message = "a restaurant needs an owner; make somebody else one first";
    Error::new(ErrorCode::WrongState, message)
}
