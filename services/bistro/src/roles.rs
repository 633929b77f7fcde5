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

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of a role that is not there would be set and never asked.
    #[test]
    fn every_role_that_answers_grpc_has_an_address_and_nothing_else_has() {
        let defaults = serde_json::to_value(bistro_config::RawConfig::defaults()).unwrap();
        let mut addressed: Vec<&str> =
            defaults["peers"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut roles: Vec<&str> =
            TABLE.iter().map(|role| role.name).filter(|name| *name != "gateway").collect();
        addressed.sort_unstable();
        roles.sort_unstable();
        assert_eq!(addressed, roles);
    }
}
