//! Couriers, and who brings what to whom.
//!
//! A delivery is made when its order is ready and shares the order's bits, so an order has one; a
//! courier shares the bits of its user. `courier`, `delivery`, `choice`, `proof` and `positions`
//! hold the rules as plain functions; `assignment` brings deliveries and couriers together, and
//! `completion` asks again where they go; `reactor` and `service` with its parts `couriers`, `steps`
//! and `reads` read, ask them, and commit what they say. `places` and `users` are what other roles
//! are asked. `erasure` forgets people. `tracking` and `feed` are the live streams.

mod assignment;
mod audit;
mod choice;
mod completion;
mod courier;
mod couriers;
mod delivery;
mod erasure;
mod failure;
mod feed;
mod free;
mod gauges;
mod parting;
mod places;
mod positions;
mod present;
mod proof;
mod reactor;
mod reads;
mod service;
mod shift;
mod steps;
#[cfg(test)]
mod tests;
mod tracking;
mod users;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_core::Error;
use bistro_eventing::{Engine, shelf_collection};
use bistro_proto::delivery::v1::delivery_server::{DeliveryServer, SERVICE_NAME};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Collection;
use tonic::service::Routes;

use crate::{
    assignment::Assigner, feed::Feeds, gauges::Gauges, places::Places, present::Presenter,
    proof::Proof, reactor::DeliveryReactor, service::DeliveryService, tracking::Tracker,
    users::Users,
};

/// The queue of what orders and accounts tell delivery.
const QUEUE: Queue = Queue {
    name: "delivery.events",
    role: "delivery",
    kinds: &[
        "bistro.orders.v1.OrderReady",
        "bistro.orders.v1.OrderEnded",
        "bistro.accounts.v1.UserErased",
    ],
};

static SHELF: Collection = shelf_collection("delivery");

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "delivery",
    about: "couriers, assignment, tracking",
    needs: &["accounts", "catalog", "orders"],
    collections: &[
        &delivery::DELIVERIES,
        &courier::COURIERS,
        &shift::SHIFTS,
        &parting::PARTINGS,
        &erasure::ERASURES,
        &SHELF,
    ],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let RoleContext { engine, peers, config, authority, registry, .. } = context;
    let delivery = &config.delivery;
    let places = Places::new(peers.channel("orders")?, peers.channel("catalog")?);
    let proof = Proof::new(authority.derive("delivery/codes"), delivery.proof_by_code);
    let tracker = Tracker::new(engine.clone());
    let positions = tracker.positions().clone();
    let (patience, radius) = (delivery.offer_timeout, delivery.batch_radius_m);
    let assigner = Assigner::new(engine.clone(), positions, patience, radius);
    let parts = Parts {
        engine,
        places,
        users: Users::new(peers.channel("accounts")?),
        presenter: Presenter { proof },
        tracker: tracker.clone(),
        assigner: assigner.clone(),
        gauges: Gauges::register(&registry)?,
        max_capacity: delivery.max_capacity,
    };
    let (service, reactor) = assemble(parts);
    let limit = config.limits.grpc_message;
    let service = DeliveryServer::new(service)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let mut parts = RoleParts {
        grpc: Some(Routes::new(service)),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(reactor)),
        ..RoleParts::default()
    };
    let retry = delivery.assignment_retry;
    parts.tasks.spawn(async move { assigner.run(retry).await });
    parts.tasks.spawn(async move { tracker.listen().await });
    Ok(parts)
}

/// What the role is put together of.
struct Parts {
    engine: Engine,
    places: Places,
    users: Users,
    presenter: Presenter,
    tracker: Tracker,
    assigner: Assigner,
    gauges: Gauges,
    max_capacity: u32,
}

/// What answers and what reacts, over the same parts.
fn assemble(parts: Parts) -> (DeliveryService, DeliveryReactor) {
    let Parts { engine, places, users, presenter, tracker, assigner, gauges, max_capacity } = parts;
    let reactor = DeliveryReactor {
        engine: engine.clone(),
        assigner: assigner.clone(),
        places: places.clone(),
        gauges,
    };
    let feeds = Feeds::new(engine.clone(), presenter.clone());
    let service = DeliveryService {
        engine,
        assigner,
        tracker,
        feeds,
        places,
        users,
        presenter,
        max_capacity,
    };
    (service, reactor)
}
