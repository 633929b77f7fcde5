//! Plays orders, one file after another, until the kills are done: however fast the machine is,
//! the platform is busy until the last kill, and not for long after it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{orders, platform::Platform};

/// Orders of one file.
const ORDERS: u32 = 250;
/// How long a simulation may take to begin, kills included.
const BEGINNING: Duration = Duration::from_secs(120);
/// Between two looks whether it has begun.
const LOOK: Duration = Duration::from_millis(20);

/// One file of orders, and the command that plays it.
struct Round {
    command: Command,
    journal: PathBuf,
}

/// What was played.
pub(crate) struct Played {
    /// What `bistro simulate` reported, added up over the files.
    pub(crate) sums: Value,
    /// The journals, by their names in the platform's folder.
    pub(crate) journals: Vec<String>,
}

/// Orders being played.
pub(crate) struct Playing(JoinHandle<Result<Played>>);

impl Playing {
    /// Begins to play orders at `restaurant`: the file `own`, or invented ones, in as many files
    /// as `kills` can take, until `enough`. Returns when the first orders are under way.
    pub(crate) async fn begin(
        platform: &Platform,
        restaurant: &str,
        own: Option<String>,
        (kills, concurrency): (u32, u32),
        enough: watch::Receiver<bool>,
    ) -> Result<Self> {
        let files = match own {
            Some(text) => vec![text],
            None => (0..=kills).map(|number| orders::orders(number * ORDERS, ORDERS)).collect(),
        };
        let folder = platform.sandbox.path();
        let mut rounds = Vec::new();
        for (number, text) in (1..).zip(files) {
            let (file, journal) = (format!("orders-{number}.csv"), journal(number));
            std::fs::write(folder.join(&file), text)?;
            let mut command = platform.command();
            command
                .args(["simulate", &file, "--restaurant", restaurant])
                .args(["--journal", &journal, "--output", "json"])
                .args(["--concurrency", &concurrency.to_string()]);
            rounds.push(Round { command, journal: folder.join(journal) });
        }
        let first = rounds.first().map(|round| round.journal.clone()).unwrap_or_default();
        let playing = Self(tokio::spawn(play(rounds, enough)));
        playing.begun(&first).await?;
        Ok(playing)
    }

    /// Whether nothing is played any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the end of the file that is being played.
    pub(crate) async fn finish(self) -> Result<Played> {
        self.0.await?
    }

    /// Until a simulation has a journal it only looks whether there is a platform to play on, and
    /// does not insist.
    async fn begun(&self, journal: &Path) -> Result<()> {
        let deadline = Instant::now() + BEGINNING;
        while !journal.exists() && !self.is_finished() {
            if Instant::now() > deadline {
                bail!("the simulation did not begin within {BEGINNING:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

fn journal(number: usize) -> String {
    format!("crash-{number}.journal")
}

async fn play(rounds: Vec<Round>, enough: watch::Receiver<bool>) -> Result<Played> {
    let mut played = Played { sums: json!({}), journals: Vec::new() };
    for (number, round) in (1..).zip(rounds) {
        if number > 1 && *enough.borrow() {
            break;
        }
        let output = insist(round).await?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("bistro simulate ended with {}: {complaint}", output.status);
        }
        let report: Value =
            serde_json::from_slice(&output.stdout).context("what simulate reports is not JSON")?;
        for key in ["orders", "lines", "completed", "revenue_minor", "retries"] {
            let sum = played.sums[key].as_i64().unwrap_or(0)
                + report[key].as_i64().with_context(|| format!("simulate reports no {key}"))?;
            played.sums[key] = json!(sum);
        }
        played.journals.push(journal(number));
    }
    Ok(played)
}

/// Runs a simulation; again if it found no platform to begin on.
async fn insist(round: Round) -> Result<Output> {
    let deadline = Instant::now() + BEGINNING;
    let mut command = tokio::process::Command::from(round.command);
    // It would insist on a platform that a failed campaign has taken down.
    command.kill_on_drop(true);
    loop {
        let output = command.output().await.context("a simulation cannot be started")?;
        if output.status.success() || round.journal.exists() || Instant::now() > deadline {
            return Ok(output);
        }
        tokio::time::sleep(LOOK).await;
    }
}
