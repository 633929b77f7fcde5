//! The gateway's own numbers.

use std::time::Duration;

use bistro_core::Error;
use http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, Registry};

/// The gateway's metrics.
pub(crate) struct Metrics {
    seconds: HistogramVec,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let options = HistogramOpts::new(
            "bistro_gateway_http_seconds",
            "Time until the answer to a public HTTP request begins, in seconds, by method, route and status",
        )
        .buckets(vec![
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        ]);
        let seconds =
            HistogramVec::new(options, &["method", "route", "status"]).map_err(Error::internal)?;
        registry.register(Box::new(seconds.clone())).map_err(Error::internal)?;
        Ok(Self { seconds })
    }

    /// Counts an answer. `route` is a matched path, so that labels are bounded.
    pub(crate) fn observe(
        &self,
        method: &'static str,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        self.seconds
            .with_label_values(&[method, route, status.as_str()])
            .observe(took.as_secs_f64());
    }
}

/// The method as a label; methods that the API does not use are one.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
