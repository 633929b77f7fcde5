//! The keys that tokens are made with: one stored ring of them, made by the first process to need
//! it.
//!
//! The ring holds every signing key whose tokens may still be about, each under its `kid`, and
//! says which one signs now. Whoever finds no ring makes one and inserts it; of several that do so
//! at once the store lets one win, and the others read what it wrote.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_eventing::{Decision, Engine, MarkAt};
use bistro_proto::accounts::v1::{PublicKey, RotateKeysRequest};
use bistro_runtime::Asked;
use bistro_store::{
    Cause, Collection, Document, DocumentRef, StoreError, StoreExt as _, Versioned, Work,
};
use ed25519_dalek::SigningKey;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::info;

use crate::{
    entropy,
    seal::{Sealed, Sealer},
    tokens::Signer,
};

pub(crate) static KEY_RINGS: Collection =
    Collection { role: "accounts", name: "key_rings", schema: 1, compatible_from: 1, indexes: &[] };

/// After how long a process looks whether another one has rotated the keys.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// By how much the clocks of two processes may differ.
const LEEWAY: Duration = Duration::from_mins(1);

/// Keys that are kept at most. Whoever rotates them faster than tokens expire would fill the ring.
const MAX_KEYS: usize = 100;

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
    /// When another one took its place.
    retired_at: Option<Timestamp>,
}

impl StoredKey {
    /// A new key.
    fn make(sealer: &Sealer, now: Timestamp) -> Result<Self, Error> {
        let seed: [u8; 32] = entropy::random()?;
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let kid = thumbprint(&public);
        Ok(Self {
            public: URL_SAFE_NO_PAD.encode(public),
            seed: sealer.seal(&kid, &seed, entropy::random()?)?,
            kid,
            created_at: now,
            retired_at: None,
        })
    }
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
        let first = StoredKey::make(sealer, now)?;
        let refresh: [u8; 32] = entropy::random()?;
        Ok(Self {
            current: first.kid.clone(),
            refresh: sealer.seal(REFRESH, &refresh, entropy::random()?)?,
            signing: vec![first],
        })
    }

    /// The ring with a new key that signs from now on. Keys whose last token has expired, `kept`
    /// after they were retired, are forgotten.
    fn rotate(&self, sealer: &Sealer, now: Timestamp, kept: Duration) -> Result<Self, Error> {
        let next = StoredKey::make(sealer, now)?;
        let mut signing = self.signing.clone();
        signing.retain(|key| key.retired_at.is_none_or(|at| now.since(at) < kept));
        if signing.len() >= MAX_KEYS {
            let message = "as many keys as are kept are in use; rotate again when the oldest tokens have expired";
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        for key in &mut signing {
            key.retired_at = key.retired_at.or(Some(now));
        }
        let current = next.kid.clone();
        signing.push(next);
        Ok(Self { current, signing, refresh: self.refresh.clone() })
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
    opened: Arc<Mutex<Option<Opened>>>,
    /// How long a retired key's tokens may be about.
    kept: Duration,
}

/// What makes tokens, and since when that is known.
#[derive(Clone)]
struct Opened {
    signer: Arc<Signer>,
    at: Timestamp,
}

impl Keys {
    /// The keys that are stored, or will be, encrypted under `secret`.
    /// Tokens live for `lifetime`.
    pub(crate) fn new(engine: Engine, secret: &[u8], lifetime: Duration) -> Result<Self, Error> {
        let sealer = Arc::new(Sealer::new(secret)?);
        Ok(Self { engine, sealer, opened: Arc::default(), kept: lifetime + LOOK_AGAIN + LEEWAY })
    }

    /// What encrypts under the role's secret.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What makes tokens now; made on first use, and looked at again every now and then, since
    /// another process may have rotated the keys.
    pub(crate) async fn signer(&self) -> Result<Arc<Signer>, Error> {
        let now = self.engine.now();
        let opened = self.opened.lock().clone();
        if let Some(opened) = opened.filter(|opened| now.since(opened.at) < LOOK_AGAIN) {
            return Ok(opened.signer);
        }
        let ring = self.ring().await?;
        self.open(&ring.value, now)
    }

    fn open(&self, ring: &KeyRing, now: Timestamp) -> Result<Arc<Signer>, Error> {
        let signer = Arc::new(ring.signer(&self.sealer)?);
        *self.opened.lock() = Some(Opened { signer: Arc::clone(&signer), at: now });
        Ok(signer)
    }

    /// Makes a new key, for administrators; says all public keys.
    pub(crate) async fn rotate(&self, asked: &Asked) -> Result<Vec<PublicKey>, Error> {
        asked.principal.require_admin()?;
        let command = asked.command("accounts.rotate_keys", &RotateKeysRequest {})?;
        let decide = |mut work: Work| async move {
            let before = self.ring().await?;
            let after = before.rotate(&self.sealer, work.time, self.kept)?;
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, after))
        };
        let replay = |_| async { Ok(self.ring().await?.value) };
        let mark_at = MarkAt::Document(DocumentRef::of::<KeyRing>(THE_RING));
        let ring = self.engine.request(&command, &mark_at, decide, replay).await?;
        self.open(&ring, self.engine.now())?;
        info!(kid = ring.current, by = asked.principal.name(), "the signing keys were rotated");
        ring.public()
    }

    /// Every public key. Always as stored: another process may have added one.
    pub(crate) async fn public(&self) -> Result<Vec<PublicKey>, Error> {
        self.ring().await?.public()
    }

    async fn ring(&self) -> Result<Versioned<KeyRing>, Error> {
        if let Some(ring) = self.engine.store().load::<KeyRing>(THE_RING).await? {
            return Ok(ring);
        }
        let ring = KeyRing::make(&self.sealer, self.engine.now())?;
        let mut work = self.engine.work(Cause::Tick { name: "key_ring".to_owned() });
        work.insert(&ring)?;
        match self.engine.commit(work).await {
            Ok(_) => {
                info!(kid = ring.current, "the first signing key was made");
                Ok(Versioned { value: ring, version: 1 })
            }
            Err(StoreError::Conflict { document }) => {
                let first = self.engine.store().load::<KeyRing>(THE_RING).await?;
                first.ok_or_else(|| Error::internal(StoreError::Conflict { document }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_key_is_kept_as_long_as_its_tokens() {
        let sealer = Sealer::new(b"a secret").unwrap();
        let at = Timestamp::from_millis;
        let kept = Duration::from_millis(100);
        let first = KeyRing::make(&sealer, at(0)).unwrap();
        let second = first.rotate(&sealer, at(10), kept).unwrap();
        assert_ne!(first.current, second.current);
        assert_eq!(second.public().unwrap().len(), 2);
        let third = second.rotate(&sealer, at(109), kept).unwrap();
        assert_eq!(third.public().unwrap().len(), 3);
        let fourth = third.rotate(&sealer, at(110), kept).unwrap();
        let kids = fourth.public().unwrap().into_iter().map(|key| key.kid).collect::<Vec<_>>();
        assert_eq!(kids, [second.current, third.current, fourth.current.clone()]);
        let mut full = fourth.clone();
        full.signing = vec![full.signing[2].clone(); MAX_KEYS];
        assert_eq!(
            full.rotate(&sealer, at(111), kept).err().unwrap().code(),
            ErrorCode::WrongState
        );
        // Refresh tokens outlive the keys.
        let session = bistro_core::Id::from_bits(1);
        let refresh = |ring: &KeyRing| ring.signer(&sealer).unwrap().refresh(session, 1);
        assert_eq!(refresh(&first), refresh(&fourth));
    }

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
