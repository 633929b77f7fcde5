//! Lets schemathesis send a running platform whatever its OpenAPI document allows and forbids, and
//! checks every answer against the document.
//!
//! `cargo xtask schemathesis --engine embedded` is the way to start it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its terminal"
)]

mod location;
#[path = "../../../crates/testkit/src/locations.rs"]
#[expect(dead_code, reason = "of the servers' places only the cache folder is of use here")]
mod locations;
mod platform;
mod reached;
mod session;
mod settings;
mod things;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};

use platform::Platform;
use session::Session;

/// Sends a platform whatever its OpenAPI document allows and forbids.
#[derive(Clone, Debug, Parser)]
#[command(name = "schemathesis")]
struct Arguments {
    /// What the platform runs on.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
    /// Decides what is sent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests of each kind and operation at most.
    #[arg(long, default_value_t = 10)]
    max_examples: u32,
    /// Seconds after which the requests of one person are cut off. That is a fault: what is sent is
    /// bounded by --max-examples, and this only ends what does not end by itself. No longer than
    /// a token is good for.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=3500))]
    max_time: u32,
    /// The program to test.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
}

/// What the platform runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The embedded engine.
    Embedded,
    /// MongoDB and RabbitMQ.
    Servers,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(faults) if faults.is_empty() => {
            println!(
                "schemathesis found nothing (engine {:?}, seed {})",
                arguments.engine, arguments.seed
            );
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            for fault in faults {
                eprintln!("found: {fault}");
            }
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Runs it; what was found.
async fn run(arguments: &Arguments) -> Result<Vec<String>> {
    let root = locations::cache_root().context("neither BISTRO_CACHE nor HOME is set")?;
    let schemathesis = location::program(&root);
    if !schemathesis.exists() {
        bail!("there is no {}; run: cargo xtask provision", schemathesis.display());
    }
    let mut platform = Platform::start(arguments.engine, &arguments.program).await?;
    let people = platform.people().await?;
    let settings = platform.folder().join("schemathesis.toml");
    std::fs::write(&settings, settings::text(&people.things))?;

    let document = platform.document().await?;
    let before = reached::counts(&platform.metrics().await?);
    let mut faults = Vec::new();
    for (who, email) in [("an administrator", people.admin), ("a customer", people.customer)] {
        println!("=== as {who}");
        let token = platform.fresh_token(email).await?;
        let session = Session {
            schemathesis: &schemathesis,
            settings: &settings,
            folder: platform.folder(),
            url: platform.url(),
            who,
            token: &token,
            seed: arguments.seed,
            max_examples: arguments.max_examples,
        };
        let outcome = session.run(Duration::from_secs(arguments.max_time.into())).await?;
        println!("=== {}", outcome.done);
        faults.extend(outcome.faults);
    }
    let after = reached::counts(&platform.metrics().await?);
    let sent = after.values().sum::<u64>() - before.values().sum::<u64>();
    println!("=== the platform counted {sent} requests");
    faults.extend(reached::never(&document, &before, &after));
    faults.extend(platform.faults().await?);
    Ok(faults)
}
