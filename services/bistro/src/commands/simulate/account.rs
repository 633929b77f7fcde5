//! Somebody who takes part: registered, logged in, and logged in again when the session is over.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bistro_client::{Answer, Client, ClientError, Insistence, OrderEvents, Request};
use bistro_core::{Error, ErrorCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::{sync::Mutex, time::Instant};

use super::{secret::hex, tally::Tally};

/// How long before its end an access token is no longer used.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a request for a stream may take to be answered.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);

/// Derives passwords, so that none has to be kept.
#[derive(Clone)]
pub(super) struct Passwords(Hmac<Sha256>);

impl Passwords {
    pub(super) fn new(secret: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(secret).map(Self).map_err(Error::internal)
    }

    fn of(&self, email: &str) -> String {
        hex(&self.0.clone().chain_update(email).finalize().into_bytes())
    }
}

/// One user of the platform.
pub(super) struct Account {
    email: String,
    passwords: Passwords,
    /// Who registers and logs in: the operator, whom the limit by address does not slow down.
    door: Client,
    patience: Duration,
    session: Mutex<Option<Session>>,
}

#[derive(Clone)]
struct Session {
    client: Client,
    user: String,
    usable_until: Instant,
}

impl Account {
    pub(super) fn new(
        email: String,
        passwords: Passwords,
        door: Client,
        patience: Duration,
    ) -> Self {
        Self { email, passwords, door, patience, session: Mutex::new(None) }
    }

    /// Registers the user, unless an earlier part of the run has.
    pub(super) async fn register(
        &self,
        name: &str,
        roles: &[&str],
        tally: &Tally,
    ) -> Result<(), Error> {
        let body = json!({
            "email": self.email, "password": self.passwords.of(&self.email), "name": name, "roles": roles,
        });
        let request = Request::post("/api/v1/users", format!("register-{}", self.email), &body);
        let mut insistence = Insistence::lasting(self.patience);
        let registered = self.door.insist(&request, &mut insistence).await;
        tally.retries.fetch_add(insistence.retries, Relaxed);
        match registered {
            Err(error) if error.code() != Some(ErrorCode::AlreadyExists.as_str()) => {
                Err(error.into())
            }
            _ => {
                tally.accounts.fetch_add(1, Relaxed);
                Ok(())
            }
        }
    }

    /// The user's id.
    pub(super) async fn user(&self, tally: &Tally) -> Result<String, ClientError> {
        Ok(self.session(tally).await?.user)
    }

    /// Makes one request as the user, until it is answered or patience ends.
    pub(super) async fn call(
        &self,
        request: &Request,
        tally: &Tally,
    ) -> Result<Answer, ClientError> {
        let session = self.session(tally).await?;
        match self.insist(&session.client, request, tally).await {
            Err(error) if is_logged_out(&error) => {
                self.renew().await;
                let session = self.session(tally).await?;
                self.insist(&session.client, request, tally).await
            }
            answered => answered,
        }
    }

    /// Follows the order `id` as the user.
    pub(super) async fn follow(&self, id: &str, tally: &Tally) -> Result<OrderEvents, ClientError> {
        let client = self.session(tally).await?.client;
        match tokio::time::timeout(STREAM_TIMEOUT, client.order_events(id)).await {
            Ok(opened) => opened,
            Err(late) => Err(ClientError::NoAnswer { url: id.to_owned(), source: Box::new(late) }),
        }
    }

    /// Logs in again before the next request, so that the token says what is so now.
    pub(super) async fn renew(&self) {
        *self.session.lock().await = None;
    }

    async fn insist(
        &self,
        client: &Client,
        request: &Request,
        tally: &Tally,
    ) -> Result<Answer, ClientError> {
        let mut insistence = Insistence::lasting(self.patience);
        let answered = client.insist(request, &mut insistence).await;
        tally.retries.fetch_add(insistence.retries, Relaxed);
        answered
    }

    /// The session; a new one if there is none that can be used. Whoever comes meanwhile waits.
    async fn session(&self, tally: &Tally) -> Result<Session, ClientError> {
        let mut session = self.session.lock().await;
        match &*session {
            Some(session) if Instant::now() < session.usable_until => Ok(session.clone()),
            _ => Ok(session.insert(self.log_in(tally).await?).clone()),
        }
    }

    async fn log_in(&self, tally: &Tally) -> Result<Session, ClientError> {
        let body = json!({ "email": self.email, "password": self.passwords.of(&self.email) });
        let request = Request::post("/api/v1/sessions", format!("log-in-{}", self.email), &body);
        let began = Instant::now();
        let answer = self.insist(&self.door, &request, tally).await?;
        let lasts = Duration::from_secs(answer.body["expires_in"].as_u64().unwrap_or(0));
        Ok(Session {
            client: self.door.with_token(answer.text("/access_token"))?,
            user: answer.text("/user/id").to_owned(),
            // A token that lasts no longer than the margin is used for half its time.
            usable_until: began
                + lasts.checked_sub(MARGIN).unwrap_or(Duration::ZERO).max(lasts / 2),
        })
    }
}

fn is_logged_out(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::Unauthenticated.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_follow_from_the_secret_and_the_address() {
        let passwords = Passwords::new(b"secret").unwrap();
        let others = Passwords::new(b"other").unwrap();
        assert_eq!(passwords.of("a@b.c"), Passwords::new(b"secret").unwrap().of("a@b.c"));
        assert_ne!(passwords.of("a@b.c"), passwords.of("a@b.d"));
        assert_ne!(passwords.of("a@b.c"), others.of("a@b.c"));
        assert_eq!(passwords.of("a@b.c").len(), 64);
    }
}
