//! The edge as clients see it, over fakes of the roles.

mod api_keys;
mod conditions;
mod docs;
mod document;
mod fakes;
mod limits;
mod live;
mod problems;
mod trail;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use bistro_config::{Audit, Gateway, Limits, LiveStreams, RateLimit, Recorded, RecordedAddress};
use bistro_core::{Clock, FixedClock, Id, Role, Timestamp};
use bistro_proto::{
    accounts::v1::{
        accounts_client::AccountsClient,
        accounts_server::{self, AccountsServer},
    },
    catalog::v1::catalog_server::{self, CatalogServer},
    orders::v1::orders_server::{self, OrdersServer},
};
use bistro_runtime::{AccessClaims, Authority, GrpcPort, GrpcServer, Peers, TokenVerifier};
use http::{Method, Request, request::Builder};
use http_body_util::BodyExt as _;
use prometheus::Registry;
use rand::SeedableRng as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::ServiceExt as _;

use crate::{
    edge::{Edge, Parts, trail},
    routes,
};
use fakes::{FakeAccounts, FakeCatalog, FakeOrders, SEED};

/// An order's id as clients write it.
const ORDER: &str = "ord_01jd3x8k4v9q2w7r5t6y8z0abc";
/// Requests that the bench takes on at once.
const CONCURRENT_REQUESTS: usize = 8;
/// A restaurant's.
const RESTAURANT: &str = "rst_01jd3x8k4v9q2w7r5t6y8z0abc";

/// Where the fakes are.
#[derive(Clone, Copy)]
enum Place {
    /// In this process.
    Here,
    /// Each behind a port of its own, until the test ends.
    OverSockets,
}

/// Where `Peers` look for a role, from before the first channel to it is made.
struct Seat {
    role: &'static str,
    /// None in this process.
    listener: Option<TcpListener>,
}

impl Seat {
    fn take(peers: &Peers, role: &'static str, place: Place) -> Self {
        let listener = match place {
            Place::Here => {
                peers.local(role);
                None
            }
            Place::OverSockets => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                listener.set_nonblocking(true).unwrap();
                let url = format!("http://{}", listener.local_addr().unwrap());
                peers.remote(role, &url).unwrap();
                Some(TcpListener::from_std(listener).unwrap())
            }
        };
        Self { role, listener }
    }

    /// Lets `server` answer there, whose service is called `service`.
    fn fill(self, peers: &Peers, service: &'static str, server: GrpcServer) {
        let Some(listener) = self.listener else {
            peers.provide(self.role, server);
            return;
        };
        tokio::spawn(async move {
            let (port, mut roles) = GrpcPort::new().await.unwrap();
            roles.add(&[service], &server);
            roles.open();
            port.serve(listener, CancellationToken::new()).await.unwrap();
        });
    }
}

/// The gateway over fakes of accounts, orders and catalog. The other roles are still starting.
struct Bench {
    router: Router,
    edge: Edge,
    accounts: FakeAccounts,
    orders: FakeOrders,
    clock: Arc<FixedClock>,
    registry: Registry,
    stopping: CancellationToken,
    token: String,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Gateway)) -> Self {
        let environment = bistro_config::process_environment();
        let sockets = environment.get("BISTRO__GRPC__IN_PROCESS").is_some_and(|way| way == "false");
        Self::build(change, if sockets { Place::OverSockets } else { Place::Here })
    }

    /// For a clock that is paused: it jumps ahead whenever all that is waited for is a socket.
    fn paused(change: impl FnOnce(&mut Gateway)) -> Self {
        Self::build(change, Place::Here)
    }

    fn build(change: impl FnOnce(&mut Gateway), place: Place) -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let shared: Arc<dyn Clock> = clock.clone();
        let authority = Arc::new(Authority::new(&[7; 32], Arc::clone(&shared)));
        let peers = Peers::new(Arc::clone(&authority)).speaking_as("gateway");
        for role in crate::SPEC.needs {
            peers.local(role);
        }
        let seats = ["accounts", "orders", "catalog"].map(|role| Seat::take(&peers, role, place));
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, Arc::clone(&shared));
        let registry = Registry::new();
        let orders = FakeOrders::default();
        let known = FakeAccounts::default();
        let services = [
            (accounts_server::SERVICE_NAME, Routes::new(AccountsServer::new(known.clone()))),
            (orders_server::SERVICE_NAME, Routes::new(OrdersServer::new(orders.clone()))),
            (catalog_server::SERVICE_NAME, Routes::new(CatalogServer::new(FakeCatalog))),
        ];
        for (seat, (service, routes)) in seats.into_iter().zip(services) {
            let server = GrpcServer::new(seat.role, routes, verifier.clone(), &registry).unwrap();
            seat.fill(&peers, service, server);
        }
        let mut gateway = Gateway {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            body_limit: 4096,
            trusted_proxies: 0,
            rate_limit: RateLimit { per_second: 10, burst: 1000 },
            user_rate_limit: RateLimit { per_second: 10, burst: 1000 },
            live_streams: LiveStreams { per_user: 16, per_process: 1000 },
        };
        change(&mut gateway);
        let stopping = CancellationToken::new();
        let recorded = AccountsClient::new(peers.channel("accounts").unwrap().as_workload());
        let (trail, recorder) = trail(recorded, &registry).unwrap();
        tokio::spawn(recorder.run());
        let edge = Edge::new(Parts {
            peers,
            gateway,
            limits: Limits {
                concurrent_requests: CONCURRENT_REQUESTS,
                connections: 100,
                grpc_message: 4 << 20,
            },
            audit: Audit {
                record: Recorded::All,
                address: RecordedAddress::Network,
                retention: Duration::from_hours(24),
            },
            trail,
            verifier,
            clock: shared,
            registry: registry.clone(),
            stopping: stopping.clone(),
            rng: rand::rngs::SmallRng::seed_from_u64(1),
        })
        .unwrap();
        Self {
            router: routes::router(edge.clone()),
            edge,
            accounts: known,
            orders,
            clock,
            registry,
            stopping,
            token: format!("Bearer {}", authority.operator_token().unwrap()),
        }
    }

    /// A request with the operator's token.
    fn request(&self, method: Method, path: &str) -> Builder {
        Request::builder().method(method).uri(path).header("authorization", &self.token)
    }

    fn get(&self, path: &str) -> Builder {
        self.request(Method::GET, path)
    }

    /// A POST with a token, a key and the content type of JSON.
    fn post(&self, path: &str) -> Builder {
        self.request(Method::POST, path)
            .header("idempotency-key", "key-1")
            .header("content-type", "application/json")
    }

    /// The token of user `number`, who has `roles`.
    fn user(&self, number: u128, roles: Vec<Role>) -> String {
        let (user, session) = (Id::from_bits(number), Id::from_bits(1));
        let now = self.clock.now();
        let claims = AccessClaims::new(user, session, roles, &[], now, Duration::from_mins(10));
        let header = jsonwebtoken::Header {
            kid: Some("fake".to_owned()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA)
        };
        // What stands before the seed in PKCS #8 (RFC 8410).
        let pkcs8 = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let key = [pkcs8.as_slice(), &SEED].concat();
        let key = jsonwebtoken::EncodingKey::from_ed_der(&key);
        format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &key).unwrap())
    }

    async fn send(&self, request: Builder, body: impl Into<Body>) -> Answered {
        let mut request = request.body(body.into()).unwrap();
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        Answered::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// The response itself, for streams.
    async fn open(&self, request: Builder) -> Response {
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }
}

/// An answer that was read to its end.
struct Answered {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Answered {
    async fn read(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("every answer of these tests is JSON")
        };
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a complete problem of this status and code.
    #[track_caller]
    fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["code"]), (status, &code.into()), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("urn:bistro:problem:{code}"));
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        assert!(self.body["errors"].is_array());
    }

    /// Checks that this is a 422 about this field.
    #[track_caller]
    fn expect_field(&self, field: &str) {
        self.expect_problem(422, "invalid_argument");
        assert_eq!(self.body["errors"][0]["field"], field, "{}", self.body);
    }
}
