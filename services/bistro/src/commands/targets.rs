//! `bistro targets`: the table of roles.

use std::{fmt::Write as _, path::Path};

use bistro_core::Error;
use bistro_runtime::start_order;

use crate::{commands::config, output, roles};

pub(crate) fn run(file: Option<&Path>) -> Result<(), Error> {
    let config = config::load(file)?;
    let mut text = format!("{:<10} {:<62} {}\n", "ROLE", "OWNS", "NEEDS");
    // Writing to a String cannot fail.
    for role in start_order(roles::TABLE, &[])? {
        let _ = writeln!(text, "{:<10} {:<62} {}", role.name, role.about, role.needs.join(", "));
    }
    let _ = writeln!(
        text,
        "\npublic HTTP {} (gateway) · gRPC {} (all others) · admin {} (every process)",
        config.gateway.listen, config.grpc.listen, config.admin.listen
    );
    output::print(&text)
}
