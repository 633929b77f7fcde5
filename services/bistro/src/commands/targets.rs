//! `bistro targets`: the table of roles.

use std::{fmt::Write as _, path::PathBuf};

use bistro_core::Error;
use bistro_runtime::start_order;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    commands::{config, table::Table},
    output::{self, Format},
    roles,
};

/// The words of `bistro targets`.
#[derive(Args)]
pub(crate) struct Targets {
    /// The configuration file whose ports are shown.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Runs the command.
pub(crate) fn run(command: &Targets) -> Result<bool, Error> {
    let config = config::load(command.config.as_deref())?;
    let roles = start_order(roles::TABLE, &[])?;
    let (public, grpc, admin) = (config.gateway.listen, config.grpc.listen, config.admin.listen);
    if command.output == Format::Json {
        let roles: Vec<Value> = roles
            .iter()
            .map(|role| json!({ "role": role.name, "owns": role.about, "needs": role.needs }))
            .collect();
        let ports = json!({ "public": public, "grpc": grpc, "admin": admin });
        output::print(&json!({ "roles": roles, "ports": ports }).to_string())?;
        return Ok(true);
    }
    let mut table = Table::new(&["ROLE", "OWNS", "NEEDS"]);
    for role in roles {
        table.row([role.name.to_owned(), role.about.to_owned(), role.needs.join(", ")]);
    }
    let mut text = table.text();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "\npublic HTTP {public} (gateway) · gRPC {grpc} (all others) · admin {admin} (every process)"
    );
    output::print(&text)?;
    Ok(true)
}
