//! The one middleware: request id, span, identity, limits, deadline, problems and metrics.

use std::{net::IpAddr, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use bistro_core::{Error, ErrorCode, Panicked, Principal, Timestamp};
use bistro_proto::accounts::v1::Activity;
use bistro_runtime::Scope;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span, field};

use super::{
    Edge, Problem, address,
    extract::Arrived,
    limits::Standing,
    metrics::method_label,
    problem,
    recorder::Pending,
    request_id::{self, RequestId},
    rules::{self, Access},
    trail::{self, About},
};
use crate::sse;

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
    let mut standing = None;
    let served = async {
        let arriving = Arriving { edge: &edge, id: &id, route, began };
        let mut response = match answer(arriving, request, next, &mut standing).await {
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
    if let Some(standing) = standing {
        standing.write(response.headers_mut());
    }
    response.headers_mut().insert(request_id::HEADER, id.into_header());
    edge.metrics.observe(method, route, response.status(), began.elapsed());
    response
}

/// A request as it arrives.
struct Arriving<'a> {
    edge: &'a Edge,
    id: &'a RequestId,
    route: &'a str,
    began: Instant,
}

async fn answer(
    arriving: Arriving<'_>,
    mut request: Request,
    next: Next,
    standing: &mut Option<Standing>,
) -> Result<Response, Error> {
    let Arriving { edge, route, began, .. } = arriving;
    let Ok(_permit) = edge.permits.try_acquire() else {
        let message = "more requests are in progress than are taken on at once; try again";
        return Err(Error::new(ErrorCode::Unavailable, message));
    };
    let access = rules::access(request.method(), route);
    let asker = address::of(&request, edge.trusted_proxies);
    let given = request.headers().get(header::AUTHORIZATION).cloned();
    let Identity { principal, authorization, expires } =
        identify(edge, given, asker, standing).await?;
    match (&principal, access) {
        // What is signed is bounded by its time, its size and the room for requests in progress.
        (Principal::Anonymous, Access::Signed)
        | (Principal::Workload(_) | Principal::Operator, _) => {}
        (Principal::Anonymous, _) | (Principal::User { .. }, Access::Credentials) => {
            count(standing, edge.by_address.admit(asker, edge.clock.now()))?;
        }
        (Principal::User { id, .. }, _) => {
            count(standing, edge.by_user.admit(*id, edge.clock.now()))?;
        }
    }
    let wait = if rules::heeds_wait(request.method(), route) {
        preferred_wait(request.headers())
    } else {
        None
    };
    let deadline = began + edge.request_timeout + Duration::from_secs(wait.unwrap_or(0).into());
    let pending = match entry(&arriving, &request, &principal, access) {
        Some(entry) => edge.trail.begin(entry, deadline).await?,
        None => None,
    };
    request.extensions_mut().insert(Arrived {
        deadline,
        asker,
        wait,
        // Told by the handler's extractors, so that 404 and 405 need no token.
        must_log_in: access == Access::Protected && principal == Principal::Anonymous,
    });
    let scope = Scope { principal, authorization, deadline };
    let handled = AssertUnwindSafe(scope.run(next.run(request))).catch_unwind();
    let answered = match timeout_at(deadline, handled).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => Err(Error::internal(Panicked::new("the request", &*panic))),
        Err(_elapsed) => Err(Error::new(
            ErrorCode::DeadlineExceeded,
            "no answer in time; repeat the request with the same Idempotency-Key to know what became of it",
        )),
    };
    if let Some(pending) = pending {
        note(pending, &answered);
    }
    // A stream shows what its asker may see, which is known until the token expires.
    answered.map(|response| match expires {
        Some(expires) => sse::ended_after(response, expires.since(edge.clock.now())),
        None => response,
    })
}

/// Keeps how the asker stands, and passes the verdict on.
fn count(
    standing: &mut Option<Standing>,
    (now, verdict): (Standing, Result<(), Error>),
) -> Result<(), Error> {
    *standing = Some(now);
    verdict
}

/// What the audit trail is to say of this request, if it is to say anything.
fn entry(
    arriving: &Arriving<'_>,
    request: &Request,
    principal: &Principal,
    access: Access,
) -> Option<Activity> {
    let Arriving { edge, id, route, .. } = arriving;
    let method = request.method();
    let is_recorded = *route != UNMATCHED
        && trail::is_recorded(edge.audit.record, principal, access, method, route);
    if !is_recorded {
        return None;
    }
    let mut ids = trail::ids_in(request.uri().path()).into_iter();
    Some(Activity {
        id: edge.new_activity_id().to_string(),
        at_ms: edge.clock.now().as_millis(),
        actor: principal.name(),
        privileged: trail::is_privileged(principal),
        action: format!("{method} {route}"),
        subject: ids.next().unwrap_or_default(),
        also: ids.collect(),
        request_id: id.as_str().to_owned(),
        address: trail::kept(address::whole(request, edge.trusted_proxies), edge.audit.address),
        ..Activity::default()
    })
}

/// Writes into the trail how the request ended.
fn note(mut pending: Pending, answered: &Result<Response, Error>) {
    match answered {
        Ok(response) => {
            let problem = response.extensions().get::<Problem>();
            let (status, code) = problem.map_or((response.status().as_u16(), ""), |problem| {
                (problem.0.code().http(), problem.0.code().as_str())
            });
            let meant = problem.and_then(|problem| problem.0.subject());
            let meant = meant.map(|id| About(id.to_owned()));
            let about = response.extensions().get::<About>().cloned().or(meant);
            trail::ended(&mut pending.entry, status, code, about, response.headers());
        }
        Err(error) => {
            let code = error.code();
            let (status, nothing) = (code.http(), HeaderMap::new());
            trail::ended(&mut pending.entry, status, code.as_str(), None, &nothing);
        }
    }
}

/// Who asks.
struct Identity {
    principal: Principal,
    /// The `Authorization` that says so.
    authorization: Option<String>,
    /// Until when it does; none of who needs none, and of operators and roles, whose rights do not
    /// change.
    expires: Option<Timestamp>,
}

/// Finds out who asks. A wrong token costs as much as none.
async fn identify(
    edge: &Edge,
    given: Option<HeaderValue>,
    asker: IpAddr,
    standing: &mut Option<Standing>,
) -> Result<Identity, Error> {
    let Some(given) = given else {
        return Ok(Identity {
            principal: Principal::Anonymous,
            authorization: None,
            expires: None,
        });
    };
    let checked = match given.to_str() {
        Ok(text) => edge.verifier.identify(text).await.map(|known| (known, text.to_owned())),
        Err(_) => Err(Error::unauthenticated()),
    };
    match checked {
        Ok(((principal, expires), text)) => {
            let expires = matches!(principal, Principal::User { .. }).then_some(expires);
            Ok(Identity { principal, authorization: Some(text), expires })
        }
        Err(error) => {
            count(standing, edge.by_address.admit(asker, edge.clock.now()))?;
            Err(error)
        }
    }
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
