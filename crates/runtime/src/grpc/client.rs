//! The client's layer: puts identity, deadline and trace context on what this process asks.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bistro_core::{Error, ErrorCode};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};
use tracing::Instrument as _;

use super::{CALLER, current_scope, status_of};
use crate::Authority;

/// The way to a role: a socket, or the role itself.
pub(crate) type Transport =
    BoxCloneSyncService<Request<Body>, Response<Body>, tonic::codegen::StdError>;

/// How long a request may take whose asker did not say.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// A generated client's channel to one role, with the layer in front.
#[derive(Clone)]
pub struct PeerChannel {
    pub(crate) role: &'static str,
    pub(crate) from: &'static str,
    /// Whether to speak for itself even when serving somebody's request.
    pub(crate) as_workload: bool,
    pub(crate) authority: Arc<Authority>,
    pub(crate) transport: Transport,
}

impl PeerChannel {
    /// The same channel, on which this role speaks for itself also while it serves a request.
    #[must_use]
    pub fn as_workload(mut self) -> Self {
        self.as_workload = true;
        self
    }

    /// Puts on who asks: this role, or somebody for whom it does, and then its proof as well.
    fn identify(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let own = format!("Bearer {}", self.authority.workload_token(self.from)?);
        let own = HeaderValue::from_str(&own).map_err(Error::internal)?;
        let scope = current_scope().filter(|_| !self.as_workload);
        let Some(scope) = scope else {
            headers.insert(header::AUTHORIZATION, own);
            return Ok(());
        };
        headers.insert(CALLER, own);
        if let Some(value) = scope.authorization {
            let value = HeaderValue::from_str(&value).map_err(Error::internal)?;
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }

    fn prepare(&self, request: &mut Request<Body>) -> Result<Instant, Error> {
        let headers = request.headers_mut();
        self.identify(headers)?;
        if let Some(traceparent) = bistro_telemetry::current_traceparent() {
            let value = HeaderValue::from_str(&traceparent).map_err(Error::internal)?;
            headers.insert("traceparent", value);
        }
        let now = Instant::now();
        let asked = headers.get("grpc-timeout").and_then(parse_timeout).unwrap_or(DEFAULT_DEADLINE);
        let deadline = current_scope().map_or(now + asked, |scope| scope.deadline.min(now + asked));
        let left = deadline.saturating_duration_since(now);
        let value = HeaderValue::from_str(&format!("{}m", left.as_millis().min(99_999_999)));
        headers.insert("grpc-timeout", value.map_err(Error::internal)?);
        Ok(deadline)
    }
}

/// Reads a `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub(super) fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = tonic::codegen::StdError;
    type Future = tonic::codegen::BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The transport is a clone per request, and is waited for with it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let transport = self.transport.clone();
        // Of interest in a trace that is exported; the asked role has a span of its own.
        let span = tracing::debug_span!(
            "ask",
            otel.kind = "client",
            role = self.role,
            method = request.uri().path()
        );
        let deadline = span.in_scope(|| self.prepare(&mut request));
        let asked = async move {
            let deadline = match deadline {
                Ok(deadline) => deadline,
                Err(error) => return Ok(status_of(&error).into_http()),
            };
            match tokio::time::timeout_at(deadline, transport.oneshot(request)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let late = Error::new(ErrorCode::DeadlineExceeded, "no answer in time");
                    Ok(status_of(&late).into_http())
                }
            }
        };
        Box::pin(asked.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_read_in_every_unit_and_rubbish_does_not() {
        let read = |text: &str| parse_timeout(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        for rubbish in ["", "S", "9", "123456789S", "-1S", "1x"] {
            assert_eq!(read(rubbish), None, "{rubbish}");
        }
    }
}
