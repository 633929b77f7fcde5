//! `bistro orders`: one order as every role has it.

mod timeline;

use bistro_client::Client;
use bistro_core::{Error, ErrorCode, Id, kinds};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
    },
    help::{ASKING, teach},
    output::{self, Format},
};
use timeline::Story;

/// The words of `bistro orders`.
#[derive(Args)]
pub(crate) struct Orders {
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
    /// Show what became of an order, in every role, by time.
    #[command(after_help = teach(
        &[
            ("bistro orders show ord_01jd3x8k4v9q2w7r5t6y8z0abc", "order, payment, ledger, ticket and delivery in one table"),
            ("bistro orders show ord_01jd3x8k4v9q2w7r5t6y8z0abc --output json | jq .payment.state", "one thing of it"),
        ],
        "nothing.",
        ASKING,
    ))]
    Show {
        /// The order's id.
        id: String,
    },
}

/// Runs the command.
pub(crate) fn run(command: &Orders) -> Result<bool, Error> {
    let Command::Show { id } = &command.command;
    let id: Id<kinds::Order> = id.parse().map_err(|cause: bistro_core::IdError| {
        Error::new(ErrorCode::InvalidArgument, cause.to_string())
    })?;
    let story = block_on(async { tell(&command.connection.client()?, id).await })?;
    match command.output {
        Format::Text => output::print(&story.text())?,
        Format::Json => output::print(&story.json().to_string())?,
    }
    Ok(true)
}

/// What belongs to an order has the order's id with another prefix, so nothing has to be searched.
async fn tell(client: &Client, id: Id<kinds::Order>) -> Result<Story, Error> {
    let order = ask::get(client, &format!("/api/v1/orders/{id}")).await?.body;
    let ticket = format!("/api/v1/tickets/{}", id.sibling::<kinds::Ticket>());
    let delivery = format!("/api/v1/deliveries/{}", id.sibling::<kinds::Delivery>());
    Ok(Story {
        order,
        payment: if_there(client, &format!("/api/v1/orders/{id}/payment")).await?,
        ledger: if_there(client, &format!("/api/v1/orders/{id}/ledger")).await?,
        ticket: if_there(client, &ticket).await?,
        delivery: if_there(client, &delivery).await?,
    })
}

/// What is at `path`; nothing if it is not there, not yet, or not for whoever asks.
async fn if_there(client: &Client, path: &str) -> Result<Option<Value>, Error> {
    match ask::get(client, path).await {
        Ok(answer) => Ok(Some(answer.body)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
