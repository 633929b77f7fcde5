//! Metrics on a registry that is passed in: well-named, with the buckets that dashboards expect.

use prometheus::{
    CounterVec, Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use crate::{
    TelemetryError,
    names::{Kind, check},
};

/// Upper bounds of a histogram's buckets: one set per sort of work, so that histograms of
/// different roles can be added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// Requests and calls, in seconds: 5 ms to 10 s.
    Request,
    /// What a database does, in seconds: 1 ms to 10 s.
    Database,
    /// Waits of people, and of messages that are retried, in seconds: 1 s to an hour.
    Wait,
    /// Things in a batch: 1 to 1024.
    Count,
}

impl Buckets {
    /// The bounds, ascending. There is one more bucket, for what is beyond the last.
    #[must_use]
    pub const fn bounds(self) -> &'static [f64] {
        match self {
            Self::Request => {
                &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
            }
            Self::Database => &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0],
            Self::Wait => {
                &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0]
            }
            Self::Count => &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
        }
    }
}

/// Makes metrics called `bistro_<role>_<what>_<unit>` and registers them.
///
/// A name is registered once; the metric that comes back is cheap to clone and share.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// What `text/plain` scrapers are told [`Metrics::render`] gives.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// Makes metrics on `registry`.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A counter of things that happened, by `labels`. Its name ends in `_total`.
    pub fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, TelemetryError> {
        check(Kind::Counter, name, labels)?;
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A counter of amounts with fractions, such as seconds, by `labels`. Its name ends in
    /// `_total`.
    pub fn float_counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, TelemetryError> {
        check(Kind::Counter, name, labels)?;
        self.register(CounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A number of things that there are now, by `labels`.
    pub fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, TelemetryError> {
        check(Kind::Gauge, name, labels)?;
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// An amount that may have a fraction, such as an age in seconds, by `labels`.
    pub fn float_gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, TelemetryError> {
        check(Kind::Gauge, name, labels)?;
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A distribution over `buckets`, by `labels`.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Buckets,
    ) -> Result<HistogramVec, TelemetryError> {
        check(Kind::Histogram, name, labels)?;
        let options = HistogramOpts::new(name, help).buckets(buckets.bounds().to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }

    /// `bistro_build_info`: always 1, with the program's version and the revision it was built
    /// from as labels.
    pub fn build_info(&self, version: &str, revision: &str) -> Result<(), TelemetryError> {
        let options = Opts::new("bistro_build_info", "What this process runs.")
            .const_label("version", version)
            .const_label("revision", revision);
        self.register(IntGauge::with_opts(options)?)?.set(1);
        Ok(())
    }

    /// The process's memory, CPU time, file descriptors, threads and start time, under their
    /// usual names (`process_…`). Only Linux has them; elsewhere this does nothing.
    pub fn process(&self) -> Result<(), TelemetryError> {
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(crate::process::ProcessCollector::new()?))?;
        Ok(())
    }

    /// Everything as Prometheus reads it.
    pub fn render(&self) -> Result<String, TelemetryError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()).into())
    }

    fn register<C: Collector + Clone + 'static>(&self, made: C) -> Result<C, TelemetryError> {
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }
}
