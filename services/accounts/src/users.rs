//! Users as administrators, support and they themselves see and change them.

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    GetUserRequest, ListUsersRequest, ListUsersResponse, UpdateUserRequest, User as UserMessage,
    UserEmailChanged,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Key, Query, StoreError, StoreExt as _, Versioned, Work};
use prost::{Message as _, Name as _};

use crate::{
    credentials::{self, Change},
    documents::{BY_EMAIL, User, message},
    entropy,
    passwords::wrong_present,
    registration::taken,
    revocation::own_session,
    service::AccountsService,
};

/// What cursors of the list of users are sealed under: they hold an address.
const CURSOR: &str = "cursor/users";

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
        let sealer = self.keys.sealer();
        let cursor = match page.cursor.as_str() {
            "" => None,
            sealed => Some(sealer.open_text(CURSOR, sealed).ok_or(StoreError::BadCursor)?),
        };
        let query = Query::beginning::<User>(BY_EMAIL, &Key::new(), &begins)
            .page(&PageRequest::new(page.limit, cursor))?;
        let found = self.engine.store().list::<User>(query).await?;
        let next_cursor = match found.next {
            Some(next) => sealer.seal_text(CURSOR, &next, entropy::random()?)?,
            None => String::new(),
        };
        Ok(ListUsersResponse {
            users: found.items.iter().map(|user| message(user, user.version)).collect(),
            next_cursor,
        })
    }

    /// Changes a user at the version that was read. The address is what a forgotten password is
    /// reset by, so a user shows the password to change it, and other sessions end.
    pub(crate) async fn update_user(
        &self,
        asked: &Asked,
        mut request: UpdateUserRequest,
    ) -> Result<UserMessage, Error> {
        let id = user_id("id", &request.id)?;
        visible(&asked.principal, id)?;
        asked.principal.require_self_or_admin(id)?;
        let by_admin = asked.principal.require_admin().is_ok();
        if by_admin {
            self.require_admin_now(&asked.principal).await?;
        }
        let change = credentials::check_change(&request, by_admin)?;
        // The mark keeps a fast hash of the body, from which a password could be guessed.
        let password = Secret::new(std::mem::take(&mut request.current_password));
        let command = asked.command("accounts.update_user", &request)?;
        // Administrators help others; for themselves they are users like any.
        let helps = by_admin && asked.principal.user() != Some(id);
        let may_move = helps || self.shows_password(id, &request, &change, password).await?;
        let (change, request) = (&change, &request);
        let kept = own_session(&asked.principal, id);
        let decide = |mut work: Work| async move {
            let before = self.user(id).await?;
            if before.version != request.version {
                return Err(version_mismatch());
            }
            if before.erased_at.is_some() {
                let message = "the person has been erased; nothing of them is kept any more";
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            let moves = before.email != change.email;
            if moves && !may_move {
                // It was at another version when the password was asked for.
                return Err(version_mismatch());
            }
            if moves && self.user_of_email(&change.email).await?.is_some() {
                return Err(taken());
            }
            let after = changed(&before, change, kept, work.time);
            work.replace(&before, &after)?;
            if moves {
                let event = UserEmailChanged { user_id: id.to_string() };
                let sequence = before.version + 1;
                work.event(&UserEmailChanged::full_name(), id, sequence, event.encode_to_vec());
            }
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

    /// Whether the change is one that takes the user's password, and that is shown. Asked of the
    /// version that is to be changed, which the change is then held to.
    async fn shows_password(
        &self,
        id: Id<kinds::User>,
        request: &UpdateUserRequest,
        change: &Change,
        password: Secret,
    ) -> Result<bool, Error> {
        let user = self.user(id).await?;
        if user.version != request.version || user.email == change.email {
            return Ok(false);
        }
        if password.expose().is_empty() {
            let message = "write your password: the address is what it is reset by";
            return Err(Error::field("current_password", message));
        }
        if self.check_present(&user, password).await? { Ok(true) } else { Err(wrong_present()) }
    }
}

/// Who may not know of a user finds none.
pub(crate) fn visible(principal: &Principal, id: Id<kinds::User>) -> Result<(), Error> {
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

fn changed(
    before: &User,
    change: &Change,
    kept: Option<Id<kinds::Session>>,
    now: bistro_core::Timestamp,
) -> User {
    let mut after = User {
        email: change.email.clone(),
        name: change.name.clone(),
        changed_at: now,
        ..before.clone()
    };
    if before.email != change.email {
        after.credential_changes += 1;
        after = after.without_sessions(kept, now);
    }
    if let Some(roles) = &change.roles {
        after.roles.clone_from(roles);
        // The roles are part of the tokens: those that are out are not to be renewed with less
        // than a login.
        after = after.without_sessions(None, now);
    }
    after
}

fn version_mismatch() -> Error {
    let message = "the user changed since it was read; read it again and repeat the change";
    Error::new(ErrorCode::VersionMismatch, message)
}
