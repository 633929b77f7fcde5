//! The one program: `bistro serve` runs roles, every other command talks to a running server.

mod backends;
mod cli;
mod commands;
mod output;
mod roles;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
