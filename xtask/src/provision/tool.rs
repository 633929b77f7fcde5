//! Runs the programs that provisioning leans on (pip, apt) and turns their failures into sentences with a remedy.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, bail};

use crate::report;

/// How much of a failed program's output an error repeats.
const KEPT_LINES: usize = 15;

/// Installs a package of Debian's. `by_hand` says how to do so without this program.
pub(super) fn install_package(package: &str, by_hand: &str) -> Result<()> {
    let user = run(Command::new("id").arg("-u"), by_hand)?;
    if user.trim() != "0" {
        bail!("only root may install the package {package}; {by_hand}");
    }
    if apt(&["install", "--yes", "--no-install-recommends", package], by_hand).is_err() {
        // Most often the package lists are missing (a fresh image) or name a version that is gone.
        report::line(format!("{package}: refreshing the package lists and trying again"));
        apt(&["update"], by_hand)?;
        apt(&["install", "--yes", "--no-install-recommends", package], by_hand)?;
    }
    Ok(())
}

fn apt(arguments: &[&str], by_hand: &str) -> Result<String> {
    run(
        Command::new("apt-get").arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"),
        by_hand,
    )
}

/// Runs `command` to its end and gives back what it wrote to standard output.
///
/// `remedy` says what to do when the program does not exist or fails.
pub(super) fn run(command: &mut Command, remedy: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(
                Error::new(error).context(format!("`{program}` is not on this machine; {remedy}"))
            );
        }
        Err(error) => return Err(error).with_context(|| format!("cannot run `{program}`")),
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let all = stdout + &String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}); {remedy}\n{}", output.status, tail(&all));
    }
    Ok(stdout)
}

/// The last lines of a program's output: they say why it failed.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..]
        .iter()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        let error = run(&mut Command::new("bistro-no-such-program"), "install it").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`bistro-no-such-program` is not on this machine; install it"
        );
    }

    #[test]
    fn a_failed_program_shows_its_last_words() {
        let error =
            run(Command::new("sh").args(["-c", "echo why >&2; exit 7"]), "try again").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("try again") && text.contains("  | why") && text.contains('7'),
            "{text}"
        );
    }
}
