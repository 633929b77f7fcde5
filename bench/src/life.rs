//! Whole lives: placed, accepted, cooked, delivered, captured, every step over HTTP.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::{
    load::Client,
    people::People,
    place::Placer,
    platform::Platform,
    timing::Latencies,
    wire::{Fault, Reply},
};

/// How long a step may wait for what has to come before it.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is timed within a life.
pub(crate) const STAGES: [&str; 6] = [
    "quote to confirmed",
    "accept",
    "ticket and bump",
    "courier assigned",
    "pick-up and drop-off",
    "captured",
];

/// Drives whole lives, one after the other, as customer, owner and courier.
pub(crate) struct Liver {
    placer: Placer,
    people: Arc<People>,
    name: String,
    lives: u64,
    /// For ticket, assignment and capture.
    expected: [Expectation; 3],
    /// How long each stage took, in the order of [`STAGES`].
    pub(crate) stages: [Latencies; STAGES.len()],
}

#[derive(Deserialize)]
struct Delivery<'a> {
    state: &'a str,
    courier_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Payment<'a> {
    state: &'a str,
}

/// How long what has to come before a step took of late: when it is worth to look for it.
///
/// A look costs the server a request, so whoever looks all the time measures the looking.
#[derive(Clone, Copy, Debug)]
struct Expectation(Duration);

/// One wait for what has to come before a step.
struct Patience<'a> {
    expected: &'a mut Expectation,
    began: Instant,
    pause: Duration,
    looks: u32,
}

impl Expectation {
    /// What is expected at first, and the shortest pause.
    const SHORTEST: Duration = Duration::from_millis(2);

    const fn new() -> Self {
        Self(Self::SHORTEST)
    }

    fn begin(&mut self) -> Patience<'_> {
        let pause = self.0;
        Patience { expected: self, began: Instant::now(), pause, looks: 0 }
    }

    /// Learns from a wait of `took` that ended at look number `looks`: what was there at the first
    /// look may have been there long before.
    fn learn(&mut self, took: Duration, looks: u32) {
        let took = if looks <= 1 { took.mul_f64(0.85) } else { took };
        self.0 = took.max(Self::SHORTEST);
    }
}

impl Patience<'_> {
    async fn wait(&mut self, what: &str) -> Result<(), Fault> {
        if self.began.elapsed() > PATIENCE {
            return Err(Fault(format!("{what}: not within {PATIENCE:?}")));
        }
        sleep(self.pause).await;
        self.looks += 1;
        self.pause = (self.expected.0 / 4).max(Expectation::SHORTEST);
        Ok(())
    }

    /// It was there.
    fn found(self) {
        self.expected.learn(self.began.elapsed(), self.looks);
    }
}

impl Liver {
    /// As many as there are `clients`; `run` makes their keys their own.
    pub(crate) fn many(
        platform: &Platform,
        people: &Arc<People>,
        run: &str,
        clients: u32,
    ) -> Vec<Self> {
        (0..clients as usize)
            .map(|number| Self {
                placer: Placer::new(platform, people, run, number),
                people: Arc::clone(people),
                name: format!("{run}-{number}"),
                lives: 0,
                expected: [Expectation::new(); 3],
                stages: std::array::from_fn(|_| Latencies::new()),
            })
            .collect()
    }

    /// Requests sent, and lives begun.
    pub(crate) const fn effort(&self) -> (u64, u64) {
        (self.placer.wire.sent(), self.lives)
    }

    async fn post(&mut self, path: &str, token: &HeaderValue, body: &str) -> Result<Reply, Fault> {
        let key = format!("{}-{}-{path}", self.name, self.lives);
        Ok(self.placer.wire.post(path, token, &key, body.to_owned(), false).await?)
    }

    async fn step(&mut self, path: &str, token: &HeaderValue, step: &str) -> Result<(), Fault> {
        let answer = self.post(path, token, "{}").await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.problem(step)) }
    }

    /// One whole life; gives the order's id.
    pub(crate) async fn live(&mut self) -> Result<String, Fault> {
        self.lives += 1;
        let people = Arc::clone(&self.people);
        let mut began = Instant::now();
        let mut stage = 0;
        let mut timed = |stages: &mut [Latencies; STAGES.len()]| {
            let now = Instant::now();
            stages[stage].record(now - began);
            (stage, began) = (stage + 1, now);
        };

        let order = self.placer.place().await?;
        timed(&mut self.stages);
        // Ticket and delivery are the order's siblings: the same bits under another prefix.
        let bits = order.trim_start_matches("ord_");
        let accept = format!("/api/v1/orders/{order}/accept");
        let answer = self.post(&accept, &people.owner, r#"{"minutes":20}"#).await?;
        if !answer.status.is_success() {
            return Err(answer.problem("accept"));
        }
        timed(&mut self.stages);
        self.bump(&format!("/api/v1/tickets/tkt_{bits}/bump")).await?;
        timed(&mut self.stages);
        let delivery = format!("/api/v1/deliveries/dlv_{bits}");
        let courier = self.assigned(&delivery).await?;
        timed(&mut self.stages);
        self.step(&format!("{delivery}/pick-up"), &courier, "pick-up").await?;
        self.step(&format!("{delivery}/drop-off"), &courier, "drop-off").await?;
        timed(&mut self.stages);
        self.captured(&format!("/api/v1/orders/{order}/payment")).await?;
        timed(&mut self.stages);
        Ok(order)
    }

    /// Bumps the ticket as soon as there is one.
    async fn bump(&mut self, path: &str) -> Result<(), Fault> {
        let people = Arc::clone(&self.people);
        let mut expected = self.expected[0];
        let mut patience = expected.begin();
        loop {
            patience.wait("ticket").await?;
            let answer = self.post(path, &people.owner, "{}").await?;
            match answer.status {
                StatusCode::NOT_FOUND => {}
                status if status.is_success() => break,
                _ => return Err(answer.problem("bump")),
            }
        }
        patience.found();
        self.expected[0] = expected;
        Ok(())
    }

    /// The token of the courier that the delivery is given to, as soon as it is.
    async fn assigned(&mut self, path: &str) -> Result<HeaderValue, Fault> {
        let people = Arc::clone(&self.people);
        let mut patience = self.expected[1].begin();
        loop {
            patience.wait("assignment").await?;
            let answer = self.placer.wire.get(path, Some(&people.owner)).await?;
            if answer.status == StatusCode::NOT_FOUND {
                continue;
            }
            let delivery: Delivery<'_> = answer.read("delivery")?;
            if let ("assigned", Some(courier)) = (delivery.state, delivery.courier_id) {
                patience.found();
                let token = people.couriers.get(courier);
                return token
                    .cloned()
                    .ok_or_else(|| Fault("assignment: to somebody unknown".to_owned()));
            }
        }
    }

    /// Waits until the money is taken.
    async fn captured(&mut self, path: &str) -> Result<(), Fault> {
        let customer = self.placer.customer().clone();
        let mut patience = self.expected[2].begin();
        loop {
            patience.wait("capture").await?;
            let answer = self.placer.wire.get(path, Some(&customer)).await?;
            let payment: Payment<'_> = answer.read("payment")?;
            if payment.state == "captured" {
                patience.found();
                return Ok(());
            }
        }
    }
}

impl Client for Liver {
    async fn go(&mut self) -> Result<(), Fault> {
        self.live().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often somebody looks for what is there after `takes`.
    async fn looks(expected: &mut Expectation, takes: Duration) -> u32 {
        let ready = Instant::now() + takes;
        let mut patience = expected.begin();
        while patience.wait("it").await.is_ok() {
            if Instant::now() >= ready {
                let looks = patience.looks;
                patience.found();
                return looks;
            }
        }
        0
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_seen_how_long_it_takes_looks_seldom() {
        let mut expected = Expectation::new();
        assert!(looks(&mut expected, SECOND).await > 10);
        for _ in 0..20 {
            assert!(looks(&mut expected, SECOND).await <= 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_become_quicker_is_looked_for_sooner() {
        let mut expected = Expectation(SECOND);
        for _ in 0..40 {
            looks(&mut expected, Duration::from_millis(10)).await;
        }
        assert!(expected.0 < Duration::from_millis(20), "{expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_given_up() {
        assert_eq!(looks(&mut Expectation::new(), 9 * PATIENCE).await, 0);
    }
}
