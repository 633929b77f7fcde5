//! The role `catalog`: restaurants, their menus, and the stock that orders reserve.
//!
//! `hours`, `basket` (what a basket costs and whether it can be had), `reservations` (what may
//! follow what), `rows` (a menu's rows in a file) and the readers of what people write (`fields`,
//! `profile`, `details`) hold the rules as plain functions. `restaurants`, `menus`, `items`,
//! `option_groups`, `ingredients`, `availability`, `import`, `pricing` and `stock` read, ask them,
//! and commit; `tally` counts how much a menu holds (`sizes`), so that it can be sent whole, and
//! `pages` cuts lists to what can be sent. `expiry` gives back what nobody came for. `shops`
//! remembers what was read a moment ago.

mod audit;
mod availability;
mod basket;
mod deletion;
mod details;
mod documents;
mod expiry;
mod fields;
mod full_menu;
mod hours;
mod import;
mod ingredients;
mod items;
mod menus;
mod option_groups;
mod pages;
mod pricing;
mod profile;
mod reactor;
mod recent;
mod reservations;
mod restaurants;
mod rows;
#[cfg(test)]
mod samples;
mod service;
mod shops;
mod sizes;
mod stock;
mod tally;
#[cfg(test)]
mod tests;
mod weights;
mod wire;

use std::sync::Arc;

use bistro_core::Error;
use bistro_proto::catalog::v1::catalog_server::{self, CatalogServer};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Document as _;

use crate::{
    documents::{Import, Ingredient, Item, Menu, OptionGroup, ROLE, Restaurant},
    reactor::CatalogReactor,
    reservations::Reservation,
    service::Catalog,
    shops::Shops,
    tally::Tally,
};

/// The role's row in the table of roles.
pub static SPEC: RoleSpec = RoleSpec {
    name: ROLE,
    about: "restaurants, menus, items and stock",
    needs: &["accounts", "orders"],
    collections: &[
        Restaurant::COLLECTION,
        Menu::COLLECTION,
        Item::COLLECTION,
        OptionGroup::COLLECTION,
        Ingredient::COLLECTION,
        Reservation::COLLECTION,
        Import::COLLECTION,
        Tally::COLLECTION,
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
        message_bytes: limit,
        shops: Shops::default(),
    };
    let server = CatalogServer::new(catalog).max_decoding_message_size(limit);
    Ok(RoleParts {
        grpc: Some(tonic::service::Routes::new(server)),
        services: vec![catalog_server::SERVICE_NAME],
        reactor: Some(Arc::new(CatalogReactor { engine: context.engine, peers: context.peers })),
        ..RoleParts::default()
    })
}
