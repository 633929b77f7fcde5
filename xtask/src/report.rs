//! What a chore tells the person who runs it: the only place that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its terminal"
)]

use std::fmt::Display;

/// A line of progress or result, on standard output.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// Something that a check found wrong, on standard error.
pub(crate) fn problem(text: impl Display) {
    eprintln!("{text}");
}

/// Why the chore could not be done, with every cause, on standard error.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
