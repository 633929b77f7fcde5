//! What an operator sees of a running process: logs, traces over OTLP, and metrics.
//!
//! [`Telemetry::start`] sets up logs and traces for the whole process; tests use
//! [`Telemetry::build`] and the dispatcher it gives. Every span has ids, exported or not, so log
//! lines carry a trace id always, and [`current_traceparent`] and [`continue_from`] carry one
//! trace through HTTP, gRPC and stored events. The
//! process's own metrics go onto a registry that is passed in.

mod error;
mod gate;
mod log;
mod metrics;
mod options;
mod otlp;
#[cfg(target_os = "linux")]
mod process;
mod setup;
mod trace_context;

pub use error::TelemetryError;
pub use log::Sink;
pub use metrics::{register_build_info, register_process};
pub use options::{LogFormat, Options};
pub use setup::Telemetry;
pub use trace_context::{continue_from, current_trace_id, current_traceparent, traceparent};
