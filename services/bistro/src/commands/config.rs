//! `bistro config`: checks a configuration, shows its schema and its defaults.

use std::path::Path;

use bistro_config::{Config, process_environment};
use bistro_core::{Error, ErrorCode};
use bistro_runtime::{RoleSpec, start_order};

use crate::{output, roles};

/// Reads the configuration of a process that runs `roles`.
fn read(file: Option<&Path>, roles: &[&str]) -> Result<Config, Error> {
    Config::load(file, &process_environment(), roles)
        .map_err(|cause| Error::new(ErrorCode::InvalidArgument, cause.to_string()).caused_by(cause))
}

/// Reads the configuration for a command that runs no role.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Error> {
    read(file, &[])
}

/// Reads the configuration that `serve` would use for `targets`; with their roles, in the order in
/// which they start.
pub(crate) fn load_for(
    file: Option<&Path>,
    targets: &[String],
) -> Result<(Config, Vec<&'static RoleSpec>), Error> {
    let order = start_order(roles::TABLE, targets)?;
    let roles: Vec<&str> = order.iter().map(|role| role.name).collect();
    let config = read(file, &roles)?;
    Ok((config, order))
}

pub(crate) fn validate(file: Option<&Path>, targets: &[String]) -> Result<(), Error> {
    load_for(file, targets)?;
    output::print("the configuration is valid")
}

pub(crate) fn schema() -> Result<(), Error> {
    output::print(&format!("{:#}", Config::schema()))
}

pub(crate) fn default() -> Result<(), Error> {
    output::print(&Config::default_yaml())
}
