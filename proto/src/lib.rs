//! The gRPC services and events of every role, compiled from `bistro/<role>/v1/`.
//!
//! A message's [`prost::Name::full_name`] is the kind of the event that carries it.

mod codec;

/// Encoded `FileDescriptorSet` of everything here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident: $package:literal;)*) => {$(
        $(#[$doc])*
        pub mod $role {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    )*};
}

roles! {
    /// What the messages of several roles have in common.
    common: "bistro.common.v1";
    /// Users, credentials, sessions, roles and memberships.
    accounts: "bistro.accounts.v1";
    /// Restaurants, their menus, and stock.
    catalog: "bistro.catalog.v1";
    /// Quotes, orders and their saga.
    orders: "bistro.orders.v1";
    /// Payment intents, captures, refunds and the ledger.
    payments: "bistro.payments.v1";
    /// Tickets: what a kitchen has to cook, item by item.
    kitchen: "bistro.kitchen.v1";
    /// Couriers, and who brings what to whom.
    delivery: "bistro.delivery.v1";
    /// What whoever operates the platform does; every process answers for its roles.
    operations: "bistro.operations.v1";
}
