//! The command line, and which chore does which command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{check_deps, codegen, crash, docs_links, provision, report, schemathesis, tests_run};

/// Chores of the repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = report::EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the real servers that tests need (MongoDB, RabbitMQ) available on this machine.
    Provision(provision::Args),
    /// Check the direction of the dependencies between the workspace's crates.
    CheckDeps,
    /// Check that the papers point only at what is there.
    DocsLinks,
    /// Write the generated files that are committed, or check that they are fresh.
    Codegen(codegen::Args),
    /// Kill a platform under load again and again, then check that nothing is lost or doubled.
    Crash(crash::Args),
    /// Send a platform whatever its OpenAPI document allows and forbids.
    Schemathesis(schemathesis::Args),
    /// Run every test, those of the API once more over real sockets, short crash campaigns, and
    /// schemathesis on both engines.
    Test,
}

impl Cli {
    /// Does the chore; how it went, or why it could not be done.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Provision(args) => provision::run(&args),
            Command::CheckDeps => check_deps::run(),
            Command::DocsLinks => docs_links::run(),
            Command::Codegen(args) => codegen::run(&args),
            Command::Crash(args) => crash::run(&args),
            Command::Schemathesis(args) => schemathesis::run(&args),
            Command::Test => tests_run::run(),
        }
    }
}
