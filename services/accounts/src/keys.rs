//! The keys that tokens are made with: one stored ring of them, made by the first process to need
//! it.
//!
//! The ring holds every signing key whose tokens may still be about, each under its `kid`, and
//! says which one signs now. Whoever finds no ring makes one and inserts it; of several that do so
//! at once the store lets one win, and the others read what it wrote.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::accounts::v1::PublicKey;
use bistro_store::{Cause, Collection, Document, StoreError, StoreExt as _};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::info;

use crate::{
    entropy,
    seal::{Sealed, Sealer},
    tokens::Signer,
};

pub(crate) static KEY_RINGS: Collection =
    Collection { role: "accounts", name: "key_rings", schema: 1, compatible_from: 1, indexes: &[] };

/// The id of the one ring.
const THE_RING: &str = "ring";
/// What the key of refresh tokens is sealed under.
const REFRESH: &str = "refresh";

/// Every key of the platform.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    /// The `kid` of the key that signs now.
    current: String,
    /// Every key whose tokens may still be about.
    signing: Vec<StoredKey>,
    /// The key that refresh tokens are authenticated with.
    refresh: Sealed,
}

/// One Ed25519 key.
#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    kid: String,
    /// The public key, in URL-safe base 64.
    public: String,
    /// The private key, sealed under `kid`.
    seed: Sealed,
    created_at: Timestamp,
}

impl Document for KeyRing {
    const COLLECTION: &'static Collection = &KEY_RINGS;

    fn id(&self) -> String {
        THE_RING.to_owned()
    }
}

impl KeyRing {
    /// A ring of one new key.
    fn make(sealer: &Sealer, now: Timestamp) -> Result<Self, Error> {
        let seed: [u8; 32] = entropy::random()?;
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let kid = thumbprint(&public);
        let refresh: [u8; 32] = entropy::random()?;
        Ok(Self {
            current: kid.clone(),
            refresh: sealer.seal(REFRESH, &refresh, entropy::random()?)?,
            signing: vec![StoredKey {
                public: URL_SAFE_NO_PAD.encode(public),
                seed: sealer.seal(&kid, &seed, entropy::random()?)?,
                kid,
                created_at: now,
            }],
        })
    }

    /// What makes tokens now.
    fn signer(&self, sealer: &Sealer) -> Result<Signer, Error> {
        let current = self.signing.iter().find(|key| key.kid == self.current).ok_or_else(|| {
            Error::new(ErrorCode::Internal, "the key ring does not hold the key that it says signs")
        })?;
        let seed = sealer.open(&current.kid, &current.seed)?;
        Signer::new(&current.kid, &seed, &sealer.open(REFRESH, &self.refresh)?)
    }

    fn public(&self) -> Result<Vec<PublicKey>, Error> {
        let key = |key: &StoredKey| {
            let ed25519 = URL_SAFE_NO_PAD.decode(&key.public).map_err(Error::internal)?;
            Ok(PublicKey { kid: key.kid.clone(), ed25519 })
        };
        self.signing.iter().map(key).collect()
    }
}

/// The name of a key: the thumbprint of its JWK (RFC 7638, RFC 8037).
fn thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

/// The platform's keys. Clones share what they have opened.
#[derive(Clone)]
pub(crate) struct Keys {
    engine: Engine,
    sealer: Arc<Sealer>,
    signer: Arc<OnceCell<Arc<Signer>>>,
}

impl Keys {
    /// The keys that are stored, or will be, encrypted under `secret`.
    pub(crate) fn new(engine: Engine, secret: &[u8]) -> Result<Self, Error> {
        Ok(Self { engine, sealer: Arc::new(Sealer::new(secret)?), signer: Arc::default() })
    }

    /// What makes tokens now; made on first use.
    pub(crate) async fn signer(&self) -> Result<Arc<Signer>, Error> {
        let open = || async { self.ring().await?.signer(&self.sealer).map(Arc::new) };
        self.signer.get_or_try_init(open).await.cloned()
    }

    /// Every public key. Always as stored: another process may have added one.
    pub(crate) async fn public(&self) -> Result<Vec<PublicKey>, Error> {
        self.ring().await?.public()
    }

    async fn ring(&self) -> Result<KeyRing, Error> {
        if let Some(ring) = self.engine.store().load::<KeyRing>(THE_RING).await? {
            return Ok(ring.value);
        }
        let ring = KeyRing::make(&self.sealer, self.engine.now())?;
        let mut work = self.engine.work(Cause::Tick { name: "key_ring".to_owned() });
        work.insert(&ring)?;
        match self.engine.commit(work).await {
            Ok(_) => {
                info!(kid = ring.current, "the first signing key was made");
                Ok(ring)
            }
            Err(StoreError::Conflict { document }) => {
                let first = self.engine.store().load::<KeyRing>(THE_RING).await?;
                first
                    .map(|ring| ring.value)
                    .ok_or_else(|| Error::internal(StoreError::Conflict { document }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and thumbprint of RFC 8037, appendix A.
    #[test]
    fn a_key_is_named_by_the_thumbprint_of_the_standard() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let public = SigningKey::from_bytes(&seed.try_into().unwrap()).verifying_key().to_bytes();
        assert_eq!(URL_SAFE_NO_PAD.encode(public), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_stored_ring_holds_no_key_in_the_clear() {
        let sealer = Sealer::new(b"a secret").unwrap();
        let ring = KeyRing::make(&sealer, Timestamp::from_millis(0)).unwrap();
        let seed = sealer.open(&ring.current, &ring.signing[0].seed).unwrap();
        let refresh = sealer.open(REFRESH, &ring.refresh).unwrap();
        let stored = format!("{:?} {:?}", ring.refresh, ring.signing[0].seed);
        for secret in [seed, refresh] {
            assert!(!stored.contains(&URL_SAFE_NO_PAD.encode(secret)));
        }
        assert_eq!(
            ring.public().unwrap()[0].ed25519,
            SigningKey::from_bytes(&seed).verifying_key().as_bytes()
        );
        assert!(ring.signer(&sealer).is_ok());
        assert!(ring.signer(&Sealer::new(b"another").unwrap()).is_err());
    }
}
