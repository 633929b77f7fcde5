//! Chores of the repository, one subcommand and one module each: `cargo xtask <command>`.

use std::process::ExitCode;

use clap::Parser as _;

mod cargo;
mod check_deps;
mod cli;
mod codegen;
mod crash;
mod docs_links;
mod programs;
mod provision;
mod report;
mod schemathesis;
mod tests_run;

fn main() -> ExitCode {
    cli::Cli::parse().run().unwrap_or_else(|error| {
        report::failure(&error);
        report::COULD_NOT.into()
    })
}
