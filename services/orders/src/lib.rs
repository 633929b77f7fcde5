//! Quotes, orders, and the saga that takes an order from placed to completed.
//!
//! The saga: reserve stock, authorize the card, wait for the restaurant, cook, deliver, capture.
//! `state` says what may follow what; `saga` says what each step asks of others and how it is
//! made good when a later one fails. Both are plain functions. `reactor` and `service` read,
//! ask them, and commit what they say.

mod allergies;
mod audit;
mod bill;
mod documents;
mod erasure;
mod gauges;
mod hours;
mod intake;
mod lists;
mod passed_slots;
mod placing;
mod present;
mod quote;
mod quoting;
mod ratings;
mod reactor;
mod saga;
mod service;
mod slots;
mod state;
mod tenders;
mod watch;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_core::Error;
use bistro_eventing::shelf_collection;
use bistro_proto::orders::v1::orders_server::{OrdersServer, SERVICE_NAME};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Collection;
use tonic::service::Routes;

/// The queue of what kitchens, couriers, payments and accounts tell orders.
const QUEUE: Queue = Queue {
    name: "orders.events",
    role: "orders",
    kinds: &[
        "bistro.kitchen.v1.TicketStarted",
        "bistro.kitchen.v1.TicketReady",
        "bistro.kitchen.v1.TicketRecalled",
        "bistro.delivery.v1.DeliveryPickedUp",
        "bistro.delivery.v1.DeliveryDelivered",
        "bistro.delivery.v1.DeliveryFailed",
        "bistro.payments.v1.PaymentAuthorized",
        "bistro.payments.v1.PaymentFailed",
        "bistro.payments.v1.PaymentCaptureFailed",
        "bistro.payments.v1.PaymentRefundReturned",
        "bistro.accounts.v1.UserErased",
    ],
};

static SHELF: Collection = shelf_collection("orders");

/// The role.
pub static SPEC: RoleSpec = RoleSpec {
    name: "orders",
    about: "quotes, orders, the order's saga, slots, ratings",
    needs: &["catalog", "payments"],
    collections: &[
        &documents::ORDERS,
        &slots::SLOTS,
        &ratings::RATINGS,
        &ratings::RATING_COUNTS,
        &allergies::ALLERGY_PROFILES,
        &erasure::ERASURES,
        &SHELF,
    ],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let reactor = reactor::OrdersReactor::new(&context)?;
    let limit = context.config.limits.grpc_message;
    let service = OrdersServer::new(service::OrdersService::new(&context)?)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    Ok(RoleParts {
        grpc: Some(Routes::new(service)),
        services: vec![SERVICE_NAME],
        reactor: Some(Arc::new(reactor)),
        ..RoleParts::default()
    })
}

#[cfg(test)]
mod tests;
