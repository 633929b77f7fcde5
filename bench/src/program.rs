//! Finds the program that is measured, and builds it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{args::Options, report::say};

/// The program to measure: the one that was given, or a release build of this checkout.
pub(crate) fn find(options: &Options) -> Result<PathBuf> {
    match &options.program {
        Some(given) => {
            given.canonicalize().with_context(|| format!("cannot find {}", given.display()))
        }
        None => build(),
    }
}

/// The workspace.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn build() -> Result<PathBuf> {
    say("building bistro in release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", "bistro"])
        .current_dir(workspace())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    // Both are built by one cargo into one target directory.
    let this = std::env::current_exe().context("cannot find this program's own file")?;
    let target =
        this.parent().and_then(Path::parent).context("this program is in no target directory")?;
    let program = target.join("release/bistro");
    ensure!(
        program.exists(),
        "cargo built no {}; give the program with --program",
        program.display()
    );
    Ok(program)
}
