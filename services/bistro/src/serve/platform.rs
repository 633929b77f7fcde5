//! The roles of this process, put together and taken apart.

use std::sync::Arc;

use bistro_config::Config;
use bistro_core::{Clock, Error, ErrorCode};
use bistro_eventing::{Engine, Options, Parts};
use bistro_runtime::{
    Authority, GrpcServer, Peers, Readiness, RoleContext, RoleParts, RoleSpec, Supervisor,
    TokenVerifier, serve_admin,
};
use bistro_store::Collection;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{grpc, http, secrets};
use crate::{backends::Backends, roles};

/// The bound ports of a process.
pub(crate) struct Listeners {
    pub(crate) public: TcpListener,
    pub(crate) grpc: TcpListener,
    pub(crate) admin: TcpListener,
}

/// The roles of this process, running.
pub(crate) struct Platform {
    config: Arc<Config>,
    engines: Vec<Engine>,
    readiness: Readiness,
    health: grpc::Health,
    backends: Backends,
    /// Ends the listeners of requests.
    stop_requests: CancellationToken,
    /// Ends the admin port, last of all.
    stop_admin: CancellationToken,
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
        let (stop_requests, stop_admin) = (CancellationToken::new(), CancellationToken::new());
        let readiness = Readiness::default();
        let admin =
            serve_admin(listeners.admin, readiness.clone(), registry.clone(), stop_admin.clone());
        supervisor.spawn("the admin port", admin);

        let secret = secrets::workload(&config)?;
        let authority = Arc::new(Authority::new(&secret, Arc::clone(&clock)));
        let grpc_address = listeners.grpc.local_addr().map_err(Error::internal)?;
        let peers = peers(&config, order, &authority, grpc_address)?;
        let accounts = peers.channel("accounts")?;
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, Arc::clone(&clock));

        let collections: Vec<&'static Collection> =
            order.iter().flat_map(|role| role.collections).copied().collect();
        let name = process_name(order);
        let backends = Backends::open(&config, &collections, &clock, &name).await?;
        backends.bus.declare(&roles::queues()).await?;

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

        let health = grpc::Health::default();
        let mut wire = grpc::Wire::new(&health)?;
        let mut public = None;
        let mut engines = Vec::new();
        for (role, engine, parts) in built {
            let RoleParts { grpc, services, reactor, http, tasks } = parts;
            if let Some(routes) = grpc {
                let server = GrpcServer::new(role.name, routes, verifier.clone(), registry)?;
                peers.provide(role.name, server.clone());
                wire.add(&services, server);
            }
            if let Some(reactor) = reactor {
                let queues: Vec<&'static str> =
                    role.queues.iter().map(|queue| queue.name).collect();
                supervisor.adopt(role.name, engine.start(&reactor, &queues));
            }
            public = http.or(public);
            supervisor.adopt(role.name, tasks);
            engines.push(engine);
        }
        supervisor.spawn("the gRPC port", wire.serve(listeners.grpc, stop_requests.clone()));
        if let Some(routes) = public {
            let address = listeners.public.local_addr().map_err(Error::internal)?;
            let stop = stop_requests.clone();
            let serve = http::serve(listeners.public, routes, readiness.clone(), stop);
            supervisor.spawn("the public port", serve);
            secrets::write_operator_token(&config, &authority)?;
            info!(url = format!("http://{address}"), "the public API answers");
        }
        readiness.started(Arc::clone(&backends.store), Arc::clone(&backends.bus));
        health.serving().await;
        Ok(Self { config, engines, readiness, health, backends, stop_requests, stop_admin })
    }

    /// Not ready; no new requests; what is under way ends; what is written is flushed.
    pub(crate) async fn stop(self) {
        self.readiness.stopping();
        self.health.not_serving().await;
        // Whoever sends requests here gets the time to notice.
        tokio::time::sleep(self.config.shutdown.not_ready_delay).await;
        self.stop_requests.cancel();
        for engine in &self.engines {
            if !engine.stop(self.config.shutdown.drain_timeout).await {
                warn!(role = engine.role(), "something was still under way");
            }
        }
        drop(self.engines);
        self.backends.close().await;
        self.stop_admin.cancel();
    }
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
    grpc: std::net::SocketAddr,
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
