//! What every request passes: who asks, how often, until when, and how errors look.

mod address;
mod answer;
mod body;
mod extract;
mod limits;
mod metrics;
mod problem;
mod query;
mod recorder;
mod request_id;
pub(crate) mod rules;
mod serve;
mod streams;
mod trail;

use std::{collections::HashMap, net::IpAddr, ops::Deref, sync::Arc, time::Duration};

use bistro_config::{Audit, Gateway, Limits};
use bistro_core::{Clock, Error, Id, IdSource, kinds};
use bistro_proto::{
    accounts::v1::accounts_client::AccountsClient, catalog::v1::catalog_client::CatalogClient,
    delivery::v1::delivery_client::DeliveryClient, kitchen::v1::kitchen_client::KitchenClient,
    operations::v1::operations_client::OperationsClient, orders::v1::orders_client::OrdersClient,
    payments::v1::payments_client::PaymentsClient,
};
use bistro_runtime::{PeerChannel, Peers, TokenVerifier, current_scope};
use parking_lot::Mutex;
use prometheus::Registry;
use rand::rngs::SmallRng;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::dto::AUDITED_ROLES;
use crate::menu_cache::MenuCache;
use crate::sse::{EVENTS, Live};
use limits::Limiter;
use metrics::Metrics;
use streams::Streams;

pub(crate) use answer::{Answer, IfNoneMatch};
pub(crate) use body::{Json, Raw};
pub(crate) use extract::{
    Ask, At, Command, LastEventCursor, LastEventId, LetterAt, LineAt, MemberAt, Network, Reading,
    Repeatable, RoleAt, Version, VersionOrNone, Wait,
};
pub(crate) use problem::{Problem, ProblemDetails};
pub(crate) use query::{Query, empty_as_none};
pub(crate) use recorder::{Trail, trail};
pub(crate) use serve::serve;
pub(crate) use streams::StreamGuard;

/// What the edge is made from.
pub(crate) struct Parts {
    pub(crate) peers: Peers,
    pub(crate) gateway: Gateway,
    pub(crate) limits: Limits,
    pub(crate) audit: Audit,
    pub(crate) trail: Trail,
    pub(crate) verifier: TokenVerifier,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    /// Cancelled when live streams are to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) rng: SmallRng,
}

/// What handlers share. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Edge(Arc<Inner>);

/// The shared part of an [`Edge`].
pub(crate) struct Inner {
    accounts: AccountsClient<PeerChannel>,
    catalog: CatalogClient<PeerChannel>,
    orders: OrdersClient<PeerChannel>,
    payments: PaymentsClient<PeerChannel>,
    kitchen: KitchenClient<PeerChannel>,
    delivery: DeliveryClient<PeerChannel>,
    menus: MenuCache,
    /// By role, of those that have queues.
    operations: HashMap<&'static str, OperationsClient<PeerChannel>>,
    verifier: TokenVerifier,
    clock: Arc<dyn Clock>,
    by_address: Limiter<IpAddr>,
    by_user: Limiter<Id<kinds::User>>,
    audit: Audit,
    trail: Trail,
    /// One for each request in progress.
    permits: Semaphore,
    streams: Streams,
    metrics: Metrics,
    rng: Mutex<SmallRng>,
    request_timeout: Duration,
    body_timeout: Duration,
    body_limit: usize,
    trusted_proxies: usize,
    stopping: CancellationToken,
}

impl Deref for Edge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Edge {
    /// Puts the edge together. Nothing is connected until a request needs it.
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let peer = |role| parts.peers.channel(role);
        let limit = parts.limits.grpc_message;
        let mut operations = HashMap::new();
        for role in AUDITED_ROLES {
            let client = OperationsClient::new(peer(role)?).max_decoding_message_size(limit);
            operations.insert(role, client);
        }
        Ok(Self(Arc::new(Inner {
            accounts: AccountsClient::new(peer("accounts")?).max_decoding_message_size(limit),
            catalog: CatalogClient::new(peer("catalog")?).max_decoding_message_size(limit),
            orders: OrdersClient::new(peer("orders")?).max_decoding_message_size(limit),
            payments: PaymentsClient::new(peer("payments")?).max_decoding_message_size(limit),
            kitchen: KitchenClient::new(peer("kitchen")?).max_decoding_message_size(limit),
            delivery: DeliveryClient::new(peer("delivery")?).max_decoding_message_size(limit),
            menus: MenuCache::default(),
            operations,
            verifier: parts.verifier,
            clock: parts.clock,
            by_address: Limiter::new("address", ", or log in", &parts.gateway.rate_limit),
            by_user: Limiter::new("user", "", &parts.gateway.user_rate_limit),
            audit: parts.audit,
            trail: parts.trail,
            permits: Semaphore::new(parts.limits.concurrent_requests),
            streams: Streams::register(parts.gateway.live_streams, &EVENTS, &parts.registry)?,
            metrics: Metrics::register(&parts.registry)?,
            rng: Mutex::new(parts.rng),
            request_timeout: parts.gateway.request_timeout,
            body_timeout: parts.gateway.body_timeout,
            body_limit: parts.gateway.body_limit,
            trusted_proxies: parts.gateway.trusted_proxies,
            stopping: parts.stopping,
        })))
    }
}

impl Inner {
    /// A client of accounts; like the others, made once and cloned.
    pub(crate) fn accounts(&self) -> AccountsClient<PeerChannel> {
        self.accounts.clone()
    }

    /// A client of catalog.
    pub(crate) fn catalog(&self) -> CatalogClient<PeerChannel> {
        self.catalog.clone()
    }

    /// A client of orders.
    pub(crate) fn orders(&self) -> OrdersClient<PeerChannel> {
        self.orders.clone()
    }

    /// A client of payments.
    pub(crate) fn payments(&self) -> PaymentsClient<PeerChannel> {
        self.payments.clone()
    }

    /// A client of kitchen.
    pub(crate) fn kitchen(&self) -> KitchenClient<PeerChannel> {
        self.kitchen.clone()
    }

    /// A client of delivery.
    pub(crate) fn delivery(&self) -> DeliveryClient<PeerChannel> {
        self.delivery.clone()
    }

    /// Menus that were sent a moment ago.
    pub(crate) fn menus(&self) -> &MenuCache {
        &self.menus
    }

    /// A client of what `role` answers to whoever operates the platform.
    pub(crate) fn operations(&self, role: &str) -> Result<OperationsClient<PeerChannel>, Error> {
        let client = self.operations.get(role).cloned();
        client.ok_or_else(|| Error::not_found(format_args!("role {role:?} with queues")))
    }

    /// Cancelled when live streams are to end.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// A place for a live stream of `M` that this request's asker reads, for as long as the guard
    /// lives; refuses when the asker or this process has as many as may be open.
    pub(crate) fn open_stream<M: Live>(&self) -> Result<StreamGuard, Error> {
        let user = current_scope().and_then(|scope| scope.principal.user());
        self.streams.take(M::EVENT, user)
    }

    /// A request id that no other request has.
    fn new_request_id(&self) -> Id<kinds::Request> {
        IdSource::random(self.clock.now(), &mut *self.rng.lock()).id("")
    }

    /// The id of a new entry of the audit trail.
    fn new_activity_id(&self) -> Id<kinds::Activity> {
        IdSource::random(self.clock.now(), &mut *self.rng.lock()).id("activity")
    }
}
