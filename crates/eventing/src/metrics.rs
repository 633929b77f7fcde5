//! What an engine counts, per role.

use bistro_core::Error;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

use crate::reads;

/// Every word of [`bistro_store::Cause::kind`].
const CAUSES: &[&str] = &["request", "message", "timer", "outcome", "tick"];

/// Counters of one role's engine. Labels are bounded: kinds of cause, results, no ids.
pub(crate) struct Metrics {
    pub(crate) works: IntCounterVec,
    pub(crate) events: IntCounter,
    pub(crate) conflicts: IntCounter,
    pub(crate) reads: IntCounterVec,
    pub(crate) commit_seconds: Histogram,
    pub(crate) deliveries: IntCounterVec,
    pub(crate) calls: IntCounterVec,
    pub(crate) calls_under_way: IntGauge,
    pub(crate) timers: IntCounter,
    pub(crate) unpublished_age: IntGauge,
    pub(crate) parked: IntGauge,
    pub(crate) parked_age: IntGauge,
    pub(crate) dead: IntGauge,
}

impl Metrics {
    pub(crate) fn register(role: &str, registry: &Registry) -> Result<Self, Error> {
        let name = |what: &str| format!("bistro_{role}_{what}");
        let counters = |what, help, label: &str, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name(what), help), &[label]);
            let counters = register(registry, counters)?;
            // A series that begins at 0 tells that nothing happened; a missing one tells nothing.
            for value in values {
                counters.with_label_values(&[value]);
            }
            Ok::<_, Error>(counters)
        };
        let counter = |what, help| register(registry, IntCounter::new(name(what), help));
        let gauge = |what, help| register(registry, IntGauge::new(name(what), help));
        let buckets = vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
        let commit = HistogramOpts::new(name("commit_seconds"), "Time a commit takes, in seconds");
        Ok(Self {
            works: counters("works_total", "Works committed, by kind of cause", "cause", CAUSES)?,
            events: counter("events_total", "Events told by committed Works")?,
            conflicts: counter("conflicts_total", "Commits that found a document changed")?,
            reads: counters(
                "store_reads_total",
                "Reads of the store by handlers and ticks, by operation",
                "operation",
                reads::OPERATIONS,
            )?,
            commit_seconds: register(registry, Histogram::with_opts(commit.buckets(buckets)))?,
            deliveries: counters(
                "deliveries_total",
                "Events delivered to the role, by what became of them",
                "result",
                &["handled", "retried", "dead"],
            )?,
            calls: counters(
                "calls_total",
                "Calls made, by what became of them",
                "result",
                &["done", "refused", "put_off", "left"],
            )?,
            calls_under_way: gauge("active_calls", "Calls being made now")?,
            timers: counter("timers_fired_total", "Timers that fired")?,
            unpublished_age: gauge(
                "outbox_oldest_age_seconds",
                "Age of the oldest event that is not known to be published, in seconds",
            )?,
            parked: gauge("parked_messages", "Events put off until their next try")?,
            parked_age: gauge(
                "parked_oldest_age_seconds",
                "Time since the oldest event that is put off was first put off, in seconds",
            )?,
            dead: gauge("dead_letters", "Events given up, each kept with its cause")?,
        })
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, Error> {
    let collector = made.map_err(Error::internal)?;
    registry.register(Box::new(collector.clone())).map_err(Error::internal)?;
    Ok(collector)
}
