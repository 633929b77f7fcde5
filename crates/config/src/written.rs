//! How texts with a form of their own look in the JSON schema: durations, sizes, addresses.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Makes a marker whose only use is `#[schemars(with = "…")]`.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $($schema:tt)+) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

form!(
    /// A duration, as `10m`.
    Duration,
    { "type": "string", "pattern": r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "minLength": 2 }
);
form!(
    /// A size in bytes, as `1MiB`.
    Size,
    { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }
);
form!(
    /// An IP address and a port, as `0.0.0.0:8080`.
    Address,
    { "type": "string", "pattern": r"^([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]+$" }
);
form!(
    /// Where another role answers, as `http://bistro-orders:50051`.
    Peer,
    { "type": "string", "pattern": "^https?://[^/]+/?$" }
);
