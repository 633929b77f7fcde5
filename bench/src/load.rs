//! The two loops: a closed one of clients that each wait for their answer, and an open one in
//! which orders arrive at a constant rate, whatever the server does.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    procs::{Meter, Usage},
    schedule::Schedule,
    timing::Latencies,
    wire::Fault,
};

/// A client that does one thing again and again.
pub(crate) trait Client: Send + 'static {
    /// Does it once.
    fn go(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What a loop brought.
pub(crate) struct Outcome {
    /// Things done, in all of the time that was measured.
    pub(crate) done: u64,
    /// How long each took.
    pub(crate) times: Latencies,
    /// What failed, and how often.
    pub(crate) faults: BTreeMap<String, u64>,
    /// What it cost.
    pub(crate) usage: Usage,
}

impl Outcome {
    /// Things done in a second.
    pub(crate) fn per_second(&self) -> f64 {
        per(self.done) / self.usage.seconds
    }

    /// `seconds` of processor time, as microseconds for each thing done.
    pub(crate) fn micros_each(&self, seconds: f64) -> f64 {
        seconds * 1_000_000.0 / per(self.done.max(1))
    }
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) const fn per(count: u64) -> f64 {
    count as f64
}

/// When something is measured.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Window {
    fn after(warm_up: Duration, span: Duration) -> Self {
        let from = Instant::now() + warm_up;
        Self { from, until: from + span }
    }

    fn holds(&self, moment: Instant) -> bool {
        (self.from..self.until).contains(&moment)
    }
}

#[derive(Default)]
struct Tally {
    times: Option<Latencies>,
    faults: BTreeMap<String, u64>,
}

impl Tally {
    fn note(&mut self, took: Duration, done: Result<(), Fault>) {
        match done {
            Ok(()) => self.times.get_or_insert_with(Latencies::new).record(took),
            Err(Fault(why)) => *self.faults.entry(why).or_default() += 1,
        }
    }
}

/// Has every client go again and again, each as soon as it is done; measures for `span` after
/// `warm_up`. Gives the clients back.
pub(crate) async fn closed<C: Client>(
    clients: Vec<C>,
    meter: &Meter,
    warm_up: Duration,
    span: Duration,
) -> Result<(Outcome, Vec<C>)> {
    let window = Window::after(warm_up, span);
    let tasks = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut tally = Tally::default();
                loop {
                    let began = Instant::now();
                    if began >= window.until {
                        return (tally, client);
                    }
                    let done = client.go().await;
                    let ended = Instant::now();
                    if window.holds(ended) {
                        tally.note(ended - began, done);
                    }
                }
            })
        })
        .collect();
    gather(tasks, meter, window).await
}

/// Has orders arrive at a constant rate, each taken by whichever client is free; measures those
/// due within `span` after `warm_up`. A time begins at the moment an order was due, so that orders
/// which had to wait for a client are not passed over. Gives the clients back.
pub(crate) async fn open<C: Client>(
    clients: Vec<C>,
    per_second: u32,
    meter: &Meter,
    warm_up: Duration,
    span: Duration,
) -> Result<(Outcome, Vec<C>)> {
    let schedule = Arc::new(Schedule::new(Instant::now(), per_second));
    let window = Window::after(warm_up, span);
    let tasks = clients
        .into_iter()
        .map(|mut client| {
            let schedule = Arc::clone(&schedule);
            tokio::spawn(async move {
                let mut tally = Tally::default();
                loop {
                    let due = schedule.take();
                    if due >= window.until {
                        return (tally, client);
                    }
                    sleep_until(due).await;
                    let done = client.go().await;
                    if window.holds(due) {
                        tally.note(Instant::now() - due, done);
                    }
                }
            })
        })
        .collect();
    gather(tasks, meter, window).await
}

async fn gather<C>(
    tasks: Vec<JoinHandle<(Tally, C)>>,
    meter: &Meter,
    window: Window,
) -> Result<(Outcome, Vec<C>)> {
    sleep_until(window.from).await;
    let before = meter.read()?;
    sleep_until(window.until).await;
    let after = meter.read()?;
    let (mut times, mut faults, mut clients) = (Latencies::new(), BTreeMap::new(), Vec::new());
    for task in tasks {
        let (tally, client) = task.await.context("a client of the load generator failed")?;
        if let Some(more) = &tally.times {
            times.add(more);
        }
        for (why, count) in tally.faults {
            *faults.entry(why).or_default() += count;
        }
        clients.push(client);
    }
    let usage = meter.between(&before, &after);
    Ok((Outcome { done: times.count(), times, faults, usage }, clients))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procs::Who;

    struct Sleeper {
        takes: Duration,
        goes: u64,
        fails: bool,
    }

    impl Client for Sleeper {
        async fn go(&mut self) -> Result<(), Fault> {
            tokio::time::sleep(self.takes).await;
            self.goes += 1;
            if self.fails { Err(Fault("tired".into())) } else { Ok(()) }
        }
    }

    fn sleepers(count: usize, takes: Duration, fails: bool) -> Vec<Sleeper> {
        (0..count).map(|_| Sleeper { takes, goes: 0, fails }).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_counts_what_ends_within_its_time() {
        let meter = Meter::new(vec![Who::Generator]);
        let clients = sleepers(4, Duration::from_millis(100), false);
        let (outcome, clients) = closed(clients, &meter, SECOND, 2 * SECOND).await.unwrap();
        assert!((76..=80).contains(&outcome.done), "{}", outcome.done);
        assert!((outcome.times.at(0.5) - 100.0).abs() < 2.0);
        assert!(clients.iter().all(|client| client.goes >= 29));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_counts_the_wait_for_a_client() {
        let meter = Meter::new(vec![Who::Generator]);
        // One client that can do 10 a second, and 20 of them come.
        let clients = sleepers(1, Duration::from_millis(100), false);
        let (outcome, _) = open(clients, 20, &meter, Duration::ZERO, 2 * SECOND).await.unwrap();
        assert_eq!(outcome.done, 40);
        assert!(outcome.times.longest() > 1_900.0, "{}", outcome.times.longest());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_counted_apart() {
        let meter = Meter::new(vec![Who::Generator]);
        let clients = sleepers(1, Duration::from_millis(250), true);
        let (outcome, _) = closed(clients, &meter, Duration::ZERO, SECOND).await.unwrap();
        assert_eq!(outcome.done, 0);
        assert_eq!(outcome.faults.keys().collect::<Vec<_>>(), ["tired"]);
    }
}
