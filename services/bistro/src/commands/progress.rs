//! What is being made now: a moving line on a terminal, plain lines elsewhere; on standard error.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::ProgressBar;

use crate::output::{self, counted};

/// Between two movements.
const TICK: Duration = Duration::from_millis(120);

/// Shows it until it is dropped.
pub(super) struct Progress {
    /// What plain lines begin with.
    command: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn begin(command: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(TICK);
        }
        Self { command, bar }
    }

    /// Says what comes now.
    pub(super) fn now(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => output::say(&format!("{}: {what}", self.command)),
        }
    }

    /// Says which of so many things comes now. Plain lines have room for one: with the first, that
    /// all of them come.
    pub(super) fn step(&self, number: usize, all: usize, thing: &str) {
        if self.bar.is_some() {
            self.now(&format!("{thing} {number} of {all}"));
        } else if number == 1 {
            self.now(&counted(all as u64, thing));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
