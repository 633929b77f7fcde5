//! Installs Debian's RabbitMQ package without letting it start the system-wide broker.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{locations, tool};
use crate::report;

/// Debian's package scripts ask this program whether they may start a service; exit code 101 says no.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const BY_HAND: &str = "install RabbitMQ 3.10 or later by hand: `sudo apt-get install rabbitmq-server` (the system-wide broker is not needed: `sudo systemctl disable --now rabbitmq-server`)";

/// Installs the package unless its start script is there.
///
/// Tests start nodes of their own, on ports of their own, so that a system-wide broker is neither needed nor in the
/// way; the package is kept from starting one.
pub(super) fn install() -> Result<()> {
    if verify().is_ok() {
        return Ok(());
    }
    let _no_services = NoServices::declare(Path::new(POLICY))?;
    report::line("rabbitmq-server: installing Debian's package (about 25 MB with Erlang)");
    tool::install_package("rabbitmq-server", BY_HAND)
}

/// Finds RabbitMQ's start script; its path.
pub(super) fn verify() -> Result<String> {
    let script = Path::new(locations::RABBITMQ_SERVER);
    let permissions = fs::metadata(script)
        .with_context(|| format!("there is no {}", script.display()))?
        .permissions();
    if permissions.mode() & 0o111 == 0 {
        bail!("{} is not executable", script.display());
    }
    Ok(script.display().to_string())
}

/// While it lives, Debian's package scripts start no service. A policy that the machine already has stays in force.
struct NoServices {
    ours: Option<PathBuf>,
}

impl NoServices {
    fn declare(policy: &Path) -> Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy) {
            Ok(mut file) => {
                let declared = Self { ours: Some(policy.to_path_buf()) };
                file.write_all(b"#!/bin/sh\nexit 101\n")
                    .with_context(|| format!("cannot write {}", policy.display()))?;
                Ok(declared)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: None }),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot write {}, which keeps the system-wide broker from starting",
                    policy.display()
                )
            }),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours
            && let Err(error) = fs::remove_file(policy)
        {
            report::problem(format!(
                "remove {} by hand ({error}): while it is there, no package starts its service",
                policy.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_our_own_policy_is_removed() {
        let folder = std::env::temp_dir().join(format!("bistro-policy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let policy = folder.join("policy-rc.d");

        let declared = NoServices::declare(&policy).unwrap();
        let answer = Command::new(&policy).status().unwrap();
        assert_eq!(answer.code(), Some(101));
        drop(NoServices::declare(&policy).unwrap());
        assert!(policy.exists(), "a policy that was there stays");
        drop(declared);
        assert!(!policy.exists(), "our own goes");

        fs::remove_dir_all(&folder).unwrap();
    }
}
