//! Which spans and events exist at all: decided once per place in the code.

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};

use crate::TelemetryError;

/// Libraries that describe every frame and poll. They speak up from `warn`, unless the level
/// says otherwise, and their spans are not part of our traces: exporting a span over gRPC would
/// make more spans.
const NOISY: [&str; 14] = [
    "amq_protocol",
    "h2",
    "hyper",
    "hyper_util",
    "lapin",
    "mio",
    "mongodb",
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry_otlp",
    "rustls",
    "tokio_util",
    "tonic",
    "tower",
];

/// Events by `level`; spans from `info`, or as many as `level` asks for.
pub(crate) fn gate(
    level: &str,
) -> Result<FilterFn<impl Fn(&Metadata<'_>) -> bool + use<>>, TelemetryError> {
    let events = targets(level).map_err(|source| TelemetryError::Level {
        level: level.to_owned(),
        source,
    })?;
    let spans = events.clone().with_default(
        events
            .default_level()
            .map_or(LevelFilter::INFO, |level| level.max(LevelFilter::INFO)),
    );
    let most = events
        .iter()
        .map(|(_, level)| level)
        .chain(events.default_level())
        .fold(LevelFilter::INFO, Ord::max);
    Ok(filter_fn(move |metadata: &Metadata<'_>| {
        let (target, level) = (metadata.target(), metadata.level());
        if metadata.is_span() {
            (*level <= Level::INFO && !is_noisy(target)) || spans.would_enable(target, level)
        } else {
            events.would_enable(target, level)
        }
    })
    .with_max_level_hint(most))
}

fn targets(level: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let asked: Targets = level.parse()?;
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    let quiet = NOISY.map(|target| (target, default.min(LevelFilter::WARN)));
    Ok(Targets::new()
        .with_default(default)
        .with_targets(quiet)
        // Later ones win.
        .with_targets(
            asked
                .iter()
                .map(|(target, level)| (target.to_owned(), level)),
        ))
}

fn is_noisy(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    NOISY.contains(&library)
}
