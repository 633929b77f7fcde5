//! `bistro config`: checks a configuration, shows its schema and its defaults.

use std::path::Path;

use bistro_config::{Config, process_environment};
use bistro_core::{Error, ErrorCode};
use bistro_runtime::{RoleSpec, start_order};

use crate::{output, roles};

/// Reads the configuration that `serve` would use.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Error> {
    Config::load(file, &process_environment())
        .map_err(|mistakes| Error::new(ErrorCode::InvalidArgument, mistakes.to_string()))
}

/// As [`load`], and what the roles that `targets` names need; with them, in the order in which
/// they start.
pub(crate) fn load_for(
    file: Option<&Path>,
    targets: &[String],
) -> Result<(Config, Vec<&'static RoleSpec>), Error> {
    let order = start_order(roles::TABLE, targets)?;
    let config = load(file)?;
    config
        .check_roles(order.iter().map(|role| role.name))
        .map_err(|mistakes| Error::new(ErrorCode::InvalidArgument, mistakes.to_string()))?;
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
