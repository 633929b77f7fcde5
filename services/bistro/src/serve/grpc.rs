//! The gRPC port: every role of this process, health and reflection.

use std::sync::Arc;

use axum::{Router, extract::Request};
use bistro_core::Error;
use bistro_runtime::GrpcServer;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::ServiceExt as _;

/// Whether the services of this process serve, as gRPC's health protocol tells it.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    services: Arc<Mutex<Vec<&'static str>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { reporter: HealthReporter::new(), services: Arc::default() }
    }
}

impl Health {
    /// Everything serves from now on.
    pub(crate) async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Nothing serves from now on.
    pub(crate) async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        let services = self.services.lock().clone();
        // The empty name is the process as a whole; the library has it serve from the start.
        for name in services.into_iter().chain([""]) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// What the port serves.
pub(crate) struct Wire {
    router: Router,
    health: Health,
}

impl Wire {
    /// A port with health and reflection.
    pub(crate) fn new(health: &Health) -> Result<Self, Error> {
        let service = tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(health.reporter.clone()),
        );
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(bistro_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Error::internal)?;
        let routes = Routes::new(service).add_service(reflection);
        Ok(Self { router: routes.into_axum_router(), health: health.clone() })
    }

    /// Adds a role with its `services`.
    pub(crate) fn add(&mut self, services: &[&'static str], server: GrpcServer) {
        for name in services {
            let server =
                server.clone().map_request(|request: Request| request.map(tonic::body::Body::new));
            let router = std::mem::take(&mut self.router);
            self.router = router.route_service(&format!("/{name}/{{*method}}"), server);
            self.health.services.lock().push(name);
        }
    }

    /// Serves until `stop`; then lets the requests under way end.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        Server::builder()
            .tcp_nodelay(true)
            .add_routes(Routes::from(self.router))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
            .await
            .map_err(Error::internal)
    }
}
