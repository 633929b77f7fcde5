//! No test leaves a process or a file behind, however it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use bistro_testkit::{Process, Sandbox, wait};

const DEADLINE: Duration = Duration::from_secs(10);

/// A sandbox with a program that has a child of its own, both of which would run for an hour.
fn started() -> Result<(Sandbox, Process)> {
    let sandbox = Sandbox::new("orphans")?;
    let mut command = sandbox.command(Path::new("/bin/sh"));
    command.args(["-c", "sleep 3600 & echo $! > child; sleep 3600"]);
    let process = sandbox.spawn(command, "sleeper")?;
    Ok((sandbox, process))
}

/// Where Linux shows the program and its child while they run.
async fn traces(folder: &Path, leader: u32) -> [PathBuf; 2] {
    let child = wait::until("the child has started", DEADLINE, async || {
        let written = std::fs::read_to_string(folder.join("child")).unwrap_or_default();
        written.trim().parse::<u32>().map_err(|_| written)
    })
    .await;
    [leader, child].map(|id| PathBuf::from(format!("/proc/{id}")))
}

/// A process that was killed and that nobody waits for stays in the table as a zombie: it runs no more.
fn runs(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn until_gone(folder: &Path, processes: &[PathBuf]) {
    wait::until("nothing is left", DEADLINE, async || {
        let left: Vec<_> = processes.iter().filter(|process| runs(process)).collect();
        if left.is_empty() && !folder.exists() {
            Ok(())
        } else {
            Err(format!("{left:?} {}", folder.exists()))
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_leaves_nothing() -> Result<()> {
    let (sandbox, process) = started()?;
    let folder = sandbox.path().to_path_buf();
    let processes = traces(&folder, process.id()).await;
    assert!(processes.iter().all(|process| runs(process)));
    drop(process);
    assert!(!runs(&processes[0]), "killed and waited for");
    drop(sandbox);
    until_gone(&folder, &processes).await;
    Ok(())
}

#[tokio::test]
async fn a_sandbox_dropped_before_its_process_leaves_nothing() -> Result<()> {
    let (sandbox, mut process) = started()?;
    let folder = sandbox.path().to_path_buf();
    let processes = traces(&folder, process.id()).await;
    drop(sandbox);
    until_gone(&folder, &processes).await;
    wait::until("it ended", DEADLINE, async || process.ended().unwrap().ok_or(())).await;
    Ok(())
}

#[tokio::test]
async fn a_panicking_test_leaves_nothing() -> Result<()> {
    let mut test = inner("inner_that_panics")?;
    let (folder, processes) = test.started().await?;
    test.child.wait()?;
    until_gone(&folder, &processes).await;
    Ok(())
}

#[tokio::test]
async fn a_test_process_killed_with_9_leaves_nothing_even_of_what_is_in_a_static() -> Result<()> {
    let mut test = inner("inner_that_keeps_it_in_a_static")?;
    let (folder, processes) = test.started().await?;
    test.child.kill()?;
    test.child.wait()?;
    until_gone(&folder, &processes).await;
    Ok(())
}

/// Another process of this test binary, which runs one of the ignored tests below.
struct Inner {
    child: Child,
}

fn inner(test: &str) -> Result<Inner> {
    let child = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Inner { child })
}

impl Inner {
    /// What [`tell`] told.
    async fn started(&mut self) -> Result<(PathBuf, [PathBuf; 2])> {
        let output = BufReader::new(self.child.stdout.take().context("no output")?);
        for line in output.lines() {
            let line = line?;
            if let Some((leader, folder)) =
                line.split_once("started ").and_then(|(_, told)| told.split_once(' '))
            {
                let folder = PathBuf::from(folder);
                let processes = traces(&folder, leader.parse()?).await;
                // The inner test goes on when this file is there.
                std::fs::write(folder.join("seen"), "")?;
                return Ok((folder, processes));
            }
        }
        anyhow::bail!("the inner test started nothing")
    }
}

/// Tells the outer test what was started, and returns when that has looked at it.
#[expect(
    clippy::print_stdout,
    reason = "standard output is how the inner test reaches the outer one"
)]
async fn tell(sandbox: &Sandbox, process: &Process) {
    println!("started {} {}", process.id(), sandbox.path().display());
    let seen = sandbox.path().join("seen");
    wait::until(
        "the outer test looks",
        DEADLINE,
        async || {
            if seen.exists() { Ok(()) } else { Err(()) }
        },
    )
    .await;
}

#[tokio::test]
#[ignore = "run by a_panicking_test_leaves_nothing"]
async fn inner_that_panics() {
    let (sandbox, process) = started().unwrap();
    tell(&sandbox, &process).await;
    panic!("on purpose");
}

#[tokio::test]
#[ignore = "run by a_test_process_killed_with_9_leaves_nothing_even_of_what_is_in_a_static"]
async fn inner_that_keeps_it_in_a_static() {
    static KEPT: OnceLock<(Sandbox, Process)> = OnceLock::new();
    let (sandbox, process) = KEPT.get_or_init(|| started().unwrap());
    tell(sandbox, process).await;
    std::future::pending::<()>().await;
}
