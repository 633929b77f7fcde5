//! Logging in, refreshing and logging out: reads, asks the plain functions, and commits what they
//! say.
//!
//! None of the three takes the asker's idempotency key: a login is meant to begin a session each
//! time, and the other two may be repeated as they are. A session that is refreshed every few
//! minutes would collect marks by the thousand.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Principal};
use bistro_proto::accounts::v1::{LogInRequest, RefreshRequest, Tokens};
use bistro_runtime::AccessClaims;
use bistro_store::{Cause, StoreError, StoreExt as _, Versioned};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::{
    credentials::{MAX_EMAIL, MAX_PASSWORD, normalize_email},
    documents::{User, message},
    entropy,
    service::AccountsService,
    session::{Session, Verdict},
    tokens::Signer,
};

/// Rounds of read, decide and commit before a conflict is reported. One session has few askers.
pub(crate) const ROUNDS: u32 = 8;

impl AccountsService {
    pub(crate) async fn begin_session(&self, request: LogInRequest) -> Result<Tokens, Error> {
        let begun = self.log_in_counted(request).await;
        let outcome = match &begun {
            Ok(_) => "done",
            Err(error) => match error.code() {
                ErrorCode::WrongCredentials => "wrong",
                ErrorCode::RateLimited => "throttled",
                _ => "failed",
            },
        };
        self.metrics.logins.with_label_values(&[outcome]).inc();
        begun
    }

    async fn log_in_counted(&self, mut request: LogInRequest) -> Result<Tokens, Error> {
        let email = normalize_email(&request.email);
        // No user has longer ones; there is nothing to compare them with.
        if email.len() > MAX_EMAIL || request.password.chars().count() > MAX_PASSWORD {
            return Err(wrong_credentials());
        }
        let user = self.user_of_email(&email).await?;
        let password = Secret::new(std::mem::take(&mut request.password));
        // The audit trail is to say whose password was tried; the asker must not learn it.
        let meant = |refused: Error| match &user {
            Some(user) => refused.about(user.id),
            None => refused,
        };
        if !self.check_password(&email, password, user.as_deref()).await.map_err(meant)? {
            return Err(meant(wrong_credentials()));
        }
        // Nobody has the right password of nobody.
        let user = user.ok_or_else(wrong_credentials)?;
        let signer = self.keys.signer().await?;
        let key = URL_SAFE_NO_PAD.encode(entropy::random::<32>()?);
        let mut work = self.engine.work(Cause::request("anonymous", "accounts.log_in", &key, &[]));
        let id = work.ids().id("session");
        let session = Session::begin(id, user.id, &request.client, work.time, self.lifetimes);
        // Whoever logs in while the password is changed must not stay logged in by the old one.
        work.insert(&session)?.require(&user);
        match self.engine.commit(work).await {
            Ok(_) => self.tokens(&signer, &session, &user),
            Err(StoreError::Conflict { .. }) => Err(busy()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `password` is that of `user`, who has the address `email`; it is not if there is no
    /// such user. Tries are limited per address.
    pub(crate) async fn check_password(
        &self,
        email: &str,
        password: Secret,
        user: Option<&User>,
    ) -> Result<bool, Error> {
        let account = Sha256::digest(email).into();
        self.throttle.lock().begin(account, self.engine.now()).map_err(|wait| {
            let message = "too many wrong passwords for this address; wait before the next try";
            Error::new(ErrorCode::RateLimited, message).retry_after(wait)
        })?;
        let checked = self.passwords.verify(password, user.map(|user| user.password.clone())).await;
        match checked {
            Ok(true) => self.throttle.lock().succeeded(&account),
            Ok(false) => {}
            Err(_) => self.throttle.lock().withdrawn(&account, self.engine.now()),
        }
        checked
    }

    /// Trades a refresh token.
    pub(crate) async fn trade(&self, request: &RefreshRequest) -> Result<Tokens, Error> {
        let signer = self.keys.signer().await?;
        let Some((id, shown)) = signer.read_refresh(&request.refresh_token) else {
            return Err(self.refused());
        };
        for _ in 0..ROUNDS {
            let Some(before) = self.engine.store().load::<Session>(&id.to_string()).await? else {
                return Err(self.refused());
            };
            let Some(user) = self.engine.store().load::<User>(&before.user.to_string()).await?
            else {
                return Err(self.refused());
            };
            if !user.has_session(before.id, before.created_at) {
                return Err(self.refused());
            }
            let (after, outcome) = match before.refresh(shown, self.engine.now(), self.lifetimes) {
                Verdict::Rotate(after) => (after, "rotated"),
                Verdict::Again => (before.value.clone(), "again"),
                Verdict::Revoke(after) => (after, "reused"),
                Verdict::Refuse => return Err(self.refused()),
            };
            if after != before.value && !self.replace(&before, &after).await? {
                continue;
            }
            self.metrics.refreshes.with_label_values(&[outcome]).inc();
            if after.revoked_at.is_some() {
                warn!(session = %id, user = %after.user, "a refresh token was used again; its session has been revoked");
                return Err(ended());
            }
            return self.tokens(&signer, &after, &user);
        }
        Err(busy())
    }

    /// Ends the session of the asker's token.
    pub(crate) async fn end_session(&self, principal: &Principal) -> Result<(), Error> {
        let Principal::User { session, .. } = principal else {
            return principal.require_user().map(|_| ());
        };
        for _ in 0..ROUNDS {
            let Some(before) = self.engine.store().load::<Session>(&session.to_string()).await?
            else {
                return Ok(());
            };
            let after = before.revoke(self.engine.now());
            if after == before.value || self.replace(&before, &after).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// False when somebody else changed the session meanwhile.
    pub(crate) async fn replace(
        &self,
        before: &Versioned<Session>,
        after: &Session,
    ) -> Result<bool, Error> {
        let mut work = self.engine.work(Cause::Tick { name: format!("session/{}", after.id) });
        work.replace(before, after)?;
        match self.engine.commit(work).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn tokens(
        &self,
        signer: &Signer,
        session: &Session,
        user: &Versioned<User>,
    ) -> Result<Tokens, Error> {
        let lifetime = self.lifetimes.access;
        let now = self.engine.now();
        let roles = user.roles.clone();
        let claims =
            AccessClaims::new(user.id, session.id, roles, &user.memberships, now, lifetime);
        Ok(Tokens {
            access_token: signer.access(&claims)?,
            expires_in: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            refresh_token: signer.refresh(session.id, session.generation),
            user: Some(message(user, user.version)),
        })
    }

    fn refused(&self) -> Error {
        self.metrics.refreshes.with_label_values(&["refused"]).inc();
        ended()
    }
}

fn wrong_credentials() -> Error {
    Error::new(ErrorCode::WrongCredentials, "the e-mail address or the password is wrong")
}

fn ended() -> Error {
    Error::new(ErrorCode::Unauthenticated, "the session has ended; log in again")
}

pub(crate) fn busy() -> Error {
    Error::new(ErrorCode::Conflict, "others keep changing this session; try again")
}
