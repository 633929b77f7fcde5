//! gRPC between roles: one stack of middleware, whether the other role is in this process or not.
//!
//! A request passes the client's layer (identity, deadline, trace context), then a socket or
//! nothing, then the server's layer (the same three, read back), then the service.

mod caller;
mod client;
mod peers;
mod scope;
mod server;
mod status;

pub use client::PeerChannel;
pub use peers::Peers;
pub use scope::{Asked, Scope, ask, current_scope};
pub use server::GrpcServer;
pub use status::{error_of, status_of};

/// Metadata: the idempotency key of a command.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
