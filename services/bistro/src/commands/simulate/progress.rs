//! How far a run has come: a bar on a terminal, a line now and then elsewhere; on standard error.

use std::{
    io::IsTerminal as _,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{cast::Numbers, stage::Stage};
use crate::output::{self, counted};

/// Between two movements of the bar.
const BAR: Duration = Duration::from_millis(200);
/// Between two lines.
const LINE: Duration = Duration::from_secs(5);
/// The manager and the chef.
const STAFF: usize = 2;

/// Shows how many of those who take part have an account, until it is dropped.
pub(super) async fn gathering(stage: Arc<Stage>, numbers: Numbers) {
    output::say(&making(numbers));
    let all = (numbers.customers + numbers.couriers + STAFF) as u64;
    let bar = std::io::stderr().is_terminal().then(|| bar(all, "accounts"));
    let began = Instant::now();
    let every = if bar.is_some() { BAR } else { LINE };
    loop {
        tokio::time::sleep(every).await;
        let made = stage.tally.accounts.load(Relaxed);
        match &bar {
            Some(bar) => bar.set_position(made),
            None => {
                let seconds = began.elapsed().as_secs();
                output::say(&format!("{seconds:>5} s: {made} of {all} accounts made"));
            }
        }
    }
}

/// What happens before the first order.
fn making(numbers: Numbers) -> String {
    format!(
        "making {}, {}, a manager and a chef",
        counted(numbers.customers as u64, "customer"),
        counted(numbers.couriers as u64, "courier")
    )
}

/// Shows how many of `orders` are finished, until it is dropped.
pub(super) async fn show(stage: Arc<Stage>, orders: u64) {
    let bar = std::io::stderr().is_terminal().then(|| bar(orders, "orders"));
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
            output::say(&format!(
                "{seconds:>5} s: {placed} placed, {finished} of {orders} finished, {retries} retries"
            ));
        }
    }
}

fn bar(all: u64, things: &str) -> ProgressBar {
    let bar = ProgressBar::new(all);
    let template = format!(
        "{{elapsed_precise}} [{{wide_bar}}] {{human_pos}}/{{human_len}} {things}, {{per_sec:.1}}, {{msg}}"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    // It is there from the beginning, and not only once it has moved.
    bar.tick();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_made_first_is_said() {
        let numbers = Numbers { customers: 64, couriers: 1, concurrency: 64 };
        assert_eq!(making(numbers), "making 64 customers, 1 courier, a manager and a chef");
    }
}
