//! Which spans and events exist at all: decided once per place in the code.

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};

use crate::TelemetryError;

/// Libraries that describe every frame and poll. They speak up from `warn`, unless the level
/// says otherwise, and their spans are not part of our traces: exporting a span over gRPC would
/// make more spans.
const NOISY: [&str; 11] = [
    "amq_protocol",
    "h2",
    "hyper",
    "lapin",
    "mio",
    "mongodb",
    "opentelemetry",
    "rustls",
    "tokio_util",
    "tonic",
    "tower",
];

/// Calls every channel that the broker closes an error, though whoever asks for a queue that may not
/// exist is told so that way. The caller gets the answer and says what is wrong with it: this says
/// nothing, unless the level names the library.
const TOLD_TO_THE_CALLER: &str = "lapin::channel";

/// Events by `level`. Spans from `info`, from `debug` when traces are exported (they say which
/// call and which statement took how long), or as many as `level` asks for.
pub(crate) fn gate(
    level: &str,
    exporting: bool,
) -> Result<FilterFn<impl Fn(&Metadata<'_>) -> bool + use<>>, TelemetryError> {
    let events = targets(level).ok_or_else(|| TelemetryError::Level(level.to_owned()))?;
    let spans = if exporting { Level::DEBUG } else { Level::INFO };
    let most = events
        .iter()
        .map(|(_, level)| level)
        .chain(events.default_level())
        .fold(LevelFilter::from_level(spans), Ord::max);
    Ok(filter_fn(move |metadata: &Metadata<'_>| {
        let (target, level) = (metadata.target(), metadata.level());
        let is_ours = metadata.is_span() && *level <= spans && !is_noisy(target);
        is_ours || events.would_enable(target, level)
    })
    .with_max_level_hint(most))
}

fn targets(level: &str) -> Option<Targets> {
    // A word alone would be read as a part that logs everything.
    let is_fit = |one: &str| one.contains('=') || one.trim().parse::<LevelFilter>().is_ok();
    if !level.split(',').all(is_fit) {
        return None;
    }
    let asked: Targets = level.parse().ok()?;
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    let quiet = NOISY.map(|target| (target, default.min(LevelFilter::WARN)));
    let names_it = asked.iter().any(|(target, _)| TOLD_TO_THE_CALLER.starts_with(target));
    let told = if names_it { None } else { Some((TOLD_TO_THE_CALLER, LevelFilter::OFF)) };
    let targets = Targets::new()
        .with_default(default)
        .with_targets(quiet)
        .with_targets(told)
        // Later ones win.
        .with_targets(asked.iter().map(|(target, level)| (target.to_owned(), level)));
    Some(targets)
}

/// By prefix, as [`Targets`] compares.
fn is_noisy(target: &str) -> bool {
    NOISY.iter().any(|library| target.starts_with(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_is_told_is_logged_only_if_the_level_names_the_library() {
        let logs = |level: &str, target: &str| {
            targets(level).expect("a level").would_enable(target, &Level::ERROR)
        };
        assert!(!logs("info", "lapin::channel"));
        assert!(logs("info", "lapin::connection"));
        assert!(logs("info,lapin=warn", "lapin::channel"));
        assert!(logs("info,lapin::channel=error", "lapin::channel"));
    }
}
