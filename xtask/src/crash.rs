//! `cargo xtask crash`: a crash campaign; the campaign itself is `tests/crash`.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use crate::{programs::Programs, report};

/// The words of the command, which go to the campaign as they are (`--help` tells them).
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// `--kills N`, `--engine embedded|servers`, `--seed S`, `--menu FILE --orders FILE`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    campaign: Vec<String>,
}

/// Runs the campaign.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let status = Programs::build()?.attack("bistro-crash", &args.campaign)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { report::FOUND.into() })
}
