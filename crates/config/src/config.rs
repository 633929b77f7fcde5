//! The configuration as the program uses it: complete and checked.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::secret::{Secret, SecretUrl};

/// Everything the program needs to know, checked. Made by [`Config::load`] and its kin only, so
/// a value of this type is one that may be run.
///
/// What each key means stands with [`crate::RawConfig`].
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the keys are documented once, where they are written")]
pub struct Config {
    pub data_dir: PathBuf,
    pub store: Store,
    pub store_options: StoreOptions,
    pub bus: Bus,
    pub bus_options: BusOptions,
    pub gateway: Gateway,
    pub grpc: Grpc,
    pub admin: Admin,
    pub peers: Peers,
    pub auth: Auth,
    pub orders: Orders,
    pub catalog: Catalog,
    pub payments: Payments,
    pub delivery: Delivery,
    pub audit: Audit,
    pub log: Log,
    pub shutdown: Shutdown,
    pub eventing: Eventing,
    pub limits: Limits,
}

/// The storage engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// SQLite in the data directory.
    Embedded,
    /// MongoDB, at this address.
    Mongodb(SecretUrl),
}

/// The messaging engine. Always the one that belongs to the [`Store`].
#[derive(Clone, Debug, PartialEq)]
pub enum Bus {
    /// Queues in the embedded engine's file.
    Embedded,
    /// RabbitMQ, at this address.
    Amqp(SecretUrl),
}

/// Who charges the cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentProvider {
    /// Moves no money.
    Sandbox,
    /// Stripe, as [`Payments::stripe`] says.
    Stripe,
}

/// What the audit trail records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Every request that changes something, and what support and administrators read of others.
    All,
    /// What support, administrators and the operator do.
    Privileged,
}

/// How much of an asker's address the audit trail keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedAddress {
    /// Nothing.
    None,
    /// The network that it is in.
    Network,
    /// All of it.
    Full,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// Makes a section of [`Config`].
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "the keys are documented once, where they are written")]
        pub struct $name {
            $(pub $key: $type,)+
        }
    };
}

section! {
    /// See [`crate::RawStoreOptions`].
    StoreOptions {
        database: String,
        max_pool_size: u32,
        min_pool_size: u32,
        server_selection_timeout: Duration,
    }
}

section! {
    /// See [`crate::RawBusOptions`].
    BusOptions {
        prefetch: u16,
        confirm_timeout: Duration,
    }
}

section! {
    /// See [`crate::RawGateway`]. `body_limit` in bytes.
    Gateway {
        listen: SocketAddr,
        request_timeout: Duration,
        header_timeout: Duration,
        body_timeout: Duration,
        body_limit: usize,
        trusted_proxies: usize,
        rate_limit: RateLimit,
        user_rate_limit: RateLimit,
        live_streams: LiveStreams,
    }
}

section! {
    /// See [`crate::RawRateLimit`] and [`crate::RawUserRateLimit`].
    RateLimit {
        per_second: u32,
        burst: u32,
    }
}

section! {
    /// See [`crate::RawLiveStreams`].
    LiveStreams {
        per_user: u32,
        per_process: u32,
    }
}

section! {
    /// See [`crate::RawGrpc`].
    Grpc {
        listen: SocketAddr,
        in_process: bool,
        people: bool,
    }
}

section! {
    /// See [`crate::RawAdmin`].
    Admin {
        listen: SocketAddr,
    }
}

/// Where each role answers gRPC when it does not run in this process.
#[derive(Clone, Debug)]
pub struct Peers {
    /// Role and address, in the order of [`crate::RawPeers`].
    pub(crate) addresses: Vec<(&'static str, String)>,
}

impl Peers {
    /// Where `role` answers, as `http://bistro-orders:50051`; none for a name that is no role
    /// with a gRPC service.
    #[must_use]
    pub fn url(&self, role: &str) -> Option<&str> {
        self.addresses.iter().find(|(name, _)| *name == role).map(|(_, address)| address.as_str())
    }
}

section! {
    /// See [`crate::RawAuth`]. The secrets are absent only with the embedded engine
    /// (`key_encryption_secret` also where accounts does not run).
    Auth {
        workload_secret: Option<Secret>,
        key_encryption_secret: Option<Secret>,
        access_token_ttl: Duration,
        refresh_token_ttl: Duration,
        refresh_grace: Duration,
        argon2_concurrency: usize,
    }
}

section! {
    /// See [`crate::RawOrders`].
    Orders {
        accept_within: Duration,
        confirm_within: Duration,
        quote_ttl: Duration,
    }
}

section! {
    /// See [`crate::RawCatalog`].
    Catalog {
        reservation_ttl: Duration,
    }
}

section! {
    /// See [`crate::RawPayments`]. `stripe` is there where its secrets are.
    Payments {
        provider: PaymentProvider,
        hold_time: Duration,
        stripe: Option<Stripe>,
    }
}

section! {
    /// See [`crate::RawStripe`].
    Stripe {
        url: String,
        timeout: Duration,
        secret_key: Secret,
        webhook_secret: Secret,
    }
}

section! {
    /// See [`crate::RawDelivery`].
    Delivery {
        offer_timeout: Duration,
        assignment_retry: Duration,
        batch_radius_m: u32,
        proof_by_code: bool,
        max_capacity: u32,
    }
}

section! {
    /// See [`crate::RawAudit`].
    Audit {
        record: Recorded,
        address: RecordedAddress,
        retention: Duration,
    }
}

section! {
    /// See [`crate::RawLog`].
    Log {
        format: LogFormat,
        level: String,
    }
}

section! {
    /// See [`crate::RawShutdown`].
    Shutdown {
        not_ready_delay: Duration,
        drain_timeout: Duration,
    }
}

section! {
    /// See [`crate::RawEventing`].
    Eventing {
        max_attempts: u32,
        backoff_base: Duration,
        backoff_cap: Duration,
        sweep_interval: Duration,
        call_timeout: Duration,
    }
}

section! {
    /// See [`crate::RawLimits`]. `grpc_message` in bytes.
    Limits {
        concurrent_requests: usize,
        connections: usize,
        grpc_message: usize,
    }
}
