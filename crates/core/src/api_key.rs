//! The text of an API key: made and read by one function each, so that whoever finds one in a
//! file knows what it is, and whoever gets a mistyped one knows without asking anybody.
//!
//! `bistro_key_<id><proof><check>`: the 26 characters of the key's id, the proof in 40 hexadecimal
//! digits, and a CRC-32 of all that stands before it in 8. The beginning is what secret scanners
//! look for: `bistro_key_[0-7][0-9a-hjkmnp-tv-z]{25}[0-9a-f]{48}`. All of it are letters, digits
//! and underscores, so that a double click selects it whole.

use std::{fmt, str::FromStr};

use crate::{Id, kinds};

/// What every key begins with. An id begins with a part of it, `key_`.
const PREFIX: &str = "bistro_";
/// Characters of an id.
const ID_LEN: usize = 30;
/// Bytes of a proof.
const PROOF: usize = 20;
/// Characters of a proof.
const PROOF_LEN: usize = 2 * PROOF;
/// Characters of a check.
const CHECK_LEN: usize = 8;

/// A whole key: which one it is, and what proves that it was given to whoever shows it.
///
/// Does not print by itself: [`ApiKeyText::expose`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyText {
    /// Which key.
    pub id: Id<kinds::ApiKey>,
    /// 160 bits that only whoever made the key can make.
    pub proof: [u8; PROOF],
}

/// A text that is not an API key. It does not say the text, which may be nearly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an API key; it looks like bistro_key_ and 74 letters and digits")]
pub struct ApiKeyError;

impl ApiKeyText {
    /// Bytes of a proof.
    pub const PROOF: usize = PROOF;

    /// Whether `text` is meant to be an API key, be it one or not.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("bistro_key_")
    }

    /// The key as its holder is shown it.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut text = format!("{PREFIX}{}", self.id);
        for byte in self.proof {
            text.push(hex_digit(byte >> 4));
            text.push(hex_digit(byte & 15));
        }
        let check = format!("{:08x}", crc32(text.as_bytes()));
        text + &check
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyText").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for ApiKeyText {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let whole = PREFIX.len() + ID_LEN + PROOF_LEN + CHECK_LEN;
        if text.len() != whole || !text.is_ascii() {
            return Err(ApiKeyError);
        }
        let (checked, check) = text.split_at(whole - CHECK_LEN);
        if check != format!("{:08x}", crc32(checked.as_bytes())) {
            return Err(ApiKeyError);
        }
        let (named, digits) = checked.split_at(PREFIX.len() + ID_LEN);
        let id = named.strip_prefix(PREFIX).ok_or(ApiKeyError)?;
        let mut proof = [0; PROOF];
        for (byte, pair) in proof.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = (hex_value(pair[0])? << 4) | hex_value(pair[1])?;
        }
        Ok(Self { id: id.parse().map_err(|_| ApiKeyError)?, proof })
    }
}

/// The digit of `value`, which is below 16.
fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

/// The value of a digit; only lower case, so that a key has one text.
fn hex_value(digit: u8) -> Result<u8, ApiKeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ApiKeyError),
    }
}

/// The CRC-32 of IEEE 802.3, as zip and PNG have it. Keys are short, so it needs no table.
fn crc32(bytes: &[u8]) -> u32 {
    let end = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    });
    !end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(bits: u128, proof: [u8; PROOF]) -> ApiKeyText {
        ApiKeyText { id: Id::from_bits(bits), proof }
    }

    /// The check value of the catalogue of CRC algorithms.
    #[test]
    fn the_check_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_key_is_recognized_and_does_not_print() {
        let key = key(7, [0xAB; PROOF]);
        let text = key.expose();
        assert!(text.starts_with("bistro_key_") && ApiKeyText::is_meant(&text), "{text}");
        assert_eq!(text.len(), 85);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        assert!(format!("{key:?}").contains("key_") && !format!("{key:?}").contains("abab"));
        assert!(!ApiKeyError.to_string().contains("abab"));
    }

    proptest! {
        #[test]
        fn a_key_reads_back(bits: u128, proof: [u8; PROOF]) {
            let key = key(bits, proof);
            prop_assert_eq!(key.expose().parse::<ApiKeyText>(), Ok(key));
        }

        /// A slip of the hand is found, and so is a cut or an addition.
        #[test]
        fn an_altered_key_is_none(
            bits: u128, proof: [u8; PROOF], place in 0..85_usize, other in "[ -~]{1,4}",
        ) {
            let text = key(bits, proof).expose();
            let end = (place + other.len()).min(text.len());
            let altered = format!("{}{other}{}", &text[..place], &text[end..]);
            if altered != text {
                prop_assert_eq!(altered.parse::<ApiKeyText>(), Err(ApiKeyError));
            }
        }

        #[test]
        fn any_text_is_refused_or_read_back_exactly(text in "(bistro_)?(key_)?\\PC{0,80}") {
            if let Ok(key) = text.parse::<ApiKeyText>() {
                prop_assert_eq!(key.expose(), text);
            }
        }
    }
}
