//! The admin port: liveness, readiness and metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use bistro_bus::Bus;
use bistro_core::Error;
use bistro_store::Store;
use parking_lot::RwLock;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What readiness asks.
struct Engines {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
}

/// Whether the process should be sent requests.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Inner>);

#[derive(Default)]
struct Inner {
    started: AtomicBool,
    engines: RwLock<Option<Engines>>,
}

impl Readiness {
    /// From now on the process is ready whenever its engines answer.
    pub fn started(&self, store: Arc<dyn Store>, bus: Arc<dyn Bus>) {
        *self.0.engines.write() = Some(Engines { store, bus });
        self.0.started.store(true, Ordering::SeqCst);
    }

    /// From now on the process is not ready.
    pub fn stopping(&self) {
        self.0.started.store(false, Ordering::SeqCst);
    }

    /// Why the process is not ready; nothing if it is.
    pub async fn check(&self) -> Result<(), String> {
        let engines = self
            .0
            .engines
            .read()
            .as_ref()
            .map(|engines| (Arc::clone(&engines.store), Arc::clone(&engines.bus)));
        let (Some((store, bus)), true) = (engines, self.0.started.load(Ordering::SeqCst)) else {
            return Err("starting or stopping".to_owned());
        };
        store.ping().await.map_err(|error| error.to_string())?;
        bus.ping().await.map_err(|error| error.to_string())
    }

    /// The answer to `/readyz`.
    pub async fn answer(&self) -> (StatusCode, String) {
        match self.check().await {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    }
}

/// Serves `/livez`, `/readyz` and `/metrics` until `stop`.
pub async fn serve_admin(
    listener: TcpListener,
    readiness: Readiness,
    registry: Registry,
    stop: CancellationToken,
) -> Result<(), Error> {
    let routes = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(|State(ready): State<Readiness>| async move { ready.answer().await }))
        .with_state(readiness)
        .route("/metrics", get(metrics).with_state(registry));
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(Error::internal)
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            format!("metrics cannot be written: {error}\n"),
        ),
    }
}
