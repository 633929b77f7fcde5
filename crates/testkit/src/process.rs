//! A program under test, and what a test may do to it: signals to its whole process group, and its last words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait;

/// How much of a program's output an error repeats.
const KEPT_LINES: usize = 25;

/// A running program, started by [`Sandbox::spawn`](crate::Sandbox::spawn). Dropping it kills it.
///
/// It is the leader of a process group. `kill`, `pause` and `resume` reach the whole group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// The file by which the sandbox's watchdog knows the group.
    registration: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn new(name: &str, child: Child, log: PathBuf, registration: PathBuf) -> Self {
        Self { name: name.to_owned(), child, log, registration, ended: None }
    }

    /// The program's process id, which is its process group's id too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with everything that the program wrote to its standard output and error.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of the program's output, for an error.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
    }

    /// How the program ended; None while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none()
            && let Some(status) =
                self.child.try_wait().with_context(|| format!("cannot look after {}", self.name))?
        {
            self.reaped(status);
        }
        Ok(self.ended)
    }

    /// Kills the group (`SIGKILL`) and returns once the program is gone. Nothing happens if it has ended already.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.signal_group(Signal::KILL)?;
            let status =
                self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
            self.reaped(status);
        }
        Ok(())
    }

    /// Asks the program to end (`SIGTERM`) and returns once it has, with its exit status. A paused one is resumed.
    pub async fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        kill_process(self.pid(), Signal::TERM)
            .with_context(|| format!("cannot end {}", self.name))?;
        self.resume()?;
        let ended = wait::try_until(deadline, async || self.ended().transpose().ok_or(())).await;
        match ended {
            Ok(status) => status,
            Err(_) => bail!(
                "{} did not end within {deadline:?} after SIGTERM; its last words:\n{}",
                self.name,
                self.last_words()
            ),
        }
    }

    /// Halts the group (`SIGSTOP`): its connections stay open and nothing answers.
    pub fn pause(&mut self) -> Result<()> {
        self.signal_running(Signal::STOP)?;
        // The signal is only sent: what answers in the meantime was not halted yet.
        for _ in 0..1_000_000 {
            if self.is_halted()? {
                return Ok(());
            }
            std::thread::yield_now();
        }
        bail!("{} does not halt", self.name)
    }

    /// Whether the kernel says that the process is stopped by a signal (proc(5), `stat`).
    fn is_halted(&self) -> Result<bool> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The name before the state is in parentheses and may hold anything.
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        Ok(state.is_some_and(|rest| rest.starts_with('T')))
    }

    /// Lets a paused group go on (`SIGCONT`).
    pub fn resume(&mut self) -> Result<()> {
        self.signal_running(Signal::CONT)
    }

    fn signal_running(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!(
                "{} is not running ({status}); its last words:\n{}",
                self.name,
                self.last_words()
            );
        }
        self.signal_group(signal)
    }

    fn signal_group(&self, signal: Signal) -> Result<()> {
        match kill_process_group(self.pid(), signal) {
            // Nobody is left in the group.
            Err(Errno::SRCH) => Ok(()),
            sent => sent.with_context(|| format!("cannot send {signal:?} to {}", self.name)),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// From here on the group's number may be given to others: nobody may signal it any more.
    fn reaped(&mut self, status: ExitStatus) {
        // Its sandbox may be gone before it, and the file with it.
        let _ = fs::remove_file(&self.registration);
        self.ended = Some(status);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The sandbox's watchdog kills what this cannot.
        let _ = self.kill();
    }
}
