//! What was measured, as a table for people and as JSON for programs.

use std::{fmt::Display, io::Write as _};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    args::{Engine, Format},
    load::{Outcome, per},
    machine::Machine,
    timing::Latencies,
};

/// Says on standard error how far it is.
pub(crate) fn say(text: impl Display) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    scenario: &'static str,
    engine: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    figures: Vec<Figure>,
}

/// Adds the figures of one scenario on one engine.
pub(crate) struct Section<'a> {
    report: &'a mut Report,
    scenario: &'static str,
    engine: Engine,
}

impl Report {
    /// A report without figures.
    pub(crate) const fn new(machine: Machine) -> Self {
        Self { machine, figures: Vec::new() }
    }

    /// The place for the figures of `scenario` on `engine`.
    pub(crate) const fn section(&mut self, scenario: &'static str, engine: Engine) -> Section<'_> {
        Section { report: self, scenario, engine }
    }

    /// Prints it.
    pub(crate) fn print(&self, format: Format) -> Result<()> {
        let text = match format {
            Format::Text => self.text(),
            Format::Json => {
                serde_json::to_string_pretty(self).context("the report cannot be written")? + "\n"
            }
        };
        std::io::stdout().lock().write_all(text.as_bytes()).context("the report cannot be printed")
    }

    fn text(&self) -> String {
        let mut text = self.machine.line() + "\n\n";
        let mut rows =
            vec![["scenario", "engine", "figure", "value", "unit", "target"].map(str::to_owned)];
        rows.extend(self.figures.iter().map(Figure::row));
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let [scenario, engine, name, value, unit, target] = row;
            let [w0, w1, w2, w3, w4, _] = widths;
            let line = format!(
                "{scenario:w0$}  {engine:w1$}  {name:w2$}  {value:>w3$}  {unit:w4$}  {target}"
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Figure {
    fn row(&self) -> [String; 6] {
        let target = match (self.target, self.met) {
            (Some(Target::AtLeast(bound)), Some(true)) => format!(">= {bound} met"),
            (Some(Target::AtMost(bound)), Some(true)) => format!("<= {bound} met"),
            (Some(Target::AtLeast(bound)), _) => format!(">= {bound} MISSED"),
            (Some(Target::AtMost(bound)), _) => format!("<= {bound} MISSED"),
            (None, _) => String::new(),
        };
        let digits = if self.value.abs() >= 100.0 { 0 } else { 2 };
        [
            self.scenario.to_owned(),
            self.engine.to_owned(),
            self.name.clone(),
            format!("{:.digits$}", self.value),
            self.unit.to_owned(),
            target,
        ]
    }
}

impl Section<'_> {
    /// On what.
    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    /// Adds a figure that nothing was promised about.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.add(name.into(), value, unit, None);
    }

    /// Adds a figure and what it should be.
    pub(crate) fn promised(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Option<Target>,
    ) {
        self.add(name.into(), value, unit, target);
    }

    /// Adds quantiles; `p99` says what the 99th percentile should be.
    pub(crate) fn times(&mut self, name: &str, times: &Latencies, p99: Option<Target>) {
        self.figure(format!("{name} p50"), times.at(0.5), "ms");
        self.figure(format!("{name} p90"), times.at(0.9), "ms");
        self.promised(format!("{name} p99"), times.at(0.99), "ms", p99);
        self.figure(format!("{name} max"), times.longest(), "ms");
    }

    /// Adds what was used for each thing that was done, and by how much others were in the way.
    pub(crate) fn usage(&mut self, what: &str, outcome: &Outcome) {
        let usage = &outcome.usage;
        for (name, seconds) in &usage.of {
            self.figure(format!("{what}, cpu of {name}"), outcome.micros_each(*seconds), "us each");
        }
        self.figure(format!("{what}, processors busy"), usage.busy * 100.0, "%");
        self.figure(format!("{what}, used by others"), usage.others * 100.0, "%");
        for (fault, count) in &outcome.faults {
            self.figure(format!("{what}, failed: {fault}"), per(*count), "times");
        }
    }

    fn add(&mut self, name: String, value: f64, unit: &'static str, target: Option<Target>) {
        let figure = Figure {
            scenario: self.scenario,
            engine: self.engine.name(),
            name,
            value,
            unit,
            target,
            met: target.map(|target| target.is_met(value)),
        };
        say(figure.row().join("  ").trim_end());
        self.report.figures.push(figure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_whether_it_is_met() {
        assert!(Target::AtLeast(80.0).is_met(80.0));
        assert!(!Target::AtLeast(80.0).is_met(79.9));
        assert!(Target::AtMost(50.0).is_met(50.0));
        assert!(!Target::AtMost(50.0).is_met(50.1));
    }

    #[test]
    fn a_figure_that_misses_its_target_says_so() {
        let figure = Figure {
            scenario: "place",
            engine: "embedded",
            name: "orders".to_owned(),
            value: 1234.56,
            unit: "/s",
            target: Some(Target::AtLeast(2000.0)),
            met: Some(false),
        };
        assert_eq!(figure.row(), ["place", "embedded", "orders", "1235", "/s", ">= 2000 MISSED"]);
    }
}
