//! A terminal of a test's own, to see what a program shows to whoever watches it.

use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

/// Runs `command` until it ends, with a terminal as its standard error. Gives how it ended, and all that it wrote
/// there, escape sequences included.
///
/// Its standard input is empty; its standard output goes where `command` says. Blocks.
pub fn on_a_terminal(mut command: Command) -> Result<(ExitStatus, String)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).context("cannot open a terminal")?;
    grantpt(&screen).context("cannot be given a terminal")?;
    unlockpt(&screen).context("cannot unlock a terminal")?;
    let writing = ioctl_tiocgptpeer(&screen, flags).context("cannot open a terminal to write")?;
    command.stdin(Stdio::null()).stderr(Stdio::from(writing));
    let mut child = command.spawn().context("cannot start the program")?;
    // It holds the end to write too, and what is read ends when nobody does.
    drop(command);
    let mut shown = Vec::new();
    let read = File::from(screen).read_to_end(&mut shown);
    // Of a terminal to which nobody can write any more, that is how the end is told (pty(7)).
    if let Err(error) = read
        && error.raw_os_error() != Some(Errno::IO.raw_os_error())
    {
        return Err(error).context("cannot read what was written to the terminal");
    }
    let status = child.wait().context("cannot wait for the program")?;
    Ok((status, String::from_utf8_lossy(&shown).into_owned()))
}
