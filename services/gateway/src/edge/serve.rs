//! The one middleware: request id, span, identity, limits, deadline, problems and metrics.

use std::{net::IpAddr, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use bistro_core::{Error, ErrorCode, Panicked, Principal};
use bistro_runtime::Scope;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span, field};

use super::{
    Edge, Problem, address,
    extract::Arrived,
    metrics::method_label,
    problem,
    request_id::{self, RequestId},
    rules::{self, Access},
};

/// The longest that `Prefer: wait` can ask for, in seconds.
const LONGEST_WAIT: u32 = 30;
/// The route of what matches none.
const UNMATCHED: &str = "unmatched";

/// Serves one request: `next` within its identity, its limits and its deadline; whatever goes
/// wrong becomes a problem.
pub(crate) async fn serve(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let method = method_label(request.method());
    let id = RequestId::of(request.headers(), &edge);
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        request_id = id.as_str(),
    );
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    if let Some(traceparent) = traceparent {
        bistro_telemetry::continue_from(&span, traceparent);
    }
    let served = async {
        let mut response = match answer(&edge, request, next, matched.as_ref(), began).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = Response::new(Body::empty());
                problem::write(&error, id.as_str(), &mut response);
                response
            }
        };
        if let Some(Problem(error)) = response.extensions_mut().remove() {
            problem::write(&error, id.as_str(), &mut response);
        }
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    };
    let mut response = served.instrument(span).await;
    response.headers_mut().insert(request_id::HEADER, id.into_header());
    edge.metrics.observe(method, route, response.status(), began.elapsed());
    response
}

async fn answer(
    edge: &Edge,
    mut request: Request,
    next: Next,
    matched: Option<&MatchedPath>,
    began: Instant,
) -> Result<Response, Error> {
    let route = matched.map_or(UNMATCHED, MatchedPath::as_str);
    let Ok(_permit) = edge.permits.try_acquire() else {
        let message = "more requests are in progress than are taken on at once; try again";
        return Err(Error::new(ErrorCode::Unavailable, message));
    };
    let access = rules::access(request.method(), route);
    let asker = address::of(&request, edge.trusted_proxies);
    let given = request.headers().get(header::AUTHORIZATION).cloned();
    let (principal, authorization) = identify(edge, given, asker).await?;
    if is_limited(access, &principal) {
        limit(edge, asker)?;
    }
    let wait = if rules::heeds_wait(request.method(), route) {
        preferred_wait(request.headers())
    } else {
        None
    };
    let deadline = began + edge.request_timeout + Duration::from_secs(wait.unwrap_or(0).into());
    request.extensions_mut().insert(Arrived {
        deadline,
        wait,
        // Told by the handler's extractors, so that 404 and 405 need no token.
        must_log_in: access == Access::Protected && principal == Principal::Anonymous,
    });
    let scope = Scope { principal, authorization, deadline };
    let handled = AssertUnwindSafe(scope.run(next.run(request))).catch_unwind();
    match timeout_at(deadline, handled).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => Err(Error::internal(Panicked::new("the request", &*panic))),
        Err(_elapsed) => Err(Error::new(
            ErrorCode::DeadlineExceeded,
            "no answer in time; repeat the request with the same Idempotency-Key to know what became of it",
        )),
    }
}

/// Who asks, and with which `Authorization`. A wrong token costs as much as none.
async fn identify(
    edge: &Edge,
    given: Option<HeaderValue>,
    asker: IpAddr,
) -> Result<(Principal, Option<String>), Error> {
    let Some(given) = given else {
        return Ok((Principal::Anonymous, None));
    };
    let checked = match given.to_str() {
        Ok(text) => edge.verifier.principal(Some(text)).await.map(|who| (who, text.to_owned())),
        Err(_) => Err(Error::unauthenticated()),
    };
    match checked {
        Ok((principal, text)) => Ok((principal, Some(text))),
        Err(error) => {
            limit(edge, asker)?;
            Err(error)
        }
    }
}

fn is_limited(access: Access, principal: &Principal) -> bool {
    match principal {
        Principal::Anonymous => true,
        Principal::User { .. } => access == Access::Credentials,
        Principal::Workload(_) | Principal::Operator => false,
    }
}

fn limit(edge: &Edge, asker: IpAddr) -> Result<(), Error> {
    edge.limiter.admit(asker, edge.clock.now())
}

/// The seconds of `Prefer: wait=N` (RFC 7240), at most [`LONGEST_WAIT`]. A preference that cannot
/// be understood is no error.
fn preferred_wait(headers: &HeaderMap) -> Option<u32> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then_some(value)
        })
        .find_map(|value| value.trim().trim_matches('"').parse::<u32>().ok())
        .map(|seconds| seconds.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        let wait = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            preferred_wait(&headers)
        };
        assert_eq!(wait(&["wait=5"]), Some(5));
        assert_eq!(wait(&["respond-async, Wait = 7; x=y"]), Some(7));
        assert_eq!(wait(&["return=minimal", "wait=100"]), Some(30));
        assert_eq!(wait(&["wait", "wait=soon", "waiting=3"]), None);
    }
}
