//! Putting logs and traces together, and taking them down without losing a span.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use bistro_core::{Clock, SystemClock};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Dispatch;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use crate::{
    LogFormat, Options, Sink, TelemetryError,
    gate::gate,
    log::{LogLayer, Style},
    otlp,
};

/// Logs and traces of this process.
#[derive(Debug)]
pub struct Telemetry {
    dispatch: Dispatch,
    provider: SdkTracerProvider,
    exporting: bool,
}

impl Telemetry {
    /// Sets up logs to standard error and traces for the whole process. Once per process; inside
    /// a tokio runtime if traces are exported.
    pub fn start(options: &Options) -> Result<Self, TelemetryError> {
        let telemetry = Self::build(options, Arc::new(SystemClock), stderr())?;
        tracing::dispatcher::set_global_default(telemetry.dispatch.clone())
            .map_err(TelemetryError::AlreadyStarted)?;
        Ok(telemetry)
    }

    /// Sets up the same for who uses [`Telemetry::dispatch`], with log times from `clock` and
    /// lines to `sink`.
    pub fn build(
        options: &Options,
        clock: Arc<dyn Clock>,
        sink: Sink,
    ) -> Result<Self, TelemetryError> {
        let (provider, exporting) = otlp::provider(options)?;
        let gate = gate(&options.level, exporting)?;
        let log = LogLayer::new(
            style(options),
            otlp::service(options).to_owned(),
            options.role.clone(),
            clock,
            sink,
        );
        // Tracing spans alone say what is current, so nothing is tracked twice.
        let traces = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("bistro"))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false);
        let dispatch = Dispatch::new(Registry::default().with(traces).with(log).with(gate));
        Ok(Self { dispatch, provider, exporting })
    }

    /// The dispatcher, for `tracing::dispatcher::with_default` and `set_default`.
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Whether spans are sent anywhere.
    #[must_use]
    pub fn is_exporting(&self) -> bool {
        self.exporting
    }

    /// Sends what is left, waiting at most for `deadline`. Spans that end later are lost; logs
    /// go on.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), TelemetryError> {
        if !self.exporting {
            return Ok(());
        }
        // It waits for the exporter's thread, which needs this runtime meanwhile.
        let provider = self.provider;
        tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(deadline))
            .await
            .map_err(|panicked| TelemetryError::NotFlushed(panicked.into()))?
            .map_err(|error| TelemetryError::NotFlushed(error.into()))
    }
}

fn style(options: &Options) -> Style {
    let terminal = io::stderr().is_terminal();
    match options.format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if !terminal => Style::Json,
        LogFormat::Auto | LogFormat::Pretty => {
            Style::Pretty { colors: terminal && options.variable("NO_COLOR").is_none() }
        }
    }
}

fn stderr() -> Sink {
    Arc::new(|line: &str| {
        let mut whole = String::with_capacity(line.len() + 1);
        whole.push_str(line);
        whole.push('\n');
        // One write per line keeps lines whole. When standard error is gone there is nobody left
        // to tell.
        let _ = io::stderr().lock().write_all(whole.as_bytes());
    })
}
