//! Prints the OpenAPI document, for `openapi.json`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(bistro_gateway::openapi().as_bytes())
}
