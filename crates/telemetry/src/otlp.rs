//! Where spans go, by the standard `OTEL_*` variables.

use std::{fs, path::PathBuf};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig as _, WithTonicConfig as _,
    tonic_types::transport::{Certificate, ClientTlsConfig},
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};

use crate::{Options, TelemetryError};

/// The endpoint of a collector on the same machine, for who asks for OTLP and names none.
const USUAL_ENDPOINT: &str = "http://localhost:4317";

/// Makes spans, and sends them if a collector is named; says whether it does.
///
/// Without an exporter spans have ids but record nothing, unless a sampled remote parent asks
/// for it. Such a span costs about a microsecond, its log fields included, so that every span
/// can have ids and not only those at the edge.
pub(crate) fn provider(options: &Options) -> Result<(SdkTracerProvider, bool), TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource(options));
    let Some(endpoint) = endpoint(options)? else {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok((builder.with_sampler(sampler).build(), false));
    };
    // The exporter's connection is driven by a task.
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(TelemetryError::NoRuntime);
    }
    let provider = builder
        .with_sampler(sampler(options)?)
        .with_batch_exporter(exporter(options, &endpoint)?)
        .build();
    Ok((provider, true))
}

/// Where spans go; none if nowhere.
fn endpoint(options: &Options) -> Result<Option<String>, TelemetryError> {
    let named = options
        .variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| options.variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    if options.variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Ok(None);
    }
    let endpoint = match options.variable("OTEL_TRACES_EXPORTER") {
        Some("none") => None,
        Some("otlp") => Some(named.unwrap_or(USUAL_ENDPOINT)),
        None => named,
        Some(other) => {
            return Err(TelemetryError::Variable {
                variable: "OTEL_TRACES_EXPORTER",
                value: other.to_owned(),
                instead: "write otlp or none",
            });
        }
    };
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match options.variable(variable) {
            None | Some("grpc") => {}
            Some(other) if endpoint.is_some() => {
                return Err(TelemetryError::Variable {
                    variable,
                    value: other.to_owned(),
                    instead: "write grpc, and the collector's gRPC port, usually 4317",
                });
            }
            Some(_) => {}
        }
    }
    Ok(endpoint.map(str::to_owned))
}

fn exporter(options: &Options, endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let mut builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    if !endpoint.starts_with("http://") {
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        let certificate = options
            .variable("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
            .or_else(|| options.variable("OTEL_EXPORTER_OTLP_CERTIFICATE"));
        if let Some(path) = certificate.map(PathBuf::from) {
            let pem =
                fs::read(&path).map_err(|source| TelemetryError::Certificate { path, source })?;
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        builder = builder.with_tls_config(tls);
    }
    builder
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })
}

/// Which traces are kept. All, by default: order volumes allow it, and a collector can drop
/// some later, knowing which were slow.
fn sampler(options: &Options) -> Result<Sampler, TelemetryError> {
    let ratio = || match options.variable("OTEL_TRACES_SAMPLER_ARG") {
        None => Ok(1.0),
        Some(text) => match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err(TelemetryError::Variable {
                variable: "OTEL_TRACES_SAMPLER_ARG",
                value: text.to_owned(),
                instead: "write a number from 0 to 1",
            }),
        },
    };
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    Ok(match options.variable("OTEL_TRACES_SAMPLER") {
        None | Some("parentbased_always_on") => by_parent(Sampler::AlwaysOn),
        Some("parentbased_always_off") => by_parent(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => by_parent(Sampler::TraceIdRatioBased(ratio()?)),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio()?),
        Some(other) => {
            return Err(TelemetryError::Variable {
                variable: "OTEL_TRACES_SAMPLER",
                value: other.to_owned(),
                instead: "write parentbased_always_on, parentbased_always_off, \
                          parentbased_traceidratio, always_on, always_off or traceidratio",
            });
        }
    })
}

/// Who sends the spans. `OTEL_RESOURCE_ATTRIBUTES` is read by the SDK.
fn resource(options: &Options) -> Resource {
    Resource::builder()
        .with_service_name(service(options).to_owned())
        .with_attribute(KeyValue::new("service.version", options.version.clone()))
        .build()
}

/// The name of the process in logs and traces.
pub(crate) fn service(options: &Options) -> &str {
    options.variable("OTEL_SERVICE_NAME").unwrap_or(&options.service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options<const N: usize>(variables: [(&str, &str); N]) -> Options {
        Options {
            environment: variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Options::default()
        }
    }

    #[test]
    fn spans_go_where_the_standard_variables_say() {
        let goes = |variables| endpoint(&variables).unwrap();
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317");
        assert_eq!(goes(options([])), None);
        assert_eq!(goes(options([("OTEL_EXPORTER_OTLP_ENDPOINT", " ")])), None);
        assert_eq!(goes(options([general])).as_deref(), Some("http://a:4317"));
        assert_eq!(goes(options([general, traces])).as_deref(), Some("http://b:4317"));
        assert_eq!(goes(options([general, ("OTEL_TRACES_EXPORTER", "none")])), None);
        assert_eq!(goes(options([general, ("OTEL_SDK_DISABLED", "TRUE")])), None);
        assert_eq!(
            goes(options([("OTEL_TRACES_EXPORTER", "otlp")])).as_deref(),
            Some("http://localhost:4317")
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (variable, value) in
            [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]
        {
            let error = endpoint(&options([
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317"),
                (variable, value),
            ]))
            .unwrap_err();
            assert!(error.to_string().starts_with(&format!("{variable}={value}")), "{error}");
        }
        for (sampler_name, argument) in
            [("often", "1"), ("traceidratio", "2"), ("traceidratio", "x")]
        {
            let error = sampler(&options([
                ("OTEL_TRACES_SAMPLER", sampler_name),
                ("OTEL_TRACES_SAMPLER_ARG", argument),
            ]))
            .unwrap_err();
            assert!(error.to_string().starts_with("OTEL_TRACES_SAMPLER"), "{error}");
        }
    }

    #[test]
    fn the_service_is_named_by_the_variable_or_by_us() {
        assert_eq!(service(&options([])), "bistro");
        assert_eq!(service(&options([("OTEL_SERVICE_NAME", "here")])), "here");
    }

    #[test]
    fn an_exporter_needs_a_runtime() {
        let error =
            provider(&options([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317")])).unwrap_err();
        assert!(matches!(error, TelemetryError::NoRuntime));
    }
}
