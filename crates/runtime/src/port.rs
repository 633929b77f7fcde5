//! The gRPC port: every role of this process, health and reflection.
//!
//! It answers from the moment it is bound, as the admin port does: health says `NOT_SERVING`, and
//! a role that is not built yet is unavailable.
//!
//! Roles and the operator are answered. People come through the gateway, which limits them and
//! records what they do; those who come straight here are refused unless they are asked in.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bistro_core::{Error, ErrorCode};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tower::{ServiceExt as _, service_fn};

use crate::{GrpcServer, grpc::ThroughPort, status_of};

/// Whether the services of this process serve, as gRPC's health protocol tells it.
#[derive(Clone)]
pub struct GrpcHealth {
    reporter: HealthReporter,
    services: Arc<Mutex<Vec<&'static str>>>,
}

impl GrpcHealth {
    async fn new() -> Self {
        // The empty name is the process as a whole; the library has it serve from the start.
        let health =
            Self { reporter: HealthReporter::new(), services: Arc::new(Mutex::new(vec![""])) };
        health.not_serving().await;
        health
    }

    /// Everything serves from now on.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Nothing serves from now on.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// Ends the streams of those who watch: they would keep their connections open for ever.
    pub async fn end(&self) {
        let services = std::mem::take(&mut *self.services.lock());
        let mut reporter = self.reporter.clone();
        for name in services {
            reporter.clear_service_status(name).await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        let services = self.services.lock().clone();
        for name in services {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// The gRPC port of a process.
pub struct GrpcPort {
    front: Router,
    health: GrpcHealth,
}

/// The roles of a [`GrpcPort`], which are put behind it once they are built.
pub struct GrpcRoles {
    router: Router,
    health: GrpcHealth,
    people: bool,
    roles: Arc<OnceLock<Router>>,
}

impl GrpcPort {
    /// A port with health and reflection, and the roles that it is to serve: none yet.
    pub async fn new() -> Result<(Self, GrpcRoles), Error> {
        let health = GrpcHealth::new().await;
        let service =
            HealthServer::new(HealthService::from_health_reporter(health.reporter.clone()));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(bistro_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Error::internal)?;
        let roles = Arc::<OnceLock<Router>>::default();
        let opened = Arc::clone(&roles);
        let front = Routes::new(service).add_service(reflection).into_axum_router();
        let front =
            front.fallback_service(service_fn(move |request| ask(opened.get().cloned(), request)));
        let router = Routes::default().into_axum_router();
        let behind = GrpcRoles { router, health: health.clone(), people: false, roles };
        Ok((Self { front, health }, behind))
    }

    /// What its health service tells.
    #[must_use]
    pub fn health(&self) -> GrpcHealth {
        self.health.clone()
    }

    /// Serves until `stop`; then lets the requests under way end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
        Server::builder()
            .tcp_nodelay(true)
            .add_routes(Routes::from(self.front))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
            .await
            .map_err(Error::internal)
    }
}

async fn ask(roles: Option<Router>, request: Request) -> Result<Response, Infallible> {
    match roles {
        Some(roles) => roles.oneshot(request).await,
        None => {
            let early = Error::new(ErrorCode::Unavailable, "the roles here are starting");
            Ok(status_of(&early).into_http::<Body>())
        }
    }
}

impl GrpcRoles {
    /// Whether people may ask the roles that are added from now on by themselves, with a user's
    /// token or with none. Without a word they may not.
    pub fn admit_people(&mut self, people: bool) {
        self.people = people;
    }

    /// Adds a role with its `services`.
    pub fn add(&mut self, services: &[&'static str], server: &GrpcServer) {
        let people = self.people;
        for name in services {
            let server = server.clone().map_request(move |mut request: Request| {
                request.extensions_mut().insert(ThroughPort { people });
                request.map(tonic::body::Body::new)
            });
            let router = std::mem::take(&mut self.router);
            self.router = router.route_service(&format!("/{name}/{{*method}}"), server);
            self.health.services.lock().push(name);
        }
    }

    /// From now on the port serves them. Health says so once it is told.
    pub fn open(self) {
        // Made by one port and consumed here: nobody else has set it.
        let _ = self.roles.set(self.router);
    }
}
