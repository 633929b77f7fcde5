//! `bistro dead-letters`: events that a role has given up are listed, shown, retried, dropped.

use std::{fmt::Write as _, io::IsTerminal as _};

use bistro_client::{Client, Request};
use bistro_core::{Error, ErrorCode};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        restaurant::percent_encode,
        table::{Table, cut},
    },
    help::{ASKING, teach},
    output::{self, Format},
};

/// The path of all of them.
const PATH: &str = "/api/v1/dead-letters";
/// How much of a cause a list shows.
const CAUSE_WIDTH: usize = 60;

/// The words of `bistro dead-letters`.
#[derive(Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    command: Command,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Subcommand)]
enum Command {
    /// List the events that roles could not handle, role by role, oldest first.
    #[command(after_help = teach(
        &[
            ("bistro dead-letters list", "everything that was given up, in all roles"),
            ("bistro dead-letters list --role kitchen --output json | jq -r '.[].id'", "only the ids of the kitchen's"),
        ],
        "nothing.",
        ASKING,
    ))]
    List {
        /// Only those of this role.
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one with its event, what it says, and why it was given up.
    #[command(after_help = teach(
        &[("bistro dead-letters show kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0", "the letter with this id, as the list has it")],
        "nothing.",
        ASKING,
    ))]
    Show {
        /// Its id, as the list shows it.
        id: String,
    },
    /// Give one another go, or all of a role's. What still cannot be handled is given up again.
    #[command(after_help = teach(
        &[
            ("bistro dead-letters retry kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0", "one"),
            ("bistro dead-letters retry --all --role kitchen", "all of the kitchen's"),
            ("bistro dead-letters retry --all", "all of every role's"),
        ],
        "the role handles the event from its first try, at once; whatever it had done before, it does not do twice.",
        ASKING,
    ))]
    #[command(group(ArgGroup::new("which").args(["id", "all"]).required(true)))]
    Retry {
        /// Its id, as the list shows it.
        id: Option<String>,
        /// All that have been given up until now.
        #[arg(long)]
        all: bool,
        /// With --all: only those of this role.
        #[arg(long, value_name = "ROLE", conflicts_with = "id")]
        role: Option<String>,
        /// With --all: only those of this kind, such as bistro.orders.v1.OrderAccepted.
        #[arg(long, value_name = "KIND", conflicts_with = "id")]
        kind: Option<String>,
    },
    /// Forget one for good. What it asked for does not happen.
    #[command(after_help = teach(
        &[("bistro dead-letters drop kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0 --reason 'an order of a test'", "nobody waits for it")],
        "the letter is gone; the platform's log keeps its id, who dropped it, and the reason.",
        ASKING,
    ))]
    Drop {
        /// Its id, as the list shows it.
        id: String,
        /// Why, in 1 to 200 characters.
        #[arg(long)]
        reason: String,
    },
}

/// Runs the command.
pub(crate) fn run(command: &DeadLetters) -> Result<bool, Error> {
    block_on(async {
        let client = command.connection.client()?;
        let format = command.output;
        match &command.command {
            Command::List { role, limit } => list(&client, role.as_deref(), *limit, format).await,
            Command::Show { id } => show(&client, id, format).await,
            Command::Retry { id: Some(id), .. } => retry(&client, id, format).await,
            Command::Retry { id: None, role, kind, .. } => {
                retry_all(&client, role.as_deref(), kind.as_deref(), format).await
            }
            Command::Drop { id, reason } => drop_one(&client, id, reason, format).await,
        }
    })
    .map(|()| true)
}

async fn list(
    client: &Client,
    role: Option<&str>,
    limit: u32,
    format: Format,
) -> Result<(), Error> {
    let path = match role {
        Some(role) => format!("{PATH}?role={}", percent_encode(role)),
        None => PATH.to_owned(),
    };
    // One more than is shown tells whether there are more.
    let mut letters = ask::rows(client, &path, limit as usize + 1).await?;
    let more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    match format {
        Format::Json => output::print(&Value::Array(letters).to_string()),
        Format::Text => output::print(&listed(&letters, more)),
    }
}

fn listed(letters: &[Value], more: bool) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut table = Table::new(&["GIVEN UP", "TRIES", "KIND", "ABOUT", "CAUSE", "ID"]);
    for letter in letters {
        table.row([
            text(letter, "/given_up_at").to_owned(),
            letter["attempts"].to_string(),
            text(letter, "/event/type").to_owned(),
            text(letter, "/event/subject").to_owned(),
            cut(text(letter, "/cause"), CAUSE_WIDTH),
            text(letter, "/id").to_owned(),
        ]);
    }
    let mut listed = table.text();
    if more {
        listed.push_str("there are more; see --limit\n");
    }
    listed.push_str("see one with: bistro dead-letters show ID\n");
    listed
}

async fn show(client: &Client, id: &str, format: Format) -> Result<(), Error> {
    let letter = ask::get(client, &at(id)).await?.body;
    match format {
        Format::Json => output::print(&letter.to_string()),
        Format::Text => output::print(&shown(&letter)),
    }
}

fn shown(letter: &Value) -> String {
    let event = &letter["event"];
    let mut shown = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(shown, "{name:<12} {value}");
        }
    };
    line("id", text(letter, "/id"));
    line("queue", text(letter, "/queue"));
    line(
        "given up",
        &format!("{} after {} tries", text(letter, "/given_up_at"), letter["attempts"]),
    );
    line("retry until", text(letter, "/retry_until"));
    line("cause", text(letter, "/cause"));
    line("event", text(event, "/type"));
    line("about", text(event, "/subject"));
    line("told by", text(event, "/source"));
    line("told at", text(event, "/time"));
    line("sequence", &event["sequence"].to_string());
    line("trace", text(event, "/traceparent"));
    match &event["data"] {
        Value::Null => line("data", "of a kind that the platform does not know, or damaged"),
        data => {
            let _ = writeln!(shown, "data\n{data:#}");
        }
    }
    if let Some(order) = text(event, "/subject").strip_prefix("ord_") {
        let _ = writeln!(shown, "see the order with: bistro orders show ord_{order}");
    }
    shown
}

async fn retry(client: &Client, id: &str, format: Format) -> Result<(), Error> {
    let request = Request::post(format!("{}/retry", at(id)), ask::fresh_key()?, &json!({}));
    let answer = ask::send(client, &request).await?.body;
    if answer["retried"] != true {
        return Err(gone(id));
    }
    match format {
        Format::Json => output::print(&answer.to_string()),
        Format::Text => output::print(&format!(
            "{id} is tried again; if it fails again it is listed again, with the new cause"
        )),
    }
}

async fn retry_all(
    client: &Client,
    role: Option<&str>,
    kind: Option<&str>,
    format: Format,
) -> Result<(), Error> {
    let roles: Vec<String> = match role {
        Some(role) => vec![role.to_owned()],
        None => with_letters(client).await?,
    };
    let mut retried = 0;
    for role in roles {
        let mut until = Value::Null;
        loop {
            let body =
                json!({ "role": role, "kind": kind.unwrap_or_default(), "given_up_until": until });
            let request = Request::post(format!("{PATH}/retry"), ask::fresh_key()?, &body);
            let answer = ask::send(client, &request).await?.body;
            retried += answer["retried"].as_u64().unwrap_or_default();
            progress(&format!("{role}: {retried} so far"));
            if answer["more"] != true {
                break;
            }
            until = answer["given_up_until"].clone();
        }
    }
    match format {
        Format::Json => output::print(&json!({ "retried": retried }).to_string()),
        Format::Text => {
            output::print(&format!("{} tried again", output::counted(retried, "dead letter")))
        }
    }
}

/// The roles that have given something up.
async fn with_letters(client: &Client) -> Result<Vec<String>, Error> {
    let mut roles: Vec<String> = ask::rows(client, PATH, usize::MAX)
        .await?
        .iter()
        .map(|letter| text(letter, "/role").to_owned())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

async fn drop_one(client: &Client, id: &str, reason: &str, format: Format) -> Result<(), Error> {
    // Dropping what is not there is no mistake to the platform, but a misspelt id is one here.
    ask::get(client, &at(id)).await?;
    let why = json!({ "reason": reason });
    let request = Request::post(format!("{}/drop", at(id)), ask::fresh_key()?, &why);
    ask::send(client, &request).await?;
    match format {
        Format::Json => output::print(&json!({ "dropped": id }).to_string()),
        Format::Text => output::print(&format!("{id} is dropped")),
    }
}

fn at(id: &str) -> String {
    format!("{PATH}/{}", percent_encode(id))
}

fn gone(id: &str) -> Error {
    let message = format!("there is no dead letter {id}, or none any more");
    Error::new(ErrorCode::NotFound, message)
}

/// Says how far it has come, to whoever watches.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        output::say(text);
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Value {
        json!({
            "id": "kitchen.events:2f:0", "role": "kitchen", "queue": "kitchen.events",
            "attempts": 12, "given_up_at": "2026-11-21T22:00:00.000Z",
            "retry_until": "2026-12-21T22:00:00.000Z",
            "cause": "not_found: there is no order ord_1: and a very long chain of causes behind it",
            "event": {
                "id": "2f/0", "source": "/bistro/orders", "type": "bistro.orders.v1.OrderAccepted",
                "subject": "ord_1", "time": "2026-11-21T21:00:00.000Z", "sequence": 3,
                "traceparent": null, "data": { "order_id": "ord_1" },
            },
        })
    }

    #[test]
    fn a_list_is_short_and_a_letter_is_whole() {
        let list = listed(&[letter()], true);
        assert!(
            list.contains("  kitchen.events:2f:0\n") && list.contains("there are more"),
            "{list}"
        );
        assert!(list.contains('…') && !list.contains("behind it"), "{list}");
        let shown = shown(&letter());
        assert!(
            shown.contains("behind it") && shown.contains("\"order_id\": \"ord_1\""),
            "{shown}"
        );
        assert!(shown.contains("bistro orders show ord_1"), "{shown}");
        assert!(!shown.contains("trace "), "what is not known is left out: {shown}");
        assert_eq!(listed(&[], false), "no dead letters");
    }
}
