//! Chores of the repository, one subcommand and one module each: `cargo xtask <command>`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check_deps;
mod provision;
mod report;

/// Chores of the repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = report::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the real servers that tests need (MongoDB, RabbitMQ) available on this machine.
    Provision(provision::Args),
    /// Check the direction of the dependencies between the workspace's crates.
    CheckDeps,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Provision(args) => provision::run(&args),
        Command::CheckDeps => check_deps::run(),
    };
    outcome.unwrap_or_else(|error| {
        report::failure(&error);
        report::COULD_NOT.into()
    })
}
