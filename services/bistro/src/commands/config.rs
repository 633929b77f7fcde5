//! `bistro config`: checks a configuration, shows its schema and its defaults.

use std::path::Path;

use bistro_config::{Config, process_environment};
use bistro_core::{Error, ErrorCode};

use crate::output;

/// Reads the configuration that `serve` would use.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Error> {
    Config::load(file, &process_environment())
        .map_err(|mistakes| Error::new(ErrorCode::InvalidArgument, mistakes.to_string()))
}

pub(crate) fn validate(file: Option<&Path>) -> Result<(), Error> {
    load(file)?;
    output::print("the configuration is valid")
}

pub(crate) fn schema() -> Result<(), Error> {
    output::print(&format!("{:#}", Config::schema()))
}

pub(crate) fn default() -> Result<(), Error> {
    output::print(&Config::default_yaml())
}
