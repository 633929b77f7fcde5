//! Quotes: a priced basket, signed, that the customer sends back to order it.
//!
//! A quote is not stored: most are never ordered. Its token is the encoded content and an
//! HMAC-SHA-256 (RFC 2104) over it, both in URL-safe base 64, with a point between.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_proto::orders::v1::QuoteContent;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use sha2::Sha256;

/// Signs quotes and reads them back.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        Hmac::new_from_slice(key).map(Self).map_err(Error::internal)
    }

    /// The token of `content`.
    pub(crate) fn sign(&self, content: &QuoteContent) -> String {
        let bytes = content.encode_to_vec();
        let tag = self.0.clone().chain_update(&bytes).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(tag))
    }

    /// The content of `token`, if it is ours, for `principal`, and not expired at `now`.
    ///
    /// A quote that nobody in particular asked for may be ordered by anybody.
    pub(crate) fn open(
        &self,
        token: &str,
        principal: &str,
        now: Timestamp,
    ) -> Result<QuoteContent, Error> {
        let forged =
            || Error::field("quote", "is not a quote of ours; ask for one: POST /api/v1/quotes");
        let (bytes, tag) = token.split_once('.').ok_or_else(forged)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).map_err(|_| forged())?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| forged())?;
        self.0.clone().chain_update(&bytes).verify_slice(&tag).map_err(|_| forged())?;
        let content = QuoteContent::decode(&*bytes).map_err(|_| forged())?;
        if content.principal != "anonymous" && content.principal != principal {
            return Err(forged());
        }
        if now.as_millis() >= content.expires_at_ms {
            return Err(Error::new(
                ErrorCode::QuoteExpired,
                "the quote has expired; ask for a new one and order with a new Idempotency-Key",
            ));
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quote() -> QuoteContent {
        QuoteContent { principal: "usr_1".into(), expires_at_ms: 100, ..QuoteContent::default() }
    }

    fn refused(signer: &Signer, token: &str, principal: &str, now: i64) -> ErrorCode {
        signer.open(token, principal, Timestamp::from_millis(now)).unwrap_err().code()
    }

    #[test]
    fn a_quote_reads_back_for_its_asker_until_it_expires() {
        let signer = Signer::new(&[7; 32]).unwrap();
        let token = signer.sign(&quote());
        let opened = signer.open(&token, "usr_1", Timestamp::from_millis(99)).unwrap();
        assert_eq!(opened, quote());
        assert_eq!(refused(&signer, &token, "usr_1", 100), ErrorCode::QuoteExpired);
        assert_eq!(refused(&signer, &token, "usr_2", 0), ErrorCode::InvalidArgument);
        let other = Signer::new(&[8; 32]).unwrap();
        assert_eq!(refused(&other, &token, "usr_1", 0), ErrorCode::InvalidArgument);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_quote(place in 0..60_usize, byte in any::<u8>(), text in "\\PC*") {
            let signer = Signer::new(&[7; 32]).unwrap();
            let token = signer.sign(&quote());
            let mut bytes = token.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            let changed = String::from_utf8_lossy(&bytes).into_owned();
            if changed != token {
                prop_assert!(signer.open(&changed, "usr_1", Timestamp::from_millis(0)).is_err());
            }
            prop_assert!(signer.open(&text, "usr_1", Timestamp::from_millis(0)).is_err());
        }
    }
}
