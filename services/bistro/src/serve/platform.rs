//! The roles of this process, put together and taken apart.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bistro_config::{Config, Shutdown};
use bistro_core::{Clock, Error, ErrorCode};
use bistro_eventing::{Engine, Options, Parts};
use bistro_runtime::{
    Authority, Ending, GrpcHealth, GrpcPort, GrpcServer, OPERATIONS_SERVICE, Peers, Readiness,
    RoleContext, RoleParts, RoleSpec, Supervisor, TokenVerifier, operations, serve_admin,
};
use bistro_store::Collection;
use futures::future::join_all;
use prometheus::Registry;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{http, secrets};
use crate::{backends::Backends, roles};

/// How long a broker may take that was started together with this process.
const BROKER_START: Duration = Duration::from_mins(1);

/// The bound ports of a process.
pub(crate) struct Listeners {
    /// None in a process without the gateway.
    pub(crate) public: Option<TcpListener>,
    pub(crate) grpc: TcpListener,
    pub(crate) admin: TcpListener,
}

/// The roles of this process, running.
pub(crate) struct Platform {
    config: Arc<Config>,
    engines: Vec<Engine>,
    readiness: Readiness,
    health: GrpcHealth,
    backends: Backends,
    /// None without the gateway.
    public: Option<Server>,
    /// What the public port's role still has to write when the port is closed.
    edge: Option<Ending>,
    /// None without the gateway.
    door: Option<Door>,
    grpc: Server,
    /// The roles' own tasks and those of their engines.
    tasks: Vec<Ending>,
    /// Last of all.
    admin: Server,
}

/// How the operator gets in.
pub(crate) struct Door {
    /// Where the public API answers to who is on this machine.
    pub(crate) url: String,
    pub(crate) operator_token: String,
}

impl Door {
    /// Writes down how to come in at `listener`.
    fn to(listener: &TcpListener, config: &Config, authority: &Authority) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(Error::internal)?;
        info!(url = format!("http://{address}"), "the public API answers");
        let operator_token = secrets::write_operator_token(config, authority)?;
        Ok(Self { url: format!("http://{}", reachable(address)), operator_token })
    }
}

/// Something that serves until it is told to stop.
struct Server {
    stop: CancellationToken,
    ending: Ending,
}

impl Server {
    fn start<F>(
        supervisor: &mut Supervisor,
        name: &str,
        serve: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let ending = supervisor.spawn(name, serve(stop.clone()));
        Self { stop, ending }
    }

    /// Takes up nothing new, and waits for what is under way.
    async fn stop(&self) {
        self.stop.cancel();
        self.ending.reached().await;
    }
}

impl Platform {
    /// Opens the engines, builds the roles in `order`, and starts them.
    pub(crate) async fn start(
        config: Arc<Config>,
        order: &[&'static RoleSpec],
        listeners: Listeners,
        registry: &Registry,
        clock: Arc<dyn Clock>,
        supervisor: &mut Supervisor,
    ) -> Result<Self, Error> {
        let readiness = Readiness::default();
        let admin = Server::start(supervisor, "the admin port", |stop| {
            serve_admin(listeners.admin, readiness.clone(), registry.clone(), stop)
        });
        let grpc_address = listeners.grpc.local_addr().map_err(Error::internal)?;
        let (port, mut served) = GrpcPort::new().await?;
        served.admit_people(config.grpc.people);
        let health = port.health();
        let grpc =
            Server::start(supervisor, "the gRPC port", |stop| port.serve(listeners.grpc, stop));

        let secret = secrets::workload(&config)?;
        let authority = Arc::new(Authority::new(&secret, Arc::clone(&clock)));
        let peers = peers(&config, order, &authority, grpc_address)?;
        let accounts = peers.channel("accounts")?;
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, Arc::clone(&clock));

        let collections: Vec<&'static Collection> =
            order.iter().flat_map(|role| role.collections).copied().collect();
        let name = process_name(order);
        let backends = Backends::open(&config, &collections, &clock, &name).await?;
        backends.declare_queues(BROKER_START).await?;

        let mut built = Vec::new();
        for role in order {
            let engine = Engine::new(
                Parts {
                    role: role.name,
                    store: Arc::clone(&backends.store),
                    bus: Arc::clone(&backends.bus),
                    caller: Arc::new(peers.clone()),
                    clock: Arc::clone(&clock),
                    options: patience(&config),
                },
                registry,
            )?;
            let context = RoleContext {
                engine: engine.clone(),
                peers: peers.speaking_as(role.name),
                config: Arc::clone(&config),
                authority: Arc::clone(&authority),
                verifier: verifier.clone(),
                clock: Arc::clone(&clock),
                registry: registry.clone(),
            };
            built.push((*role, engine, (role.build)(context)?));
        }

        let operations = operations(
            Arc::clone(&backends.bus),
            order.iter().flat_map(|role| role.queues).cloned().collect(),
            Arc::clone(&clock),
            config.limits.grpc_message,
        );
        // One service for the roles of this process: each can be asked for its own part without a
        // socket, and the port has room for one of that name.
        let mut on_port = Some(OPERATIONS_SERVICE);
        let (mut routes, mut engines, mut tasks) = (None, Vec::new(), Vec::new());
        let mut edge = None;
        for (role, engine, parts) in built {
            let RoleParts { grpc, mut services, reactor, http, tasks: own } = parts;
            if let Some(routes) = grpc {
                let routes = routes.add_service(operations.clone());
                services.extend(on_port.take());
                let server = GrpcServer::new(role.name, routes, verifier.clone(), registry)?;
                served.add(&services, &server);
                peers.provide(role.name, server);
            }
            if let Some(reactor) = reactor {
                let queues: Vec<&'static str> =
                    role.queues.iter().map(|queue| queue.name).collect();
                tasks.push(supervisor.adopt(role.name, engine.start(&reactor, &queues)));
            }
            let own = supervisor.adopt(role.name, own);
            if http.is_some() {
                edge = Some(own.clone());
            }
            routes = http.or(routes);
            tasks.push(own);
            engines.push(engine);
        }
        served.open();
        let (mut public, mut door) = (None, None);
        if let (Some(routes), Some(listener)) = (routes, listeners.public) {
            door = Some(Door::to(&listener, &config, &authority)?);
            public = Some(Server::start(supervisor, "the public port", |stop| {
                http::serve(listener, routes, readiness.clone(), http::Limits::of(&config), stop)
            }));
        }
        readiness.started(Arc::clone(&backends.store), Arc::clone(&backends.bus));
        health.serving().await;
        Ok(Self {
            config,
            engines,
            readiness,
            health,
            backends,
            public,
            edge,
            door,
            grpc,
            tasks,
            admin,
        })
    }

    /// How the operator gets in; none without the gateway.
    pub(crate) fn door(&self) -> Option<&Door> {
        self.door.as_ref()
    }

    /// Not ready; no new requests; what is under way ends; what is written is flushed.
    ///
    /// Each step still has what it stands on: a request of the public port may ask a role over the
    /// gRPC port, and waits for what the engines do.
    pub(crate) async fn stop(self) {
        let Shutdown { not_ready_delay, drain_timeout } = self.config.shutdown;
        self.readiness.stopping();
        self.health.not_serving().await;
        // Whoever sends requests here gets the time to notice.
        tokio::time::sleep(not_ready_delay).await;
        let deadline = Instant::now() + drain_timeout;
        for engine in &self.engines {
            engine.end_streams();
        }
        if let Some(public) = &self.public {
            public.stop().await;
        }
        // What it recorded of the last requests is told to a role that is still asked here.
        if let Some(edge) = &self.edge {
            edge.reached().await;
        }
        self.health.end().await;
        self.grpc.stop().await;
        let left = |engine: Engine| async move {
            let patience = deadline.saturating_duration_since(Instant::now());
            (!engine.stop(patience).await).then(|| engine.role())
        };
        for role in join_all(self.engines.into_iter().map(left)).await.into_iter().flatten() {
            warn!(role, "something was still under way");
        }
        for task in &self.tasks {
            task.reached().await;
        }
        self.backends.close().await;
        self.admin.stop().await;
    }
}

/// Where `address` is reached from this machine: a port that is open on every interface is open on
/// the one that leads back here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

fn process_name(order: &[&RoleSpec]) -> String {
    match order {
        [only] => format!("bistro-{}", only.name),
        _ => "bistro".to_owned(),
    }
}

fn patience(config: &Config) -> Options {
    Options {
        max_attempts: config.eventing.max_attempts,
        backoff_base: config.eventing.backoff_base,
        backoff_cap: config.eventing.backoff_cap,
        sweep_interval: config.eventing.sweep_interval,
        call_timeout: config.eventing.call_timeout,
        prefetch: config.bus_options.prefetch,
        ..Options::default()
    }
}

/// Where each role answers: here without a socket, here over one, or elsewhere.
fn peers(
    config: &Config,
    order: &[&'static RoleSpec],
    authority: &Arc<Authority>,
    grpc: SocketAddr,
) -> Result<Peers, Error> {
    let peers = Peers::new(Arc::clone(authority));
    for role in roles::TABLE.iter().filter(|role| role.name != "gateway") {
        let here = order.iter().any(|other| other.name == role.name);
        if here && config.grpc.in_process {
            peers.local(role.name);
        } else if here {
            peers.remote(role.name, &format!("http://{grpc}"))?;
        } else {
            let url = config.peers.url(role.name).ok_or_else(|| {
                let message =
                    format!("it is not known where {} answers; set peers.{}", role.name, role.name);
                Error::new(ErrorCode::InvalidArgument, message)
            })?;
            peers.remote(role.name, url)?;
        }
    }
    Ok(peers)
}
