//! `cargo xtask check-deps`: checks the direction of the dependencies between the workspace's crates.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::report;

mod metadata;
mod rules;
#[cfg(test)]
mod tests;

use metadata::Workspace;

/// Reads the manifests through `cargo metadata` and names every dependency that a rule forbids.
pub(crate) fn run() -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("cannot run `cargo metadata`")?;
    if !output.status.success() {
        bail!(
            "`cargo metadata --locked` failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    let workspace = Workspace::parse(&output.stdout)?;
    let violations = rules::violations(&workspace);
    for violation in &violations {
        report::problem(violation);
    }
    if violations.is_empty() {
        report::line(format!(
            "check-deps: {} crates keep {} rules",
            workspace.packages.len(),
            rules::RULES.len()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(report::FOUND.into())
}
