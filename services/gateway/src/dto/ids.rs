//! The ids of things, as the document has them: a schema for each kind, which fields name.
//!
//! In messages they are texts, and the roles that own the things read them.

use std::borrow::Cow;

use bistro_core::{IdKind, kinds};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr,
        schema::{Schema, Type},
    },
};

/// The schema of a text that is an id of kind `K`, as `bistro_core::Id` writes and reads it.
pub(crate) fn id_of<K: IdKind>() -> ObjectBuilder {
    let prefix = K::PREFIX;
    ObjectBuilder::new()
        .schema_type(Type::String)
        // 26 digits of 5 bits hold 130 bits: the first may only use its low three.
        .pattern(Some(format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")))
        .examples([format!("{prefix}_01jd3x8k4v9q2w7r5t6y8z0abc")])
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:ident;)*) => {$(
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                id_of::<kinds::$kind>().description(Some(concat!($($doc),+).trim())).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

ids! {
    /// The id of a user.
    UserId = User;
    /// The id of a session.
    SessionId = Session;
    /// The id of a way to a new password.
    PasswordResetId = PasswordReset;
    /// The id of an invitation.
    InvitationId = Invitation;
    /// The id of an API key.
    ApiKeyId = ApiKey;
    /// The id of an entry of the audit trail.
    ActivityId = Activity;
    /// The id of a restaurant.
    RestaurantId = Restaurant;
    /// The id of a menu.
    MenuId = Menu;
    /// The id of a section of a menu.
    SectionId = Section;
    /// The id of an item.
    ItemId = Item;
    /// The id of an option group.
    OptionGroupId = OptionGroup;
    /// The id of a choice of an option group.
    ChoiceId = Choice;
    /// The id of an ingredient.
    IngredientId = Ingredient;
    /// The id of a station.
    StationId = Station;
    /// The id of an order.
    OrderId = Order;
    /// The id of a rating.
    RatingId = Rating;
    /// The id of a payment.
    PaymentId = Payment;
    /// The id of an entry of the ledger.
    LedgerEntryId = LedgerEntry;
    /// The id of a ticket.
    TicketId = Ticket;
    /// The id of a delivery.
    DeliveryId = Delivery;
    /// The id of a courier.
    CourierId = Courier;
}

#[cfg(test)]
mod tests {
    use bistro_core::Id;

    use super::*;

    #[test]
    fn an_example_is_an_id_of_its_kind() {
        let schema = serde_json::to_value(OrderId::schema()).unwrap();
        let example = schema["examples"][0].as_str().unwrap();
        assert_eq!(example.parse::<Id<kinds::Order>>().unwrap().to_string(), example);
        assert!(example.parse::<Id<kinds::Ticket>>().is_err());
        assert_eq!(schema["pattern"], "^ord_[0-7][0-9a-hjkmnp-tv-z]{25}$");
        assert_eq!(schema["description"], "The id of an order.");
    }
}
