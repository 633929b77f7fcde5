//! The public keys that access tokens are signed with, as a JWK set (RFC 7517, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_proto::accounts::v1;
use serde::Serialize;
use utoipa::ToSchema;

/// A JWK set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// The one that is signed with now, and older ones whose tokens may be about.
    keys: Vec<Key>,
}

/// One Ed25519 key.
#[derive(Debug, Serialize, ToSchema)]
struct Key {
    /// Its id, which the header of a token names.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    kid: String,
    /// Always `OKP`.
    #[schema(example = "OKP")]
    kty: &'static str,
    /// Always `Ed25519`.
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// Always `EdDSA`.
    #[schema(example = "EdDSA")]
    alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    purpose: &'static str,
    /// The key, in URL-safe base 64.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    x: String,
}

impl From<v1::ListKeysResponse> for KeySet {
    fn from(response: v1::ListKeysResponse) -> Self {
        let key = |key: v1::PublicKey| Key {
            kid: key.kid,
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            x: URL_SAFE_NO_PAD.encode(key.ed25519),
        };
        Self { keys: response.keys.into_iter().map(key).collect() }
    }
}
