//! Couriers, and who brings what to whom.
//!
//! A delivery is made when its order is ready and shares the order's bits, so an order has one; a
//! courier shares the bits of its user. `courier` and `delivery` hold the rules as plain
//! functions; `assignment` brings the two together; `reactor` and `service` read, ask them,
//! and commit what they say.

mod assignment;
mod audit;
mod courier;
mod delivery;
mod present;
mod reactor;
mod service;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_core::Error;
use bistro_eventing::shelf_collection;
use bistro_proto::delivery::v1::delivery_server::{DeliveryServer, SERVICE_NAME};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Collection;
use tonic::service::Routes;

/// The queue of what orders tells delivery.
const QUEUE: Queue = Queue {
    name: "delivery.events",
    role: "delivery",
    kinds: &["bistro.orders.v1.OrderReady", "bistro.orders.v1.OrderEnded"],
};

static SHELF: Collection = shelf_collection("delivery");

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "delivery",
    about: "couriers, assignment, tracking",
    needs: &["orders"],
    collections: &[&delivery::DELIVERIES, &courier::COURIERS, &SHELF],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let assigner =
        assignment::Assigner::new(context.engine.clone(), context.config.delivery.offer_timeout);
    let service = service::DeliveryService {
        engine: context.engine.clone(),
        assigner: assigner.clone(),
        orders: context.peers.channel("orders")?.as_workload(),
    };
    let limit = context.config.limits.grpc_message;
    let service = DeliveryServer::new(service)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let mut parts = RoleParts {
        grpc: Some(Routes::new(service)),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(reactor::DeliveryReactor {
            engine: context.engine,
            assigner: assigner.clone(),
        })),
        ..RoleParts::default()
    };
    let retry = context.config.delivery.assignment_retry;
    parts.tasks.spawn(async move { assigner.run(retry).await });
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use bistro_proto::orders::v1 as orders;
    use prost::Name as _;

    #[test]
    fn the_queue_names_kinds_as_the_protocols_do() {
        let kinds = [orders::OrderReady::full_name(), orders::OrderEnded::full_name()];
        assert_eq!(super::QUEUE.kinds, kinds);
    }
}
