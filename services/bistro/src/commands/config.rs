//! `bistro config`: checks a configuration, shows its schema and its defaults.

use std::path::Path;

use bistro_config::{Config, ConfigError, Mistake, Origin, process_environment};
use bistro_core::{Error, ErrorCode};
use bistro_runtime::{RoleSpec, start_order};
use serde_json::{Value, json};

use crate::{
    output::{self, Format},
    roles,
};

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

pub(crate) fn validate(
    file: Option<&Path>,
    targets: &[String],
    format: Format,
) -> Result<(), Error> {
    let loaded = load_for(file, targets);
    if format == Format::Text {
        loaded?;
        return output::print("the configuration is valid");
    }
    match loaded {
        Ok((_, order)) => {
            let roles: Vec<&str> = order.iter().map(|role| role.name).collect();
            output::print(&json!({ "valid": true, "roles": roles, "mistakes": [] }).to_string())
        }
        Err(error) => {
            // Whoever asked for JSON wants the mistakes one by one; that there are some is said on
            // standard error and by the exit code, as ever.
            if let Some(mistakes) = mistakes(&error) {
                let mistakes: Vec<Value> = mistakes.iter().map(described).collect();
                let report = json!({ "valid": false, "roles": targets, "mistakes": mistakes });
                output::print(&report.to_string())?;
            }
            Err(error)
        }
    }
}

/// The mistakes that `error` is made of, if it is about what is written.
fn mistakes(error: &Error) -> Option<&[Mistake]> {
    match std::error::Error::source(error)?.downcast_ref::<ConfigError>()? {
        ConfigError::Mistaken(mistakes) => Some(mistakes.0.as_slice()),
        ConfigError::Unreadable { .. } => None,
    }
}

fn described(mistake: &Mistake) -> Value {
    let (file, line, variable) = match &mistake.origin {
        Origin::File { name, line } => (Some(name), *line, None),
        Origin::Environment { variable } => (None, None, Some(variable)),
        Origin::Program => (None, None, None),
    };
    json!({
        "key": mistake.path, "file": file, "line": line, "variable": variable,
        "problem": mistake.problem, "write": mistake.write,
    })
}

pub(crate) fn schema() -> Result<(), Error> {
    output::print(&format!("{:#}", Config::schema()))
}

pub(crate) fn default() -> Result<(), Error> {
    output::print(&Config::default_yaml())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bistro.yaml");
        std::fs::write(&path, "gateway:\n  listen: nowhere\n").unwrap();
        let error = load(Some(&path)).unwrap_err();
        let told: Vec<Value> = mistakes(&error).unwrap().iter().map(described).collect();
        let keys: Vec<&Value> = told.iter().map(|mistake| &mistake["key"]).collect();
        assert!(keys.contains(&&json!("gateway.listen")), "{told:?}");
        let listen = told.iter().find(|mistake| mistake["key"] == "gateway.listen").unwrap();
        assert_eq!((&listen["line"], &listen["variable"]), (&json!(2), &Value::Null));
        assert!(listen["problem"].is_string() && listen["file"].is_string(), "{listen}");
        let missing = load(Some(&folder.path().join("none.yaml"))).unwrap_err();
        assert!(mistakes(&missing).is_none());
    }
}
