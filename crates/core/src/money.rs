//! Money in integer minor units of an ISO 4217 currency.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ISO 4217 alphabetic code, in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Pound sterling.
    pub const GBP: Self = Self(*b"GBP");
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        // Only ASCII capitals get in, so this cannot be anything but text.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Digits after the decimal point (ISO 4217's "minor unit"): 2 for most, 0 for yen, 3 for dinars.
    #[must_use]
    pub fn minor_digits(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(MoneyError::Currency(text.chars().take(20).collect())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// What can be wrong with an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three capital letters.
    #[error("{0:?} is not a currency; write its ISO 4217 code, like GBP")]
    Currency(String),
    /// Not a decimal number that the currency can express.
    #[error("{text:?} is not an amount in {currency}; write it like {example}")]
    Amount {
        /// What was read.
        text: String,
        /// The currency it should be in.
        currency: Currency,
        /// An amount as it should look.
        example: &'static str,
    },
    /// Two currencies met in one sum.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// A sum that does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

/// An amount of money: whole minor units (pence, cents) of a currency. May be negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// `amount_minor` minor units of `currency`.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum, if both are in one currency and it fits.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let sum = self.amount_minor.checked_add(other.amount_minor);
        Ok(Self::new(sum.ok_or(MoneyError::Overflow)?, self.currency))
    }

    /// `quantity` times this, if it fits.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        let product = self.amount_minor.checked_mul(i64::from(quantity));
        Ok(Self::new(product.ok_or(MoneyError::Overflow)?, self.currency))
    }

    /// Reads a plain decimal number of major units, such as `12.95` or `0.5`, without rounding:
    /// more decimals than the currency has are refused.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let refuse = || MoneyError::Amount {
            text: text.chars().take(40).collect(),
            currency,
            example: if currency.minor_digits() == 0 { "1200" } else { "12.95" },
        };
        let digits = currency.minor_digits() as usize;
        let (negative, plain) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let dangling_point = plain.contains('.') && fraction.is_empty();
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || dangling_point || !all_digits(whole) || !all_digits(fraction) {
            return Err(refuse());
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > digits {
            return Err(refuse());
        }
        let minor: i64 = format!("{whole}{significant:0<digits$}").parse().map_err(|_| refuse())?;
        Ok(Self::new(if negative { -minor } else { minor }, currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.minor_digits();
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let (magnitude, unit) = (self.amount_minor.unsigned_abs(), 10_u64.pow(digits));
        if digits == 0 {
            return write!(f, "{sign}{magnitude} {}", self.currency);
        }
        let width = digits as usize;
        write!(f, "{sign}{}.{:0width$} {}", magnitude / unit, magnitude % unit, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_decimals_without_rounding() {
        let read = |text| Money::parse_decimal(text, Currency::GBP).map(|money| money.amount_minor);
        assert_eq!(read("0.5"), Ok(50));
        assert_eq!(read("12"), Ok(1200));
        assert_eq!(read("12.950"), Ok(1295));
        for bad in ["", ".", "1.", ".5", "1.005", "1e3", "£1", "--1", "9999999999999999999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(Money::parse_decimal("7", "JPY".parse().unwrap()).unwrap().amount_minor, 7);
    }

    #[test]
    fn currencies_do_not_mix() {
        let pound = Money::new(1, Currency::GBP);
        assert!(matches!(pound.plus(Money::new(1, Currency::EUR)), Err(MoneyError::Mixed(..))));
        assert_eq!(Money::new(i64::MAX, Currency::GBP).plus(pound), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(minor: i64) {
            let money = Money::new(minor, Currency::EUR);
            let text = money.to_string();
            let number = text.strip_suffix(" EUR").unwrap();
            if minor != i64::MIN {
                prop_assert_eq!(Money::parse_decimal(number, Currency::EUR).unwrap(), money);
            }
        }
    }
}
