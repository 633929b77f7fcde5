//! Receives the traces that programs send over OTLP/gRPC, and shows them to a test.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as wire;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::background::Background;
use crate::ports::Port;
use crate::wait;

/// An OTLP trace receiver in this process. It can go away, as a collector may, and come back.
#[derive(Debug)]
pub struct OtlpReceiver {
    port: Port,
    received: Collected,
    /// None while it is away.
    server: Option<Background>,
}

/// A received span, in plain types.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The resource's `service.name`; empty if it has none.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// 32 lowercase hexadecimal digits.
    pub trace_id: String,
    /// 16 lowercase hexadecimal digits.
    pub span_id: String,
    /// The parent's span id; None for a root.
    pub parent_id: Option<String>,
    /// What the span is: a server's, a client's, a producer's or a consumer's side of a call, or internal.
    pub kind: wire::span::SpanKind,
    /// Its attributes, with each value as text.
    pub attributes: BTreeMap<String, String>,
    /// The (trace id, span id) pairs that it links to.
    pub links: Vec<(String, String)>,
    /// Whether its status is an error.
    pub failed: bool,
}

impl OtlpReceiver {
    /// Starts it on a free port of the loopback address.
    #[expect(clippy::unused_async, reason = "all of the testkit's servers start alike")]
    pub async fn start() -> Result<Self> {
        let mut receiver =
            Self { port: Port::reserve()?, received: Collected::default(), server: None };
        receiver.restart()?;
        Ok(receiver)
    }

    /// Cuts every connection and listens no more. What was received stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again, at the same address.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let listener = TcpListener::bind(self.port.addr()).context("cannot listen")?;
        listener.set_nonblocking(true).context("cannot listen")?;
        let service = TraceServiceServer::new(self.received.clone());
        self.server = Some(Background::spawn("otlp-receiver", async move {
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
            Ok(Server::builder().add_service(service).serve_with_incoming(incoming).await?)
        })?);
        Ok(())
    }

    /// The endpoint to configure as `OTEL_EXPORTER_OTLP_ENDPOINT`, for the protocol `grpc`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Every span received so far, in the order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().clone()
    }

    /// Waits until `enough` holds for the spans received so far, and returns them.
    ///
    /// # Panics
    /// When `deadline` has passed, with the spans that did arrive.
    pub async fn wait_for(
        &self,
        enough: impl Fn(&[Span]) -> bool,
        deadline: Duration,
    ) -> Vec<Span> {
        wait::until("the expected spans", deadline, async || {
            let spans = self.spans();
            if enough(&spans) { Ok(spans) } else { Err(spans) }
        })
        .await
    }

    /// Forgets the spans received so far.
    pub fn clear(&self) {
        self.received.lock().clear();
    }
}

#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<Span>>>);

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        // A test that panicked while it looked has changed nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Collected {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.lock();
        for resource in request.into_inner().resource_spans {
            let about = resource
                .resource
                .map(|resource| attributes(resource.attributes))
                .unwrap_or_default();
            let service = about.get("service.name").cloned().unwrap_or_default();
            let sent = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(sent.map(|span| Span::read(span, service.clone())));
        }
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

impl Span {
    fn read(span: wire::Span, service: String) -> Self {
        Self {
            service,
            kind: span.kind(),
            name: span.name,
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
            attributes: attributes(span.attributes),
            links: span
                .links
                .iter()
                .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
                .collect(),
            failed: span
                .status
                .is_some_and(|status| status.code() == wire::status::StatusCode::Error),
        }
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value.map(text).unwrap_or_default())).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
