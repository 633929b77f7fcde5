//! `cargo xtask test`: every test; those of the API once more over real sockets; crash campaigns;
//! schemathesis.

use std::{
    io::{BufRead as _, BufReader},
    process::{ExitCode, Stdio},
};

use anyhow::Context as _;

use crate::{cargo::cargo, programs::Programs, report};

/// One run of something that tests.
struct Pass {
    what: &'static str,
    run: Run,
}

/// What is run.
enum Run {
    /// Cargo's test runner, which counts, with these arguments and more environment.
    Tests(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// A program of the workspace, which is one test by itself, with these arguments.
    Program(&'static str, &'static [&'static str]),
}

/// Tests of one program that run at once: most wait for a platform, and leave processors to others.
const AT_ONCE: &str = "4";

/// The runs. Documentation has no tests that need servers, so only targets are run.
const PASSES: &[Pass] = &[
    Pass {
        what: "every test",
        run: Run::Tests(&["--no-fail-fast", "--workspace", "--lib", "--bins", "--tests"], &[]),
    },
    Pass {
        what: "what tests the API, with roles of one process that call each other over sockets",
        // All packages, as before: with some of them alone, half of what they use is built again.
        run: Run::Tests(
            &[
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
            &[("BISTRO__GRPC__IN_PROCESS", "false")],
        ),
    },
    Pass {
        what: "25 kills on the embedded engine",
        run: Run::Program("bistro-crash", &["--kills", "25", "--engine", "embedded"]),
    },
    Pass {
        what: "25 kills on MongoDB and RabbitMQ",
        run: Run::Program("bistro-crash", &["--kills", "25", "--engine", "servers"]),
    },
    Pass {
        what: "schemathesis on the embedded engine",
        run: Run::Program("bistro-schemathesis", &["--engine", "embedded"]),
    },
    Pass {
        what: "schemathesis on MongoDB and RabbitMQ",
        run: Run::Program("bistro-schemathesis", &["--engine", "servers"]),
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
        let tally = match pass.run {
            Run::Tests(arguments, environment) => {
                let (counted, succeeded) = run_tests(arguments, environment)?;
                judge(counted, succeeded)
            }
            Run::Program(name, arguments) => {
                let succeeded = Programs::build()?.attack(name, arguments)?.success();
                Tally { passed: succeeded.into(), failed: (!succeeded).into(), ignored: 0 }
            }
        };
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

/// What a run of tests adds to the sum that counted these and ended well or not: a failure of its
/// own when it did not even build, broke off, or tested nothing.
fn judge(counted: Tally, succeeded: bool) -> Tally {
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

/// Runs tests; those that it counted, and whether it ended well.
fn run_tests(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<(Tally, bool)> {
    let mut child = cargo()
        .args(["test", "--locked"])
        .args(arguments)
        .env("RUST_TEST_THREADS", AT_ONCE)
        .envs(environment.iter().copied())
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
    fn a_run_that_does_not_build_or_tests_nothing_has_failed() {
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
            assert_eq!(judge(counted, succeeded), expected, "{counted:?}");
        }
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
