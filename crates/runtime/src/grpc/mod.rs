//! gRPC between roles: one stack of middleware, whether the other role is in this process or not.
//!
//! A request passes the client's layer (identity, deadline, trace context), then a socket or
//! nothing, then the server's layer (the same three, read back), then the service.
//!
//! Whoever is asked for is named by `authorization`. A role that asks for somebody else adds a proof
//! of its own, by which a role's port tells the gateway's requests from those of people who came
//! straight to it.

mod caller;
mod client;
mod peers;
mod scope;
mod server;
mod status;
mod stream;

pub use client::PeerChannel;
pub use peers::Peers;
pub use scope::{Asked, Scope, ask, current_scope};
pub use server::GrpcServer;
pub(crate) use server::ThroughPort;
pub use status::{error_of, status_of};
pub use stream::{MessageSender, MessageStream, message_stream};

/// Metadata: the proof of a role that asks for somebody else, beside their own `authorization`.
pub(crate) const CALLER: &str = "bistro-caller";
/// Metadata: the idempotency key of a command.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
