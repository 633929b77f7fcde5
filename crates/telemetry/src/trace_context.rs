//! W3C trace context: how one trace goes on in another process, or later from a stored event.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The `traceparent` of the current span, to be sent along or stored; none outside of any span
/// or without telemetry. There is one whether or not spans are exported.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent(&Span::current())
}

/// The `traceparent` of `span`.
#[must_use]
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| write(ids))
}

/// The trace id of the current span: 32 hexadecimal digits, as in the logs.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| ids.trace_id().to_string())
}

/// Makes `span` a child of the remote span that `traceparent` names. What is not a traceparent
/// is ignored: a stranger's header must not fail a request.
///
/// To be called right after the span is made: once it was entered and something was logged or
/// sent in it, its ids are fixed.
pub fn continue_from(span: &Span, traceparent: &str) {
    let Some(remote) = parse(traceparent) else {
        return;
    };
    let parent = Context::new().with_remote_span_context(remote);
    if let Err(error) = span.set_parent(parent) {
        // No telemetry, or a span that nobody records: there is nothing to continue.
        tracing::trace!(%error, "a trace was not continued");
    }
}

fn write(ids: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", ids.trace_id(), ids.span_id(), ids.trace_flags().to_u8())
}

/// Reads a traceparent as the W3C recommendation (level 1) asks: later versions may say more.
fn parse(text: &str) -> Option<SpanContext> {
    let mut fields = text.trim().split('-');
    let version = hexadecimal(fields.next()?, 2)?;
    let trace_id = hexadecimal(fields.next()?, 32)?;
    let span_id = hexadecimal(fields.next()?, 16)?;
    let flags = hexadecimal(fields.next()?, 2)?;
    let too_long = version == 0 && fields.next().is_some();
    if version == 0xff || too_long || trace_id == 0 || span_id == 0 {
        return None;
    }
    let sampled = flags & u128::from(TraceFlags::SAMPLED.to_u8()) != 0;
    Some(SpanContext::new(
        TraceId::from(trace_id),
        SpanId::from(u64::try_from(span_id).ok()?),
        TraceFlags::default().with_sampled(sampled),
        true,
        TraceState::default(),
    ))
}

/// Reads `digits` lowercase hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_what_the_recommendation_calls_valid() {
        assert_eq!(write(&parse(EXAMPLE).unwrap()), EXAMPLE);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert_eq!(write(&parse(later).unwrap()), EXAMPLE);
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert_eq!(write(&parse(&unsampled).unwrap()), unsampled);
        // Only the sampled flag is known.
        assert_eq!(write(&parse(&EXAMPLE.replace("-01", "-ff")).unwrap()), EXAMPLE);
    }

    #[test]
    fn refuses_what_it_calls_invalid() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn comes_back(trace_id in 1_u128.., span_id in 1_u64.., sampled: bool) {
            let text = format!("00-{trace_id:032x}-{span_id:016x}-{:02x}", u8::from(sampled));
            prop_assert_eq!(write(&parse(&text).unwrap()), text);
        }

        #[test]
        fn any_text_is_read_or_ignored(text in "[-0-9a-fx ]{0,70}", other in ".*") {
            continue_from(&Span::none(), &text);
            let _ = parse(&other);
        }
    }
}
