//! What the command prints: answers on standard output, complaints on standard error.

use std::io::Write as _;

use bistro_core::{Error, ErrorCode};

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
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // Whoever read the answer has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Error::new(ErrorCode::Internal, "the answer cannot be written").caused_by(error))
        }
    }
}

/// So many of a thing whose plural takes an s.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Says what went wrong, with every cause.
pub(crate) fn complain(error: &Error) {
    let mut text = format!("bistro: {}", error.message());
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let sentence = next.to_string();
        // A cause that the sentence above has already told is not told twice.
        if !text.contains(&sentence) {
            text.push_str("\n  because: ");
            text.push_str(&sentence);
        }
        cause = next.source();
    }
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
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
