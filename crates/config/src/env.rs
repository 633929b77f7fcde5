//! The process environment as a map: the one place that reads it.

use std::collections::BTreeMap;

/// Variables by name. Everything that is configured by the environment takes one of these.
pub type Environment = BTreeMap<String, String>;

/// The variables of this process. What is not UTF-8 is replaced where it is not, so that it is
/// refused where it matters rather than ignored.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the adapter that turns the process environment into a value"
)]
pub fn process_environment() -> Environment {
    std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect()
}
