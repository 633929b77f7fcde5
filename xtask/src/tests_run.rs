//! `cargo xtask test`: every test; those of the API once more over real sockets; crash campaigns;
//! schemathesis.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context as _;

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
        what: "what tests the API, with roles of one process that call each other over sockets",
        // All packages, as before: with some of them alone, half of what they use is built again.
        arguments: &[
            "test",
            "--no-fail-fast",
            "--workspace",
            "--lib",
            "--test",
            "scenarios",
            "--test",
            "readme",
            "--",
            // One process per role calls over sockets anyway, on servers.
            "--skip",
            "split",
            "--skip",
            "servers",
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
    Pass {
        what: "schemathesis on the embedded engine",
        arguments: &["run", "--package", "bistro-schemathesis", "--", "--engine", "embedded"],
        environment: &[],
        counts: false,
    },
    Pass {
        what: "schemathesis on MongoDB and RabbitMQ",
        arguments: &["run", "--package", "bistro-schemathesis", "--", "--engine", "servers"],
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
        let (counted, succeeded) = run_pass(pass)?;
        let tally = judge(pass, counted, succeeded);
        if tally.failed > 0 {
            report::problem(format_args!("=== {}: {} failed", pass.what, tally.failed));
        }
        whole &= tally.failed == 0;
        sum.add(tally);
    }
    let Tally { passed, failed, ignored } = sum;
    report::line(format_args!("{passed} passed, {failed} failed, {ignored} ignored"));
    Ok(if whole { ExitCode::SUCCESS } else { report::FOUND.into() })
}

/// What a pass adds to the sum, whose counted tests and exit code are these: a failure of its own
/// when it did not even build, broke off, or tested nothing.
fn judge(pass: &Pass, counted: Tally, succeeded: bool) -> Tally {
    if !pass.counts {
        return Tally { passed: succeeded.into(), failed: (!succeeded).into(), ignored: 0 };
    }
    let tested_nothing = counted.passed == 0;
    let failed_silently = counted.failed == 0 && (!succeeded || tested_nothing);
    Tally { failed: counted.failed + u64::from(failed_silently), ..counted }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Runs `pass`; the tests that it counted, and whether it ended well.
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
            tally.add(one);
        }
        report::line(line);
    }
    let succeeded = child.wait().context("cargo cannot be waited for")?.success();
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
    fn a_pass_that_does_not_build_or_tests_nothing_has_failed() {
        let pass = |counts| Pass { what: "", arguments: &[], environment: &[], counts };
        let tally = |passed, failed| Tally { passed, failed, ignored: 1 };
        for (counted, succeeded, failed) in [
            (tally(3, 0), true, 0),
            (tally(3, 2), false, 2),
            // It did not build, or was killed.
            (tally(0, 0), false, 1),
            (tally(3, 0), false, 1),
            // Every test was filtered out, or renamed.
            (tally(0, 0), true, 1),
        ] {
            let expected = Tally { failed, ..counted };
            assert_eq!(judge(&pass(true), counted, succeeded), expected, "{counted:?}");
        }
        let one = |passed, failed| Tally { passed, failed, ignored: 0 };
        assert_eq!(judge(&pass(false), Tally::default(), true), one(1, 0));
        assert_eq!(judge(&pass(false), Tally::default(), false), one(0, 1));
    }

    #[test]
    fn a_result_line_is_read_and_others_are_not() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(read_result(line), Some(Tally { passed: 12, failed: 3, ignored: 1 }));
        assert_eq!(read_result("test a ... ok"), None);
        assert_eq!(read_result("test result: who knows"), None);
    }
}
