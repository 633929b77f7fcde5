//! Encrypts what is secret before it is stored or given away: ChaCha20-Poly1305 (RFC 8439).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bistro_core::{Error, ErrorCode};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes of a nonce.
const NONCE: usize = 12;

/// Something encrypted: nonce, ciphertext and tag, in base 64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(String);

/// Encrypts and decrypts under one key.
pub(crate) struct Sealer(ChaCha20Poly1305);

impl Sealer {
    /// A sealer whose key follows from `secret`, which is hard to guess and of any length.
    pub(crate) fn new(secret: &[u8]) -> Result<Self, Error> {
        // HMAC as HKDF's extraction (RFC 5869) with a fixed salt: one secret, one key.
        let mut key =
            Hmac::<Sha256>::new_from_slice(b"bistro/accounts/keys").map_err(Error::internal)?;
        key.update(secret);
        Ok(Self(ChaCha20Poly1305::new(&key.finalize().into_bytes())))
    }

    /// Encrypts `plain`. It can only be opened under the same `name`. A nonce is random, and used
    /// for nothing else.
    pub(crate) fn seal(
        &self,
        name: &str,
        plain: &[u8],
        nonce: [u8; NONCE],
    ) -> Result<Sealed, Error> {
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).map_err(Error::internal)?;
        Ok(Sealed(STANDARD.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Encrypts a text that is given away and comes back, such as a cursor.
    pub(crate) fn seal_text(
        &self,
        name: &str,
        plain: &str,
        nonce: [u8; NONCE],
    ) -> Result<String, Error> {
        let payload = Payload { msg: plain.as_bytes(), aad: name.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).map_err(Error::internal)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts a text that [`Sealer::seal_text`] gave away under `name`; none for any other.
    pub(crate) fn open_text(&self, name: &str, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let plain = self.0.decrypt(&Nonce::from(*nonce), payload).ok()?;
        String::from_utf8(plain).ok()
    }

    /// Decrypts what was sealed under `name`.
    pub(crate) fn open(&self, name: &str, sealed: &Sealed) -> Result<[u8; 32], Error> {
        let bytes = STANDARD.decode(&sealed.0).map_err(Error::internal)?;
        let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE>() else {
            return Err(Error::new(ErrorCode::Internal, "a stored key is cut off"));
        };
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let plain = self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|cause| {
            Error::new(
                ErrorCode::Internal,
                "the stored signing keys cannot be decrypted: auth.key_encryption_secret (or, where none is set, the workload secret) is not the one they were encrypted with; put that one back",
            )
            .caused_by(cause)
        })?;
        <[u8; 32]>::try_from(plain)
            .map_err(|_| Error::new(ErrorCode::Internal, "a stored key is not 32 bytes long"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_comes_back_and_no_other_is_taken_for_one(
            text in "\\PC*", nonce: [u8; NONCE], other in "[A-Za-z0-9_-]{0,80}",
        ) {
            let sealer = Sealer::new(b"a secret").unwrap();
            let sealed = sealer.seal_text("a", &text, nonce).unwrap();
            prop_assert_eq!(sealer.open_text("a", &sealed), Some(text));
            prop_assert_eq!(sealer.open_text("b", &sealed), None);
            prop_assert_eq!(sealer.open_text("a", &sealed[1..]), None);
            if other != sealed {
                prop_assert_eq!(sealer.open_text("a", &other), None);
            }
        }
    }

    #[test]
    fn only_the_same_secret_and_name_open_it() {
        let sealer = Sealer::new(b"a secret").unwrap();
        let text = sealer.seal("a", &[5; 32], [1; NONCE]).unwrap();
        assert_eq!(sealer.open("a", &text).unwrap(), [5; 32]);
        assert!(sealer.open("b", &text).is_err());
        let other = Sealer::new(b"another").unwrap().open("a", &text).unwrap_err();
        assert!(other.message().contains("auth.key_encryption_secret"), "{other}");
        for cut in [0, 8, text.0.len() - 4] {
            assert!(sealer.open("a", &Sealed(text.0[..cut].to_owned())).is_err());
        }
    }
}
