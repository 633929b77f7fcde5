//! That spans reach a real OTLP receiver, whole and before the shutdown ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bistro_core::FixedClock;
use bistro_telemetry::{LogFormat, Options, Telemetry, continue_from, traceparent};
use bistro_testkit::{OtlpReceiver, wait};
use tokio::io::AsyncReadExt as _;
use tracing::{debug_span, dispatcher::with_default, error, info_span};

const DEADLINE: Duration = Duration::from_secs(10);
/// A batch is sent every five seconds.
const SEVERAL_BATCHES: Duration = Duration::from_secs(60);

fn telemetry(variables: &[(&str, &str)], endpoint: &str) -> Telemetry {
    telemetry_at("trace", variables, endpoint)
}

fn telemetry_at(level: &str, variables: &[(&str, &str)], endpoint: &str) -> Telemetry {
    let options = Options {
        service: "bistro-orders".to_owned(),
        format: LogFormat::Json,
        level: level.to_owned(),
        environment: variables
            .iter()
            .chain([&("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Options::default()
    };
    let nowhere = Arc::new(|_: &str| {});
    Telemetry::build(&options, Arc::new(FixedClock::default()), nowhere).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_before_the_shutdown_ends() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let telemetry = telemetry(&[], &receiver.url());
    assert!(telemetry.is_exporting());
    let (mut outer_ids, mut inner_ids) = (String::new(), String::new());
    with_default(telemetry.dispatch(), || {
        let outer = info_span!("serve", otel.kind = "server", method = "PlaceOrder");
        continue_from(&outer, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let _outer = outer.enter();
        let inner = info_span!("commit");
        let _inner = inner.enter();
        error!("it failed");
        outer_ids = traceparent(&outer).unwrap();
        inner_ids = traceparent(&inner).unwrap();
    });
    telemetry.shutdown(DEADLINE).await.unwrap();

    let spans = receiver.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (outer, inner) = (span("serve"), span("commit"));
    assert_eq!(outer.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(outer.parent_id.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(inner.trace_id, outer.trace_id);
    assert_eq!(inner.parent_id.as_ref(), Some(&outer.span_id));
    for (span, ids) in [(outer, outer_ids), (inner, inner_ids)] {
        assert_eq!(ids, format!("00-{}-{}-01", span.trace_id, span.span_id));
        assert_eq!(span.service, "bistro-orders");
    }
    // The kind alone steers the exporter; other fields become attributes.
    assert_eq!(format!("{:?}", outer.kind), "Server");
    assert_eq!(outer.attributes["method"], "PlaceOrder");
    assert!(inner.failed && !outer.failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_are_spans_where_they_are_sent_and_do_not_exist_elsewhere() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let names = |telemetry: &Telemetry| {
        with_default(telemetry.dispatch(), || {
            let outer = info_span!("serve");
            let _outer = outer.enter();
            let detail = debug_span!("ask");
            (outer.is_disabled(), detail.is_disabled())
        })
    };
    let sending = telemetry_at("info", &[], &receiver.url());
    assert_eq!(names(&sending), (false, false));
    sending.shutdown(DEADLINE).await.unwrap();
    let mut sent: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    sent.sort();
    assert_eq!(sent, ["ask", "serve"]);

    let silent = telemetry_at("info", &[("OTEL_TRACES_EXPORTER", "none")], &receiver.url());
    assert_eq!(names(&silent), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_not_sampled_has_ids_and_is_not_sent() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let telemetry = telemetry(
        &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")],
        &receiver.url(),
    );
    with_default(telemetry.dispatch(), || {
        let span = info_span!("serve");
        let _entered = span.enter();
        assert!(traceparent(&span).unwrap().ends_with("-00"));
    });
    telemetry.shutdown(DEADLINE).await.unwrap();
    assert_eq!(receiver.spans(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_does_not_hold_up_the_shutdown() {
    // Bound and never accepting: connections are made and nothing answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let telemetry = telemetry(&[], &format!("http://{}", silent.local_addr().unwrap()));
    with_default(telemetry.dispatch(), || drop(info_span!("serve")));
    let before = tokio::time::Instant::now();
    let outcome = telemetry.shutdown(Duration::from_millis(300)).await;
    assert!(outcome.is_err());
    assert!(before.elapsed() < DEADLINE, "{:?}", before.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_comes_back_is_sent_spans_again() {
    let mut receiver = OtlpReceiver::start().await.unwrap();
    let telemetry = telemetry(&[], &receiver.url());
    let mut told = 0;
    let mut tell = || {
        told += 1;
        with_default(telemetry.dispatch(), || drop(info_span!("serve", told)));
    };
    tell();
    receiver.wait_for(|spans| spans.len() == 1, SEVERAL_BATCHES).await;
    receiver.stop();
    tell();
    receiver.restart().unwrap();
    // What was told while it was away may be lost; what comes afterwards is not.
    receiver.clear();
    wait::until("a span of after the return", SEVERAL_BATCHES, async || {
        tell();
        if receiver.spans().is_empty() { Err("none") } else { Ok(()) }
    })
    .await;
    telemetry.shutdown(DEADLINE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_behind_tls_is_spoken_to_with_tls() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let telemetry = telemetry(&[], &endpoint);
    with_default(telemetry.dispatch(), || drop(info_span!("serve")));
    let shutdown = tokio::spawn(telemetry.shutdown(Duration::from_millis(300)));
    let mut begun = [0; 2];
    let read = async {
        let (mut connection, _) = listener.accept().await?;
        connection.read_exact(&mut begun).await
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    // The record type of a TLS handshake and the major version of all its versions.
    assert_eq!(begun, [0x16, 0x03]);
    assert!(shutdown.await.unwrap().is_err());
}

#[tokio::test]
async fn nothing_is_sent_and_nothing_waits_without_an_endpoint() {
    let telemetry = telemetry(&[], "");
    assert!(!telemetry.is_exporting());
    with_default(telemetry.dispatch(), || drop(info_span!("serve")));
    telemetry.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_whole_process_is_set_up_once() {
    let options = Options::default();
    let first = Telemetry::start(&options).unwrap();
    assert!(Telemetry::start(&options).is_err());
    assert!(tracing::dispatcher::has_been_set());
    first.shutdown(DEADLINE).await.unwrap();
}
