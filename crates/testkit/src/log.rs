//! What a program's log says, whatever the program answered. A log is read as JSON, a line each.

use serde_json::Value;

/// How many lines are repeated at most.
const REPEATED: usize = 20;

/// The lines of `log` that tell of a fault: every error, and every panic.
#[must_use]
pub fn faults(log: &str) -> Vec<String> {
    told(log, |line| is_panic(line) || read(line, "ERROR").is_some_and(|line| is_error(&line)))
}

/// Like [`faults`], of a log to which others write who may have errors of their own: every panic, but only the errors
/// within the trace `trace_id`.
#[must_use]
pub fn faults_within(log: &str, trace_id: &str) -> Vec<String> {
    told(log, |line| is_panic(line) || within(line, trace_id).is_some_and(|line| is_error(&line)))
}

/// The lines of `log` that were written within the trace `trace_id`.
#[must_use]
pub fn lines_within(log: &str, trace_id: &str) -> Vec<Value> {
    log.lines().filter_map(|line| within(line, trace_id)).collect()
}

fn told(log: &str, is_fault: impl Fn(&str) -> bool) -> Vec<String> {
    let bad: Vec<&str> = log.lines().filter(|line| is_fault(line)).collect();
    let mut told: Vec<String> =
        bad.iter().take(REPEATED).map(|line| format!("in the log: {line}")).collect();
    if let Some(more) = bad.len().checked_sub(REPEATED).filter(|more| *more > 0) {
        told.push(format!("in the log: {more} more lines like these"));
    }
    told
}

/// Whether a panic speaks, in whose own lines there is no JSON, or somebody who has caught one.
fn is_panic(line: &str) -> bool {
    line.contains("panicked")
}

fn is_error(line: &Value) -> bool {
    line["level"] == "ERROR"
}

fn within(line: &str, trace_id: &str) -> Option<Value> {
    read(line, trace_id).filter(|line| line["trace_id"] == trace_id)
}

/// Reads a line, if it holds `text`: most are of no interest, and logs are long.
fn read(line: &str, text: &str) -> Option<Value> {
    if line.contains(text) { serde_json::from_str(line).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const THEIRS: &str = "00000000000000000000000000000001";
    const PANIC: &str =
        "thread 'main' panicked at services/orders/src/saga.rs:1:1:\nindex out of bounds\n";

    fn line(level: &str, message: &str, trace_id: &str) -> String {
        let line = serde_json::json!({
            "level": level, "message": message, "trace_id": trace_id,
        });
        format!("{line}\n")
    }

    #[test]
    fn every_error_and_every_panic_is_a_fault() {
        let log = [
            line("WARN", "slow, which is no ERROR", OURS),
            line("ERROR", "an event is given up", OURS),
            line("ERROR", "a request failed", THEIRS),
            PANIC.to_owned(),
        ]
        .concat();
        let faults = faults(&log);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, word) in faults.iter().zip(["given up", "failed", "panicked"]) {
            assert!(fault.contains(word), "{faults:?}");
        }
    }

    #[test]
    fn of_those_who_share_a_log_each_has_errors_of_its_own_and_panics_are_everybodys() {
        let log = [
            line("ERROR", "a request failed", THEIRS),
            line("INFO", "made", OURS),
            line("ERROR", &format!("{OURS} failed"), THEIRS),
            PANIC.to_owned(),
        ]
        .concat();
        let faults = faults_within(&log, OURS);
        assert!(matches!(&faults[..], [only] if only.contains("panicked")), "{faults:?}");
        assert_eq!(faults_within(&log, THEIRS).len(), 3);
        let lines = lines_within(&log, OURS);
        assert!(matches!(&lines[..], [only] if only["message"] == "made"), "{lines:?}");
    }

    #[test]
    fn many_faults_are_counted() {
        let log = line("ERROR", "a request failed", OURS).repeat(25);
        let faults = faults(&log);
        assert_eq!(faults.len(), REPEATED + 1);
        assert!(faults[REPEATED].contains("5 more"), "{faults:?}");
        assert!(super::faults("").is_empty());
    }
}
