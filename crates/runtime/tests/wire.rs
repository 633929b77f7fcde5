//! What a request carries from role to role, in one process and over a socket: who asks, until
//! when, in which trace. And what the gRPC port tells of itself.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::{convert::Infallible, sync::Arc, task, time::Duration};

use bistro_core::{Error, ErrorCode, Principal, SystemClock};
use bistro_runtime::{
    Authority, GrpcHealth, GrpcPort, GrpcRoles, GrpcServer, Peers, Scope, TokenVerifier,
    current_scope, error_of, status_of,
};
use bistro_telemetry::{Options, Telemetry, current_trace_id};
use futures::StreamExt as _;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, Full};
use prometheus::Registry;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service},
    server::{NamedService, UnaryService},
    service::Routes,
    transport::Channel,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tower::ServiceExt as _;
use tracing::{Instrument as _, info_span};

/// Time enough, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
/// How a role can be reached.
const WAYS: [Way; 2] = [Way::Direct, Way::Socket];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Socket,
}

/// What reached a service.
#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    principal: String,
    left: Duration,
    trace: Option<String>,
}

/// A role that answers with what reached it, or misbehaves as it is asked to.
#[derive(Clone)]
struct Echo {
    peers: Peers,
    hangs: Arc<Notify>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<String, String>::default();
            Ok(tonic::server::Grpc::new(codec).unary(echo, request).await)
        })
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let echo = self.clone();
        let principal = request.extensions().get::<Principal>().cloned();
        Box::pin(async move {
            match request.get_ref().as_str() {
                "relay" => send(&echo.peers, "tell", None).await.map(Response::new),
                "hang" => {
                    echo.hangs.notify_one();
                    std::future::pending().await
                }
                "panic" => panic!("a mistake"),
                "refuse" => {
                    let refused = Error::new(ErrorCode::WrongCredentials, "no").about("usr_1");
                    Err(status_of(&refused))
                }
                "ask panic" => {
                    let died = send(&echo.peers, "panic", None).await.unwrap_err();
                    Ok(Response::new(format!("it said: {}", died.message())))
                }
                _ => {
                    let scope = current_scope().expect("a request has a scope");
                    assert_eq!(principal, Some(scope.principal.clone()));
                    let reached = Reached {
                        principal: format!("{:?}", scope.principal),
                        left: scope.deadline.saturating_duration_since(Instant::now()),
                        trace: current_trace_id(),
                    };
                    Ok(Response::new(serde_json::to_string(&reached).unwrap()))
                }
            }
        })
    }
}

async fn send(peers: &Peers, what: &str, limit: Option<Duration>) -> Result<String, Status> {
    let mut request = Request::new(what.to_owned());
    if let Some(limit) = limit {
        request.set_timeout(limit);
    }
    let mut client = tonic::client::Grpc::new(peers.channel("echo").unwrap());
    client.ready().await.map_err(|cause| Status::unavailable(cause.to_string()))?;
    let path = PathAndQuery::from_static("/test.Echo/Ask");
    let codec = ProstCodec::<String, String>::default();
    client.unary(request, path, codec).await.map(Response::into_inner)
}

/// A role named echo, and those who ask it.
struct Bench {
    authority: Arc<Authority>,
    server: GrpcServer,
    peers: Peers,
    port: Option<Port>,
    hangs: Arc<Notify>,
}

impl Bench {
    async fn new(way: Way) -> Self {
        let authority = Arc::new(Authority::new(&[7; 32], Arc::new(SystemClock)));
        let peers = Peers::new(Arc::clone(&authority)).speaking_as("orders");
        peers.local("accounts");
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, Arc::new(SystemClock));
        let hangs = Arc::new(Notify::new());
        let routes = Routes::new(Echo { peers: peers.clone(), hangs: Arc::clone(&hangs) });
        let server = GrpcServer::new("echo", routes, verifier, &Registry::new()).unwrap();
        let mut port = None;
        match way {
            Way::Direct => {
                peers.local("echo");
                peers.provide("echo", server.clone());
            }
            Way::Socket => {
                let (open, mut roles) = Port::open().await;
                roles.add(&[Echo::NAME], &server);
                roles.open();
                peers.remote("echo", &open.url).unwrap();
                port = Some(open);
            }
        }
        Self { authority, server, peers, port, hangs }
    }

    async fn ask(&self, what: &str, limit: Option<Duration>) -> Result<Reached, Error> {
        let answer = send(&self.peers, what, limit).await.map_err(|status| error_of(&status))?;
        Ok(serde_json::from_str(&answer).unwrap())
    }

    /// Asks within the scope of a request with this token and so much time left.
    async fn ask_as(
        &self,
        token: Option<String>,
        left: Duration,
        what: &str,
    ) -> Result<Reached, Error> {
        let scope = Scope {
            // What is passed on is the token, not what somebody took it for.
            principal: Principal::Anonymous,
            authorization: token.map(|token| format!("Bearer {token}")),
            deadline: Instant::now() + left,
        };
        scope.run(self.ask(what, None)).await
    }
}

/// A gRPC port on a socket.
struct Port {
    url: String,
    health: GrpcHealth,
    stop: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
}

impl Port {
    async fn open() -> (Self, GrpcRoles) {
        let (port, roles) = GrpcPort::new().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (health, stop) = (port.health(), CancellationToken::new());
        let served = tokio::spawn(port.serve(listener, stop.clone()));
        (Self { url, health, stop, served }, roles)
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap()
    }
}

#[tokio::test]
async fn who_asks_is_passed_on() {
    for way in WAYS {
        let bench = Bench::new(way).await;
        let operator = bench.authority.operator_token().unwrap();
        let alone = bench.ask("tell", None).await.unwrap();
        assert_eq!(alone.principal, r#"Workload("orders")"#, "{way:?}");
        for what in ["tell", "relay"] {
            let told = bench.ask_as(Some(operator.clone()), PATIENCE, what).await.unwrap();
            assert_eq!(told.principal, "Operator", "{way:?} {what}");
            let nobody = bench.ask_as(None, PATIENCE, what).await.unwrap();
            assert_eq!(nobody.principal, "Anonymous", "{way:?} {what}");
            let forged = bench.ask_as(Some("forged".to_owned()), PATIENCE, what).await;
            assert_eq!(forged.unwrap_err().code(), ErrorCode::Unauthenticated, "{way:?} {what}");
        }
    }
}

/// Asks the echo behind `channel` to tell, past the client's layer.
async fn straight(
    channel: &Channel,
    authorization: Option<&str>,
    caller: Option<&str>,
) -> Result<Reached, Error> {
    let answer = straight_to(channel, "tell", authorization, caller).await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

async fn straight_to(
    channel: &Channel,
    what: &str,
    authorization: Option<&str>,
    caller: Option<&str>,
) -> Result<String, Error> {
    let mut request = Request::new(what.to_owned());
    for (name, token) in [("authorization", authorization), ("bistro-caller", caller)] {
        if let Some(token) = token {
            request.metadata_mut().insert(name, format!("Bearer {token}").parse().unwrap());
        }
    }
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Ask");
    let codec = ProstCodec::<String, String>::default();
    let answer = client.unary(request, path, codec).await.map_err(|status| error_of(&status))?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn people_who_come_straight_to_the_port_are_refused_unless_they_are_asked_in() {
    let bench = Bench::new(Way::Socket).await;
    let operator = bench.authority.operator_token().unwrap();
    let role = bench.authority.workload_token("gateway").unwrap();
    let stranger = Authority::new(&[8; 32], Arc::new(SystemClock)).workload_token("gateway");
    let forged = stranger.unwrap();
    let closed = bench.port.as_ref().unwrap().channel().await;

    for (token, name) in [(&operator, "Operator"), (&role, r#"Workload("gateway")"#)] {
        assert_eq!(straight(&closed, Some(token), None).await.unwrap().principal, name);
    }
    // Nobody in particular, for whom a role asks; and for whom none does.
    let vouched = straight(&closed, None, Some(&role)).await.unwrap();
    assert_eq!(vouched.principal, "Anonymous");
    for caller in [None, Some(forged.as_str()), Some(operator.as_str()), Some("")] {
        let refused = straight(&closed, None, caller).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthenticated, "{caller:?}");
        assert!(refused.message().contains("grpc.people"), "{refused}");
    }

    let (open, mut roles) = Port::open().await;
    roles.admit_people(true);
    roles.add(&[Echo::NAME], &bench.server);
    roles.open();
    let open = open.channel().await;
    assert_eq!(straight(&open, None, None).await.unwrap().principal, "Anonymous");
    // Whom a refusal is about is for roles to know.
    for (caller, subject) in
        [(None, None), (Some(forged.as_str()), None), (Some(role.as_str()), Some("usr_1"))]
    {
        let refused = straight_to(&open, "refuse", None, caller).await.unwrap_err();
        assert_eq!((refused.code(), refused.subject()), (ErrorCode::WrongCredentials, subject));
    }
}

#[tokio::test]
async fn the_time_that_is_left_is_passed_on() {
    let short = Duration::from_secs(5);
    for way in WAYS {
        let bench = Bench::new(way).await;
        // Without a word it is ten seconds; with one it is what was said.
        let usual = bench.ask("tell", None).await.unwrap();
        assert!(usual.left > short, "{way:?}: {usual:?}");
        let said = bench.ask("tell", Some(short)).await.unwrap();
        assert!(!said.left.is_zero() && said.left <= short, "{way:?}: {said:?}");
        // Whoever asks on behalf of somebody has no more time than they have, at any distance.
        for what in ["tell", "relay"] {
            let told = bench.ask_as(None, short, what).await.unwrap();
            assert!(!told.left.is_zero() && told.left <= short, "{way:?} {what}: {told:?}");
        }
        let relayed = bench.ask("relay", Some(short)).await.unwrap();
        assert!(!relayed.left.is_zero() && relayed.left <= short, "{way:?}: {relayed:?}");
    }
}

#[tokio::test]
async fn an_asker_waits_no_longer_than_it_has_time() {
    let short = Duration::from_millis(50);
    for way in WAYS {
        let bench = Bench::new(way).await;
        let late = bench.ask("hang", Some(short)).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::DeadlineExceeded, "{way:?}");
        let late = bench.ask_as(None, short, "hang").await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::DeadlineExceeded, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_stops_when_its_asker_has_stopped_waiting() {
    let bench = Bench::new(Way::Direct).await;
    let message = "hang".to_owned().encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = [&[0], &length[..], &message[..]].concat();
    // Past the client's layer, which would stop waiting by itself.
    let request = http::Request::post("/test.Echo/Ask")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "3S")
        .body(Body::new(Full::from(frame).map_err(|never: Infallible| match never {})))
        .unwrap();
    let began = Instant::now();
    let answer = bench.server.oneshot(request).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(answer.headers()["bistro-code"], "deadline_exceeded");
}

#[tokio::test]
async fn one_trace_goes_through() {
    let options = Options { level: "off".to_owned(), ..Options::default() };
    let telemetry =
        Telemetry::build(&options, Arc::new(SystemClock), Arc::new(|_: &str| {})).unwrap();
    // For this thread, on which this runtime runs everything.
    let _current = tracing::dispatcher::set_default(telemetry.dispatch());
    let mut traces = Vec::new();
    for way in WAYS {
        let bench = Bench::new(way).await;
        let span = info_span!("request");
        let trace = span.in_scope(current_trace_id);
        assert!(trace.is_some());
        for what in ["tell", "relay"] {
            let told = bench.ask(what, None).instrument(span.clone()).await.unwrap();
            assert_eq!(told.trace, trace, "{way:?} {what}");
        }
        traces.push(trace);
    }
    assert_ne!(traces[0], traces[1], "another request is another trace");
}

#[tokio::test]
async fn a_service_that_panics_fails_that_request_alone() {
    for way in WAYS {
        let bench = Bench::new(way).await;
        let (died, other) = tokio::join!(bench.ask("panic", None), bench.ask("tell", None));
        assert_eq!(died.unwrap_err().code(), ErrorCode::Internal, "{way:?}");
        // On the same connection, where there is one.
        other.unwrap();
        // A role that asks another one outlives the other's panic.
        let answer = send(&bench.peers, "ask panic", None).await.unwrap();
        assert!(answer.starts_with("it said: an unexpected error"), "{answer}");
        bench.ask("tell", None).await.unwrap();
    }
}

#[tokio::test]
async fn health_tells_whether_the_roles_serve() {
    let (port, mut roles) = Port::open().await;
    let health = HealthClient::new(port.channel().await);
    let status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.clone().check(request).await.map(|answer| answer.into_inner().status())
    };
    assert_eq!(status("").await.unwrap(), ServingStatus::NotServing);
    let bench = Bench::new(Way::Direct).await;
    bench.peers.remote("echo", &port.url).unwrap();
    let early = bench.ask("tell", None).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::Unavailable);
    assert!(early.message().contains("starting"), "{early}");

    roles.add(&[Echo::NAME], &bench.server);
    roles.open();
    bench.ask("tell", None).await.unwrap();
    assert_eq!(status("").await.unwrap(), ServingStatus::NotServing);
    port.health.serving().await;
    for service in ["", Echo::NAME] {
        assert_eq!(status(service).await.unwrap(), ServingStatus::Serving, "{service:?}");
    }
    port.health.not_serving().await;
    for service in ["", Echo::NAME] {
        assert_eq!(status(service).await.unwrap(), ServingStatus::NotServing, "{service:?}");
    }
    assert_eq!(status("test.Nobody").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_port_that_stops_finishes_what_is_under_way() {
    let bench = Bench::new(Way::Socket).await;
    let port = bench.port.as_ref().unwrap();
    let mut watching = HealthClient::new(port.channel().await)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(watching.next().await.unwrap().is_ok());
    let peers = bench.peers.clone();
    let asked =
        tokio::spawn(async move { send(&peers, "hang", Some(Duration::from_secs(1))).await });
    bench.hangs.notified().await;

    port.health.end().await;
    port.stop.cancel();
    // Who watches would otherwise keep the port open for ever.
    while watching.next().await.is_some() {}
    let late = asked.await.unwrap().unwrap_err();
    assert_eq!(error_of(&late).code(), ErrorCode::DeadlineExceeded);
    let port = bench.port.unwrap();
    tokio::time::timeout(PATIENCE, port.served).await.expect("it ends").unwrap().unwrap();
    Channel::from_shared(port.url).unwrap().connect().await.expect_err("nobody listens");
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let (port, _roles) = Port::open().await;
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices("*".to_owned())),
        ..ServerReflectionRequest::default()
    };
    let mut client = ServerReflectionClient::new(port.channel().await);
    let asked = tokio_stream::iter([request]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let listed: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in [
        "bistro.accounts.v1.Accounts",
        "bistro.catalog.v1.Catalog",
        "bistro.orders.v1.Orders",
        "bistro.payments.v1.Payments",
        "bistro.kitchen.v1.Kitchen",
        "bistro.delivery.v1.Delivery",
        "grpc.health.v1.Health",
    ] {
        assert!(listed.contains(&service), "{service} is not among {listed:?}");
    }
}
