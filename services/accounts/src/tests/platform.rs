//! This role behind the platform's own gRPC layer and token verifier.

use std::{sync::Arc, time::Duration};

use bistro_config::Auth;
use bistro_core::{Error, ErrorCode, FixedClock, Timestamp};
use bistro_eventing::{Engine, Options, Parts, Reactor as _};
use bistro_proto::accounts::v1::{
    LogInRequest, RefreshRequest, RegisterRequest, Tokens, User,
    accounts_client::AccountsClient,
    accounts_server::{self, AccountsServer},
};
use bistro_runtime::{
    Authority, GrpcPort, GrpcServer, PeerChannel, Peers, Scope, TokenVerifier, error_of,
};
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes};

use super::memory::{Memory, NoBus};
use crate::{keys::Keys, service::AccountsService, sweep::Sweeper};

pub(super) const ACCESS: Duration = Duration::from_mins(10);
pub(super) const IDLE: Duration = Duration::from_hours(720);
pub(super) const RETENTION: Duration = Duration::from_hours(24);
pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const PASSWORD: &str = "correct horse battery staple";

/// One process of the role.
pub(super) struct Platform {
    pub(super) store: Memory,
    pub(super) clock: Arc<FixedClock>,
    pub(super) engine: Engine,
    pub(super) authority: Arc<Authority>,
    pub(super) verifier: TokenVerifier,
    client: AccountsClient<PeerChannel>,
    registry: Registry,
}

impl Platform {
    pub(super) fn new() -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_800_000_000_000)));
        Self::over(Memory::default(), clock)
    }

    /// Another process over the same store.
    pub(super) fn over(store: Memory, clock: Arc<FixedClock>) -> Self {
        let registry = Registry::new();
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let peers = Peers::new(Arc::clone(&authority));
        let listener = listener();
        match &listener {
            Some(listener) => {
                let url = format!("http://{}", listener.local_addr().unwrap());
                peers.remote("accounts", &url).unwrap();
            }
            None => peers.local("accounts"),
        }
        let channel = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), channel.clone(), clock.clone());
        let parts = Parts {
            role: "accounts",
            store: Arc::new(store.clone()),
            bus: Arc::new(NoBus),
            caller: Arc::new(peers.clone()),
            clock: clock.clone(),
            options: Options::default(),
        };
        let engine = Engine::new(parts, &registry).unwrap();
        let auth = Auth {
            workload_secret: None,
            key_encryption_secret: None,
            access_token_ttl: ACCESS,
            refresh_token_ttl: IDLE,
            refresh_grace: GRACE,
            argon2_concurrency: 2,
        };
        let keys = Keys::new(engine.clone(), b"a secret of the test", ACCESS).unwrap();
        let service = AccountsService::new(engine.clone(), keys, &auth, &registry).unwrap();
        let routes = Routes::new(AccountsServer::new(service));
        let server = GrpcServer::new("accounts", routes, verifier.clone(), &registry).unwrap();
        match listener {
            Some(listener) => drop(tokio::spawn(serve(listener, server))),
            None => peers.provide("accounts", server),
        }
        let client = AccountsClient::new(channel);
        Self { store, clock, engine, authority, verifier, client, registry }
    }

    pub(super) fn client(&self) -> AccountsClient<PeerChannel> {
        self.client.clone()
    }

    pub(super) async fn register(
        &self,
        request: RegisterRequest,
        key: &str,
    ) -> Result<User, Error> {
        as_who(None, self.client().register(keyed(request, key))).await
    }

    pub(super) async fn log_in(&self, email: &str, password: &str) -> Result<Tokens, Error> {
        self.log_in_from("home", email, password).await
    }

    pub(super) async fn log_in_from(
        &self,
        network: &str,
        email: &str,
        password: &str,
    ) -> Result<Tokens, Error> {
        let request = LogInRequest {
            email: email.into(),
            password: password.into(),
            client: "a test".into(),
            network: network.into(),
        };
        as_who(None, self.client().log_in(request)).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let request = RefreshRequest { refresh_token: token.into() };
        as_who(None, self.client().refresh(request)).await
    }

    /// How many passwords have been hashed.
    pub(super) fn hashes(&self) -> u64 {
        let metrics = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let name = "bistro_accounts_password_hashes_total ";
        let made = metrics.lines().find_map(|line| line.strip_prefix(name));
        made.unwrap().parse().unwrap()
    }

    /// Removes what is too old.
    pub(super) async fn sweep(&self) {
        let sweeper = Sweeper { engine: self.engine.clone(), activity: RETENTION };
        sweeper.on_tick("expired").await.unwrap();
    }

    /// A registered and logged-in user.
    pub(super) async fn user(&self, name: &str) -> Tokens {
        let request = new_user(&format!("{name}@example.org"));
        self.register(request, name).await.unwrap();
        self.log_in(&format!("{name}@example.org"), PASSWORD).await.unwrap()
    }
}

/// Where to serve the role, if the environment says that it is not to be asked directly.
fn listener() -> Option<TcpListener> {
    let environment = bistro_config::process_environment();
    environment.get("BISTRO__GRPC__IN_PROCESS").filter(|way| *way == "false")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    Some(TcpListener::from_std(listener).unwrap())
}

/// Serves the role until the test ends.
async fn serve(listener: TcpListener, server: GrpcServer) {
    let (port, mut roles) = GrpcPort::new().await.unwrap();
    roles.add(&[accounts_server::SERVICE_NAME], &server);
    roles.open();
    port.serve(listener, CancellationToken::new()).await.unwrap();
}

pub(super) fn new_user(email: &str) -> RegisterRequest {
    RegisterRequest {
        email: email.into(),
        password: PASSWORD.into(),
        name: "Somebody".into(),
        roles: Vec::new(),
    }
}

pub(super) fn keyed<M>(message: M, key: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

/// Asks with `token`, or as nobody in particular.
pub(super) async fn as_who<T>(
    token: Option<&str>,
    asking: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    let scope = Scope {
        principal: bistro_core::Principal::Anonymous,
        authorization: token.map(|token| format!("Bearer {token}")),
        deadline: tokio::time::Instant::now() + Duration::from_mins(1),
    };
    scope.run(asking).await.map(Response::into_inner).map_err(|status| error_of(&status))
}

/// Why it was refused.
pub(super) fn refusal<T>(result: Result<T, Error>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.code(),
    }
}
