//! The workspace's programs, built together with its tests.
//!
//! A package that is built by itself gets its dependencies with other features than the whole
//! workspace and its tests do, and cargo compiles them once more: minutes, for every choice of
//! packages. So every chore that needs a program uses the one build that the tests use.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, ensure};

use crate::cargo::cargo;

/// What is built, as arguments of cargo; the tests are run with a part of it.
const WHOLE: &[&str] = &["--workspace", "--lib", "--bins", "--tests", "--examples"];

/// Where the programs lie.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Builds them.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let status = cargo()
            .args(["build", "--quiet", "--locked"])
            .args(WHOLE)
            .status()
            .context("cargo cannot be started")?;
        ensure!(status.success(), "the workspace cannot be built");
        // This program is built into the same folder.
        let own = std::env::current_exe().context("this program does not know where it lies")?;
        let folder = own.parent().context("this program lies in no folder")?;
        Ok(Self(folder.to_owned()))
    }

    /// The program of this name.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.0.join(name))
    }

    /// The example of this name.
    pub(crate) fn example(&self, name: &str) -> Command {
        Command::new(self.0.join("examples").join(name))
    }

    /// Lets `tester` have a go at `bistro`, with `arguments` of its own.
    pub(crate) fn attack<A: AsRef<OsStr>>(
        &self,
        tester: &str,
        arguments: &[A],
    ) -> anyhow::Result<ExitStatus> {
        self.program(tester)
            .arg("--program")
            .arg(self.0.join("bistro"))
            .args(arguments)
            .status()
            .with_context(|| format!("{tester} cannot be started"))
    }
}
