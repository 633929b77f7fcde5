//! What many answers have in common: money, times, pages, and words from a fixed list.

use bistro_core::{Error, PageRequest, Timestamp};
use bistro_proto::common::v1;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr,
        schema::{KnownFormat, Schema, SchemaFormat, Type},
    },
};

/// An amount of money.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Money {
    /// Whole minor units of the currency: pence, cents.
    #[schema(example = 1295)]
    pub(crate) amount_minor: i64,
    /// ISO 4217 code.
    #[schema(example = "GBP")]
    pub(crate) currency: String,
}

impl From<v1::Money> for Money {
    fn from(money: v1::Money) -> Self {
        Self { amount_minor: money.amount_minor, currency: money.currency }
    }
}

/// A moment; RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(Timestamp);

impl Time {
    /// The moment `millis` after the Unix epoch.
    pub(crate) fn at(millis: i64) -> Self {
        Self(Timestamp::from_millis(millis))
    }

    /// The moment `millis` after the Unix epoch; none for 0, which says "never" on the wire.
    pub(crate) fn unless_zero(millis: i64) -> Option<Self> {
        (millis != 0).then(|| Self::at(millis))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, with milliseconds"))
            .examples(["2026-11-20T18:30:00.000Z"])
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
}

/// None for an empty text, which says "none" on the wire.
pub(crate) fn unless_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last one.
    #[schema(example = "b3BhcXVl")]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of `rows`, each made from a role's message.
    pub(crate) fn of<M: Into<T>>(rows: Vec<M>, next_cursor: String) -> Self {
        Self {
            items: rows.into_iter().map(Into::into).collect(),
            next_cursor: unless_empty(next_cursor),
        }
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Cursor {
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given. A page of long rows may hold fewer.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl Cursor {
    /// The roles' words for it.
    pub(crate) fn into_request(self) -> Result<v1::PageRequest, Error> {
        page_request(self.cursor, self.limit)
    }
}

/// The roles' words for `limit` rows after `cursor`.
///
/// Query parameters are read flat, so lists with filters have these two fields of their own.
pub(crate) fn page_request(cursor: String, limit: Option<u32>) -> Result<v1::PageRequest, Error> {
    match limit {
        Some(limit) if !(1..=PageRequest::MAX_LIMIT).contains(&limit) => {
            Err(Error::field("limit", "write a number from 1 to 200"))
        }
        _ => Ok(v1::PageRequest { limit: limit.unwrap_or(0), cursor }),
    }
}

/// Makes a type for a word from a fixed list: checked when it comes in, an `enum` in the schema.
/// What goes out is what the role says, so that a role may learn a new word before the gateway.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident: $($word:literal),+;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, serde::Serialize)]
        #[serde(transparent)]
        pub(crate) struct $name(String);

        impl $name {
            #[allow(dead_code, reason = "some words only come in, others only go out")]
            pub(crate) fn into_inner(self) -> String {
                self.0
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self(word)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                match word.as_str() {
                    $($word)|+ => Ok(Self(word)),
                    _ => {
                        let known = [$($word),+].join(", ");
                        let message = format!("{word:?} is none of: {known}");
                        Err(serde::de::Error::custom(message))
                    }
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    .enum_values(Some([$($word),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

pub(crate) use words;
