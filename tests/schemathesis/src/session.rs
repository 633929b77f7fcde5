//! One run of schemathesis as one person: what it is told, how long it may take, and what its report
//! says it did.

use std::{
    io,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take to write its report once it was told to stop.
const CLOSING: Duration = Duration::from_secs(60);
/// How it ends when it was told to stop.
const INTERRUPTED: i32 = 130;

/// A run that is to be made.
pub(crate) struct Session<'a> {
    /// The program.
    pub(crate) schemathesis: &'a Path,
    /// Its configuration.
    pub(crate) settings: &'a Path,
    /// Where it may write.
    pub(crate) folder: &'a Path,
    /// Where the platform answers.
    pub(crate) url: &'a str,
    /// In a sentence: who sends.
    pub(crate) who: &'a str,
    pub(crate) token: &'a str,
    pub(crate) seed: u64,
    pub(crate) max_examples: u32,
}

/// What was done, and what was wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many operations were tried with how many requests.
    pub(crate) done: String,
    pub(crate) faults: Vec<String>,
}

impl Session<'_> {
    /// Sends everything, at most for `patience`: then it is cut off, which is a fault.
    pub(crate) async fn run(&self, patience: Duration) -> Result<Outcome> {
        let path = self.folder.join("schemathesis-report.json");
        // What an earlier session said would be taken for this one's.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut child = self.command(&path).spawn().context("schemathesis cannot be started")?;
        let mut ended = wait(&mut child, patience).await?;
        let cut_off = ended.is_none().then_some(patience);
        if cut_off.is_some() {
            Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status()?;
            ended = wait(&mut child, CLOSING).await?;
        }
        let Some(code) = ended else {
            child.kill()?;
            bail!("schemathesis does not stop");
        };
        let report = std::fs::read_to_string(&path)
            .with_context(|| format!("schemathesis ended with {code} and wrote no report"))?;
        judge(self.who, code, &serde_json::from_str(&report)?, cut_off)
    }

    fn command(&self, report: &Path) -> Command {
        let mut command = Command::new(self.schemathesis);
        command
            .arg("--config-file")
            .arg(self.settings)
            .args(["run", &format!("{}/api/v1/openapi.json", self.url)])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--seed", &self.seed.to_string()])
            // No --max-time: with it, random requests are repeated until the time is spent, and what
            // is sent depends on how fast the machine is.
            .args(["--max-examples", &self.max_examples.to_string()])
            .args(["--phases", "examples,coverage,fuzzing", "--checks", "all"])
            .args(["--continue-on-failure", "--request-timeout", "40"])
            // One after the other: what a seed sends is the same each time.
            .args(["--workers", "1"])
            .args(["--warnings", "off"])
            .args(["--report", "json", "--report-json-path"])
            .arg(report)
            .current_dir(self.folder);
        command
    }
}

/// The exit code; none if it has not ended after `patience`. Without a code it was killed by
/// somebody.
async fn wait(child: &mut Child, patience: Duration) -> Result<Option<i32>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code().with_context(|| format!("schemathesis: {status}"))?));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        sleep(LOOK).await;
    }
}

/// What there is to say of a run that ended with `code` after it wrote `report`.
fn judge(who: &str, code: i32, report: &Value, cut_off: Option<Duration>) -> Result<Outcome> {
    let number = |pointer: &str| {
        let found = report.pointer(pointer).and_then(Value::as_u64);
        found.with_context(|| format!("schemathesis ({code}) reports no {pointer}: {report}"))
    };
    let (all, tried) = (number("/operations/total")?, number("/operations/tested")?);
    let requests = number("/test_cases/generated")?;
    let seconds = report["running_time"].as_f64().unwrap_or_default();
    let done = format!(
        "as {who}: {tried} of {all} operations tried with {requests} requests in {seconds:.0} s"
    );
    let mut faults = Vec::new();
    match (code, cut_off) {
        (0, _) | (INTERRUPTED, Some(_)) => {}
        (1, _) => faults.push(format!("schemathesis, as {who}; see above")),
        _ => bail!("schemathesis could not do it: it ended with {code}"),
    }
    if let Some(patience) = cut_off {
        faults.push(format!(
            "as {who}: cut off after {} s, before everything was sent; give it a longer --max-time, or fewer --max-examples",
            patience.as_secs()
        ));
    } else if report["stop_reason"] != "completed" {
        faults.push(format!("as {who}: it stopped early: {}", report["stop_reason"]));
    }
    if tried < all || all == 0 {
        faults.push(format!(
            "as {who}: {} of {all} operations were never tried: {}",
            all - tried.min(all),
            report["operations"]["skip_reasons"]
        ));
    }
    Ok(Outcome { done, faults })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A report as schemathesis writes it, in the parts that are read.
    fn report(tested: u64, stop_reason: &str) -> Value {
        json!({
            "running_time": 83.4, "stop_reason": stop_reason, "complete": true,
            "operations": {
                "total": 141, "selected": 141, "tested": tested, "errored": 0,
                "skipped": 141 - tested, "skip_reasons": ["Time limit reached"],
            },
            "test_cases": { "generated": 9312, "with_failures": 0 },
        })
    }

    fn faults(code: i32, report: &Value, cut_off: Option<Duration>) -> Vec<String> {
        judge("a customer", code, report, cut_off).unwrap().faults
    }

    #[test]
    fn what_was_tried_is_said() {
        let outcome = judge("a customer", 0, &report(141, "completed"), None).unwrap();
        let done = "as a customer: 141 of 141 operations tried with 9312 requests in 83 s";
        assert_eq!(outcome, Outcome { done: done.to_owned(), faults: Vec::new() });
    }

    #[test]
    fn an_operation_that_was_never_tried_is_a_fault() {
        let found = faults(0, &report(139, "completed"), None);
        assert!(found.len() == 1 && found[0].contains("2 of 141"), "{found:?}");
        assert!(found[0].contains("Time limit"), "{found:?}");
        let mut nothing = report(0, "completed");
        nothing["operations"]["total"] = json!(0);
        assert_eq!(faults(0, &nothing, None).len(), 1);
    }

    #[test]
    fn a_run_that_is_cut_off_has_not_found_nothing() {
        let cut = Some(Duration::from_secs(9));
        let found = faults(INTERRUPTED, &report(141, "interrupted"), cut);
        assert!(found.len() == 1 && found[0].contains("cut off after 9 s"), "{found:?}");
        assert_eq!(faults(1, &report(140, "interrupted"), cut).len(), 3);
        let early = faults(0, &report(141, "server_unavailable"), None);
        assert!(early[0].contains("server_unavailable"), "{early:?}");
    }

    #[test]
    fn a_run_that_could_not_be_made_finds_nothing_either_way() {
        for (code, report) in [
            (2, report(141, "completed")),
            (INTERRUPTED, report(141, "interrupted")),
            (0, json!({ "operations": null })),
        ] {
            assert!(judge("a customer", code, &report, None).is_err(), "{code}");
        }
    }
}
