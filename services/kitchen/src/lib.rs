//! Tickets: what a kitchen has to cook, item by item.
//!
//! A ticket is made when its order is accepted and shares the order's bits, so an order has one.
//! `ticket` holds the rules as plain functions; `reactor` and `service` read, ask them, and
//! commit what they say.

mod audit;
mod hand_over;
mod reactor;
mod service;
mod ticket;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_core::Error;
use bistro_eventing::shelf_collection;
use bistro_proto::kitchen::v1::kitchen_server::{KitchenServer, SERVICE_NAME};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Collection;
use tonic::service::Routes;

/// The queue of what orders tells the kitchen.
const QUEUE: Queue = Queue {
    name: "kitchen.events",
    role: "kitchen",
    kinds: &["bistro.orders.v1.OrderAccepted", "bistro.orders.v1.OrderEnded"],
};

static SHELF: Collection = shelf_collection("kitchen");

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "kitchen",
    about: "tickets, stations, per-item progress",
    needs: &["orders"],
    collections: &[&ticket::TICKETS, &SHELF],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let limit = context.config.limits.grpc_message;
    let service = service::KitchenService { engine: context.engine.clone() };
    let service = KitchenServer::new(service)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let reactor = reactor::KitchenReactor {
        engine: context.engine,
        orders: context.peers.channel("orders")?.as_workload(),
    };
    Ok(RoleParts {
        grpc: Some(Routes::new(service)),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(reactor)),
        ..RoleParts::default()
    })
}

#[cfg(test)]
mod tests {
    use bistro_proto::orders::v1 as orders;
    use prost::Name as _;

    #[test]
    fn the_queue_names_kinds_as_the_protocols_do() {
        let kinds = [orders::OrderAccepted::full_name(), orders::OrderEnded::full_name()];
        assert_eq!(super::QUEUE.kinds, kinds);
    }
}
