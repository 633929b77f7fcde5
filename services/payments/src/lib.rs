//! The role `payments`: authorizes, captures, voids and refunds cards, and keeps the ledger.
//!
//! # What makes a side effect happen once
//! The provider is asked while a request or timer is being decided, before its Work commits. That
//! is safe because whoever asks has committed its intent (the caller's call, or our own timer) and
//! asks again until it knows, and because each thing asked of the provider has one key that
//! follows from the payment (`<payment>/authorize`, `<payment>/capture`, `<payment>/refund/<n>`):
//! asking again is asking the same thing. A void that finds no payment has the provider void that
//! key all the same, since the authorization may be known to the provider alone, and leaves a
//! tombstone; an authorization that meets it is refused, and voided once more.
//!
//! # Test cards
//! The sandbox provider's tokens are described in its module, `sandbox`: `card_ok`, `card_declined`,
//! `card_insufficient`, `card_timeout`, `card_late`, `card_late_declined`, `card_silent`,
//! `card_capture_fails` and `card_refund_declined`.

mod audit;
mod charges;
mod commands;
mod documents;
mod ledger;
mod metrics;
mod provider;
mod questions;
mod reactor;
mod refunds;
mod retries;
mod sandbox;
mod service;
mod states;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use bistro_config::PaymentProvider;
use bistro_core::Error;
use bistro_proto::payments::v1::payments_server::{self, PaymentsServer};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::Document as _;

use crate::{
    charges::Charges,
    documents::{Entry, Payment, ROLE},
    metrics::Metrics,
    provider::Provider,
    reactor::PaymentsReactor,
    sandbox::{Sandbox, SandboxRecord},
    service::{Payments, Service},
};

/// The role's row in the table of roles.
pub static SPEC: RoleSpec = RoleSpec {
    name: ROLE,
    about: "card payments, refunds and the ledger",
    needs: &["orders"],
    collections: &[Payment::COLLECTION, Entry::COLLECTION, SandboxRecord::COLLECTION],
    queues: &[],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let metrics = Arc::new(Metrics::register(&context.registry)?);
    let provider: Arc<dyn Provider> = match context.config.payments.provider {
        PaymentProvider::Sandbox => Arc::new(Sandbox::new(context.engine.clone())),
    };
    let payments = Arc::new(Payments {
        engine: context.engine,
        peers: context.peers,
        charges: Charges::new(provider, Arc::clone(&metrics)),
    });
    let limit = context.config.limits.grpc_message;
    let server =
        PaymentsServer::new(Service(Arc::clone(&payments))).max_decoding_message_size(limit);
    Ok(RoleParts {
        grpc: Some(tonic::service::Routes::new(server)),
        services: vec![payments_server::SERVICE_NAME],
        reactor: Some(Arc::new(PaymentsReactor::new(payments, metrics))),
        ..RoleParts::default()
    })
}
