//! The workload secret: signs the tokens that roles and the operator speak with.

use std::{sync::Arc, time::Duration};

use bistro_core::{Clock, Error, ErrorCode, Principal, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const ISSUER: &str = "bistro";
const AUDIENCE: &str = "bistro-workload";
/// Lifetime of a role's token; it is renewed at half of it.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The operator's token lives as long as the secret that signs it.
const OPERATOR_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: i64,
}

/// Holds the secret that every process of one platform shares.
pub struct Authority {
    secret: Vec<u8>,
    signing: EncodingKey,
    checking: DecodingKey,
    clock: Arc<dyn Clock>,
    issued: Mutex<Vec<(String, String, Timestamp)>>,
}

impl Authority {
    /// An authority over `secret`, which should hold at least 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Self {
            secret: secret.to_vec(),
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            clock,
            issued: Mutex::default(),
        }
    }

    /// A key for `purpose` that follows from the secret.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        // HKDF is not needed: the secret is random, the purposes are fixed and few, and the
        // length prefix keeps purpose and secret apart.
        Sha256::new()
            .chain_update((purpose.len() as u64).to_be_bytes())
            .chain_update(purpose)
            .chain_update(&self.secret)
            .finalize()
            .into()
    }

    /// A token with which `role` speaks for itself.
    pub fn workload_token(&self, role: &str) -> Result<String, Error> {
        let now = self.clock.now();
        let mut issued = self.issued.lock();
        if let Some((_, token, _)) =
            issued.iter().find(|(of, _, renew_at)| of == role && now < *renew_at)
        {
            return Ok(token.clone());
        }
        let token = self.sign(&format!("role:{role}"), now + LIFETIME)?;
        issued.retain(|(of, _, _)| of != role);
        issued.push((role.to_owned(), token.clone(), now + LIFETIME / 2));
        Ok(token)
    }

    /// The token of whoever operates the platform.
    pub fn operator_token(&self) -> Result<String, Error> {
        self.sign("operator", self.clock.now() + OPERATOR_LIFETIME)
    }

    fn sign(&self, subject: &str, expires: Timestamp) -> Result<String, Error> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.to_owned(),
            exp: expires.as_secs(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map_err(Error::internal)
    }

    /// Who a workload's or operator's token speaks for, and until when.
    pub(super) fn check(&self, token: &str) -> Result<(Principal, Timestamp), Error> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &validation())
            .map_err(|cause| Error::unauthenticated().caused_by(cause))?
            .claims;
        let principal = match claims.sub.strip_prefix("role:") {
            Some(role) => Principal::Workload(role.to_owned()),
            None if claims.sub == "operator" => Principal::Operator,
            None => {
                return Err(Error::new(ErrorCode::Unauthenticated, "the token speaks for nobody"));
            }
        };
        Ok((principal, Timestamp::from_millis(claims.exp.saturating_mul(1000))))
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    // The library would only check these if they were there.
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // The verifier compares with the platform's clock, not with the machine's.
    validation.validate_exp = false;
    validation
}
