//! The public edge: REST under `/api/v1` over the gRPC services of the other roles.
//!
//! The gateway keeps nothing. It checks the token, the headers that make a request safe to repeat
//! (`Idempotency-Key`, `If-Match`) and the shape of the body; everything else is decided by the
//! role that owns the thing, which checks the token again.
//!
//! `/livez` and `/readyz` are not here: readiness belongs to the process, so the program that
//! serves this router adds them to the same port.

mod dto;
mod edge;
mod menu_cache;
mod openapi;
mod routes;
mod sse;
#[cfg(test)]
mod tests;

use bistro_core::Error;
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use tokio::task::JoinSet;

use bistro_proto::accounts::v1::accounts_client::AccountsClient;
use edge::{Edge, Parts};

pub use openapi::{error_catalogue, openapi};

/// The gateway's row in the table of roles.
pub static SPEC: RoleSpec = RoleSpec {
    name: "gateway",
    about: "the public edge: REST, live updates, OpenAPI, rate limits",
    needs: &["accounts", "catalog", "orders", "payments", "kitchen", "delivery"],
    collections: &[],
    queues: &[],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let accounts = AccountsClient::new(context.peers.channel("accounts")?.as_workload());
    let (trail, recorder) = edge::trail(accounts, &context.registry)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder.run());
    let edge = Edge::new(Parts {
        peers: context.peers,
        audit: context.config.audit.clone(),
        trail,
        gateway: context.config.gateway.clone(),
        limits: context.config.limits.clone(),
        verifier: context.verifier,
        clock: context.clock,
        registry: context.registry,
        stopping: context.engine.stopping(),
        rng: rand::make_rng(),
    })?;
    Ok(RoleParts { http: Some(routes::router(edge)), tasks, ..RoleParts::default() })
}
