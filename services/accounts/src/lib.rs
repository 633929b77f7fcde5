//! Users, credentials, sessions, roles and memberships.
//!
//! Who logs in gets two tokens. The *access token* says who the user is, what they may do and
//! where they work; every role checks it by itself and asks nobody. So what it says may be as old
//! as the token: a new membership, a lost one and a logout all hold for every request at the
//! latest when the token expires, `auth.access_token_ttl` after it was given (ten minutes unless
//! configured otherwise). The *refresh token* is traded for new tokens, here, against what is
//! stored: it is never stale. Who may add members and make users is decided by what is stored, too.
//!
//! An *API key* is for a program that speaks for a user: the gateway trades it here for an access
//! token, anew every few seconds (`key_exchange`).
//!
//! What the gateway saw people do is kept here too, beside the people: `activity`.
//!
//! `credentials`, `membership`, `session`, `key_scope`, `throttle` and `networks` hold the rules as
//! plain functions; `service` and its parts, such as `users`, `sessions` and `members`, read, ask
//! them, and commit what they say.

mod activity;
mod api_keys;
mod audit;
mod credentials;
mod documents;
mod entropy;
mod erasure;
mod hashing;
mod invitations;
mod key_exchange;
mod key_scope;
mod keys;
mod members;
mod membership;
mod metrics;
mod networks;
mod passwords;
mod registration;
mod revocation;
mod seal;
mod service;
mod session;
mod sessions;
mod sweep;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;
mod users;

use std::{sync::Arc, time::Duration};

use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_proto::accounts::v1::accounts_server::{AccountsServer, SERVICE_NAME};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tracing::warn;

use crate::keys::Keys;

/// How long to wait before the keys are asked for again, when the store is away at the start.
const RETRY: Duration = Duration::from_secs(1);

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "accounts",
    about: "users, credentials, sessions, roles and memberships",
    needs: &[],
    collections: &[
        &documents::USERS,
        &documents::MEMBERS,
        &session::SESSIONS,
        &passwords::RESETS,
        &invitations::INVITATIONS,
        &activity::ACTIVITY,
        &keys::KEY_RINGS,
        &api_keys::API_KEYS,
    ],
    queues: &[],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let RoleContext { engine, config, authority, registry, .. } = context;
    let keys = match &config.auth.key_encryption_secret {
        Some(secret) => {
            Keys::new(engine.clone(), secret.expose().as_bytes(), config.auth.access_token_ttl)?
        }
        None => {
            let secret = authority.derive("accounts/keys");
            Keys::new(engine.clone(), &secret, config.auth.access_token_ttl)?
        }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(open_keys(engine.clone(), keys.clone()));
    let service = service::AccountsService::new(engine.clone(), keys, &config.auth, &registry)?;
    Ok(RoleParts {
        grpc: Some(Routes::new(AccountsServer::new(service))),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(sweep::Sweeper { engine, activity: config.audit.retention })),
        tasks,
        ..RoleParts::default()
    })
}

/// Opens the signing keys at the start, so that a wrong secret ends the process with a sentence
/// about it rather than failing the first login.
async fn open_keys(engine: Engine, keys: Keys) -> Result<(), Error> {
    let stop = engine.stopping();
    loop {
        match keys.signer().await {
            Ok(_) => break,
            Err(error) if error.code().is_retryable() => {
                warn!(cause = error.chain(), "the signing keys cannot be read yet");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    stop.cancelled().await;
    Ok(())
}
