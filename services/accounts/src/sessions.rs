//! Logging in, refreshing and logging out: reads, asks the plain functions, and commits what they
//! say.
//!
//! None of the three takes the asker's idempotency key: a login is meant to begin a session each
//! time, and the other two may be repeated as they are. A session that is refreshed every few
//! minutes would collect marks by the thousand.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Id, Principal, kinds};
use bistro_proto::accounts::v1::{LogInRequest, RefreshRequest, Tokens};
use bistro_runtime::AccessClaims;
use bistro_store::{Cause, Query, StoreError, StoreExt as _, Versioned};
use tracing::warn;

use crate::{
    credentials::{MAX_EMAIL, MAX_PASSWORD, normalize_email},
    documents::{User, message},
    entropy,
    service::AccountsService,
    session::{BY_USER, MAX_SESSIONS, Session, Verdict},
    throttle::{self, Try},
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
        let tried = Try::of(&email, &request.network);
        if !self.check_login(tried, password, user.as_deref()).await.map_err(meant)? {
            return Err(meant(wrong_credentials()));
        }
        // Nobody has the right password of nobody.
        let mut user = user.ok_or_else(wrong_credentials)?;
        let checked = user.password.clone();
        let signer = self.keys.signer().await?;
        let key = URL_SAFE_NO_PAD.encode(entropy::random::<32>()?);
        for _ in 0..ROUNDS {
            let cause = Cause::request("anonymous", "accounts.log_in", &key, &[]);
            let mut work = self.engine.work(cause);
            let id = work.ids().id("session");
            let session = Session::begin(id, user.id, &request.client, work.time, self.lifetimes);
            // Whoever logs in while the password is changed must not stay logged in by the old one.
            work.insert(&session)?.require(&user);
            if let Some(oldest) = self.one_too_many(user.id).await? {
                work.delete(&oldest);
            }
            match self.engine.commit(work).await {
                Ok(_) => return self.tokens(&signer, &session, &user),
                Err(StoreError::Conflict { .. }) => user = self.user(user.id).await?,
                Err(error) => return Err(error.into()),
            }
            if user.password.0 != checked.0 {
                return Err(wrong_credentials());
            }
        }
        Err(busy())
    }

    /// The oldest session of a user who has as many as one may have.
    async fn one_too_many(
        &self,
        user: Id<kinds::User>,
    ) -> Result<Option<Versioned<Session>>, Error> {
        let query = Query::prefix::<Session>(BY_USER, &Session::keys_of(user)).limit(MAX_SESSIONS);
        let mut there = self.engine.store().list::<Session>(query).await?.items;
        let is_full = u32::try_from(there.len()).is_ok_and(|count| count >= MAX_SESSIONS);
        Ok(is_full.then(|| there.swap_remove(0)))
    }

    /// Whether `password` is that of `user`; it is not if there is no such user. Tries are limited
    /// per account and per network.
    pub(crate) async fn check_login(
        &self,
        tried: Try,
        password: Secret,
        user: Option<&User>,
    ) -> Result<bool, Error> {
        self.logins.lock().begin(tried, self.engine.now()).map_err(too_many_tries)?;
        let checked = self.passwords.verify(password, user.map(|user| user.password.clone())).await;
        match checked {
            Ok(true) => self.logins.lock().succeeded(tried),
            Ok(false) => {}
            Err(_) => self.logins.lock().withdrawn(tried, self.engine.now()),
        }
        checked
    }

    /// Whether `password` is that of `user`, who has logged in already: what others try from outside
    /// does not count here.
    pub(crate) async fn check_present(&self, user: &User, password: Secret) -> Result<bool, Error> {
        let tried = throttle::name("present", &user.id.to_string());
        self.presents.lock().begin(tried, self.engine.now()).map_err(too_many_tries)?;
        let checked = self.passwords.verify(password, Some(user.password.clone())).await;
        match checked {
            Ok(true) => self.presents.lock().succeeded(&tried),
            Ok(false) => {}
            Err(_) => self.presents.lock().withdrawn(&tried, self.engine.now()),
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

fn too_many_tries(wait: Duration) -> Error {
    let message =
        "too many wrong passwords, for this account or from this address; wait before the next try";
    Error::new(ErrorCode::RateLimited, message).retry_after(wait)
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
