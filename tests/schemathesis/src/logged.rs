//! What the platform's log says went wrong, whatever it answered.

use serde_json::Value;

/// What is rightly logged as an error while anything at all is sent, and why.
const EXPECTED: &[(&str, &str)] =
    &[("the restaurant has no owner", "a request has erased the only one")];
/// How many lines are repeated at most.
const REPEATED: usize = 20;

/// The lines of `log` (of the level `warn` and above, in JSON) that tell of a fault: every error but
/// those that are expected, and every panic.
pub(crate) fn faults(log: &str) -> Vec<String> {
    let bad: Vec<&str> = log.lines().filter(|line| is_fault(line)).collect();
    let mut faults: Vec<String> =
        bad.iter().take(REPEATED).map(|line| format!("in the log: {line}")).collect();
    if let Some(more) = bad.len().checked_sub(REPEATED).filter(|more| *more > 0) {
        faults.push(format!("in the log: {more} more lines like these"));
    }
    faults
}

fn is_fault(line: &str) -> bool {
    if line.contains("panicked") {
        return true;
    }
    // A panic's own lines are no JSON; the first of them was found above.
    let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
    let message = line["message"].as_str().unwrap_or_default();
    line["level"] == "ERROR" && !EXPECTED.iter().any(|(expected, _)| *expected == message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_a_fault_but_those_that_are_named() {
        let line = |level: &str, message: &str| {
            format!("{{\"level\":\"{level}\",\"message\":\"{message}\"}}\n")
        };
        let log = [
            line("WARN", "slow"),
            line("ERROR", "the restaurant has no owner"),
            line("ERROR", "an event is given up"),
            line("ERROR", "a request failed"),
            "thread 'main' panicked at services/orders/src/saga.rs:1:1:\nindex out of bounds\n"
                .to_owned(),
        ]
        .concat();
        let faults = faults(&log);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, word) in faults.iter().zip(["given up", "failed", "panicked"]) {
            assert!(fault.contains(word), "{faults:?}");
        }
    }

    #[test]
    fn many_faults_are_counted() {
        let log = "{\"level\":\"ERROR\",\"message\":\"a request failed\"}\n".repeat(25);
        let faults = faults(&log);
        assert_eq!(faults.len(), REPEATED + 1);
        assert!(faults[REPEATED].contains("5 more"), "{faults:?}");
        assert!(super::faults("").is_empty());
    }
}
