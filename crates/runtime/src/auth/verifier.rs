//! Checks access tokens, and remembers the ones it has checked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::{Clock, Error, Id, Membership, Principal, Role, StaffRole, Timestamp, kinds};
use bistro_proto::accounts::v1::{ListKeysRequest, accounts_client::AccountsClient};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Authority, key_fetches::KeyFetches};
use crate::{PeerChannel, error_of};

/// Who signs access tokens, and for whom.
const ISSUER: &str = "bistro";
const AUDIENCE: &str = "bistro";
/// Checked tokens that are remembered; signature checks cost more than everything else here.
const REMEMBERED: usize = 16_384;

/// What an access token says. Signed by accounts with EdDSA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// `bistro`.
    pub iss: String,
    /// `bistro`.
    pub aud: String,
    /// The user.
    pub sub: Id<kinds::User>,
    /// The session.
    pub sid: Id<kinds::Session>,
    /// Expiry, Unix seconds.
    pub exp: i64,
    /// Issue, Unix seconds.
    pub iat: i64,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// Where the user works, as it was when the token was issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rst: Vec<(Id<kinds::Restaurant>, StaffRole)>,
    /// Whether an API key was traded for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key: bool,
}

impl AccessClaims {
    /// Claims of `user`'s `session`, valid from `now` for `lifetime`.
    #[must_use]
    pub fn new(
        user: Id<kinds::User>,
        session: Id<kinds::Session>,
        roles: Vec<Role>,
        memberships: &[Membership],
        now: Timestamp,
        lifetime: Duration,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            exp: (now + lifetime).as_secs(),
            iat: now.as_secs(),
            roles,
            rst: memberships.iter().map(|member| (member.restaurant, member.role)).collect(),
            key: false,
        }
    }

    fn principal(self) -> Principal {
        let memberships =
            self.rst.into_iter().map(|(restaurant, role)| Membership { restaurant, role });
        Principal::User {
            id: self.sub,
            session: self.sid,
            roles: self.roles,
            memberships: memberships.collect(),
            api_key: self.key,
        }
    }
}

/// Tells who a token speaks for. Clones share what they know.
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    accounts: PeerChannel,
    clock: Arc<dyn Clock>,
    keys: RwLock<HashMap<String, DecodingKey>>,
    fetches: tokio::sync::Mutex<KeyFetches>,
    checked: Mutex<HashMap<[u8; 32], (Principal, Timestamp)>>,
}

impl TokenVerifier {
    /// A verifier that asks accounts, over `accounts`, for the keys it does not know.
    #[must_use]
    pub fn new(authority: Arc<Authority>, accounts: PeerChannel, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            authority,
            // Never with the token that is being checked: accounts would have to check it first.
            accounts: accounts.as_workload(),
            clock,
            keys: RwLock::default(),
            fetches: tokio::sync::Mutex::new(KeyFetches::new()),
            checked: Mutex::default(),
        }))
    }

    /// Who the value of an `Authorization` header speaks for; nobody without one.
    pub async fn principal(&self, authorization: Option<&str>) -> Result<Principal, Error> {
        let Some(value) = authorization else { return Ok(Principal::Anonymous) };
        self.identify(value).await.map(|(principal, _)| principal)
    }

    /// Who the value of an `Authorization` header speaks for, and until when.
    pub async fn identify(&self, value: &str) -> Result<(Principal, Timestamp), Error> {
        let token = value.strip_prefix("Bearer ").ok_or_else(Error::unauthenticated)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let now = self.0.clock.now();
        if let Some(known) = self.0.checked.lock().get(&digest) {
            return if now < known.1 { Ok(known.clone()) } else { Err(expired()) };
        }
        let (principal, expires) = self.check(token).await?;
        if now >= expires {
            return Err(expired());
        }
        let mut checked = self.0.checked.lock();
        if checked.len() >= REMEMBERED {
            checked.retain(|_, (_, expires)| now < *expires);
            if checked.len() >= REMEMBERED {
                checked.clear();
            }
        }
        checked.insert(digest, (principal.clone(), expires));
        Ok((principal, expires))
    }

    async fn check(&self, token: &str) -> Result<(Principal, Timestamp), Error> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|cause| Error::unauthenticated().caused_by(cause))?;
        match (header.alg, header.kid) {
            (Algorithm::HS256, None) => self.0.authority.check(token),
            (Algorithm::EdDSA, Some(kid)) => {
                let key = self.key(&kid).await?;
                let claims = jsonwebtoken::decode::<AccessClaims>(token, &key, &validation())
                    .map_err(|cause| Error::unauthenticated().caused_by(cause))?
                    .claims;
                let expires = Timestamp::from_millis(claims.exp.saturating_mul(1000));
                Ok((claims.principal(), expires))
            }
            _ => Err(Error::unauthenticated()),
        }
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Error> {
        let known = || self.0.keys.read().get(kid).cloned();
        if let Some(key) = known() {
            return Ok(key);
        }
        let mut fetches = self.0.fetches.lock().await;
        // Somebody else may have asked while this waited for the lock.
        if let Some(key) = known() {
            return Ok(key);
        }
        if fetches.allowed(self.0.clock.now()) {
            let mut client = AccountsClient::new(self.0.accounts.clone());
            let keys = client
                .list_keys(ListKeysRequest {})
                .await
                .map_err(|status| error_of(&status))?
                .into_inner()
                .keys;
            *self.0.keys.write() = keys
                .iter()
                .map(|key| (key.kid.clone(), DecodingKey::from_ed_der(&key.ed25519)))
                .collect();
            fetches.made(self.0.clock.now());
        }
        known().ok_or_else(Error::unauthenticated)
    }
}

fn expired() -> Error {
    Error::new(bistro_core::ErrorCode::Unauthenticated, "the access token has expired; refresh it")
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    // The library would only check these if they were there.
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // Compared with the platform's clock, not with the machine's.
    validation.validate_exp = false;
    validation
}
