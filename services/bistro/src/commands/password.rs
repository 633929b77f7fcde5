//! Passwords of people: typed without being shown, read from a file, or made up.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use bistro_core::{Error, ErrorCode};
use rand::{TryRng as _, rngs::SysRng};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Letters of a password that is made up: none that are taken for another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
/// How many of them: 100 bits.
const LENGTH: usize = 20;

/// A password for `whom`: the first line of `file`, or of standard input if the file is `-`; else
/// asked for twice on the terminal; else the first line of standard input.
pub(crate) fn read(whom: &str, file: Option<&Path>) -> Result<String, Error> {
    match file {
        Some(path) if path != Path::new("-") => {
            let text = fs::read_to_string(path).map_err(|cause| {
                let message = format!("{} cannot be read: {cause}", path.display());
                Error::new(ErrorCode::InvalidArgument, message)
            })?;
            first_line(&text)
        }
        None if io::stdin().is_terminal() => ask_twice(whom),
        _ => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(Error::internal)?;
            first_line(&line)
        }
    }
}

fn first_line(text: &str) -> Result<String, Error> {
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Error::new(ErrorCode::InvalidArgument, "there is no password in the first line")),
    }
}

fn ask_twice(whom: &str) -> Result<String, Error> {
    let first = ask(&format!("Password of {whom}: "))?;
    let second = ask("The same again: ")?;
    if first != second {
        return Err(Error::new(ErrorCode::InvalidArgument, "the two passwords are not the same"));
    }
    first_line(&first)
}

/// Asks on the terminal, which does not show what is typed.
fn ask(question: &str) -> Result<String, Error> {
    let mut terminal = io::stderr().lock();
    let asked = write!(terminal, "{question}").and_then(|()| terminal.flush());
    asked.map_err(Error::internal)?;
    let hidden = Hidden::begin()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(hidden);
    // The line end that was typed was not shown either.
    let _ = writeln!(terminal);
    read.map_err(Error::internal)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Self, Error> {
        let before = tcgetattr(io::stdin()).map_err(Error::internal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(Error::internal)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing any more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// A password that nobody has thought of.
pub(crate) fn make_up() -> Result<String, Error> {
    let mut random = [0_u8; LENGTH];
    SysRng.try_fill_bytes(&mut random).map_err(Error::internal)?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, " with spaces \r\nand more\n").unwrap();
        assert_eq!(read("ada", Some(&path)).unwrap(), " with spaces ");
        fs::write(&path, "\n").unwrap();
        assert!(read("ada", Some(&path)).is_err());
        assert!(read("ada", Some(&folder.path().join("none"))).is_err());
    }

    #[test]
    fn no_two_passwords_are_the_same() {
        let one = make_up().unwrap();
        assert_eq!(one.len(), LENGTH);
        assert_ne!(one, make_up().unwrap());
    }
}
