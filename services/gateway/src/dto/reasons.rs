//! Why orders and payments end otherwise than they should, as the document has it: the codes of
//! `bistro_core::Reason`, and who else's words may stand in their place.

use std::borrow::Cow;

use bistro_core::Reason;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr,
        schema::{Schema, Type},
    },
};

/// The schema of a text that is one of `codes`, or what `beside` says.
fn text(about: &str, codes: &[Reason], beside: &str) -> RefOr<Schema> {
    let said: Vec<String> =
        codes.iter().map(|reason| format!("`{}`: {}", reason.code, reason.meaning)).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!("{about} {}. {beside}", said.join("; "))))
        .examples(codes.iter().take(1).map(|reason| reason.code))
        .into()
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $codes:expr, $beside:literal;)*) => {$(
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text(concat!($($doc),+).trim(), $codes, $beside)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

reasons! {
    /// Why an order ended early; null if it did not.
    OrderReason: Reason::ORDER,
        "Or the `code` of another problem, as the catalogue of errors has it; or what the card \
         provider calls it. When its customer or the restaurant ended it, their own words stand here.";
    /// Why the last change of an order was refused; null if it was not.
    ChangeRefusal: Reason::CHANGE,
        "Or the `code` of another problem, as the catalogue of errors has it; or what the card \
         provider calls it.";
    /// Why a payment, or one of its tenders, failed, is given back or is waited for; null otherwise.
    PaymentReason: Reason::PAYMENT,
        "Or what the card provider calls it; or, where the provider is asked again, a sentence on \
         what became of the last time.";
}
