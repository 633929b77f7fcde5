//! The role `catalog`: restaurants, their menus, and the stock that orders reserve.
//!
//! `basket` (what a basket costs and whether it can be had), `reservations` (what may follow what)
//! and `import` (a menu's rows) hold the rules as plain functions. `restaurants`, `menu` and `stock`
//! read, ask them, and commit; `expiry` gives back what nobody came for.

mod audit;
mod basket;
mod documents;
mod expiry;
mod import;
mod menu;
mod reactor;
mod reservations;
mod restaurants;
mod service;
mod stock;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use bistro_core::Error;
use bistro_proto::catalog::v1::catalog_server::{self, CatalogServer};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Document as _;

use crate::{
    documents::{Import, Item, ROLE, Reservation, Restaurant},
    reactor::CatalogReactor,
    service::Catalog,
};

/// The role's row in the table of roles.
pub static SPEC: RoleSpec = RoleSpec {
    name: ROLE,
    about: "restaurants, menus, items and stock",
    needs: &["accounts", "orders"],
    collections: &[
        Restaurant::COLLECTION,
        Item::COLLECTION,
        Reservation::COLLECTION,
        Import::COLLECTION,
    ],
    queues: &[],
    build,
};

#[expect(clippy::unnecessary_wraps, reason = "the table's functions may fail")]
fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let limit = context.config.limits.grpc_message;
    let catalog = Catalog {
        engine: context.engine.clone(),
        reservation_ttl: context.config.catalog.reservation_ttl,
        token_ttl: context.config.auth.access_token_ttl,
    };
    let server = CatalogServer::new(catalog).max_decoding_message_size(limit);
    Ok(RoleParts {
        grpc: Some(tonic::service::Routes::new(server)),
        services: vec![catalog_server::SERVICE_NAME],
        reactor: Some(Arc::new(CatalogReactor { engine: context.engine, peers: context.peers })),
        ..RoleParts::default()
    })
}
