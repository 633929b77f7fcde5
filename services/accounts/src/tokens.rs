//! Makes tokens, and reads refresh tokens back.
//!
//! An access token is a JWT signed with EdDSA; see [`AccessClaims`]. A refresh token is opaque to
//! its holder: `ses_….<generation>.<secret>`, where the secret is the HMAC-SHA-256 of what stands
//! before it, under a key of 256 random bits. So nothing that could be replayed is stored, not
//! even a hash; a made-up token is refused without a look into the store and cannot end anybody's
//! session; every older token of a session is still known for what it is; and who repeats a trade
//! whose answer was lost gets the very token that was lost.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{ApiKeyText, Error, Id, kinds};
use bistro_runtime::AccessClaims;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sha2::Sha256;

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What a code is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Setting a password.
    Reset,
    /// Becoming a member of a restaurant.
    Invitation,
    /// Speaking for a user.
    ApiKey,
}

impl Purpose {
    /// What the code is made over. A space is in no refresh token's name, so no code is one.
    fn of(self, id: &str) -> String {
        match self {
            Self::Reset => format!("reset {id}"),
            Self::Invitation => format!("invitation {id}"),
            Self::ApiKey => format!("api key {id}"),
        }
    }
}

/// Makes tokens. Does not print.
pub(crate) struct Signer {
    header: Header,
    signing: EncodingKey,
    refresh: Hmac<Sha256>,
}

impl Signer {
    /// Signs access tokens with the Ed25519 key of `seed`, refresh tokens with `refresh`.
    pub(crate) fn new(kid: &str, seed: &[u8; 32], refresh: &[u8; 32]) -> Result<Self, Error> {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        Ok(Self {
            header,
            signing: EncodingKey::from_ed_der(&[PKCS8.as_slice(), seed].concat()),
            refresh: Hmac::new_from_slice(refresh).map_err(Error::internal)?,
        })
    }

    /// The token that says `claims`.
    pub(crate) fn access(&self, claims: &AccessClaims) -> Result<String, Error> {
        jsonwebtoken::encode(&self.header, claims, &self.signing).map_err(Error::internal)
    }

    /// A text that whoever is given it can show later: `id` and a code over it that is good for
    /// nothing but `purpose`.
    pub(crate) fn code(&self, purpose: Purpose, id: &str) -> String {
        let code = self.refresh.clone().chain_update(purpose.of(id)).finalize().into_bytes();
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(code))
    }

    /// The id of a text that [`Signer::code`] made for this purpose.
    pub(crate) fn read_code(&self, purpose: Purpose, text: &str) -> Option<String> {
        let (id, code) = text.rsplit_once('.')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        self.refresh.clone().chain_update(purpose.of(id)).verify_slice(&code).ok()?;
        Some(id.to_owned())
    }

    /// The API key `id`. Its proof is the left part of a code: 160 bits are enough (RFC 2104, 5).
    pub(crate) fn api_key(&self, id: Id<kinds::ApiKey>) -> ApiKeyText {
        let named = Purpose::ApiKey.of(&id.to_string());
        let code = self.refresh.clone().chain_update(named).finalize().into_bytes();
        let mut proof = [0; ApiKeyText::PROOF];
        proof.copy_from_slice(&code[..ApiKeyText::PROOF]);
        ApiKeyText { id, proof }
    }

    /// Whether `key` was made here.
    pub(crate) fn made(&self, key: &ApiKeyText) -> bool {
        let named = Purpose::ApiKey.of(&key.id.to_string());
        // Takes the same time wherever the first wrong byte is.
        self.refresh.clone().chain_update(named).verify_truncated_left(&key.proof).is_ok()
    }

    /// The refresh token of this generation of `session`.
    pub(crate) fn refresh(&self, session: Id<kinds::Session>, generation: i64) -> String {
        let named = format!("{session}.{generation}");
        let secret = self.refresh.clone().chain_update(&named).finalize().into_bytes();
        format!("{named}.{}", URL_SAFE_NO_PAD.encode(secret))
    }

    /// The session and generation of a refresh token, if it was made here.
    pub(crate) fn read_refresh(&self, token: &str) -> Option<(Id<kinds::Session>, i64)> {
        let (named, secret) = token.rsplit_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
        // Takes the same time wherever the first wrong byte is.
        self.refresh.clone().chain_update(named).verify_slice(&secret).ok()?;
        let (session, generation) = named.split_once('.')?;
        Some((session.parse().ok()?, generation.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(refresh: u8) -> Signer {
        Signer::new("kid", &[1; 32], &[refresh; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn a_refresh_token_reads_back_here_and_nowhere_else(bits: u128, generation in 0..i64::MAX) {
            let session = Id::from_bits(bits);
            let token = signer(1).refresh(session, generation);
            prop_assert_eq!(signer(1).read_refresh(&token), Some((session, generation)));
            prop_assert_eq!(signer(2).read_refresh(&token), None);
        }

        #[test]
        fn an_api_key_is_known_here_and_nowhere_else(
            bits: u128, other: u128, place in 0..ApiKeyText::PROOF, byte: u8,
        ) {
            let key = signer(1).api_key(Id::from_bits(bits));
            prop_assert!(signer(1).made(&key) && !signer(2).made(&key));
            let text = key.expose();
            prop_assert!(signer(1).made(&text.parse().unwrap()));
            let mut altered = key.clone();
            altered.proof[place] = byte;
            prop_assert_eq!(signer(1).made(&altered), altered == key);
            let moved = ApiKeyText { id: Id::from_bits(other), ..key };
            prop_assert_eq!(signer(1).made(&moved), other == bits);
            // What is good for one purpose is good for no other.
            let code = signer(1).code(Purpose::Invitation, &key.id.to_string());
            prop_assert_eq!(signer(1).read_code(Purpose::ApiKey, &code), None);
        }

        #[test]
        fn no_other_text_is_a_refresh_token(place in 0..80_usize, byte: u8, text in "\\PC*") {
            let signer = signer(1);
            let token = signer.refresh(Id::from_bits(5), 3);
            let mut bytes = token.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            let changed = String::from_utf8_lossy(&bytes).into_owned();
            if changed != token {
                prop_assert_eq!(signer.read_refresh(&changed), None);
            }
            prop_assert_eq!(signer.read_refresh(&text), None);
        }
    }
}
