//! The table of roles as data: what each owns, needs and consumes, and how it is built.

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_config::Config;
use bistro_core::{Clock, Error, ErrorCode};
use bistro_eventing::{Engine, Reactor};
use bistro_store::Collection;
use prometheus::Registry;
use tokio::task::JoinSet;

use crate::{Authority, Peers, TokenVerifier};

/// One role: a row of the table.
pub struct RoleSpec {
    /// Its name: `--target`, metrics, sources of events.
    pub name: &'static str,
    /// What it owns, in a few words.
    pub about: &'static str,
    /// The roles it asks over gRPC.
    pub needs: &'static [&'static str],
    /// Its collections; no other role touches them.
    pub collections: &'static [&'static Collection],
    /// The queues it consumes.
    pub queues: &'static [Queue],
    /// Puts it together. Does no I/O.
    pub build: fn(RoleContext) -> Result<RoleParts, Error>,
}

/// What a role is built from.
#[derive(Clone)]
pub struct RoleContext {
    /// Commits its Works.
    pub engine: Engine,
    /// How it asks other roles.
    pub peers: Peers,
    /// The whole configuration.
    pub config: Arc<Config>,
    /// Signs and derives what the platform's processes share.
    pub authority: Arc<Authority>,
    /// Checks tokens.
    pub verifier: TokenVerifier,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Where its metrics go.
    pub registry: Registry,
}

/// A role that is built and not yet started.
#[derive(Default)]
pub struct RoleParts {
    /// Its gRPC service.
    pub grpc: Option<tonic::service::Routes>,
    /// Full names of its gRPC services, for health.
    pub services: Vec<&'static str>,
    /// What it does when it is told something; none if it has no documents.
    pub reactor: Option<Arc<dyn Reactor>>,
    /// Its public HTTP, served on the gateway's port.
    pub http: Option<axum::Router>,
    /// What else it runs. Ends only when the process stops; an error ends the process.
    pub tasks: JoinSet<Result<(), Error>>,
}

/// The named roles in the order they start: each after those it needs, and otherwise in the order
/// of the table. All of them if `targets` is empty.
///
/// A target that is no role is refused, with the names of those that are. Where roles need each
/// other in a circle, the one that stands first in the table starts last.
pub fn start_order(
    table: &[&'static RoleSpec],
    targets: &[String],
) -> Result<Vec<&'static RoleSpec>, Error> {
    let known: Vec<&str> = table.iter().map(|role| role.name).collect();
    for target in targets {
        if target != "all" && !known.contains(&target.as_str()) {
            let known = known.join(", ");
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("{target:?} is not a role; the roles are {known}, or all of them: all"),
            ));
        }
    }
    let all = targets.is_empty() || targets.iter().any(|target| target == "all");
    let wanted = |role: &RoleSpec| all || targets.iter().any(|target| target == role.name);
    let mut order = Vec::new();
    for role in table.iter().filter(|role| wanted(role)) {
        place(table, role, &wanted, &mut Vec::new(), &mut order);
    }
    Ok(order)
}

fn place(
    table: &[&'static RoleSpec],
    role: &'static RoleSpec,
    wanted: &dyn Fn(&RoleSpec) -> bool,
    above: &mut Vec<&'static str>,
    order: &mut Vec<&'static RoleSpec>,
) {
    // Roles may ask each other (orders asks catalog, catalog asks orders): the one met first waits
    // for the other, and calls are retried, so that either order is right.
    if above.contains(&role.name) || order.iter().any(|placed| placed.name == role.name) {
        return;
    }
    above.push(role.name);
    for needed in table.iter().filter(|other| role.needs.contains(&other.name) && wanted(other)) {
        place(table, needed, wanted, above, order);
    }
    above.pop();
    order.push(role);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &'static str, needs: &'static [&'static str]) -> &'static RoleSpec {
        Box::leak(Box::new(RoleSpec {
            name,
            about: "",
            needs,
            collections: &[],
            queues: &[],
            build: |_| Ok(RoleParts::default()),
        }))
    }

    fn names(table: &[&'static RoleSpec], targets: &[&str]) -> Vec<&'static str> {
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        start_order(table, &targets).unwrap().iter().map(|role| role.name).collect()
    }

    #[test]
    fn a_role_starts_after_what_it_needs() {
        let table = [role("a", &["c"]), role("b", &[]), role("c", &["b"])];
        assert_eq!(names(&table, &[]), ["b", "c", "a"]);
        assert_eq!(names(&table, &["a"]), ["a"]);
    }

    #[test]
    fn a_circle_has_one_order_too() {
        let table = [role("a", &["b"]), role("b", &["a"])];
        assert_eq!(names(&table, &["all"]), ["b", "a"]);
    }

    #[test]
    fn an_unknown_target_is_told_the_known_ones() {
        let error = start_order(&[role("a", &[])], &["x".into()]).err().unwrap();
        assert!(error.message().contains("the roles are a"), "{error}");
    }
}
