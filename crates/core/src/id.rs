//! Prefixed, sortable, 128-bit ids, and the source that derives them from a cause.

use std::{fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::Timestamp;

/// Crockford's base 32, in lower case: digits and letters without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters that 128 bits take in base 32.
const TEXT_LEN: usize = 26;
/// Low bits that are not time.
const ENTROPY_BITS: u32 = 80;

/// What an id names; gives the prefix.
pub trait IdKind: Copy + Send + Sync + 'static {
    /// The word before the underscore: `ord` in `ord_01jd…`.
    const PREFIX: &'static str;
}

/// The kinds of thing that have an id.
pub mod kinds {
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name;
            impl super::IdKind for $name {
                const PREFIX: &'static str = $prefix;
            }
        )*};
    }
    kinds! {
        /// A person (or service account) who can log in.
        User = "usr";
        /// A logged-in session: one family of refresh tokens.
        Session = "ses";
        /// A way to a new password for who has forgotten theirs.
        PasswordReset = "pwr";
        /// An invitation to work for a restaurant.
        Invitation = "inv";
        /// A key with which a program speaks for a user.
        ApiKey = "key";
        /// A restaurant.
        Restaurant = "rst";
        /// A menu of a restaurant.
        Menu = "mnu";
        /// A section of a menu.
        Section = "sec";
        /// A dish or drink on a menu.
        Item = "itm";
        /// A group of options that an item offers.
        OptionGroup = "opg";
        /// One option of a group.
        Choice = "opt";
        /// Where a part of a restaurant's dishes is cooked.
        Station = "stn";
        /// What dishes and options are made of, as far as it may run out.
        Ingredient = "ing";
        /// A hold on counted stock for one order.
        Reservation = "rsv";
        /// An order.
        Order = "ord";
        /// What a customer thought of an order.
        Rating = "rat";
        /// A payment of one order by one tender.
        Payment = "pay";
        /// A posting in the ledger.
        LedgerEntry = "led";
        /// A kitchen ticket.
        Ticket = "tkt";
        /// A delivery of one order.
        Delivery = "dlv";
        /// A courier.
        Courier = "cou";
        /// A time that a courier was on duty.
        Shift = "shf";
        /// An entry of the audit trail.
        Activity = "act";
        /// One HTTP request, as shown in errors and logs.
        Request = "req";
    }
}

/// A typed 128-bit id: 48 bits of Unix milliseconds, then 80 bits of hash or randomness.
///
/// Its text is the kind's prefix, an underscore and 26 characters of Crockford base 32 in lower
/// case, so that ids sort by time as text too.
pub struct Id<K> {
    bits: u128,
    kind: PhantomData<fn() -> K>,
}

impl<K: IdKind> Id<K> {
    /// The id with exactly these bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self { bits, kind: PhantomData }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.bits
    }

    /// When the id was made.
    #[must_use]
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.bits >> ENTROPY_BITS).unwrap_or(i64::MAX))
    }

    /// The id of another kind with the same bits.
    ///
    /// An order has at most one ticket, one delivery and one stock reservation because each of
    /// them is the order's sibling: a second one would have the first one's id.
    #[must_use]
    pub const fn sibling<L: IdKind>(self) -> Id<L> {
        Id::from_bits(self.bits)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bits.cmp(&other.bits)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; TEXT_LEN];
        for (place, slot) in text.iter_mut().rev().enumerate() {
            let digit = (self.bits >> (5 * place)) & 31;
            *slot = ALPHABET[digit as usize];
        }
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of this kind; it looks like {prefix}_ and 26 letters and digits")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_bits(text, K::PREFIX)
            .map(Self::from_bits)
            .ok_or_else(|| IdError { text: text.chars().take(80).collect(), prefix: K::PREFIX })
    }
}

fn parse_bits(text: &str, prefix: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    // 26 digits hold 130 bits: the first may only use its low three.
    if digits.len() != TEXT_LEN || digits[0] > b'7' {
        return None;
    }
    digits.iter().try_fold(0_u128, |bits, digit| {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        Some((bits << 5) | value as u128)
    })
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Derives ids from one cause: the same cause, kind and label always give the same id.
#[derive(Clone, Debug)]
pub struct IdSource {
    time: Timestamp,
    seed: [u8; 32],
}

impl IdSource {
    /// A source for the cause with this text, which happened at `time`.
    #[must_use]
    pub fn from_cause(time: Timestamp, cause: &str) -> Self {
        Self { time, seed: Sha256::digest(cause.as_bytes()).into() }
    }

    /// A source for something without a cause of its own, from random bits.
    #[must_use]
    pub fn random(time: Timestamp, rng: &mut impl rand::Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self { time, seed }
    }

    /// The id of kind `K` that this cause makes under `label` (labels tell several apart).
    #[must_use]
    pub fn id<K: IdKind>(&self, label: &str) -> Id<K> {
        let digest = Sha256::new()
            .chain_update(self.seed)
            .chain_update(K::PREFIX)
            .chain_update([0])
            .chain_update(label)
            .finalize();
        let mut low = [0_u8; 16];
        low[6..].copy_from_slice(&digest[..10]);
        let time = u128::try_from(self.time.as_millis()).unwrap_or(0) & ((1 << 48) - 1);
        Id::from_bits((time << ENTROPY_BITS) | u128::from_be_bytes(low))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{kinds::*, *};

    proptest! {
        #[test]
        fn text_round_trips_and_sorts_like_the_bits(a: u128, b: u128) {
            let (x, y) = (Id::<Order>::from_bits(a), Id::<Order>::from_bits(b));
            prop_assert_eq!(x.to_string().parse::<Id<Order>>().unwrap(), x);
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        }

        #[test]
        fn any_text_is_refused_or_read_back_exactly(text in "\\PC*") {
            if let Ok(id) = text.parse::<Id<Order>>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn same_cause_same_id_and_labels_tell_apart() {
        let source = IdSource::from_cause(Timestamp::from_millis(7), "request k1");
        assert_eq!(source.id::<Order>("a"), source.id::<Order>("a"));
        assert_ne!(source.id::<Order>("a"), source.id::<Order>("b"));
        assert_ne!(source.id::<Order>("a").bits(), source.id::<Ticket>("a").bits());
        assert_eq!(source.id::<Order>("a").time(), Timestamp::from_millis(7));
    }

    #[test]
    fn a_wrong_prefix_or_too_large_a_number_is_refused() {
        let id = Id::<Order>::from_bits(1).to_string();
        assert!(id.parse::<Id<Ticket>>().is_err());
        assert!(id.replacen('0', "8", 1).parse::<Id<Order>>().is_err());
    }
}
