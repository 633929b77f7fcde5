//! Listeners, bound before anything is built: a port in use is found out at once.

use std::net::SocketAddr;

use bistro_core::{Error, ErrorCode};
use tokio::net::TcpListener;

/// Binds `address` for `what`; port 0 takes a free one. `path` is the configuration's line.
pub async fn bind(what: &str, path: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| {
        let message = format!(
            "the {what} port cannot be opened at {address}: {source}; free it, or set {path} to another address"
        );
        Error::new(ErrorCode::Unavailable, message).caused_by(source)
    })
}
