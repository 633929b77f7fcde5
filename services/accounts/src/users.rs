//! Users as administrators, support and they themselves see, change and erase them.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, Role, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    DeleteUserRequest, DeleteUserResponse, ExportUserRequest, GetUserRequest, ListSessionsRequest,
    ListUsersRequest, ListUsersResponse, UpdateUserRequest, User as UserMessage, UserErased,
    UserExport,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Key, Query, StoreExt as _, Versioned, Work};
use prost::{Message as _, Name as _};

use crate::{
    credentials::{self, Change},
    documents::{BY_EMAIL, Member, PasswordHash, User, message},
    registration::taken,
    service::AccountsService,
};

impl AccountsService {
    /// The user `id`, which may have been erased.
    pub(crate) async fn user(&self, id: Id<kinds::User>) -> Result<Versioned<User>, Error> {
        self.engine.store().require::<User, _>("user", id).await
    }

    /// A user, for itself, support and administrators; for others there is none.
    pub(crate) async fn get_user(
        &self,
        principal: &Principal,
        request: &GetUserRequest,
    ) -> Result<UserMessage, Error> {
        let id = user_id("id", &request.id)?;
        visible(principal, id)?;
        let user = self.user(id).await?;
        Ok(message(&user, user.version))
    }

    /// Users by address.
    pub(crate) async fn list_users(
        &self,
        principal: &Principal,
        request: ListUsersRequest,
    ) -> Result<ListUsersResponse, Error> {
        principal.require_support()?;
        let page = request.page.unwrap_or_default();
        let begins = credentials::normalize_email(&request.email_prefix);
        let query = Query::beginning::<User>(BY_EMAIL, &Key::new(), &begins)
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<User>(query).await?;
        Ok(ListUsersResponse {
            users: found.items.iter().map(|user| message(user, user.version)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// Changes a user at the version that was read.
    pub(crate) async fn update_user(
        &self,
        asked: &Asked,
        request: &UpdateUserRequest,
    ) -> Result<UserMessage, Error> {
        let id = user_id("id", &request.id)?;
        visible(&asked.principal, id)?;
        asked.principal.require_self_or_admin(id)?;
        let change = credentials::check_change(request, asked.principal.require_admin().is_ok())?;
        let command = asked.command("accounts.update_user", request)?;
        let change = &change;
        let decide = |mut work: Work| async move {
            let before = self.user(id).await?;
            if before.version != request.version {
                return Err(version_mismatch());
            }
            if before.email != change.email && self.user_of_email(&change.email).await?.is_some() {
                return Err(taken());
            }
            let after = changed(&before, change, work.time);
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, message(&after, before.version + 1)))
        };
        let replay = |_| async move {
            let user = self.user(id).await?;
            Ok(message(&user, user.version))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(id));
        let updated = self.engine.request(&command, &mark_at, decide, replay).await;
        updated.map_err(|refused| match refused.code() {
            ErrorCode::AlreadyExists => taken().caused_by(refused),
            _ => refused,
        })
    }

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
        let command = asked.command("accounts.delete_user", request)?;
        let decide = |mut work: Work| async move {
            let before = self.user(id).await?;
            if before.erased_at.is_some() {
                return Ok(Decision::Answer(DeleteUserResponse {}));
            }
            let owns = before.memberships.iter().any(|member| member.role == StaffRole::Owner);
            if owns && !by_admin {
                let message = "you own a restaurant; hand it over first, or ask an administrator";
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            work.replace(&before, &erased(&before, work.time))?;
            for membership in &before.memberships {
                let member = Member::id_of(id, membership.restaurant);
                if let Some(member) = self.engine.store().load::<Member>(&member).await? {
                    work.delete(&member);
                }
            }
            self.end_api_keys(&mut work, id).await?;
            let event = UserErased { user_id: id.to_string() };
            let sequence = before.version + 1;
            work.event(&UserErased::full_name(), id, sequence, event.encode_to_vec());
            Ok(Decision::commit(work, DeleteUserResponse {}))
        };
        let replay = |_| async { Ok(DeleteUserResponse {}) };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
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
        let mut sessions = Vec::new();
        let mut page = bistro_proto::common::v1::PageRequest::default();
        loop {
            let request = ListSessionsRequest { user_id: id.to_string(), page: Some(page.clone()) };
            let found = self.sessions(principal, request).await?;
            sessions.extend(found.sessions);
            if found.next_cursor.is_empty() {
                break;
            }
            page.cursor = found.next_cursor;
        }
        Ok(UserExport { user: Some(message(&user, user.version)), sessions })
    }
}

/// Who may not know of a user finds none.
fn visible(principal: &Principal, id: Id<kinds::User>) -> Result<(), Error> {
    match principal {
        Principal::Anonymous => Err(Error::unauthenticated()),
        Principal::Workload(_) => Ok(()),
        _ => principal
            .require_self_or_support(id)
            .map_err(|_| Error::not_found(format_args!("user {id}"))),
    }
}

pub(crate) fn user_id(path: &str, text: &str) -> Result<Id<kinds::User>, Error> {
    text.parse().map_err(|cause| Error::field(path, format!("{cause}")))
}

fn changed(before: &User, change: &Change, now: bistro_core::Timestamp) -> User {
    let mut after = User {
        email: change.email.clone(),
        name: change.name.clone(),
        changed_at: now,
        ..before.clone()
    };
    if let Some(roles) = &change.roles {
        after.roles.clone_from(roles);
        // The roles are part of the tokens: those that are out are not to be renewed with less
        // than a login.
        after = after.without_sessions(None, now);
    }
    after
}

/// What is left of a person: the id.
fn erased(before: &User, now: bistro_core::Timestamp) -> User {
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

fn version_mismatch() -> Error {
    let message = "the user changed since it was read; read it again and repeat the change";
    Error::new(ErrorCode::VersionMismatch, message)
}
