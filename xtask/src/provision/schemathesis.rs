//! Installs schemathesis, with which the public API is sent whatever its document allows and forbids,
//! into a virtual environment in the cache folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{location, tool};
use crate::report;

/// Every package with its checksums. pip refuses a file with another one.
const REQUIREMENTS: &str = include_str!("schemathesis.txt");
const REMEDY: &str = "this needs Python 3.11 or newer with venv and pip (`apt-get install python3-venv python3-pip`), on x86-64 Linux, and a reachable package index (`pip config list` shows which)";

/// Makes the environment unless the cache folder has one that runs.
pub(super) fn install(root: &Path) -> Result<()> {
    if verify(root).is_ok() {
        return Ok(());
    }
    report::line(format!("schemathesis: installing {} (18 MB)", location::VERSION));
    let folder = location::environment(root);
    // Programs of an environment name its place, so it is made where it stays; what an interrupted
    // run left is made again.
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    tool::run(Command::new("python3").args(["-m", "venv"]).arg(&folder), REMEDY)?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--require-hashes"])
        .arg("--requirement")
        .arg(&requirements);
    tool::run(&mut pip, REMEDY)?;
    Ok(())
}

/// Runs `schemathesis --version`; its answer.
pub(super) fn verify(root: &Path) -> Result<String> {
    let program = location::program(root);
    if !program.exists() {
        bail!("there is no {}", program.display());
    }
    let answer = tool::run(Command::new(&program).arg("--version"), REMEDY)?;
    if !answer.contains(location::VERSION) {
        bail!("{} is {answer:?} and not {}", program.display(), location::VERSION);
    }
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_release_is_the_one_that_is_looked_for() {
        let pinned = format!("schemathesis=={} \\", location::VERSION);
        assert!(REQUIREMENTS.lines().any(|line| line == pinned), "{pinned} is not pinned");
        let packages = REQUIREMENTS.lines().filter(|line| line.contains("=="));
        assert!(packages.clone().count() > 20 && packages.clone().all(|line| line.ends_with('\\')));
    }
}
