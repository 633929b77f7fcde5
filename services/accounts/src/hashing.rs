//! Argon2id: hashes and checks passwords, a few at a time.
//!
//! Each hash takes 19 MiB and some 20 ms of a processor. A bounded number runs at once, a bounded
//! number waits, and the rest is told to come back: otherwise logging in would be the cheapest way
//! to bring the platform down.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash,
};
use bistro_config::Secret;
use bistro_core::{Error, ErrorCode};
use prometheus::IntCounter;
use tokio::sync::Semaphore;

use crate::documents::PasswordHash;

/// KiB of memory that a hash takes (OWASP's first choice, with [`PASSES`] and [`LANES`]).
const MEMORY: u32 = 19_456;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes of a hash.
const LANES: u32 = 1;
/// Requests that may wait for their turn.
const WAITING: usize = 64;
/// When to come back if there is no room to wait.
const COME_BACK: Duration = Duration::from_secs(1);

/// No password has this hash, but checking one against it takes as long as against any other:
/// how long a login takes does not tell whether the user exists.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIHRoZXJlIQ$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and checks passwords. Clones share the bounds.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// Places for those that run or wait.
    places: Arc<Semaphore>,
    /// Turns of those that run.
    turns: Arc<Semaphore>,
    /// Those that were made.
    made: IntCounter,
}

impl Passwords {
    /// At most `concurrency` run at once; `made` counts them.
    pub(crate) fn new(concurrency: usize, made: IntCounter) -> Result<Self, Error> {
        let params = Params::new(MEMORY, PASSES, LANES, None).map_err(Error::internal)?;
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            places: Arc::new(Semaphore::new(concurrency + WAITING)),
            turns: Arc::new(Semaphore::new(concurrency)),
            made,
        })
    }

    /// The hash of `password` with `salt`.
    pub(crate) async fn hash(
        &self,
        password: Secret,
        salt: [u8; 16],
    ) -> Result<PasswordHash, Error> {
        let argon2 = self.argon2.clone();
        let hashed = self
            .in_turn(move || argon2.hash_password_with_salt(password.expose().as_bytes(), &salt))
            .await?;
        hashed.map(|hash| PasswordHash(hash.to_string())).map_err(Error::internal)
    }

    /// Whether `password` is the one with this hash. It never is where there is no hash; finding
    /// that out takes as long.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        let argon2 = self.argon2.clone();
        // Of a person who was erased an empty hash is left.
        let hash = hash.filter(|hash| !hash.0.is_empty());
        let known = hash.is_some();
        let verified = self
            .in_turn(move || {
                let hash = hash.as_ref().map_or(NOBODY, |hash| hash.0.as_str());
                argon2.verify_password(password.expose().as_bytes(), hash)
            })
            .await?;
        match verified {
            Ok(()) => Ok(known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(broken) => Err(Error::internal(broken)),
        }
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "too many people log in at this moment; try again in a second";
            Error::new(ErrorCode::Unavailable, message).retry_after(COME_BACK)
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
        self.made.inc();
        let done = tokio::task::spawn_blocking(move || {
            // Held until the hash is done, also when the asker has gone away meanwhile.
            let _held = (place, turn);
            work()
        });
        done.await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Secret {
        Secret::new(text)
    }

    fn passwords(concurrency: usize) -> Passwords {
        Passwords::new(concurrency, IntCounter::new("made", "hashes").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_is_right() {
        let passwords = passwords(2);
        let hash = passwords.hash(password("correct horse"), [7; 16]).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(passwords.verify(password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(password("correct horsf"), Some(hash.clone())).await.unwrap());
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_the_same_cost() {
        let passwords = passwords(2);
        assert!(!passwords.verify(password("anything"), None).await.unwrap());
        let erased = Some(PasswordHash(String::new()));
        assert!(!passwords.verify(password(""), erased).await.unwrap());
        assert_eq!(passwords.made.get(), 2, "one hash each");
        let hash = passwords.hash(password("anything"), [7; 16]).await.unwrap();
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(ToOwned::to_owned);
        assert_eq!(cost(NOBODY), cost(&hash.0));
        assert_eq!(NOBODY.len(), hash.0.len());
        assert!(!passwords.verify(password("another"), Some(hash)).await.unwrap());
        assert_eq!(passwords.made.get(), 4, "one to make it, and one to compare with it");
    }

    #[tokio::test]
    async fn who_finds_no_room_to_wait_is_told_when_to_come_back() {
        let passwords = passwords(1);
        let all = u32::try_from(1 + WAITING).unwrap();
        let held = Arc::clone(&passwords.places).try_acquire_many_owned(all).unwrap();
        let refused = passwords.verify(password("x"), None).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert_eq!(refused.retry_delay(), Some(COME_BACK));
        assert_eq!(passwords.made.get(), 0, "who is sent away costs nothing");
        drop(held);
        assert!(!passwords.verify(password("x"), None).await.unwrap());
    }
}
