//! The one program: `bistro serve` runs roles, every other command talks to a running server.

mod backends;
mod cli;
mod commands;
mod complaint;
mod help;
mod output;
mod roles;
mod serve;

use std::process::ExitCode;

/// Gives freed memory back to the machine. The C library keeps each large block that was used on
/// some thread, and hashing a password takes one of 19 MiB: sixty logins left 800 MiB resident.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
