//! Changes passwords, and resets those that are forgotten.
//!
//! A reset is a document with an end; its token is the document's id and a code over it, so that
//! nothing that could be used is stored. Asking for one costs and answers the same whether there is
//! such a user or not: for nobody, a reset of nobody is stored.

use std::time::Duration;

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Id, Principal, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    ChangePasswordRequest, CreatePasswordResetRequest, GetPasswordResetRequest,
    PasswordReset as ResetMessage, PasswordResetRequested, RequestPasswordResetRequest,
    RequestPasswordResetResponse, ResetPasswordRequest,
};
use bistro_runtime::Asked;
use bistro_store::{
    Cause, Collection, Document, Index, Key, Mark, Query, StoreError, StoreExt as _, Versioned,
    Work,
};
use prost::{Message as _, Name as _};
use serde::{Deserialize, Serialize};

use crate::{
    credentials::{check_email, check_new_password},
    documents::User,
    entropy,
    revocation::own_session,
    service::AccountsService,
    sessions::{ROUNDS, busy},
    throttle,
    tokens::{Purpose, Signer},
    users::user_id,
};

/// How long a reset may be used.
const VALID: Duration = Duration::from_hours(1);
/// Resets by when they end.
pub(crate) const BY_EXPIRY: &str = "expiry";
/// Resets that were not used, by user.
const UNUSED: &str = "unused";
/// Resets of one user that are exported at most.
const EXPORTED: u32 = 100;

pub(crate) static RESETS: Collection = Collection {
    role: "accounts",
    name: "password_resets",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_EXPIRY), Index::new(UNUSED)],
};

/// A way to a new password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PasswordReset {
    pub(crate) id: Id<kinds::PasswordReset>,
    /// None when there is no user of the address that was given.
    pub(crate) user: Option<Id<kinds::User>>,
    /// The user's `credential_changes` when it was made: of no use after another change.
    #[serde(default)]
    pub(crate) credential_changes: i64,
    pub(crate) expires_at: Timestamp,
    pub(crate) used_at: Option<Timestamp>,
}

impl Document for PasswordReset {
    const COLLECTION: &'static Collection = &RESETS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = vec![(BY_EXPIRY, Key::new().time(self.expires_at))];
        if let Some(user) = self.user.filter(|_| self.used_at.is_none()) {
            keys.push((UNUSED, Key::new().id(user).time(self.expires_at)));
        }
        keys
    }
}

impl PasswordReset {
    fn begin(id: Id<kinds::PasswordReset>, user: Option<&User>, now: Timestamp) -> Self {
        Self {
            id,
            user: user.map(|user| user.id),
            credential_changes: user.map_or(0, |user| user.credential_changes),
            expires_at: now + VALID,
            used_at: None,
        }
    }

    /// The user whose password it sets, unless it was used or has ended.
    fn usable(&self, now: Timestamp) -> Result<Id<kinds::User>, Error> {
        match self.user {
            Some(user) if self.used_at.is_none() && now < self.expires_at => Ok(user),
            _ => Err(no_reset()),
        }
    }

    /// Whether it may set the password of `user`, whose it is, `now`: not if password or address
    /// were changed after it was made.
    fn is_usable_by(&self, user: &User, now: Timestamp) -> bool {
        let is_theirs = self.usable(now).is_ok_and(|id| id == user.id);
        is_theirs && user.erased_at.is_none() && self.credential_changes == user.credential_changes
    }
}

impl AccountsService {
    /// Changes the asker's password; the user's other sessions end.
    pub(crate) async fn change_password(
        &self,
        principal: &Principal,
        request: ChangePasswordRequest,
    ) -> Result<(), Error> {
        let id = principal.require_user()?;
        check_new_password("new", &request.new)?;
        let (current, new) = (Secret::new(request.current), Secret::new(request.new));
        let mut user = self.user(id).await?;
        if !self.check_present(&user, current).await? {
            return Err(wrong_present());
        }
        let checked = user.password.clone();
        let hash = self.passwords.hash(new, entropy::random()?).await?;
        for _ in 0..ROUNDS {
            if user.password.0 != checked.0 {
                let message = "the password was changed by somebody else meanwhile; log in again";
                return Err(Error::new(ErrorCode::Conflict, message));
            }
            let mut work = self.engine.work(Cause::Tick { name: format!("password/{id}") });
            let kept = own_session(principal, id);
            let after = User {
                password: hash.clone(),
                credential_changes: user.credential_changes + 1,
                ..user.without_sessions(kept, work.time)
            };
            work.replace(&user, &after)?;
            match self.engine.commit(work).await {
                Ok(_) => {
                    self.logins.lock().forget(&user.email);
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => user = self.user(id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// Begins a reset for the user of this address, if there is one.
    pub(crate) async fn request_reset(
        &self,
        asked: &Asked,
        request: &RequestPasswordResetRequest,
    ) -> Result<RequestPasswordResetResponse, Error> {
        // That a text is no address tells nothing about who is registered.
        let email = check_email("email", &request.email)?;
        let account = throttle::name("reset", &email);
        self.resets.lock().begin(account, self.engine.now()).map_err(|wait| {
            let message = "a reset was asked for too often for this address; wait before the next";
            Error::new(ErrorCode::RateLimited, message).retry_after(wait)
        })?;
        let command = asked.command("accounts.request_password_reset", request)?;
        let decide = |mut work: Work| {
            let email = &email;
            async move {
                let user = self.user_of_email(email).await?;
                let id = work.ids().id("reset");
                let reset = PasswordReset::begin(id, user.as_deref(), work.time);
                work.insert_new(&reset)?;
                if let Some(user) = user {
                    let event = PasswordResetRequested {
                        reset_id: reset.id.to_string(),
                        user_id: user.id.to_string(),
                    };
                    let kind = PasswordResetRequested::full_name();
                    work.event(&kind, reset.id, 1, event.encode_to_vec());
                }
                Ok(Decision::commit(work, RequestPasswordResetResponse {}))
            }
        };
        let replay = |_: Mark| async { Ok(RequestPasswordResetResponse {}) };
        self.engine.request(&command, &MarkAt::Collection(&RESETS), decide, replay).await
    }

    /// Makes a reset for an administrator, who brings its token to the user.
    pub(crate) async fn create_reset(
        &self,
        asked: &Asked,
        request: &CreatePasswordResetRequest,
    ) -> Result<ResetMessage, Error> {
        self.require_admin_now(&asked.principal).await?;
        let id = user_id("user_id", &request.user_id)?;
        let signer = self.keys.signer().await?;
        let command = asked.command("accounts.create_password_reset", request)?;
        let signer = &*signer;
        let decide = |mut work: Work| async move {
            let user = self.user(id).await?;
            if user.erased_at.is_some() {
                return Err(Error::not_found(format_args!("user {id}")));
            }
            let reset = PasswordReset::begin(work.ids().id("reset"), Some(&user), work.time);
            work.insert_new(&reset)?;
            let answer = shown(&reset, id, signer);
            Ok(Decision::commit(work, answer))
        };
        let replay = |mark: Mark| async move {
            let reset = self.reset(&mark.document.id).await?;
            Ok(shown(&reset, reset.usable(self.engine.now())?, signer))
        };
        self.engine.request(&command, &MarkAt::Collection(&RESETS), decide, replay).await
    }

    /// The token of a reset that was asked for, for the role that brings it to the user.
    pub(crate) async fn reset_token(
        &self,
        principal: &Principal,
        request: &GetPasswordResetRequest,
    ) -> Result<ResetMessage, Error> {
        principal.require_workload()?;
        let id: Id<kinds::PasswordReset> =
            request.id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        let reset = self.engine.store().require::<PasswordReset, _>("password reset", id).await?;
        let user = self.user(reset.usable(self.engine.now())?).await?;
        if !reset.is_usable_by(&user, self.engine.now()) {
            return Err(no_reset());
        }
        Ok(shown(&reset, user.id, &*self.keys.signer().await?))
    }

    /// The resets that may still set the password of `user`, without their tokens, and whether there
    /// are more.
    pub(crate) async fn usable_resets(
        &self,
        user: &User,
    ) -> Result<(Vec<ResetMessage>, bool), Error> {
        let now = self.engine.now();
        let of_user = Key::new().id(user.id);
        let query = Query::prefix::<PasswordReset>(UNUSED, &of_user)
            .from(&of_user.time(now))
            .limit(EXPORTED);
        let found = self.engine.store().list::<PasswordReset>(query).await?;
        let usable = found.items.iter().filter(|reset| reset.is_usable_by(user, now));
        Ok((usable.map(|reset| told(reset, user.id)).collect(), found.next.is_some()))
    }

    /// Sets a password by a reset's token; all of the user's sessions end.
    pub(crate) async fn reset_password(&self, request: ResetPasswordRequest) -> Result<(), Error> {
        check_new_password("new", &request.new)?;
        let signer = self.keys.signer().await?;
        let id = signer.read_code(Purpose::Reset, &request.token).ok_or_else(no_reset)?;
        let reset = self.reset(&id).await?;
        let user = self.user(reset.usable(self.engine.now())?).await?;
        if !reset.is_usable_by(&user, self.engine.now()) {
            return Err(no_reset());
        }
        let hash = self.passwords.hash(Secret::new(request.new), entropy::random()?).await?;
        for _ in 0..ROUNDS {
            let reset = self.reset(&id).await?;
            let mut work = self.engine.work(Cause::Tick { name: format!("reset/{id}") });
            let user = self.user(reset.usable(work.time)?).await?;
            if !reset.is_usable_by(&user, work.time) {
                return Err(no_reset());
            }
            work.replace(
                &reset,
                &PasswordReset { used_at: Some(work.time), ..reset.value.clone() },
            )?;
            let after = User {
                password: hash.clone(),
                credential_changes: user.credential_changes + 1,
                ..user.without_sessions(None, work.time)
            };
            work.replace(&user, &after)?;
            match self.engine.commit(work).await {
                Ok(_) => {
                    self.logins.lock().forget(&user.email);
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    async fn reset(&self, id: &str) -> Result<Versioned<PasswordReset>, Error> {
        self.engine.store().load::<PasswordReset>(id).await?.ok_or_else(no_reset)
    }
}

fn shown(reset: &PasswordReset, user: Id<kinds::User>, signer: &Signer) -> ResetMessage {
    let told = told(reset, user);
    ResetMessage { token: signer.code(Purpose::Reset, &told.id), ..told }
}

/// The reset without its token.
fn told(reset: &PasswordReset, user: Id<kinds::User>) -> ResetMessage {
    ResetMessage {
        id: reset.id.to_string(),
        user_id: user.to_string(),
        token: String::new(),
        expires_at_ms: reset.expires_at.as_millis(),
    }
}

pub(crate) fn wrong_present() -> Error {
    Error::new(ErrorCode::WrongCredentials, "the present password is wrong")
}

fn no_reset() -> Error {
    Error::field("token", "it was used, has expired, or never was one; ask for a new reset")
}
