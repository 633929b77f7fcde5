//! The public port: the gateway's routes, and whether it is alive and ready.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use bistro_core::Error;
use bistro_runtime::Readiness;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves `routes` until `stop`; then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    readiness: Readiness,
    stop: CancellationToken,
) -> Result<(), Error> {
    let routes = routes
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(move || async move { readiness.answer().await }));
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Answers are small and whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(Error::internal)
}
