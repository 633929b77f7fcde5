//! What is being made now: a moving line on a terminal, plain lines elsewhere; on standard error.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::ProgressBar;

use crate::output;

/// Between two movements.
const TICK: Duration = Duration::from_millis(120);

/// Shows it until it is dropped.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn begin() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Says what comes now.
    pub(super) fn now(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(what.to_owned()),
            None => output::say(&format!("demo: {what}")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
