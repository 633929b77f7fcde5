//! What log lines say, and that they and the spans around them carry one trace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex},
};

use bistro_core::{FixedClock, Timestamp};
use bistro_telemetry::{
    LogFormat, Options, Telemetry, TelemetryError, continue_from, current_trace_id,
    current_traceparent, traceparent,
};
use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher::with_default, info, info_span, warn};

/// Telemetry that keeps its lines.
struct Kept {
    dispatch: Dispatch,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Kept {
    fn new(options: &Options) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_500)));
        let telemetry = Telemetry::build(
            options,
            clock,
            Arc::new(move |line: &str| kept.lock().unwrap().push(line.to_owned())),
        )
        .unwrap();
        assert!(!telemetry.is_exporting());
        Self { dispatch: telemetry.dispatch().clone(), lines }
    }

    fn json(level: &str) -> Self {
        Self::new(&Options {
            format: LogFormat::Json,
            level: level.to_owned(),
            ..Options::default()
        })
    }

    /// Runs `work` and gives the lines it logged.
    fn lines(&self, work: impl FnOnce()) -> Vec<String> {
        with_default(&self.dispatch, work);
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// Runs `work` and gives the only line it logged, read.
    fn line(&self, work: impl FnOnce()) -> Value {
        let lines = self.lines(work);
        let [line] = lines.as_slice() else {
            panic!("not one line: {lines:#?}");
        };
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(line).unwrap()
    }
}

#[derive(Debug)]
struct Outer(fmt::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot cook")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_line_says_what_where_and_in_which_trace() {
    let kept = Kept::json("info");
    let mut ids = String::new();
    let line = kept.line(|| {
        let outer =
            info_span!("serve", otel.kind = "server", role = "orders", order = 7, state = "placed");
        let _outer = outer.enter();
        let inner = info_span!("commit", state = tracing::field::Empty);
        let _inner = inner.enter();
        inner.record("state", "confirmed");
        ids = current_traceparent().unwrap();
        warn!(
            attempts = 3_u64,
            ratio = 0.5,
            late = true,
            endless = f64::INFINITY,
            error = &Outer(fmt::Error) as &(dyn Error + 'static),
            "it took\n{} tries",
            3
        );
    });
    let ids: Vec<&str> = ids.split('-').collect();
    assert_eq!(
        line,
        json!({
            "timestamp": "1970-01-01T00:00:01.500Z",
            "level": "WARN",
            "target": "logs",
            "message": "it took\n3 tries",
            "fields": {
                "attempts": 3,
                "ratio": 0.5,
                "late": true,
                "endless": "inf",
                "error": "cannot cook: an error occurred when formatting an argument",
            },
            "span": "commit",
            "context": {"order": 7, "state": "confirmed"},
            "trace_id": ids[1],
            "span_id": ids[2],
            "service": "bistro",
            "role": "orders",
        })
    );
}

#[test]
fn a_line_outside_of_any_span_is_short() {
    let kept = Kept::new(&Options {
        format: LogFormat::Json,
        service: "bistro-kitchen".to_owned(),
        role: Some("kitchen".to_owned()),
        ..Options::default()
    });
    assert_eq!(
        kept.line(|| info!("ready")),
        json!({
            "timestamp": "1970-01-01T00:00:01.500Z",
            "level": "INFO",
            "target": "logs",
            "message": "ready",
            "service": "bistro-kitchen",
            "role": "kitchen",
        })
    );
}

#[test]
fn people_get_one_line_without_control_characters() {
    let kept = Kept::new(&Options {
        format: LogFormat::Pretty,
        environment: [("NO_COLOR".to_owned(), "1".to_owned())].into(),
        ..Options::default()
    });
    let mut trace_id = String::new();
    let lines = kept.lines(|| {
        let span = info_span!("serve", role = "orders", order = 7);
        let _span = span.enter();
        trace_id = current_trace_id().unwrap();
        info!(name = "Jo \"Bo\"", plain = "x", "typed \x1b[31mred\nand more");
    });
    assert_eq!(
        lines,
        [format!(
            r#"00:00:01.500Z  INFO orders logs: typed \u{{1b}}[31mred\nand more name="Jo \"Bo\"" plain=x (serve order=7) trace={trace_id}"#
        )]
    );
}

#[test]
fn the_level_silences_lines_but_not_traces() {
    let kept = Kept::json("warn,logs::loud=debug");
    let lines = kept.lines(|| {
        let span = info_span!("serve", role = "orders");
        let _span = span.enter();
        assert!(current_traceparent().is_some());
        info!("not said");
        tracing::debug!(target: "logs::loud", "said");
        tracing::trace!(target: "logs::loud", "not said");
        warn!("said with its context");
    });
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("logs::loud"), "{lines:#?}");
    assert!(lines[1].contains(r#""role":"orders""#), "{lines:#?}");
}

#[test]
fn libraries_that_describe_every_frame_are_quiet_unless_asked_for() {
    let said = |level: &str| {
        Kept::json(level).lines(|| {
            tracing::info!(target: "h2::codec", "frame");
            tracing::warn!(target: "lapin", "lost");
            // Their spans are no part of our traces.
            let span = info_span!(target: "tonic", "call");
            assert_eq!(span.is_disabled(), !level.contains("tonic"), "{level}");
        })
    };
    assert_eq!(said("debug").len(), 1);
    assert_eq!(said("error").len(), 0);
    assert_eq!(said("info,h2=info,tonic=info").len(), 2);
}

#[test]
fn a_level_that_is_none_is_refused() {
    let options = Options { level: "loud".to_owned(), ..Options::default() };
    let clock = Arc::new(FixedClock::default());
    let error = Telemetry::build(&options, clock, Arc::new(|_: &str| {})).unwrap_err();
    assert!(matches!(error, TelemetryError::Level(_)), "{error}");
}

#[test]
fn a_trace_goes_on_in_another_process() {
    let (here, there) = (Kept::json("info"), Kept::json("info"));
    let mut sent = String::new();
    let sending = here.line(|| {
        let span = info_span!("send");
        let _span = span.enter();
        sent = current_traceparent().unwrap();
        info!("sending");
    });
    let mut seen = (None, None);
    let receiving = there.line(|| {
        let span = info_span!("receive");
        continue_from(&span, &sent);
        let _span = span.enter();
        info!("received");
        let child = info_span!("commit");
        seen = (traceparent(&span), traceparent(&child));
    });
    assert_eq!(sending["trace_id"], receiving["trace_id"]);
    assert_ne!(sending["span_id"], receiving["span_id"]);
    let trace_id = sent.split('-').nth(1).unwrap();
    let (receive, commit) = (seen.0.unwrap(), seen.1.unwrap());
    assert!(receive.contains(trace_id) && commit.contains(trace_id));
    assert_ne!(receive, commit);
    // Nobody exports here, and nobody who gets this should think so.
    assert!(sent.ends_with("-00"), "{sent}");
}

#[test]
fn the_wish_to_be_sampled_passes_through_a_process_that_does_not_export() {
    let kept = Kept::json("info");
    kept.lines(|| {
        let span = info_span!("receive");
        continue_from(&span, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let passed_on = traceparent(&span).unwrap();
        assert!(passed_on.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{passed_on}");
        assert!(passed_on.ends_with("-01"), "{passed_on}");
    });
}

#[test]
fn what_is_no_traceparent_starts_a_trace_of_its_own() {
    let kept = Kept::json("info");
    kept.lines(|| {
        let span = info_span!("receive");
        continue_from(&span, "hello");
        assert!(traceparent(&span).is_some());
    });
    assert_eq!(current_traceparent(), None);
    assert_eq!(current_trace_id(), None);
}

#[test]
fn two_traces_are_two() {
    let kept = Kept::json("info");
    kept.lines(|| {
        let (one, other) = (info_span!("one"), info_span!("other"));
        assert_ne!(traceparent(&one), traceparent(&other));
    });
}
