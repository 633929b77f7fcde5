//! x
use bistro_core::SystemClock;
use bistro_telemetry::*;
use std::{sync::Arc, time::Instant};
use tracing::{dispatcher::with_default, info, info_span};
fn spans(n: u32) -> f64 {
    let t = Instant::now();
    for i in 0..n {
        let s = info_span!(
            "serve",
            otel.kind = "server",
            role = "orders",
            method = "PlaceOrder",
            n = i
        );
        let e = s.enter();
        std::hint::black_box(&e);
    }
    t.elapsed().as_nanos() as f64 / f64::from(n)
}
fn nested(n: u32) -> f64 {
    let t = Instant::now();
    for i in 0..n {
        let s = info_span!(
            "serve",
            otel.kind = "server",
            role = "orders",
            method = "PlaceOrder",
            n = i
        );
        continue_from(
            &s,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        );
        let _e = s.enter();
        let c = info_span!("commit");
        let _c = c.enter();
        std::hint::black_box(current_traceparent());
    }
    t.elapsed().as_nanos() as f64 / f64::from(n)
}
fn logs(n: u32) -> f64 {
    let s = info_span!("serve", role = "orders", method = "PlaceOrder");
    let _e = s.enter();
    let t = Instant::now();
    for i in 0..n {
        info!(n = i, "placed");
    }
    t.elapsed().as_nanos() as f64 / f64::from(n)
}
#[tokio::main]
async fn main() {
    println!("none: span {:.0} ns", spans(1_000_000));
    use tracing_subscriber::{Registry, layer::SubscriberExt as _};
    use opentelemetry::trace::TracerProvider as _;
    let show = |what: &str, d: tracing::Dispatch| with_default(&d, || {
        let best = |f: fn(u32) -> f64| (0..7).map(|_| f(60_000)).fold(f64::MAX, f64::min);
        println!("{what}: span {:.0} ns, continued+child+traceparent {:.0} ns, log line {:.0} ns", best(spans), best(nested), best(logs));
    });
    show("registry", tracing::Dispatch::new(Registry::default()));
    let p = opentelemetry_sdk::trace::SdkTracerProvider::builder().with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff).build();
    show("otel", tracing::Dispatch::new(Registry::default().with(tracing_opentelemetry::layer().with_tracer(p.tracer("x")).with_context_activation(false).with_tracked_inactivity(false).with_location(false).with_threads(false))));
    for (what, level, ep) in [
        ("off", "info", ""),
        ("exporting", "info", "http://127.0.0.1:1"),
    ] {
        let o = Options {
            format: LogFormat::Json,
            level: level.into(),
            environment: [("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), ep.to_owned())].into(),
            ..Options::default()
        };
        let t = Telemetry::build(
            &o,
            Arc::new(SystemClock),
            Arc::new(|l: &str| {
                std::hint::black_box(l);
            }),
        )
        .unwrap();
        with_default(t.dispatch(), || {
            for _ in 0..2 {
                println!(
                    "{what}: span {:.0} ns, continued+child+traceparent {:.0} ns, log line {:.0} ns",
                    spans(300_000),
                    nested(300_000),
                    logs(300_000)
                );
            }
        });
    }
}
