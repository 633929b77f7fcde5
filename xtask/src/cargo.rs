//! Cargo, as it would be started by hand.

use std::process::Command;

/// What cargo tells the programs that it runs about themselves. Build scripts of libraries look at
/// some of these: a build that this program starts would not be the build that somebody else does,
/// and each would undo the other's.
const OWN: &[&str] = &[
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// The cargo that built this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for name in OWN {
        command.env_remove(name);
    }
    command
}
