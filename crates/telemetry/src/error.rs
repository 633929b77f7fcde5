//! Why telemetry could not be set up or shut down.

use std::{error::Error, io, path::PathBuf};

/// What went wrong, in words for whoever configured it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The log level is not one.
    #[error("{0:?} is not a log level; write one such as info or info,bistro_orders=debug")]
    Level(String),
    /// A standard `OTEL_*` variable has a value that is not supported.
    #[error("{variable}={value} is not supported; {instead}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What may be written.
        instead: &'static str,
    },
    /// The certificate that a variable names cannot be read.
    #[error("cannot read {} that OTEL_EXPORTER_OTLP_CERTIFICATE names", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The exporter cannot be made.
    #[error("cannot export traces to {endpoint}")]
    Exporter {
        /// Where they should go.
        endpoint: String,
        /// Why they cannot.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// Exporting needs a tokio runtime around the call.
    #[error("exporting traces needs a tokio runtime")]
    NoRuntime,
    /// The process has a subscriber already.
    #[error("telemetry is started once per process")]
    AlreadyStarted(#[source] tracing::dispatcher::SetGlobalDefaultError),
    /// Not every span left before the deadline.
    #[error("some spans were not exported before the shutdown")]
    NotFlushed(#[source] Box<dyn Error + Send + Sync>),
    /// The registry refuses a metric or cannot write one.
    #[error("the metrics registry refuses")]
    Metrics(#[from] prometheus::Error),
}
