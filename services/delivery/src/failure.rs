//! Why deliveries fail: the codes that others are told.

use bistro_core::Error;
use serde::{Deserialize, Serialize};

/// What kind of reason a delivery failed for: what others are told, who must not be told the
/// courier's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailCode {
    CustomerAbsent,
    WrongAddress,
    FoodDamaged,
    CourierUnable,
    Other,
}

impl FailCode {
    const ALL: [Self; 5] = [
        Self::CustomerAbsent,
        Self::WrongAddress,
        Self::FoodDamaged,
        Self::CourierUnable,
        Self::Other,
    ];

    /// The code with this text; without any text it is [`FailCode::Other`].
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::Other);
        }
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::field("code", format!("write one of {known}, or leave it out"))
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerAbsent => "customer_absent",
            Self::WrongAddress => "wrong_address",
            Self::FoodDamaged => "food_damaged",
            Self::CourierUnable => "courier_unable",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Reason;

    use super::*;

    #[test]
    fn a_code_is_one_of_the_list() {
        for code in FailCode::ALL {
            assert_eq!(FailCode::parse(code.as_str()).unwrap(), code);
            // It becomes the reason of the order.
            assert!(Reason::is_among(Reason::ORDER, code.as_str()), "{code:?}");
        }
        assert_eq!(FailCode::parse("").unwrap(), FailCode::Other);
        assert!(FailCode::parse("the dog of Ada bit me").is_err());
    }
}
