//! What is stored of a person: given out, and erased.

use bistro_core::{Error, ErrorCode, Principal, Role, StaffRole, Timestamp};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::{
    accounts::v1::{
        DeleteUserRequest, DeleteUserResponse, ExportUserRequest, ListSessionsRequest, UserErased,
        UserExport,
    },
    common::v1::PageRequest,
};
use bistro_runtime::Asked;
use bistro_store::{Cause, DocumentRef, Query, StoreError, StoreExt as _, Versioned, Work};
use prost::{Message as _, Name as _};

use crate::{
    documents::{Member, PasswordHash, User, message},
    invitations::Invitation,
    service::AccountsService,
    session::{BY_USER, Session},
    users::{user_id, visible},
};

/// Sessions that one Work removes at most, and that are exported.
const BATCH: u32 = 200;
/// Works that remove what there is too much of for one, at most: what is left after them ends by
/// itself within weeks.
const BATCHES: u32 = 50;

/// What is stored beside a user and goes with the person, as much as one Work removes.
struct Belongings {
    sessions: Vec<Versioned<Session>>,
    invitations: Vec<Versioned<Invitation>>,
    more: bool,
}

impl Belongings {
    fn remove(&self, work: &mut Work) {
        for session in &self.sessions {
            work.delete(session);
        }
        for invitation in &self.invitations {
            work.delete(invitation);
        }
    }
}

impl AccountsService {
    /// Erases a person. What they own has to be handed over before, unless an administrator says
    /// otherwise.
    pub(crate) async fn delete_user(
        &self,
        asked: &Asked,
        request: &DeleteUserRequest,
    ) -> Result<DeleteUserResponse, Error> {
        let id = user_id("id", &request.id)?;
        visible(&asked.principal, id)?;
        asked.principal.require_self_or_admin(id)?;
        let by_admin = asked.principal.require_admin().is_ok();
        if by_admin {
            self.require_admin_now(&asked.principal).await?;
        }
        let command = asked.command("accounts.delete_user", request)?;
        let user = self.user(id).await?;
        if user.erased_at.is_none() && may_erase(&user, by_admin).is_ok() {
            self.remove_most(&user).await?;
        }
        let decide = |mut work: Work| async move {
            let before = self.user(id).await?;
            if before.erased_at.is_some() {
                return Ok(Decision::Answer(DeleteUserResponse {}));
            }
            may_erase(&before, by_admin)?;
            work.replace(&before, &erased(&before, work.time))?;
            for membership in &before.memberships {
                let member = Member::id_of(id, membership.restaurant);
                if let Some(member) = self.engine.store().load::<Member>(&member).await? {
                    work.delete(&member);
                }
            }
            self.belongings(&before).await?.remove(&mut work);
            let event = UserErased { user_id: id.to_string() };
            let sequence = before.version + 1;
            work.event(&UserErased::full_name(), id, sequence, event.encode_to_vec());
            Ok(Decision::commit(work, DeleteUserResponse {}))
        };
        let replay = |_| async { Ok(DeleteUserResponse {}) };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Removes what there is too much of for the one Work that erases.
    async fn remove_most(&self, user: &User) -> Result<(), Error> {
        for batch in 0..BATCHES {
            let belongings = self.belongings(user).await?;
            if !belongings.more {
                return Ok(());
            }
            let name = format!("erasing/{}/{batch}", user.id);
            let mut work = self.engine.work(Cause::Tick { name });
            belongings.remove(&mut work);
            match self.engine.commit(work).await {
                // Whatever changed meanwhile is looked at again.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn belongings(&self, user: &User) -> Result<Belongings, Error> {
        let sessions = Query::prefix::<Session>(BY_USER, &Session::keys_of(user.id)).limit(BATCH);
        let sessions = self.engine.store().list::<Session>(sessions).await?;
        let (invitations, more) = self.to_address(&user.email).await?;
        Ok(Belongings {
            more: more || sessions.next.is_some(),
            sessions: sessions.items,
            invitations,
        })
    }

    /// Everything that is stored about a person here.
    pub(crate) async fn export_user(
        &self,
        principal: &Principal,
        request: &ExportUserRequest,
    ) -> Result<UserExport, Error> {
        let id = user_id("id", &request.id)?;
        visible(principal, id)?;
        principal.require_self_or_admin(id)?;
        let user = self.user(id).await?;
        let sessions = ListSessionsRequest {
            user_id: id.to_string(),
            page: Some(PageRequest { limit: BATCH, cursor: String::new() }),
        };
        let sessions = self.sessions(principal, sessions).await?;
        let (invitations, more_invitations) = if user.erased_at.is_some() {
            (Vec::new(), false)
        } else {
            self.invitations_to(&user.email).await?
        };
        let (password_resets, more_resets) = self.usable_resets(&user).await?;
        let (activity, more_activity) = self.activity_of(&id.to_string()).await?;
        Ok(UserExport {
            user: Some(message(&user, user.version)),
            more: more_invitations
                || more_resets
                || more_activity
                || !sessions.next_cursor.is_empty(),
            sessions: sessions.sessions,
            invitations,
            password_resets,
            activity,
        })
    }
}

fn may_erase(user: &User, by_admin: bool) -> Result<(), Error> {
    let owns = user.memberships.iter().any(|member| member.role == StaffRole::Owner);
    if owns && !by_admin {
        let message = "you own a restaurant; hand it over first, or ask an administrator";
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    Ok(())
}

/// What is left of a person: the id.
fn erased(before: &User, now: Timestamp) -> User {
    User {
        email: String::new(),
        name: String::new(),
        roles: vec![Role::Customer],
        memberships: Vec::new(),
        password: PasswordHash(String::new()),
        erased_at: Some(now),
        ..before.without_sessions(None, now)
    }
}
