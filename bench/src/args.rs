//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the platform over its public HTTP API, on this machine.
///
/// Builds `bistro` in release, starts it on data and ports of its own, and stops it afterwards.
#[derive(Parser, Debug)]
#[command(name = "bistro-bench", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What is measured.
#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Orders from quote to confirmed, in a closed and an open loop, beside a bare loop of the same writes.
    Place,
    /// Whole lives, from quote to captured, every step over HTTP.
    Life,
    /// A whole menu, read in full and by who has it already.
    Menu,
    /// A thousand followers of orders that change: how soon they see it, and what they weigh.
    Streams,
    /// The placing rate with many orders stored.
    Stored,
    /// A restaurant's open orders, listed with many orders stored.
    OpenOrders,
    /// Resident memory and time to start, empty and with many orders stored.
    Memory,
    /// All of it.
    All,
}

impl Scenario {
    /// Whether `part` belongs to what is measured.
    pub(crate) fn includes(self, part: Self) -> bool {
        self == part || self == Self::All
    }
}

/// Where the platform keeps its data.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// SQLite in the data directory.
    Embedded,
    /// MongoDB and RabbitMQ.
    Servers,
}

impl Engine {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Servers => "servers",
        }
    }
}

/// How the report is written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table.
    Text,
    /// One JSON object.
    Json,
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// On what; may be repeated. Without it, on both.
    #[arg(long, global = true, value_name = "ENGINE")]
    engine: Vec<Engine>,
    /// Clients of the closed loops.
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) clients: u32,
    /// Seconds that each loop is measured for.
    #[arg(long, global = true, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seconds that each loop runs before it is measured.
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    /// How often `place` measures the closed loop and, right after it, the bare loop; and `stored`
    /// an empty platform and a full one. The report has the round of the middle share.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) rounds: u8,
    /// Orders a second of the open loop of `place`. Without it, 70 % of what the closed loop reached.
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
    /// Orders that `stored`, `open-orders` and `memory` store first.
    #[arg(long, global = true, default_value_t = 1_000_000)]
    pub(crate) orders: u64,
    /// How the report is written.
    #[arg(long, global = true, default_value = "text")]
    pub(crate) output: Format,
    /// The program to measure. Without it, it is built.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
}

impl Options {
    /// On what, each once, in the order of the report.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        let all = [Engine::Embedded, Engine::Servers];
        all.into_iter()
            .filter(|engine| self.engine.is_empty() || self.engine.contains(engine))
            .collect()
    }

    /// How long each loop is measured for.
    pub(crate) const fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long each loop runs before it is measured.
    pub(crate) const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn without_an_engine_both_are_measured_and_each_once() {
        let engines = |line: &str| {
            Args::try_parse_from(line.split(' ')).map(|args| args.options.engines()).map_err(|_| ())
        };
        assert_eq!(engines("bench all"), Ok(vec![Engine::Embedded, Engine::Servers]));
        assert_eq!(
            engines("bench place --engine servers --engine servers"),
            Ok(vec![Engine::Servers])
        );
        assert_eq!(engines("bench --engine files all"), Err(()));
    }

    #[test]
    fn all_includes_every_scenario() {
        assert!(Scenario::All.includes(Scenario::Life));
        assert!(Scenario::Life.includes(Scenario::Life));
        assert!(!Scenario::Life.includes(Scenario::Place));
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        assert!(Args::try_parse_from(["bench", "place", "--rate", "0"]).is_err());
        assert!(Args::try_parse_from(["bench", "place", "--clients", "0"]).is_err());
    }
}
