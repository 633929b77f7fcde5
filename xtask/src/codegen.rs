//! `cargo xtask codegen`: writes the generated files that are committed, or checks them.

use std::{
    collections::HashSet,
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;

use crate::report;

/// The words of the command.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// Write files that promise less than before, after everybody who relied on it is gone.
    #[arg(long, conflicts_with = "check")]
    breaking: bool,
}

/// A committed file, and the cargo command that prints it.
struct Generated {
    path: &'static str,
    command: &'static [&'static str],
    /// Whether its lines are promises: new ones may come, none may go or change.
    promises: bool,
}

const GENERATED: &[Generated] = &[
    Generated {
        path: "services/gateway/openapi.json",
        command: &[
            "run",
            "--quiet",
            "--locked",
            "--package",
            "bistro-gateway",
            "--example",
            "openapi",
        ],
        promises: false,
    },
    Generated {
        path: "docs/errors.md",
        command: &[
            "run",
            "--quiet",
            "--locked",
            "--package",
            "bistro-gateway",
            "--example",
            "errors",
        ],
        promises: false,
    },
    Generated {
        path: "proto/surface.txt",
        command: &[
            "run",
            "--quiet",
            "--locked",
            "--package",
            "bistro-proto",
            "--example",
            "surface",
        ],
        promises: true,
    },
    Generated {
        path: "docs/reference/config.schema.json",
        command: &["run", "--quiet", "--locked", "--package", "bistro", "--", "config", "schema"],
        promises: false,
    },
    Generated {
        path: "docs/reference/bistro.default.yaml",
        command: &["run", "--quiet", "--locked", "--package", "bistro", "--", "config", "default"],
        promises: false,
    },
];

/// Writes every file, or names those that are stale.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut stale = 0;
    for file in GENERATED {
        let fresh = generate(file)?;
        let present = fs::read_to_string(file.path).unwrap_or_default();
        if fresh == present {
            continue;
        }
        let broken = if file.promises { gone(&present, &fresh) } else { Vec::new() };
        if !broken.is_empty() && !args.breaking {
            for line in &broken {
                report::problem(format_args!("{} promises: {line}", file.path));
            }
            report::problem(
                "that is gone or different, which breaks whoever relies on it; keep it, or run: cargo xtask codegen --breaking",
            );
            stale += 1;
            continue;
        }
        if args.check {
            stale += 1;
            report::problem(format_args!("{} is stale; run: cargo xtask codegen", file.path));
            continue;
        }
        if let Some(folder) = std::path::Path::new(file.path).parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file.path, fresh).with_context(|| format!("{} cannot be written", file.path))?;
        report::line(format_args!("{} written", file.path));
    }
    report::line(format_args!("{} generated files, {stale} stale", GENERATED.len()));
    Ok(if stale == 0 { ExitCode::SUCCESS } else { report::FOUND.into() })
}

/// The lines of `before` that are not in `after`.
fn gone<'a>(before: &'a str, after: &str) -> Vec<&'a str> {
    let kept: HashSet<&str> = after.lines().collect();
    before.lines().filter(|line| !kept.contains(line)).collect()
}

fn generate(file: &Generated) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(file.command)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("{} cannot be generated: cargo {} failed", file.path, file.command.join(" "));
    }
    let mut text = String::from_utf8(output.stdout).context("what was generated is not text")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_line_is_no_break_and_a_changed_one_is() {
        assert!(gone("a 1\nb 2\n", "a 1\nb 2\nc 3\n").is_empty());
        assert_eq!(gone("a 1\nb 2\n", "a 1\nb 9\n"), ["b 2"]);
    }
}
