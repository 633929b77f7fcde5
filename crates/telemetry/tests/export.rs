//! That spans reach a real OTLP receiver, whole and before the shutdown ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bistro_core::FixedClock;
use bistro_telemetry::{LogFormat, Options, Telemetry, continue_from, traceparent};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value},
    trace::v1::{ResourceSpans, Span},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use tracing::{dispatcher::with_default, error, info_span};

const DEADLINE: Duration = Duration::from_secs(10);

/// An OTLP receiver that keeps what it gets.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<ResourceSpans>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.got
            .lock()
            .unwrap()
            .extend(request.into_inner().resource_spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(receiver.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (receiver, address)
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        got.iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| scope.spans.clone())
            .collect()
    }

    fn resource(&self, name: &str) -> Option<String> {
        let got = self.got.lock().unwrap();
        text(&got.first()?.resource.as_ref()?.attributes, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn telemetry(variables: &[(&str, &str)], endpoint: &str) -> Telemetry {
    let options = Options {
        service: "bistro-orders".to_owned(),
        version: "1.2.3".to_owned(),
        format: LogFormat::Json,
        level: "trace".to_owned(),
        environment: variables
            .iter()
            .chain([&("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Options::default()
    };
    Telemetry::build(
        &options,
        Arc::new(FixedClock::default()),
        Arc::new(|_: &str| {}),
    )
    .unwrap()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_before_the_shutdown_ends() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = telemetry(&[], &format!("http://{address}"));
    assert!(telemetry.is_exporting());
    let (mut outer_ids, mut inner_ids) = (String::new(), String::new());
    with_default(telemetry.dispatch(), || {
        let outer = info_span!("serve", otel.kind = "server", method = "PlaceOrder");
        continue_from(
            &outer,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        );
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
    assert_eq!(
        hexadecimal(&outer.trace_id),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(hexadecimal(&outer.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(inner.trace_id, outer.trace_id);
    assert_eq!(inner.parent_span_id, outer.span_id);
    for (span, ids) in [(outer, outer_ids), (inner, inner_ids)] {
        let expected = format!(
            "00-{}-{}-01",
            hexadecimal(&span.trace_id),
            hexadecimal(&span.span_id)
        );
        assert_eq!(ids, expected);
    }
    // 2 is a server's side of a call; an error in a span makes it an error.
    assert_eq!(outer.kind, 2);
    assert_eq!(
        text(&outer.attributes, "method").as_deref(),
        Some("PlaceOrder")
    );
    assert_eq!(inner.status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(
        receiver.resource("service.name").as_deref(),
        Some("bistro-orders")
    );
    assert_eq!(
        receiver.resource("service.version").as_deref(),
        Some("1.2.3")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_not_sampled_has_ids_and_is_not_sent() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = telemetry(
        &[
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ],
        &format!("http://{address}"),
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
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let telemetry = telemetry(&[], &format!("http://{}", silent.local_addr().unwrap()));
    with_default(telemetry.dispatch(), || drop(info_span!("serve")));
    let before = tokio::time::Instant::now();
    let outcome = telemetry.shutdown(Duration::from_millis(300)).await;
    assert!(outcome.is_err());
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "{:?}",
        before.elapsed()
    );
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
