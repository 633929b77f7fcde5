//! Installs strace, with which a test lets a program's flushes fail as a broken disk does.

use std::process::Command;

use anyhow::Result;

use super::tool;
use crate::report;

const BY_HAND: &str = "install strace 5.3 or later by hand: `sudo apt-get install strace`";

/// Installs the package unless the program is there.
pub(super) fn install() -> Result<()> {
    if verify().is_ok() {
        return Ok(());
    }
    report::line("strace: installing Debian's package (about 2 MB)");
    tool::install_package("strace", BY_HAND)
}

/// Runs `strace --version`; the first line of its answer.
pub(super) fn verify() -> Result<String> {
    let answer = tool::run(Command::new("strace").arg("--version"), BY_HAND)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
