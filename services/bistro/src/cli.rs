//! The command line: which command is whose, and what its exit code says.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use bistro_core::{Error, ErrorCode};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    commands::{self, interrupt},
    complaint::Complaint,
    help::{
        ALONE, ASKING, AWAY, CHECKING, DISK, DONE, EXITS, FAILED, FOUND, INTERRUPTED, USAGE, codes,
        teach,
    },
    output::{self, Format},
    serve,
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
        #[cfg(debug_assertions)]
        #[arg(long, value_name = "POINT:NTH", hide = true)]
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
            ("bistro config validate bistro.yaml --output json | jq -r '.mistakes[].key'", "the keys that are wrong"),
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
        /// How the answer is written.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        output: Format,
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

/// Reads the words of this process and does what they say; gives the exit code. What went wrong is
/// on standard error.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let read = Cli::command()
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, format(&matches))));
    let (cli, format) = match read {
        Ok(read) => read,
        Err(error) if error.use_stderr() && wants_json(&words) => {
            output::complain(&Complaint::of_usage(&error), Format::Json);
            return ExitCode::from(USAGE.code);
        }
        // Help that was asked for, or what is wrong with the words.
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND.code),
        Err(error) => {
            output::complain(&Complaint::of(&error), format);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// How the command that was named writes.
fn format(matches: &ArgMatches) -> Format {
    let mut named = matches;
    while let Some((_, sub)) = named.subcommand() {
        named = sub;
    }
    // A command that reports nothing has no such word.
    named.try_get_one("output").ok().flatten().copied().unwrap_or(Format::Text)
}

/// Whether words that cannot be read ask for JSON nevertheless.
fn wants_json(words: &[OsString]) -> bool {
    words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || words.iter().any(|word| word == "--output=json")
}

/// Does what the words say; whether all was as it should be.
fn run(cli: Cli) -> Result<bool, Error> {
    match cli.command {
        #[cfg(not(debug_assertions))]
        Command::Serve { config, target, demo } => served(config, &target, demo),
        #[cfg(debug_assertions)]
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
            ConfigCommand::Validate { file, target, output } => {
                commands::config::validate(file.as_deref(), &target, output)
            }
            ConfigCommand::Schema => commands::config::schema(),
            ConfigCommand::Default => commands::config::default(),
        }
        .map(|()| true),
        Command::Completions(command) => commands::completions::run(&command),
        Command::Reference(command) => commands::reference::run(&command),
    }
}

fn served(config: Option<PathBuf>, targets: &[String], demo: bool) -> Result<bool, Error> {
    serve::run(config.as_deref(), targets, demo).map(|()| true)
}

/// Arms a fail point written as `point:nth`.
#[cfg(debug_assertions)]
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
        _ if interrupt::is_cause_of(error) => INTERRUPTED.code,
        ErrorCode::InvalidArgument | ErrorCode::MalformedBody => USAGE.code,
        ErrorCode::Unavailable | ErrorCode::DeadlineExceeded => AWAY.code,
        _ => FAILED.code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_the_command_that_was_named() {
        for (words, wanted) in [
            (&["keys", "list", "--output", "json"][..], Format::Json),
            (&["keys", "--output=json", "list"][..], Format::Json),
            (&["keys", "list"][..], Format::Text),
            (&["verify", "--output", "json"][..], Format::Json),
            (&["config", "validate", "--output", "json"][..], Format::Json),
            (&["serve"][..], Format::Text),
        ] {
            let words = [&["bistro"], words].concat();
            let matches = Cli::command().try_get_matches_from(&words).unwrap();
            assert_eq!(format(&matches), wanted, "{words:?}");
        }
        let asked =
            |words: &[&str]| wants_json(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asked(&["verfy", "--output", "json"]) && asked(&["--output=json"]));
        assert!(!asked(&["verfy", "--output", "text", "json"]) && !asked(&[]));
    }

    #[test]
    fn no_word_takes_what_it_says_from_the_environment_by_itself() {
        fn look(command: &clap::Command) {
            // clap takes such a word as written: then usage shows it as if it were required, and a
            // command without words complains where it should show its help.
            let set = command.get_arguments().find(|word| word.get_env().is_some());
            assert!(set.is_none(), "{}: {set:?}", command.get_name());
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn of_several_ways_each_is_named() {
        for (words, ways) in [
            (&["dead-letters", "retry"][..], "<ID|--all>"),
            (&["import", "menu", "menu.csv"][..], "<--new <NAME>|--restaurant <ID-or-name>>"),
        ] {
            let words = [&["bistro"], words].concat();
            let error = Cli::command().try_get_matches_from(&words).unwrap_err().to_string();
            assert!(error.contains(ways), "{words:?}: {error}");
        }
        for both in [
            &["bistro", "dead-letters", "retry", "--all", "kitchen.events:2f:0"][..],
            &["bistro", "import", "menu", "menu.csv", "--new", "A", "--restaurant", "B"],
            &["bistro", "dead-letters", "retry", "kitchen.events:2f:0", "--role", "kitchen"],
        ] {
            assert!(Cli::command().try_get_matches_from(both).is_err(), "{both:?}");
        }
    }
}
