//! Tickets: what a kitchen has to cook, item by item, and the stations that cook it.
//!
//! A ticket is made when its order is accepted and shares the order's bits, so an order has one.
//! `item`, `ticket`, `station` and `load` hold the rules as plain functions; `reactor`, `tickets`
//! and `stations` read, ask them, and commit what they say. What people wrote is not kept here:
//! `notes` asks orders for it whenever a ticket is shown. `changes` and `stream` are the live side.

mod audit;
mod board;
mod changes;
mod gauges;
mod hand_over;
mod item;
mod load;
mod notes;
mod place;
mod present;
mod reactor;
mod reroute;
mod service;
mod station;
mod stations;
mod stream;
mod ticket;
mod tickets;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_core::Error;
use bistro_eventing::{Engine, shelf_collection};
use bistro_proto::kitchen::v1::kitchen_server::{KitchenServer, SERVICE_NAME};
use bistro_runtime::{PeerChannel, RoleContext, RoleParts, RoleSpec};
use bistro_store::Collection;
use tonic::service::Routes;

use crate::{
    board::Boards, changes::Hub, gauges::Gauges, hand_over::HandOver, notes::NotesDesk,
    present::Presenter, reactor::KitchenReactor, service::KitchenService,
};

/// The queue of what orders tells the kitchen.
const QUEUE: Queue = Queue {
    name: "kitchen.events",
    role: "kitchen",
    kinds: &[
        "bistro.orders.v1.OrderAccepted",
        "bistro.orders.v1.OrderDelayed",
        "bistro.orders.v1.OrderEnded",
    ],
};

static SHELF: Collection = shelf_collection("kitchen");

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "kitchen",
    about: "tickets, stations, per-item progress",
    needs: &["orders"],
    collections: &[&ticket::TICKETS, &station::STATIONS, &SHELF],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let limit = context.config.limits.grpc_message;
    let orders = context.peers.channel("orders")?.as_workload();
    let service = KitchenService {
        hub: hub(context.engine.clone(), orders.clone()),
        // As stale as a membership may be in a token.
        stream_lifetime: context.config.auth.access_token_ttl,
    };
    let service = KitchenServer::new(service)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let reactor = KitchenReactor {
        hand_over: HandOver::new(context.engine.clone(), orders),
        gauges: Gauges::register(&context.registry)?,
        engine: context.engine,
    };
    Ok(RoleParts {
        grpc: Some(Routes::new(service)),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(reactor)),
        ..RoleParts::default()
    })
}

/// What shows tickets, and shows them again when they change. Speaks to `orders` as this role.
fn hub(engine: Engine, orders: PeerChannel) -> Hub {
    let notes = NotesDesk::new(engine.clone(), orders);
    Hub::new(Arc::new(Presenter { boards: Boards::new(engine.clone()), notes, engine }))
}
