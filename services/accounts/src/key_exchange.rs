//! Trades API keys for access tokens, for the gateway.

use std::time::Duration;

use bistro_core::{ApiKeyText, Error, ErrorCode, Principal, Timestamp};
use bistro_proto::accounts::v1::{ExchangeApiKeyRequest, ExchangeApiKeyResponse};
use bistro_runtime::AccessClaims;
use bistro_store::{Cause, StoreError, StoreExt as _, Versioned};
use tracing::debug;

use crate::{api_keys::ApiKey, documents::User, service::AccountsService};

/// How long a key's access token is good for at most. It never leaves the platform; live streams
/// that were begun with it end with it.
const LIFETIME: Duration = Duration::from_mins(5);
const DAY_MS: i64 = 86_400_000;

impl AccountsService {
    /// An access token of the user of a key, with as much of the user's rights as the key has.
    pub(crate) async fn exchange_api_key(
        &self,
        principal: &Principal,
        request: &ExchangeApiKeyRequest,
    ) -> Result<ExchangeApiKeyResponse, Error> {
        principal.require_workload()?;
        let exchanged = self.exchange(&request.text).await;
        let outcome = match &exchanged {
            Ok(_) => "done",
            Err(error) if error.code() == ErrorCode::Unauthenticated => "refused",
            Err(_) => "failed",
        };
        self.metrics.exchanges.with_label_values(&[outcome]).inc();
        exchanged
    }

    async fn exchange(&self, text: &str) -> Result<ExchangeApiKeyResponse, Error> {
        let signer = self.keys.signer().await?;
        // Made-up keys cost no look into the store.
        let shown: ApiKeyText = text.parse().map_err(|_| refused())?;
        if !signer.made(&shown) {
            return Err(refused());
        }
        let store = self.engine.store();
        let key = store.load::<ApiKey>(&shown.id.to_string()).await?.ok_or_else(refused)?;
        let now = self.engine.now();
        let end = key.expires_at.unwrap_or(now + LIFETIME);
        if end <= now {
            return Err(refused());
        }
        let user = store.load::<User>(&key.user.to_string()).await?;
        let user = user.filter(|user| user.erased_at.is_none()).ok_or_else(refused)?;
        self.note_use(&key, now).await?;
        let (roles, memberships) = key.scope.of(&user);
        let lifetime = self.lifetimes.access.min(LIFETIME).min(end.since(now));
        // The key is the token's session: nothing is one that has its id.
        let session = key.id.sibling();
        let claims = AccessClaims::new(user.id, session, roles, &memberships, now, lifetime);
        let claims = AccessClaims { key: true, ..claims };
        Ok(ExchangeApiKeyResponse {
            access_token: signer.access(&claims)?,
            good_for_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Writes down that the key is used today, unless that is known.
    async fn note_use(&self, key: &Versioned<ApiKey>, now: Timestamp) -> Result<(), Error> {
        let today = Timestamp::from_millis(now.as_millis().div_euclid(DAY_MS) * DAY_MS);
        if key.last_used_day.is_some_and(|day| day >= today) {
            return Ok(());
        }
        let mut work = self.engine.work(Cause::Tick { name: format!("api key/{}/used", key.id) });
        work.replace(key, &ApiKey { last_used_day: Some(today), ..key.value.clone() })?;
        match self.engine.commit(work).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => {
                // Somebody else wrote it, or revokes the key, which the next exchange will see.
                debug!(key = %key.id, "the day of an API key's use is written by others");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The same for every key that is of no use, so that it tells nothing.
fn refused() -> Error {
    let message =
        "the API key was revoked, has expired, or never was one; ask its user for another";
    Error::new(ErrorCode::Unauthenticated, message)
}
