//! How far a run has come: a bar on a terminal, a line now and then elsewhere; on standard error.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::stage::Stage;

/// Between two movements of the bar.
const BAR: Duration = Duration::from_millis(200);
/// Between two lines.
const LINE: Duration = Duration::from_secs(5);

/// Shows how many of `orders` are finished, until it is dropped.
pub(super) async fn show(stage: Arc<Stage>, orders: u64) {
    let bar = std::io::stderr().is_terminal().then(|| bar(orders));
    let began = Instant::now();
    let every = if bar.is_some() { BAR } else { LINE };
    // A bar that is dropped with this future removes itself.
    loop {
        tokio::time::sleep(every).await;
        let finished = stage.tally.finished.load(Relaxed);
        let retries = stage.tally.retries.load(Relaxed);
        if let Some(bar) = &bar {
            bar.set_position(finished);
            bar.set_message(format!("{retries} retries"));
        } else {
            let placed = stage.tally.placed.load(Relaxed);
            let seconds = began.elapsed().as_secs();
            // When standard error is gone there is nobody left to tell.
            let _ = writeln!(
                std::io::stderr().lock(),
                "{seconds:>5} s: {placed} placed, {finished} of {orders} finished, {retries} retries"
            );
        }
    }
}

fn bar(orders: u64) -> ProgressBar {
    let bar = ProgressBar::new(orders);
    if let Ok(style) = ProgressStyle::with_template(
        "{elapsed_precise} [{wide_bar}] {human_pos}/{human_len} orders, {per_sec:.1}, {msg}",
    ) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
