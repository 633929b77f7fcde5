//! Prints the catalogue of errors, for `docs/errors.md`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(bistro_gateway::error_catalogue().as_bytes())
}
