//! What the command prints: answers on standard output, what else there is to say on standard error.

use std::io::{self, Write};

use bistro_core::{Error, ErrorCode};

use crate::complaint::Complaint;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints `text` as the command's answer.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    match write(&mut io::stdout().lock(), text) {
        // Whoever read the answer has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|cause| unwritten("the answer cannot be written", cause)),
    }
}

/// Prints `text`, which can be had this once: that nobody was there to read it is an error too, and
/// `otherwise` says how to mend it.
pub(crate) fn print_once(text: &str, otherwise: &str) -> Result<(), Error> {
    write(&mut io::stdout().lock(), text)
        .map_err(|cause| unwritten(&format!("the answer cannot be written; {otherwise}"), cause))
}

fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn unwritten(message: &str, cause: io::Error) -> Error {
    Error::new(ErrorCode::Internal, message).caused_by(cause)
}

/// Says something beside the answer, to whoever watches.
pub(crate) fn say(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// So many of a thing whose plural takes an s.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Says what went wrong.
pub(crate) fn complain(complaint: &Complaint, format: Format) {
    match format {
        Format::Text => say(&complaint.text()),
        Format::Json => say(&complaint.json().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!(counted(1, "order"), "1 order");
        assert_eq!([counted(0, "line"), counted(2, "line")], ["0 lines", "2 lines"]);
    }
}
