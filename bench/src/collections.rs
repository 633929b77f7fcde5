//! The roles' collections, by name: what is written behind the roles' backs has to land there.

use anyhow::{Context as _, Result};
use bistro_runtime::RoleSpec;
use bistro_store::Collection;

/// The roles that have a part in an order.
const ROLES: [&RoleSpec; 5] = [
    &bistro_catalog::SPEC,
    &bistro_payments::SPEC,
    &bistro_orders::SPEC,
    &bistro_kitchen::SPEC,
    &bistro_delivery::SPEC,
];

/// Every collection of the roles that have a part in an order.
pub(crate) fn all() -> Vec<&'static Collection> {
    ROLES.iter().flat_map(|role| role.collections).copied().collect()
}

/// The collection `name` of `role`.
pub(crate) fn named(role: &str, name: &str) -> Result<&'static Collection> {
    let found = all().into_iter().find(|one| one.role == role && one.name == name);
    found.with_context(|| format!("there is no collection {role}.{name}"))
}

/// The declared index `name` of `collection`.
pub(crate) fn index(collection: &Collection, name: &str) -> Result<&'static str> {
    let found = collection.index(name).map(|index| index.name);
    found.with_context(|| format!("{} has no index {name}", collection.full_name()))
}
