//! The command line, and what its exit codes mean.

use std::{path::PathBuf, process::ExitCode};

use bistro_core::{Error, ErrorCode};
use clap::{Parser, Subcommand};

use crate::{commands, output, serve};

/// A restaurant platform: one program, many roles.
#[derive(Parser)]
#[command(
    name = "bistro",
    version,
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage, or a wrong file or configuration; 3 a check found something wrong; 69 the platform does not answer; 74 the disk failed to write."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run roles: all of them in one process, or those that are named.
    Serve {
        /// The configuration file; without one, the defaults and the environment.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A role to run; may be repeated. Without it, all.
        #[arg(long, value_name = "ROLE")]
        target: Vec<String>,
        /// Kill this process when it passes POINT for the NTH time, for crash campaigns.
        #[cfg(feature = "failpoints")]
        #[arg(long, value_name = "POINT:NTH")]
        failpoint: Option<String>,
    },
    /// List the roles, what each needs, and the ports.
    Targets {
        /// The configuration file whose ports are shown.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Bring data in from files.
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Write data out to files.
    Export {
        #[command(subcommand)]
        command: ExportCommand,
    },
    /// Play a file of orders through the public API, as customers, kitchen and couriers would.
    Simulate(commands::simulate::Simulate),
    /// Check what every role has recorded against the others: nothing lost, nothing twice.
    Verify(commands::verify::Verify),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Items and prices from a CSV file; rejected lines are reported, the others imported.
    Menu(commands::import::ImportMenu),
    /// A restaurant with its menus from schema.org's JSON-LD; rejected nodes are reported.
    Restaurant(commands::import::ImportRestaurant),
}

#[derive(Subcommand)]
enum ExportCommand {
    /// A restaurant's menu as CSV, or with the restaurant as schema.org's JSON-LD.
    Menu(commands::export::ExportMenu),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a file together with the environment, and report every mistake.
    Validate {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// A role that would run with it; may be repeated. Without it, all.
        #[arg(long, value_name = "ROLE")]
        target: Vec<String>,
    },
    /// Print the JSON schema of the file.
    Schema,
    /// Print the defaults as a commented file.
    Default,
}

/// Runs the command and gives its exit code; what went wrong is on standard error.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        #[cfg(not(feature = "failpoints"))]
        Command::Serve { config, target } => serve::run(config.as_deref(), &target),
        #[cfg(feature = "failpoints")]
        Command::Serve { config, target, failpoint } => {
            arm(failpoint.as_deref()).and_then(|()| serve::run(config.as_deref(), &target))
        }
        Command::Targets { config } => commands::targets::run(config.as_deref()),
        Command::Import { command: ImportCommand::Menu(command) } => {
            return checked(commands::import::run(&command));
        }
        Command::Import { command: ImportCommand::Restaurant(command) } => {
            return checked(commands::import::run_restaurant(&command));
        }
        Command::Export { command: ExportCommand::Menu(command) } => {
            commands::export::run(&command)
        }
        Command::Simulate(command) => return checked(commands::simulate::run(&command)),
        Command::Verify(command) => return checked(commands::verify::run(&command)),
        Command::Config { command } => match command {
            ConfigCommand::Validate { file, target } => {
                commands::config::validate(file.as_deref(), &target)
            }
            ConfigCommand::Schema => commands::config::schema(),
            ConfigCommand::Default => commands::config::default(),
        },
    };
    checked(done.map(|()| true))
}

/// The exit code of a command that may find, in an orderly way, that something is wrong.
fn checked(sound: Result<bool, Error>) -> ExitCode {
    match sound {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND_WRONG),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The exit code of a check that found something wrong.
const FOUND_WRONG: u8 = 3;

/// Arms a fail point written as `point:nth`.
#[cfg(feature = "failpoints")]
fn arm(failpoint: Option<&str>) -> Result<(), Error> {
    let Some(text) = failpoint else { return Ok(()) };
    let armed = text
        .split_once(':')
        .and_then(|(point, nth)| Some(bistro_eventing::failpoint::arm(point, nth.parse().ok()?)));
    if armed == Some(true) {
        return Ok(());
    }
    let known = bistro_eventing::failpoint::POINTS.join(", ");
    let message = format!("{text:?} is no fail point; write POINT:NTH with one of {known}");
    Err(Error::new(ErrorCode::InvalidArgument, message))
}

fn exit_code(error: &Error) -> u8 {
    match error.code() {
        ErrorCode::InvalidArgument | ErrorCode::MalformedBody => 2,
        ErrorCode::Unavailable | ErrorCode::DeadlineExceeded => 69,
        _ => 1,
    }
}
