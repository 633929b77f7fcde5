//! The OTLP receiver, spoken to by the generated client.

use std::time::Duration;

use anyhow::Result;
use bistro_testkit::OtlpReceiver;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status};

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn exported(span: Span) -> ExportTraceServiceRequest {
    let service = pair("service.name", any_value::Value::StringValue("orders".to_owned()));
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test]
async fn spans_arrive_in_plain_types() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let mut client = TraceServiceClient::connect(receiver.url()).await?;
    let root = Span {
        name: "POST /orders".to_owned(),
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        kind: SpanKind::Server.into(),
        ..Span::default()
    };
    let child = Span {
        name: "commit".to_owned(),
        trace_id: vec![0xab; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![1; 8],
        attributes: vec![pair("writes", any_value::Value::IntValue(3))],
        links: vec![Link { trace_id: vec![0xcd; 16], span_id: vec![3; 8], ..Link::default() }],
        status: Some(Status { code: status::StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    };
    client.export(exported(root)).await?;
    client.export(exported(child)).await?;

    let spans = receiver.wait_for(|spans| spans.len() == 2, Duration::from_secs(5)).await;
    assert_eq!(
        (spans[0].name.as_str(), spans[0].service.as_str(), spans[0].kind),
        ("POST /orders", "orders", SpanKind::Server)
    );
    assert_eq!(spans[0].trace_id, "ab".repeat(16));
    assert_eq!(spans[0].parent_id, None);
    assert_eq!(spans[1].trace_id, spans[0].trace_id);
    assert_eq!(spans[1].parent_id.as_ref(), Some(&spans[0].span_id));
    assert_eq!(spans[1].attributes["writes"], "3");
    assert_eq!(spans[1].links, [("cd".repeat(16), "03".repeat(8))]);
    assert!(spans[1].failed && !spans[0].failed);

    receiver.clear();
    assert!(receiver.spans().is_empty());
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "the expected spans")]
async fn spans_that_stay_away_fail_the_test() {
    let receiver = OtlpReceiver::start().await.unwrap();
    receiver.wait_for(|spans| !spans.is_empty(), Duration::from_millis(50)).await;
}
