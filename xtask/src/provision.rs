//! `cargo xtask provision`: makes the real servers and tools that tests need available on this
//! machine.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::report;

/// Where schemathesis lies; what runs it looks there too.
#[path = "../../tests/schemathesis/src/location.rs"]
mod location;
/// Where the servers lie. The testkit looks there too, so the two cannot disagree.
#[path = "../../crates/testkit/src/locations.rs"]
mod locations;
mod mongod;
mod rabbitmq;
mod schemathesis;
mod strace;
mod tool;

/// Arguments of `provision`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install nothing; exit with 1 and name what is missing.
    #[arg(long)]
    check: bool,
}

/// Installs what is missing and verifies all of it, or with `--check` only verifies.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = cache_root()?;
    if !args.check {
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the cache folder {}", root.display()))?;
        let lock = root.join("provision.lock");
        let lock =
            File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        lock.lock().context("cannot wait for another `cargo xtask provision` to end")?;
        mongod::install(&root)?;
        rabbitmq::install()?;
        strace::install()?;
        schemathesis::install(&root)?;
        // The lock is held up to here: two runs at once install once.
        drop(lock);
    }
    let mut ready = true;
    for (program, found) in [
        ("mongod", mongod::verify(&root)),
        ("rabbitmq-server", rabbitmq::verify()),
        ("strace", strace::verify()),
        ("schemathesis", schemathesis::verify(&root)),
    ] {
        match found {
            Ok(what) => report::line(format!("{program}: ready ({what})")),
            Err(missing) => {
                ready = false;
                report::problem(format!("{program}: missing: {missing:#}"));
            }
        }
    }
    if ready {
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        report::problem("Run `cargo xtask provision`.");
    }
    Ok(report::FOUND.into())
}

fn cache_root() -> Result<PathBuf> {
    locations::cache_root().context("neither BISTRO_CACHE nor HOME is set; set BISTRO_CACHE to the folder that shall keep the servers")
}
