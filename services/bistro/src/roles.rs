//! The table of roles: the one place that names them all.

use bistro_bus::Queue;
use bistro_runtime::RoleSpec;

/// Every role.
pub(crate) static TABLE: &[&RoleSpec] = &[
    &bistro_accounts::SPEC,
    &bistro_catalog::SPEC,
    &bistro_payments::SPEC,
    &bistro_orders::SPEC,
    &bistro_kitchen::SPEC,
    &bistro_delivery::SPEC,
    &bistro_gateway::SPEC,
];

/// Every queue of the platform, whichever process consumes it.
pub(crate) fn queues() -> Vec<Queue> {
    TABLE.iter().flat_map(|role| role.queues).cloned().collect()
}
