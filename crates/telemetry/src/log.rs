//! Log lines: an event, the spans around it, and the ids of its trace.

mod json;
mod pretty;
mod values;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bistro_core::{Clock, Timestamp};
use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::{
    Dispatch, Event, Level, Subscriber,
    dispatcher::WeakDispatch,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use values::Fields;

/// Where finished lines go, each without its line end.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Pretty { colors: bool },
}

/// What a line says.
pub(crate) struct Line<'a> {
    time: Timestamp,
    level: Level,
    target: &'a str,
    message: String,
    fields: Vec<(&'static str, Value)>,
    /// The innermost span's name.
    span: Option<&'static str>,
    /// Fields of the spans around the event; an inner one hides an outer one of its name.
    context: BTreeMap<&'static str, Value>,
    service: &'a str,
    role: Option<String>,
    trace: Option<TraceIds>,
}

struct TraceIds {
    trace_id: String,
    span_id: String,
}

/// Writes a line per event.
pub(crate) struct LogLayer {
    style: Style,
    service: String,
    role: Option<String>,
    clock: Arc<dyn Clock>,
    sink: Sink,
    dispatch: OnceLock<WeakDispatch>,
}

impl LogLayer {
    pub(crate) fn new(
        style: Style,
        service: String,
        role: Option<String>,
        clock: Arc<dyn Clock>,
        sink: Sink,
    ) -> Self {
        Self { style, service, role, clock, sink, dispatch: OnceLock::new() }
    }

    /// The ids of `span`, fixing them if they were not.
    fn trace_ids(&self, span: &Id) -> Option<TraceIds> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(span, &dispatch)?;
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| TraceIds {
            trace_id: ids.trace_id().to_string(),
            span_id: ids.span_id().to_string(),
        })
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // A layer belongs to one subscriber, so the first is the only one.
        let _ = self.dispatch.set(subscriber.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().fields().is_empty() {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = context.event_span(event);
        // The SDK may say something while it makes the very ids that would be asked for here.
        let trace = span
            .as_ref()
            .filter(|_| !metadata.target().starts_with("opentelemetry"))
            .and_then(|span| self.trace_ids(&span.id()));
        let mut around = span.as_ref().map(surroundings).unwrap_or_default();
        let role = match around.remove("role") {
            Some(Value::String(role)) => Some(role),
            _ => self.role.clone(),
        };
        let line = Line {
            time: self.clock.now(),
            level: *metadata.level(),
            target: metadata.target(),
            message: fields.message,
            fields: fields.others,
            span: span.as_ref().map(SpanRef::name),
            context: around,
            service: &self.service,
            role,
            trace,
        };
        let text = match self.style {
            Style::Json => json::line(&line),
            Style::Pretty { colors } => pretty::line(&line, colors),
        };
        (self.sink)(&text);
    }
}

/// The fields of `span` and of those around it.
fn surroundings<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::new();
    for span in span.scope().from_root() {
        if let Some(fields) = span.extensions().get::<Fields>() {
            all.extend(fields.others.iter().cloned());
        }
    }
    all
}
