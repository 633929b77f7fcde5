//! What happened so far, and the report of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bistro_core::{Currency, Money};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::output;

/// Counts that many tasks add to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Accounts of those who take part.
    pub(super) accounts: AtomicU64,
    pub(super) placed: AtomicU64,
    pub(super) finished: AtomicU64,
    /// Requests beyond the first for the same thing.
    pub(super) retries: AtomicU64,
    /// Orders by how they ended.
    ends: Mutex<BTreeMap<String, u64>>,
    /// How long each placing took, in microseconds.
    placing: Mutex<Vec<u32>>,
    /// Orders whose total is not what the menu says.
    mispriced: AtomicU64,
}

impl Tally {
    /// An order was placed, after `took`.
    pub(super) fn placed(&self, took: Duration) {
        self.placed.fetch_add(1, Relaxed);
        self.placing.lock().push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// An order that an earlier part of the run placed.
    pub(super) fn known(&self) {
        self.placed.fetch_add(1, Relaxed);
    }

    /// An order ended, or was given up, as `end`.
    pub(super) fn finished(&self, end: &str) {
        self.finished.fetch_add(1, Relaxed);
        *self.ends.lock().entry(end.to_owned()).or_default() += 1;
    }

    pub(super) fn mispriced(&self) {
        self.mispriced.fetch_add(1, Relaxed);
    }

    /// The time within which `hundredths` % of the placings were done, in milliseconds; none
    /// without placings.
    fn percentiles(&self, hundredths: &[usize]) -> Vec<Option<f64>> {
        let mut all = self.placing.lock().clone();
        all.sort_unstable();
        hundredths
            .iter()
            .map(|hundredth| {
                // Nearest rank.
                let rank = (all.len() * hundredth).div_ceil(100).max(1);
                all.get(rank - 1).map(|micros| f64::from(*micros) / 1000.0)
            })
            .collect()
    }
}

/// What the ledger says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// What the restaurant earned since the run began, in minor units.
    pub(super) revenue_minor: i64,
    /// Sums of all accounts that are not 0, by currency.
    pub(super) imbalance: Vec<(String, i64)>,
    /// Payments that were looked at.
    pub(super) payments_checked: u64,
    /// Orders whose payment is not captured in full.
    pub(super) uncaptured: Vec<String>,
}

/// The end of a run.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) run: &'a str,
    pub(super) restaurant: &'a str,
    pub(super) currency: Currency,
    pub(super) orders: u64,
    pub(super) lines: u64,
    /// What the file is worth at the menu's prices, in minor units.
    pub(super) expected_minor: i64,
    pub(super) took: Duration,
    pub(super) settled: &'a Settled,
    pub(super) tally: &'a Tally,
}

impl Report<'_> {
    fn completed(&self) -> u64 {
        self.tally.ends.lock().get("completed").copied().unwrap_or(0)
    }

    /// What is wrong; nothing if all is well.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let completed = self.completed();
        if completed != self.orders {
            findings.push(format!(
                "{} of {} orders were not completed",
                self.orders - completed,
                self.orders
            ));
        }
        let mispriced = self.tally.mispriced.load(Relaxed);
        if mispriced != 0 {
            findings.push(format!(
                "{} with another price than the menu's",
                output::counted(mispriced, "order")
            ));
        }
        let settled = self.settled;
        if settled.revenue_minor != self.expected_minor {
            findings.push(format!(
                "the ledger disagrees with the file: {} instead of {}",
                self.money(settled.revenue_minor),
                self.money(self.expected_minor)
            ));
        }
        if !settled.uncaptured.is_empty() {
            findings.push(format!(
                "{} not captured in full, such as those of {}",
                output::counted(settled.uncaptured.len() as u64, "payment"),
                settled.uncaptured.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
            ));
        }
        for (currency, sum) in &settled.imbalance {
            findings
                .push(format!("the ledger does not balance: {sum} minor units of {currency} over"));
        }
        findings
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    fn per_second(&self) -> f64 {
        let finished = u32::try_from(self.tally.placing.lock().len()).unwrap_or(u32::MAX);
        f64::from(finished) / self.took.as_secs_f64().max(0.001)
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<16} {value:>16}");
        };
        row("run", self.run.to_owned());
        row("orders", self.orders.to_string());
        row("lines", self.lines.to_string());
        row("completed", self.completed().to_string());
        for (end, count) in self.tally.ends.lock().iter().filter(|(end, _)| *end != "completed") {
            row(&format!("  {end}"), count.to_string());
        }
        row("revenue", self.money(self.settled.revenue_minor).to_string());
        row("file's worth", self.money(self.expected_minor).to_string());
        row("seconds", format!("{:.1}", self.took.as_secs_f64()));
        row("orders/s", format!("{:.1}", self.per_second()));
        row("retries", self.tally.retries.load(Relaxed).to_string());
        if let [Some(p50), Some(p99)] = self.tally.percentiles(&[50, 99])[..] {
            row("placing p50", format!("{p50:.1} ms"));
            row("placing p99", format!("{p99:.1} ms"));
        }
        let findings = self.findings();
        if findings.is_empty() {
            let _ = write!(
                text,
                "\nall completed, and the ledger of {} agrees with the file",
                self.restaurant
            );
        }
        for finding in findings {
            let _ = write!(text, "\nWRONG: {finding}");
        }
        text
    }

    /// The report for programs.
    pub(super) fn json(&self) -> Value {
        let percentiles = self.tally.percentiles(&[50, 99]);
        let findings = self.findings();
        json!({
            "run": self.run,
            "orders": self.orders,
            "lines": self.lines,
            "completed": self.completed(),
            "ends": *self.tally.ends.lock(),
            "revenue_minor": self.settled.revenue_minor,
            "expected_minor": self.expected_minor,
            "currency": self.currency.code(),
            "payments_checked": self.settled.payments_checked,
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "orders_per_second": (self.per_second() * 10.0).round() / 10.0,
            "retries": self.tally.retries.load(Relaxed),
            "placing_p50_ms": percentiles[0],
            "placing_p99_ms": percentiles[1],
            "ok": findings.is_empty(),
            "findings": findings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report<'a>(tally: &'a Tally, settled: &'a Settled) -> Report<'a> {
        Report {
            run: "r1",
            restaurant: "Ada's",
            currency: Currency::GBP,
            orders: 2,
            lines: 5,
            expected_minor: 1295,
            took: Duration::from_secs(2),
            settled,
            tally,
        }
    }

    fn settled() -> Settled {
        Settled { revenue_minor: 1295, payments_checked: 2, ..Settled::default() }
    }

    fn all_completed() -> Tally {
        let tally = Tally::default();
        for millis in [10, 20] {
            tally.placed(Duration::from_millis(millis));
            tally.finished("completed");
        }
        tally
    }

    #[test]
    fn all_is_well() {
        let (tally, settled) = (all_completed(), settled());
        let report = report(&tally, &settled);
        assert_eq!(report.findings(), Vec::<String>::new());
        let json = report.json();
        assert_eq!(
            (&json["ok"], &json["completed"], &json["revenue_minor"]),
            (&json!(true), &json!(2), &json!(1295))
        );
        assert_eq!(
            (&json["placing_p50_ms"], &json["placing_p99_ms"]),
            (&json!(10.0), &json!(20.0))
        );
        assert_eq!(json["orders_per_second"], json!(1.0));
        assert!(report.text().contains("12.95 GBP"), "{}", report.text());
    }

    #[test]
    fn each_thing_that_is_wrong_is_found() {
        let tally = all_completed();
        tally.finished("expired");
        tally.mispriced();
        let settled = Settled {
            revenue_minor: 1294,
            imbalance: vec![("GBP".into(), 1)],
            uncaptured: vec!["ord_1".into()],
            ..settled()
        };
        let wrong = Report { orders: 3, ..report(&tally, &settled) };
        assert_eq!(wrong.findings().len(), 5, "{:?}", wrong.findings());
        assert_eq!(wrong.json()["ok"], json!(false));
    }

    #[test]
    fn without_placings_there_is_no_percentile() {
        assert_eq!(Tally::default().percentiles(&[50]), [None]);
    }
}
