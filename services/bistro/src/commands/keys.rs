//! `bistro keys`: the keys that access tokens are signed with.

use bistro_client::Request;
use bistro_core::Error;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        table::Table,
    },
    help::{ASKING, teach},
    output::{self, Format},
};

/// The words of `bistro keys`.
#[derive(Args)]
pub(crate) struct Keys {
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
    /// List the public keys whose tokens may be about.
    #[command(after_help = teach(
        &[("bistro keys list --output json", "as a JWK set, for whoever checks tokens")],
        "nothing.",
        ASKING,
    ))]
    List,
    /// Sign with a new key from now on. Nobody has to log in again.
    #[command(after_help = teach(
        &[("bistro keys rotate", "every few months, or at once when a key may be known to others")],
        "there is a new signing key; older ones are kept for as long as tokens of theirs may be about.",
        ASKING,
    ))]
    Rotate,
}

/// Runs the command.
pub(crate) fn run(command: &Keys) -> Result<bool, Error> {
    let keys = block_on(async {
        let client = command.connection.client()?;
        match command.command {
            Command::List => ask::get(&client, "/.well-known/jwks.json").await,
            Command::Rotate => {
                let request = Request::post("/api/v1/keys/rotate", ask::fresh_key()?, &json!({}));
                ask::send(&client, &request).await
            }
        }
    })?;
    match command.output {
        Format::Json => output::print(&keys.body.to_string())?,
        Format::Text => output::print(&listed(&keys.body))?,
    }
    Ok(true)
}

fn listed(keys: &Value) -> String {
    let mut table = Table::new(&["KEY", "ALGORITHM", "PUBLIC KEY"]);
    for key in keys["keys"].as_array().into_iter().flatten() {
        let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
        table.row([text("kid"), text("alg"), text("x")]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_by_their_names() {
        let keys = json!({ "keys": [{ "kid": "k2", "alg": "EdDSA", "x": "AQ" }] });
        assert_eq!(listed(&keys), "KEY  ALGORITHM  PUBLIC KEY\nk2   EdDSA      AQ\n");
    }
}
