//! What every role runs on: the table of roles, gRPC through one middleware stack whether in
//! process or over a socket, identity, health, and shutdown in two stages.

mod admin;
mod auth;
mod grpc;
mod lifecycle;
mod listen;
mod operations;
mod port;
mod role;

pub use admin::{Readiness, serve_admin};
pub use auth::{AccessClaims, Authority, TokenVerifier};
pub use grpc::{
    Asked, GrpcServer, MessageSender, MessageStream, PeerChannel, Peers, Scope, ask, current_scope,
    error_of, message_stream, status_of,
};
pub use lifecycle::{Ending, Shutdown, Signals, Supervisor};
pub use listen::bind;
pub use operations::{OPERATIONS_SERVICE, operations};
pub use port::{GrpcHealth, GrpcPort, GrpcRoles};
pub use role::{RoleContext, RoleParts, RoleSpec, start_order};
