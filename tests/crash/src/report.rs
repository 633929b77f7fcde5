//! What a campaign says: the only place that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its terminal"
)]

use std::{fmt::Display, process::ExitCode};

use crate::{arguments::Arguments, campaign::Outcome};

/// A line of progress.
pub(crate) fn line(text: impl Display) {
    eprintln!("{text}");
}

/// What was found.
pub(crate) fn outcome(arguments: &Arguments, outcome: &Outcome) -> ExitCode {
    println!("engine {:?}, seed {}, {:.0} s", arguments.engine, arguments.seed, outcome.seconds);
    for (name, count) in &outcome.kills {
        println!("{count:>5}  {name}");
    }
    println!("played: {}", outcome.played);
    for (plot, ends) in &outcome.mischief {
        for (end, count) in ends {
            println!("{count:>5}  {plot}: {end}");
        }
    }
    println!("verified: {}", outcome.verified);
    println!("nothing lost, nothing twice");
    ExitCode::SUCCESS
}

/// Why there is no outcome, or a bad one.
pub(crate) fn failure(arguments: &Arguments, error: &anyhow::Error) -> ExitCode {
    eprintln!("engine {:?}, seed {}: {error:#}", arguments.engine, arguments.seed);
    ExitCode::FAILURE
}
