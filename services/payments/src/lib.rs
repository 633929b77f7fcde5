//! The role `payments`: authorizes, captures, voids and refunds cards, and keeps the ledger.
//!
//! # What makes a side effect happen once
//! The provider is asked while a request or timer is being decided, before its Work commits. That
//! is safe because whoever asks has committed its intent (the caller's call, or our own timer) and
//! asks again until it knows, and because each thing asked of the provider has one key that
//! follows from the payment (`<payment>/authorize`, `<payment>/capture`, `<payment>/refund/<n>`,
//! and `/<tender>` behind it for every tender but the first): asking again is asking the same
//! thing. A void that finds no payment has the provider void the first tender's key all the same,
//! since the authorization may be known to the provider alone, and leaves a tombstone; an
//! authorization that meets it is refused, and voided once more. Of several tenders nobody could
//! know which were asked for, so they are written down before the first one is.
//!
//! # Tenders
//! A payment is a list of tenders, each a card with a state machine of its own (`states`) and a
//! wish: to be held, captured or released. What is to be asked of the provider follows from these
//! (`errands`), and the payment's state from the tenders of the total that counts (`standing`).
//!
//! # Test cards
//! The sandbox provider's tokens are described in its module, `sandbox`: `card_ok`, `card_declined`,
//! `card_insufficient`, `card_timeout`, `card_late`, `card_late_declined`, `card_silent`,
//! `card_capture_fails`, `card_capture_voided` and `card_refund_declined`.

mod audit;
mod authorizing;
mod books;
mod changes;
mod charges;
mod commands;
mod documents;
mod erasure;
mod errands;
mod ledger;
mod metrics;
mod provider;
mod questions;
mod reactor;
mod refunds;
mod returns;
mod sandbox;
mod service;
mod settling;
mod standing;
mod statements;
mod states;
mod stripe;
#[cfg(test)]
mod tests;
mod tips;
mod upgrade;
mod webhook;
mod wire;

use std::sync::Arc;

use bistro_bus::Queue;
use bistro_config::PaymentProvider;
use bistro_core::{Error, ErrorCode};
use bistro_eventing::shelf_collection;
use bistro_proto::payments::v1::payments_server::{self, PaymentsServer};
use bistro_runtime::{RoleContext, RoleParts, RoleSpec};
use bistro_store::{Collection, Document as _};

use crate::{
    books::Book,
    charges::Charges,
    documents::{Entry, Payment, ProviderName, ROLE},
    erasure::Erasure,
    metrics::Metrics,
    provider::Provider,
    reactor::PaymentsReactor,
    sandbox::{Sandbox, SandboxRecord},
    service::{Payments, Service},
    stripe::Stripe,
    webhook::WebhookSecret,
};

/// The queue of what accounts tells payments.
const QUEUE: Queue =
    Queue { name: "payments.events", role: ROLE, kinds: &["bistro.accounts.v1.UserErased"] };

static SHELF: Collection = shelf_collection(ROLE);

/// The role's row in the table of roles.
pub static SPEC: RoleSpec = RoleSpec {
    name: ROLE,
    about: "card payments, refunds and the ledger",
    needs: &["orders", "catalog"],
    collections: &[
        Payment::COLLECTION,
        Entry::COLLECTION,
        SandboxRecord::COLLECTION,
        Erasure::COLLECTION,
        Book::COLLECTION,
        &SHELF,
    ],
    queues: &[QUEUE],
    build,
};

fn build(context: RoleContext) -> Result<RoleParts, Error> {
    let metrics = Arc::new(Metrics::register(&context.registry)?);
    let sandbox: Arc<dyn Provider> = Arc::new(Sandbox::new(context.engine.clone()));
    let mut providers = vec![(ProviderName::Sandbox, sandbox)];
    let configured = &context.config.payments;
    let mut stripe_webhooks = None;
    if let Some(stripe) = &configured.stripe {
        let provider = Stripe::new(&stripe.url, &stripe.secret_key, stripe.timeout)?;
        providers.push((ProviderName::Stripe, Arc::new(provider)));
        stripe_webhooks = Some(WebhookSecret::new(stripe.webhook_secret.clone()));
    }
    let chosen = match configured.provider {
        PaymentProvider::Sandbox => ProviderName::Sandbox,
        PaymentProvider::Stripe if configured.stripe.is_some() => ProviderName::Stripe,
        PaymentProvider::Stripe => {
            let message = "payments.provider is stripe; set payments.stripe.secret_key_file";
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
    };
    let payments = Arc::new(Payments {
        engine: context.engine,
        peers: context.peers,
        charges: Charges::new(chosen, providers, Arc::clone(&metrics)),
        stripe_webhooks,
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
