//! What a chore tells the person who runs it: the only place that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its terminal"
)]

use std::fmt::Display;

/// What the exit codes mean, for `--help`.
pub(crate) const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 a check found something, 2 wrong usage, 3 could not do it.";
/// The check could be made, and found something.
pub(crate) const FOUND: u8 = 1;
/// The chore could not be done.
pub(crate) const COULD_NOT: u8 = 3;

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
