//! The command line: which command is whose, and what its exit code says.

use std::{path::PathBuf, process::ExitCode};

use bistro_core::{Error, ErrorCode};
use clap::{Parser, Subcommand};

use crate::{
    commands,
    help::{ALONE, ASKING, AWAY, CHECKING, DISK, DONE, EXITS, FAILED, FOUND, USAGE, codes, teach},
    output, serve,
};

/// A restaurant platform: one program, many roles.
///
/// `bistro serve` runs it; every other command talks to a running one. `bistro COMMAND --help` has
/// examples, what the command changes, and its exit codes.
#[derive(Parser)]
#[command(
    name = "bistro",
    version,
    after_help = format!(
        "Start with:\n  # the platform with three invented restaurants, at http://localhost:8080\n  \
         bistro serve --demo\n\nExit codes: {}",
        codes(EXITS)
    )
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run roles: all of them in one process, or those that are named.
    #[command(after_help = teach(
        &[
            ("bistro serve", "every role, on one file in ./bistro-data"),
            ("bistro serve --demo", "the same, with three invented restaurants and a first administrator"),
            ("bistro serve --config bistro.yaml --target orders --target kitchen", "two roles, as a pod would"),
        ],
        "what is asked of the platform is written into the data directory, or to MongoDB and RabbitMQ.",
        &[&DONE, &FAILED, &USAGE, &AWAY, &DISK],
    ))]
    Serve {
        /// The configuration file; without one, the defaults and the environment.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A role to run; may be repeated. Without it, all.
        #[arg(long, value_name = "ROLE")]
        target: Vec<String>,
        /// Load the demonstration once it runs, as `bistro demo` does. Not for production.
        #[arg(long)]
        demo: bool,
        /// Kill this process when it passes POINT for the NTH time, for crash campaigns.
        #[cfg(feature = "failpoints")]
        #[arg(long, value_name = "POINT:NTH")]
        failpoint: Option<String>,
    },
    /// List the roles, what each needs, and the ports.
    #[command(after_help = teach(
        &[("bistro targets", "what may follow serve --target")],
        "nothing.",
        ALONE,
    ))]
    Targets(commands::targets::Targets),
    /// Make administrators, and write out what is stored about a person.
    Admin(commands::admin::Admin),
    /// Look at the keys that access tokens are signed with, and replace them.
    Keys(commands::keys::Keys),
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
    /// Load three invented restaurants with menus, stations, staff and couriers.
    Demo(commands::demo::Demo),
    /// Look at an order in every role.
    Orders(commands::orders::Orders),
    /// Look after the events that roles could not handle.
    DeadLetters(commands::dead_letters::DeadLetters),
    /// Play a file of orders through the public API, as customers, kitchen and couriers would.
    Simulate(commands::simulate::Simulate),
    /// Check what every role has recorded against the others: nothing lost, nothing twice.
    Verify(commands::verify::Verify),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print what a shell needs to complete the command's words.
    Completions(commands::completions::Completions),
    /// Print a paper that is made from the program.
    #[command(hide = true)]
    Reference(commands::reference::Reference),
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Items and prices from a CSV file; rejected lines are reported, the others imported.
    #[command(after_help = teach(
        &[
            ("bistro import menu menu.csv --new 'Chez Ada'", "a new restaurant, open at once"),
            ("bistro import menu menu.csv --restaurant 'Chez Ada'", "into one that is there"),
        ],
        "items are added, and changed where the name is there already; the same file again changes nothing.",
        CHECKING,
    ))]
    Menu(commands::import::ImportMenu),
    /// A restaurant with its menus from schema.org's JSON-LD; rejected nodes are reported.
    #[command(after_help = teach(
        &[
            ("bistro import restaurant ada.jsonld", "a new restaurant, open at once"),
            ("bistro import restaurant ada.jsonld --restaurant 'Chez Ada'", "change one that is there"),
        ],
        "the restaurant is made or changed, and its menus, options and items are added or changed; nothing is deleted.",
        CHECKING,
    ))]
    Restaurant(commands::import::ImportRestaurant),
}

#[derive(Subcommand)]
enum ExportCommand {
    /// A restaurant's menu as CSV, or with the restaurant as schema.org's JSON-LD.
    #[command(after_help = teach(
        &[
            ("bistro export menu --restaurant 'Chez Ada' > menu.csv", "for a table"),
            ("bistro export menu --restaurant 'Chez Ada' --format json-ld", "for the web"),
        ],
        "nothing.",
        ASKING,
    ))]
    Menu(commands::export::ExportMenu),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a file together with the environment, and report every mistake.
    #[command(after_help = teach(
        &[
            ("bistro config validate bistro.yaml", "as for a process that runs every role"),
            ("bistro config validate bistro.yaml --target orders", "as for one that runs orders"),
        ],
        "nothing.",
        ALONE,
    ))]
    Validate {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// A role that would run with it; may be repeated. Without it, all.
        #[arg(long, value_name = "ROLE")]
        target: Vec<String>,
    },
    /// Print the JSON schema of the file.
    #[command(after_help = teach(
        &[("bistro config schema > config.schema.json", "for an editor that checks what is written")],
        "nothing.",
        ALONE,
    ))]
    Schema,
    /// Print the defaults as a commented file.
    #[command(after_help = teach(
        &[("bistro config default > bistro.yaml", "to change what is to be different")],
        "nothing.",
        ALONE,
    ))]
    Default,
}

/// Runs the command and gives its exit code; what went wrong is on standard error.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        #[cfg(not(feature = "failpoints"))]
        Command::Serve { config, target, demo } => served(config, &target, demo),
        #[cfg(feature = "failpoints")]
        Command::Serve { config, target, demo, failpoint } => {
            arm(failpoint.as_deref()).and_then(|()| served(config, &target, demo))
        }
        Command::Targets(command) => commands::targets::run(&command),
        Command::Admin(command) => commands::admin::run(&command),
        Command::Keys(command) => commands::keys::run(&command),
        Command::Import { command: ImportCommand::Menu(command) } => {
            commands::import::run(&command)
        }
        Command::Import { command: ImportCommand::Restaurant(command) } => {
            commands::import::run_restaurant(&command)
        }
        Command::Export { command: ExportCommand::Menu(command) } => {
            commands::export::run(&command).map(|()| true)
        }
        Command::Demo(command) => commands::demo::run(&command),
        Command::Orders(command) => commands::orders::run(&command),
        Command::DeadLetters(command) => commands::dead_letters::run(&command),
        Command::Simulate(command) => commands::simulate::run(&command),
        Command::Verify(command) => commands::verify::run(&command),
        Command::Config { command } => match command {
            ConfigCommand::Validate { file, target } => {
                commands::config::validate(file.as_deref(), &target)
            }
            ConfigCommand::Schema => commands::config::schema(),
            ConfigCommand::Default => commands::config::default(),
        }
        .map(|()| true),
        Command::Completions(command) => commands::completions::run(&command),
        Command::Reference(command) => commands::reference::run(&command),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND.code),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn served(config: Option<PathBuf>, targets: &[String], demo: bool) -> Result<bool, Error> {
    serve::run(config.as_deref(), targets, demo).map(|()| true)
}

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
        ErrorCode::InvalidArgument | ErrorCode::MalformedBody => USAGE.code,
        ErrorCode::Unavailable | ErrorCode::DeadlineExceeded => AWAY.code,
        _ => FAILED.code,
    }
}
