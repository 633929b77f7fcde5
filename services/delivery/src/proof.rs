//! The code that proves a drop-off: what it is, and what comes of one that a courier gives.

use std::fmt;

use bistro_core::{Error, Id, kinds};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Wrong codes after which the courier's word counts for nothing.
pub(crate) const MAX_WRONG: u32 = 5;
/// Digits of a code.
const DIGITS: usize = 4;
/// How many codes there are.
const CODES: u64 = 10_000;

/// Makes the codes. They follow from a secret of the platform and the delivery, so they are
/// stored nowhere, and who knows the delivery's id knows nothing of them.
#[derive(Clone)]
pub(crate) struct Proof {
    secret: [u8; 32],
    needed: bool,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What comes of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// Wrong, and how often the courier may still try.
    Wrong {
        left: u32,
    },
    /// It was wrong too often.
    Locked,
}

impl Proof {
    /// Codes that follow from `secret`; `needed` says whether drop-offs have to be proven.
    pub(crate) const fn new(secret: [u8; 32], needed: bool) -> Self {
        Self { secret, needed }
    }

    /// Whether drop-offs have to be proven.
    pub(crate) const fn is_needed(&self) -> bool {
        self.needed
    }

    /// The code of a delivery.
    pub(crate) fn code(&self, delivery: Id<kinds::Delivery>) -> Result<String, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).map_err(Error::internal)?;
        mac.update(delivery.to_string().as_bytes());
        let bytes = mac.finalize().into_bytes();
        let number = bytes.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Ok(format!("{:0width$}", number % CODES, width = DIGITS))
    }

    /// What comes of `given` for `delivery`, of which the courier has given `wrong` wrong codes.
    pub(crate) fn judge(
        &self,
        delivery: Id<kinds::Delivery>,
        wrong: u32,
        given: &str,
    ) -> Result<Verdict, Error> {
        if wrong >= MAX_WRONG {
            return Ok(Verdict::Locked);
        }
        let right: bool = self.code(delivery)?.as_bytes().ct_eq(given.as_bytes()).into();
        Ok(if right { Verdict::Right } else { Verdict::Wrong { left: MAX_WRONG - wrong - 1 } })
    }
}

/// Whether `code` could be one at all: what cannot costs no try.
pub(crate) fn check_form(code: &str) -> Result<(), Error> {
    if code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(Error::field("code", format!("write the {DIGITS} digits that the customer tells you")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn proof() -> Proof {
        Proof::new([7; 32], true)
    }

    #[test]
    fn codes_differ_between_deliveries_and_between_platforms() {
        let codes: HashSet<_> =
            (0..200).map(|bits| proof().code(Id::from_bits(bits)).unwrap()).collect();
        assert!(codes.len() > 150, "{}", codes.len());
        let other = Proof::new([8; 32], true);
        let same = (0..200)
            .filter(|bits| {
                let id = Id::from_bits(*bits);
                other.code(id).unwrap() == proof().code(id).unwrap()
            })
            .count();
        assert!(same < 10, "{same}");
        assert_eq!(format!("{other:?}"), "***");
    }

    #[test]
    fn who_was_wrong_too_often_is_not_heard_even_when_right() {
        let id = Id::from_bits(3);
        let code = proof().code(id).unwrap();
        assert_eq!(proof().judge(id, MAX_WRONG - 1, &code).unwrap(), Verdict::Right);
        assert_eq!(proof().judge(id, MAX_WRONG, &code).unwrap(), Verdict::Locked);
        assert_eq!(proof().judge(id, MAX_WRONG - 1, "x").unwrap(), Verdict::Wrong { left: 0 });
    }

    proptest! {
        #[test]
        fn a_code_has_four_digits_and_only_it_is_right(bits: u128, guess in "[0-9]{4}") {
            let id = Id::from_bits(bits);
            let code = proof().code(id).unwrap();
            prop_assert!(check_form(&code).is_ok());
            let right = proof().judge(id, 0, &guess).unwrap() == Verdict::Right;
            prop_assert_eq!(right, guess == code);
        }

        #[test]
        fn what_is_no_code_is_refused(text in "\\PC{0,6}") {
            let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(check_form(&text).is_ok(), digits);
        }
    }
}
