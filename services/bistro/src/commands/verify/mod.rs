//! `bistro verify`: checks what every role has recorded against what the others have.

mod checks;
mod facts;

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

use bistro_client::{Client, Request};
use bistro_core::Error;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        restaurant::percent_encode,
        simulate::journal::Past,
    },
    output::{self, Format},
};
use checks::{Acknowledged, Check, Journals};
use facts::{Backlog, Facts, Row};

/// The roles whose records are read, in this order: what follows from an order before the orders,
/// so that nothing that is made meanwhile seems to belong to no order.
const ROLES: [&str; 6] = ["delivery", "kitchen", "payments", "catalog", "orders", "accounts"];
/// Between two looks while something is left undone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The words of `bistro verify`.
#[derive(Args)]
#[command(
    after_help = "Every check must be 0. A platform at work has messages under way, which are no mistake: stop the \
work, or give it time with --wait.\n\n\
Examples:\n  \
bistro verify\n  \
bistro verify --journal simulation.journal --wait 60\n  \
bistro verify --output json | jq .checks\n\n\
Changes: nothing.\n\n\
Exit codes: 0 every check is 0; 3 at least one is not; 69 the platform does not answer; 130 interrupted."
)]
pub(crate) struct Verify {
    /// A journal of `bistro simulate`, whose acknowledged orders must all be there; may be repeated.
    #[arg(long, value_name = "FILE")]
    journal: Vec<PathBuf>,
    /// How long to let what is under way come to its end.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// How late a timer may be.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    grace: u64,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// A page of `GET /api/v1/audit/{role}`.
#[derive(Deserialize)]
struct Page {
    items: Vec<Row>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    backlog: Option<Backlog>,
}

/// Runs the command; whether every check is 0.
pub(crate) fn run(command: &Verify) -> Result<bool, Error> {
    block_on(verify(command))
}

async fn verify(command: &Verify) -> Result<bool, Error> {
    let journals = journals(&command.journal)?;
    let client = command.connection.client()?;
    let grace = Duration::from_secs(command.grace);
    let until = Instant::now() + Duration::from_secs(command.wait);
    let mut pause = PAUSES.0;
    loop {
        drain(&client, grace, until).await?;
        let facts = collect(&client).await?;
        let checks = checks::run(&facts, &journals, grace);
        let sound = checks.iter().all(|check| check.count == 0);
        if sound || Instant::now() + pause > until {
            let report = Report { facts: &facts, journals: &journals, checks: &checks, sound };
            match command.output {
                Format::Text => output::print(&report.text())?,
                Format::Json => output::print(&report.json().to_string())?,
            }
            return Ok(sound);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn journals(files: &[PathBuf]) -> Result<Journals, Error> {
    let mut journals = Journals::default();
    for file in files {
        let past = Past::read(file)?;
        journals.twice.extend(past.twice.into_iter().map(|(name, first, second)| {
            format!("order {name} of the file: {first} and {second}")
        }));
        let orders = past.orders.into_values();
        journals.acknowledged.extend(
            orders.map(|order| Acknowledged { id: order.id, amount_minor: order.amount_minor }),
        );
    }
    Ok(journals)
}

/// Waits until nothing is under way, at most until `until`: backlogs are cheap to read, records
/// are not.
async fn drain(client: &Client, grace: Duration, until: Instant) -> Result<(), Error> {
    let mut pause = PAUSES.0;
    loop {
        if Instant::now() + pause > until {
            return Ok(());
        }
        let mut facts = Facts::default();
        for role in ROLES {
            let page = page(client, role, "?limit=1").await?;
            facts.take_backlog(role, page.backlog.unwrap_or_default());
        }
        if checks::undone(&facts, grace).iter().all(|check| check.count == 0) {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Reads every record of every role.
async fn collect(client: &Client) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    for role in ROLES {
        let mut query = "?limit=200".to_owned();
        loop {
            let page = page(client, role, &query).await?;
            for row in &page.items {
                facts.take(row);
            }
            if let Some(backlog) = page.backlog {
                facts.take_backlog(role, backlog);
            }
            match page.next_cursor {
                Some(next) => query = format!("?limit=200&cursor={}", percent_encode(&next)),
                None => break,
            }
        }
    }
    Ok(facts)
}

async fn page(client: &Client, role: &str, query: &str) -> Result<Page, Error> {
    let request = Request::get(format!("/api/v1/audit/{role}{query}"));
    let answer = ask::send(client, &request).await?;
    Ok(answer.read()?)
}

/// What was found.
struct Report<'a> {
    facts: &'a Facts,
    journals: &'a Journals,
    checks: &'a [Check],
    sound: bool,
}

impl Report<'_> {
    fn orders(&self) -> usize {
        self.facts.lives.values().filter(|life| life.order.is_some()).count()
    }

    fn text(&self) -> String {
        let mut text = format!("{:>10}  WHAT MUST BE 0\n", "FOUND");
        for check in self.checks {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:>10}  {} ({})", check.count, check.about, check.name);
            for example in &check.examples {
                let _ = writeln!(text, "{:>14}{example}", "");
            }
        }
        let (orders, acknowledged) = (self.orders(), self.journals.acknowledged.len());
        let verdict = if self.sound { "all is sound" } else { "SOMETHING IS WRONG" };
        let _ = write!(
            text,
            "\n{}, {acknowledged} of them acknowledged in journals: {verdict}",
            output::counted(orders as u64, "order")
        );
        text
    }

    fn json(&self) -> Value {
        let counts: BTreeMap<_, _> =
            self.checks.iter().map(|check| (check.name, check.count)).collect();
        let found = self.checks.iter().filter(|check| check.count > 0);
        let examples: BTreeMap<_, _> = found.map(|check| (check.name, &check.examples)).collect();
        json!({
            "checks": counts,
            "examples": examples,
            "orders": self.orders(),
            "acknowledged": self.journals.acknowledged.len(),
            "ok": self.sound,
        })
    }
}
