//! Crash campaigns: plays orders through a platform while killing it, then verifies.
//!
//! `cargo xtask crash --kills 25 --engine embedded` is the way to start it.

mod actor;
mod arguments;
mod campaign;
mod mischief;
mod orders;
mod platform;
mod play;
mod plots;
mod report;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match campaign::run(&arguments) {
        Ok(outcome) => report::outcome(&arguments, &outcome),
        Err(error) => report::failure(&arguments, &error),
    }
}
