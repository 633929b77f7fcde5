//! The server's layer: reads identity, deadline and trace context back, and counts.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bistro_core::{Error, ErrorCode, Panicked, Principal};
use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, header};
use prometheus::{HistogramOpts, HistogramVec, Registry};
use tokio::time::Instant;
use tonic::{body::Body, service::Routes};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use super::{CALLER, client::parse_timeout, scope::Scope, status::ABOUT, status_of};
use crate::TokenVerifier;

/// How long a request may take at most, whatever its asker says.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long it may take when its asker does not say.
const DEFAULT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// There is one in a task that serves a request to its end, whatever becomes of its asker.
    static IN_TASK: ();
}

/// Marks a request that came through a port.
#[derive(Clone, Copy)]
pub(crate) struct ThroughPort {
    /// Whether people may ask there by themselves.
    pub(crate) people: bool,
}

/// A role's gRPC services behind the server's layer.
#[derive(Clone)]
pub struct GrpcServer {
    role: &'static str,
    routes: Routes,
    verifier: TokenVerifier,
    seconds: Arc<HistogramVec>,
}

impl GrpcServer {
    /// Puts the layer in front of `routes`.
    pub fn new(
        role: &'static str,
        routes: Routes,
        verifier: TokenVerifier,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let options = HistogramOpts::new(
            format!("bistro_{role}_grpc_seconds"),
            "Time that gRPC requests take, in seconds, by method and status",
        )
        .buckets(vec![
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        ]);
        let seconds = HistogramVec::new(options, &["method", "status"]).map_err(Error::internal)?;
        registry.register(Box::new(seconds.clone())).map_err(Error::internal)?;
        Ok(Self { role, routes: routes.prepare(), verifier, seconds: Arc::new(seconds) })
    }

    /// The answer of a service, or why the request came to none.
    async fn serve(self, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let headers = request.headers();
        let text = |value: &HeaderValue| value.to_str().ok().map(ToOwned::to_owned);
        let authorization = headers.get(header::AUTHORIZATION).and_then(text);
        let caller = headers.get(CALLER).and_then(text);
        let limit = headers.get("grpc-timeout").and_then(parse_timeout).unwrap_or(DEFAULT);
        let deadline = Instant::now() + limit.min(LONGEST);
        let principal = self.verifier.principal(authorization.as_deref()).await?;
        let by_role = match request.extensions_mut().remove::<ThroughPort>() {
            None => true,
            Some(port) => match admit(&self.verifier, &principal, caller.as_deref()).await {
                Ok(()) => true,
                Err(_) if port.people => false,
                Err(error) => return Err(error),
            },
        };
        request.extensions_mut().insert(principal.clone());
        let scope = Scope { principal, authorization, deadline };
        let served = scope.run(self.routes.oneshot(request));
        Ok(match tokio::time::timeout_at(deadline, served).await {
            Ok(Ok(mut response)) => {
                if !by_role {
                    response.headers_mut().remove(ABOUT);
                }
                response
            }
            Ok(Err(never)) => match never {},
            Err(_) => {
                let late = Error::new(ErrorCode::DeadlineExceeded, "the answer took too long");
                status_of(&late).into_http()
            }
        })
    }
}

impl Service<Request<Body>> for GrpcServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = tonic::codegen::BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        let path = request.uri().path().to_owned();
        let span =
            tracing::info_span!("serve", otel.kind = "server", role = self.role, method = path);
        if let Some(traceparent) =
            request.headers().get("traceparent").and_then(|value| value.to_str().ok())
        {
            bistro_telemetry::continue_from(&span, traceparent);
        }
        let seconds = Arc::clone(&self.seconds);
        let serving = async move {
            let began = Instant::now();
            let (reached, response) = match server.serve(request).await {
                Ok(response) => (true, response),
                Err(refused) => (false, status_of(&refused).into_http()),
            };
            // Only methods that exist become labels; the router answers 12 for others, and who is
            // refused before may have asked for anything.
            let status = response
                .headers()
                .get("grpc-status")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("0");
            let known = reached && status != "12";
            let method = if known { method_of(&path) } else { "unknown" };
            seconds.with_label_values(&[method, status]).observe(began.elapsed().as_secs_f64());
            response
        };
        let serving = IN_TASK.scope((), serving).instrument(span);
        if IN_TASK.try_with(|()| ()).is_ok() {
            // Asked by a role of this process whose own request has a task.
            return Box::pin(async move {
                let served = AssertUnwindSafe(serving).catch_unwind().await;
                Ok(served.unwrap_or_else(|panic| died(Panicked::new("the request", &*panic))))
            });
        }
        // A task of its own: an asker that goes away does not stop it halfway, and a panic takes
        // neither the asker nor the other requests of a connection along.
        let served = tokio::spawn(serving);
        Box::pin(async move { Ok(served.await.unwrap_or_else(died)) })
    }
}

/// Refuses people whom no role vouches for: their limits and their trail are the gateway's.
async fn admit(
    verifier: &TokenVerifier,
    principal: &Principal,
    caller: Option<&str>,
) -> Result<(), Error> {
    let (code, message) = match principal {
        Principal::Workload(_) | Principal::Operator => return Ok(()),
        Principal::User { .. } => (
            ErrorCode::PermissionDenied,
            "people are not answered at this port; ask the public API, or set grpc.people",
        ),
        Principal::Anonymous => (
            ErrorCode::Unauthenticated,
            "this port answers roles and the operator; bring the operator's token, ask the public API, or set grpc.people",
        ),
    };
    match verifier.principal(caller).await {
        Ok(Principal::Workload(_)) => Ok(()),
        Ok(_) => Err(Error::new(code, message)),
        // Why a proof cannot be checked now is told as it is; a wrong one proves nothing.
        Err(error) if error.code().is_retryable() => Err(error),
        Err(error) => Err(Error::new(code, message).caused_by(error)),
    }
}

fn died(why: impl std::error::Error + Send + Sync + 'static) -> Response<Body> {
    status_of(&Error::internal(why)).into_http()
}

fn method_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
