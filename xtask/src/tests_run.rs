//! `cargo xtask test`: every test; the scenarios once more over real sockets; crash campaigns.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, bail};

use crate::report;

/// One run of something that tests.
struct Pass {
    what: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Whether cargo's test runner counts, or the run is one test by itself.
    counts: bool,
}

/// The runs. Documentation has no tests that need servers, so only targets are run.
const PASSES: &[Pass] = &[
    Pass {
        what: "every test",
        arguments: &["test", "--no-fail-fast", "--workspace", "--lib", "--bins", "--tests"],
        environment: &[],
        counts: true,
    },
    Pass {
        what: "the scenarios with roles of one process that call each other over sockets",
        arguments: &[
            "test",
            "--no-fail-fast",
            "--package",
            "bistro",
            "--test",
            "scenarios",
            "--",
            "--skip",
            "split",
        ],
        environment: &[("BISTRO__GRPC__IN_PROCESS", "false")],
        counts: true,
    },
    Pass {
        what: "25 kills on the embedded engine",
        arguments: &[
            "run",
            "--package",
            "bistro-crash",
            "--",
            "--kills",
            "25",
            "--engine",
            "embedded",
        ],
        environment: &[],
        counts: false,
    },
    Pass {
        what: "25 kills on MongoDB and RabbitMQ",
        arguments: &[
            "run",
            "--package",
            "bistro-crash",
            "--",
            "--kills",
            "25",
            "--engine",
            "servers",
        ],
        environment: &[],
        counts: false,
    },
];

/// Tests that passed, failed and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs every pass and ends with the sum, on a line that test reports are read by.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let mut sum = Tally::default();
    let mut whole = true;
    for pass in PASSES {
        report::line(format_args!("=== {}", pass.what));
        let (tally, succeeded) = run_pass(pass)?;
        whole &= succeeded;
        sum = Tally {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            ignored: sum.ignored + tally.ignored,
        };
    }
    if sum.passed == 0 {
        bail!("no test ran");
    }
    report::line(format_args!("{} passed, {} failed", sum.passed, sum.failed));
    Ok(if whole { ExitCode::SUCCESS } else { report::FOUND.into() })
}

fn run_pass(pass: &Pass) -> anyhow::Result<(Tally, bool)> {
    let (command, arguments) = pass.arguments.split_first().context("a pass has a command")?;
    let mut child = Command::new(env!("CARGO"))
        .args([*command, "--locked"])
        .args(arguments)
        .envs(pass.environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("cargo's output cannot be read")?;
        if let Some(one) = read_result(&line) {
            tally.passed += one.passed;
            tally.failed += one.failed;
            tally.ignored += one.ignored;
        }
        report::line(line);
    }
    let succeeded = child.wait().context("cargo cannot be waited for")?.success();
    if !pass.counts {
        tally = Tally { passed: succeeded.into(), failed: (!succeeded).into(), ignored: 0 };
    }
    Ok((tally, succeeded))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn read_result(line: &str) -> Option<Tally> {
    let counts = line.trim().strip_prefix("test result: ")?;
    let count = |word: &str| {
        counts
            .split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_read_and_others_are_not() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(read_result(line), Some(Tally { passed: 12, failed: 3, ignored: 1 }));
        assert_eq!(read_result("test a ... ok"), None);
        assert_eq!(read_result("test result: who knows"), None);
    }
}
