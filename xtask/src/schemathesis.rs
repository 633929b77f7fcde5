//! `cargo xtask schemathesis`: sends a platform whatever its OpenAPI document allows and forbids; what
//! does so is `tests/schemathesis`.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use crate::{programs::Programs, report};

/// The words of the command, which go on as they are (`--help` tells them).
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// `--engine embedded|servers`, `--seed S`, `--max-examples N`, `--max-time SECONDS`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    run: Vec<String>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let status = Programs::build()?.attack("bistro-schemathesis", &args.run)?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(1) => report::FOUND.into(),
        _ => report::COULD_NOT.into(),
    })
}
