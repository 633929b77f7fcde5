//! What telemetry is set up with.

use std::collections::BTreeMap;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Pretty`] when standard error is a terminal, [`LogFormat::Json`] otherwise.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// What telemetry is set up with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the process is called in logs and traces, unless `OTEL_SERVICE_NAME` says otherwise:
    /// `bistro`, or `bistro-orders` for a process of one role.
    pub service: String,
    /// The program's version.
    pub version: String,
    /// The role of log lines outside of any span with a `role` field: the one that the process
    /// runs, if it is one.
    pub role: Option<String>,
    /// How log lines look.
    pub format: LogFormat,
    /// What is logged: `info`, or by part `info,bistro_orders=debug`. Spans are not subject to
    /// it: traces stay whole when less is logged.
    pub level: String,
    /// The environment, for the standard `OTEL_*` variables and `NO_COLOR`. What is not looked
    /// up here (headers, timeouts, batch sizes) the OpenTelemetry SDK takes from the process's.
    pub environment: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            service: "bistro".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: None,
            format: LogFormat::Auto,
            level: "info".to_owned(),
            environment: BTreeMap::new(),
        }
    }
}

impl Options {
    /// A variable's value, if it is set to anything.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}
