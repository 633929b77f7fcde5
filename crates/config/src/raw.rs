//! The configuration as it is written: every key may be absent. The comments here are what
//! `bistro config default` and the JSON schema say about each key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    secret::{Secret, SecretUrl},
    written,
};

/// Everything that can be configured, as written in YAML. What is absent has its default.
///
/// To be written by a program, too (the operator): fill it in, check it with
/// [`crate::Config::check`], serialize it. Secrets serialize as `***`, so give them as `…_file`
/// keys or in the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Where the embedded engine keeps its file, and `serve` its lock and the operator token.
    /// A path; a relative one starts in the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// The storage engine: embedded, or mongodb://… (then `bus` is amqp://…). A password in it
    /// is better given in the environment: BISTRO__STORE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<SecretUrl>,
    /// How MongoDB is used.
    #[serde(skip_serializing_if = "is_default")]
    pub store_options: RawStoreOptions,
    /// The messaging engine: embedded, or amqp://… or amqps://… (then `store` is mongodb://…).
    /// A password in it is better given in the environment: BISTRO__BUS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus: Option<SecretUrl>,
    /// How messages are taken.
    #[serde(skip_serializing_if = "is_default")]
    pub bus_options: RawBusOptions,
    /// The public edge.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: RawGateway,
    /// How roles call each other.
    #[serde(skip_serializing_if = "is_default")]
    pub grpc: RawGrpc,
    /// Metrics and health.
    #[serde(skip_serializing_if = "is_default")]
    pub admin: RawAdmin,
    /// Where the roles that do not run in this process answer gRPC.
    #[serde(skip_serializing_if = "is_default")]
    pub peers: RawPeers,
    /// Log-in, tokens and the secrets behind them.
    #[serde(skip_serializing_if = "is_default")]
    pub auth: RawAuth,
    /// The order's saga.
    #[serde(skip_serializing_if = "is_default")]
    pub orders: RawOrders,
    /// Menus and stock.
    #[serde(skip_serializing_if = "is_default")]
    pub catalog: RawCatalog,
    /// Card payments.
    #[serde(skip_serializing_if = "is_default")]
    pub payments: RawPayments,
    /// Couriers.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery: RawDelivery,
    /// The trail of who did what, which administrators read at /api/v1/audit-trail.
    #[serde(skip_serializing_if = "is_default")]
    pub audit: RawAudit,
    /// Logs. Traces are configured by the standard OTEL_* variables.
    #[serde(skip_serializing_if = "is_default")]
    pub log: RawLog,
    /// Going down without losing a request.
    #[serde(skip_serializing_if = "is_default")]
    pub shutdown: RawShutdown,
    /// Messages, calls between roles, and their retries.
    #[serde(skip_serializing_if = "is_default")]
    pub eventing: RawEventing,
    /// What one process takes on at once.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: RawLimits,
}

/// Makes a section: a struct of optional keys that refuses unknown ones.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                $(#[$key_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $key: Option<$type>,
            )+
        }
    };
}

section! {
    /// How MongoDB is used.
    RawStoreOptions {
        /// The database that holds the platform's collections.
        database: String,
        /// Connections that one process opens at most.
        max_pool_size: u64,
        /// Connections that one process keeps open when idle.
        min_pool_size: u64,
        /// How long a request waits for a server that can take it before it fails.
        #[schemars(with = "Option<written::Duration>")]
        server_selection_timeout: String,
    }
}

section! {
    /// How messages are taken.
    RawBusOptions {
        /// Deliveries that one consumer holds unsettled at most.
        prefetch: u64,
        /// How long a publisher waits for the broker to confirm.
        #[schemars(with = "Option<written::Duration>")]
        confirm_timeout: String,
    }
}

/// The public edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGateway {
    /// Where the public API is served: an IP address and a port. 0.0.0.0 for
    /// every interface, port 0 for any free port.
    #[schemars(with = "Option<written::Address>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// How long a request may take before it is answered 504. Live streams are exempt.
    #[schemars(with = "Option<written::Duration>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<String>,
    /// How long a connection may take until it has sent the headers of its next request, also
    /// while it is idle; then it is closed.
    #[schemars(with = "Option<written::Duration>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_timeout: Option<String>,
    /// How long a request's body may take to arrive before it is answered 408.
    #[schemars(with = "Option<written::Duration>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_timeout: Option<String>,
    /// The largest request body that is read.
    #[schemars(with = "Option<written::Size>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<String>,
    /// Proxies in front of the gateway whose X-Forwarded-For is believed; 0 believes none, so
    /// that the limits below count the address of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<u64>,
    /// Limits by address, for requests without a token only.
    #[serde(skip_serializing_if = "is_default")]
    pub rate_limit: RawRateLimit,
    /// Limits by user, for requests with a user's token. The operator has none.
    #[serde(skip_serializing_if = "is_default")]
    pub user_rate_limit: RawUserRateLimit,
    /// Live streams that may be open at once: orders, kitchens, couriers and deliveries that
    /// somebody follows.
    #[serde(skip_serializing_if = "is_default")]
    pub live_streams: RawLiveStreams,
}

section! {
    /// Limits by address, for requests without a token only.
    RawRateLimit {
        /// Requests per second and address that are always let through, on average.
        per_second: u64,
        /// Requests that one address may make at once beyond that.
        burst: u64,
    }
}

section! {
    /// Limits by user, for requests with a user's token. The operator has none.
    RawUserRateLimit {
        /// Requests per second and user that are always let through, on average.
        per_second: u64,
        /// Requests that one user may make at once beyond that.
        burst: u64,
    }
}

section! {
    /// Live streams that may be open at once: orders, kitchens, couriers and deliveries that
    /// somebody follows.
    RawLiveStreams {
        /// Streams that one user may have open; one more is answered 429. The operator has no
        /// limit.
        per_user: u64,
        /// Streams that one process keeps open, everybody's together; one more is answered 503.
        per_process: u64,
    }
}

section! {
    /// How roles call each other.
    RawGrpc {
        /// Where the roles of this process answer: an IP address and a port.
        #[schemars(with = "Option<written::Address>")]
        listen: String,
        /// Whether roles of one process call each other without a socket. False sends every call
        /// over the wire, as between processes.
        in_process: bool,
        /// Whether people may ask this port by themselves, with a user's token or with none, as
        /// with grpcurl. Nothing limits or records them there, as the gateway does. Roles and the
        /// operator's token are always answered; so are health and reflection.
        people: bool,
    }
}

section! {
    /// Metrics and health.
    RawAdmin {
        /// Where /metrics, /livez and /readyz are served: an IP address and a port.
        #[schemars(with = "Option<written::Address>")]
        listen: String,
    }
}

section! {
    /// Where the roles that do not run in this process answer gRPC.
    RawPeers {
        /// Where accounts answers.
        #[schemars(with = "Option<written::Peer>")]
        accounts: String,
        /// Where catalog answers.
        #[schemars(with = "Option<written::Peer>")]
        catalog: String,
        /// Where orders answers.
        #[schemars(with = "Option<written::Peer>")]
        orders: String,
        /// Where payments answers.
        #[schemars(with = "Option<written::Peer>")]
        payments: String,
        /// Where kitchen answers.
        #[schemars(with = "Option<written::Peer>")]
        kitchen: String,
        /// Where delivery answers.
        #[schemars(with = "Option<written::Peer>")]
        delivery: String,
    }
}

section! {
    /// Log-in, tokens and the secrets behind them.
    RawAuth {
        /// The secret that every process of the platform shares, by which roles know each
        /// other: at least 32 characters. Needed with MongoDB; with the embedded engine `serve`
        /// makes one. Better given as a file.
        #[schemars(extend("examples" = ["(openssl rand -hex 32)"]))]
        workload_secret: Secret,
        /// The file that holds the workload secret.
        #[schemars(extend("examples" = ["/run/secrets/bistro/workload"]))]
        workload_secret_file: String,
        /// The secret under which the stored signing keys are encrypted, at least 32 characters;
        /// only accounts uses it. Needed there with MongoDB; with the embedded engine `serve`
        /// makes one. Better given as a file.
        #[schemars(extend("examples" = ["(openssl rand -hex 32)"]))]
        key_encryption_secret: Secret,
        /// The file that holds the key encryption secret.
        #[schemars(extend("examples" = ["/run/secrets/bistro/key-encryption"]))]
        key_encryption_secret_file: String,
        /// How long an access token is good for; also how stale a membership may be.
        #[schemars(with = "Option<written::Duration>")]
        access_token_ttl: String,
        /// How long a session lives without being used.
        #[schemars(with = "Option<written::Duration>")]
        refresh_token_ttl: String,
        /// How long the refresh token before may be used again, for a client that lost the
        /// answer. After that its reuse ends the session.
        #[schemars(with = "Option<written::Duration>")]
        refresh_grace: String,
        /// Passwords that one process hashes at once; each takes 19 MiB meanwhile.
        argon2_concurrency: u64,
    }
}

section! {
    /// The order's saga.
    RawOrders {
        /// How long the restaurant has to accept an order before it expires.
        #[schemars(with = "Option<written::Duration>")]
        accept_within: String,
        /// How long reserving stock and authorizing the payment may take.
        #[schemars(with = "Option<written::Duration>")]
        confirm_within: String,
        /// How long a quoted price holds.
        #[schemars(with = "Option<written::Duration>")]
        quote_ttl: String,
    }
}

section! {
    /// Menus and stock.
    RawCatalog {
        /// How long stock stays reserved for an order that is not confirmed.
        #[schemars(with = "Option<written::Duration>")]
        reservation_ttl: String,
    }
}

/// Card payments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPayments {
    /// Who charges the cards: sandbox, which moves no money, or stripe. What one of them has
    /// charged stays with it.
    #[schemars(extend("enum" = ["sandbox", "stripe", null]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How long a card holds what is set aside for an order. Orders are scheduled no further ahead.
    /// Stay a day below what the provider says, so that the meal can be cooked and brought.
    #[schemars(with = "Option<written::Duration>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// Stripe. Needed where it charges the cards, or has charged some.
    #[serde(skip_serializing_if = "is_default")]
    pub stripe: RawStripe,
}

section! {
    /// How Stripe is asked, and how its messages are known.
    RawStripe {
        /// Where its API answers. Plain http is for a stand-in on this machine only.
        #[schemars(with = "Option<written::Peer>")]
        url: String,
        /// How long each of its answers is waited for. What it has done but not answered by then
        /// is asked about again, so be patient where it is slow: 4s at most.
        #[schemars(with = "Option<written::Duration>")]
        timeout: String,
        /// The secret key of the account, sk_… or rk_…. Better given as a file.
        #[schemars(extend("examples" = ["(the key that Stripe's dashboard shows)"]))]
        secret_key: Secret,
        /// The file that holds the secret key.
        #[schemars(extend("examples" = ["/run/secrets/bistro/stripe-secret-key"]))]
        secret_key_file: String,
        /// What Stripe signs its messages to /api/v1/webhooks/stripe with, whsec_…. Better given
        /// as a file.
        #[schemars(extend("examples" = ["(the secret that Stripe's dashboard shows)"]))]
        webhook_secret: Secret,
        /// The file that holds the webhook secret.
        #[schemars(extend("examples" = ["/run/secrets/bistro/stripe-webhook-secret"]))]
        webhook_secret_file: String,
    }
}

section! {
    /// Couriers.
    RawDelivery {
        /// How long a courier has to pick an order up, or to decline it, before the next one is
        /// asked.
        #[schemars(with = "Option<written::Duration>")]
        offer_timeout: String,
        /// How long to wait before looking again when no courier is free.
        #[schemars(with = "Option<written::Duration>")]
        assignment_retry: String,
        /// How far apart, in metres, the drop-offs of orders may be that one courier fetches
        /// together from the same restaurant; 0: nothing is brought together.
        batch_radius_m: u64,
        /// Whether couriers have to give the code that the customer was shown when they drop an
        /// order off. Users of this platform's API must know to send it, so it is off unless
        /// somebody says otherwise.
        proof_by_code: bool,
        /// How many deliveries a courier may say to bring at once, 1 to 1000. An administrator may
        /// let a courier bring more.
        max_capacity: u64,
    }
}

section! {
    /// The trail of who did what, which administrators read at /api/v1/audit-trail.
    RawAudit {
        /// What is recorded: all (every request that changes something, and what support and
        /// administrators read of others) or privileged (only what support, administrators and
        /// the operator do).
        #[schemars(extend("enum" = ["all", "privileged", null]))]
        record: String,
        /// How much of the asker's address is kept: none, network (the first 24 bits of an IPv4
        /// address, 48 of an IPv6 one) or full, which is personal data.
        #[schemars(extend("enum" = ["none", "network", "full", null]))]
        address: String,
        /// How long entries are kept.
        #[schemars(with = "Option<written::Duration>")]
        retention: String,
    }
}

section! {
    /// Logs. Traces are configured by the standard OTEL_* variables.
    RawLog {
        /// auto (pretty on a terminal, json otherwise), json (one line each) or pretty.
        #[schemars(extend("enum" = ["auto", "json", "pretty", null]))]
        format: String,
        /// What is logged: off, error, warn, info, debug or trace, also by part, as
        /// info,bistro_orders=debug.
        level: String,
    }
}

section! {
    /// Going down without losing a request.
    RawShutdown {
        /// How long the process keeps serving after it said it is not ready, for load balancers
        /// to notice. 5s behind a Kubernetes service.
        #[schemars(with = "Option<written::Duration>")]
        not_ready_delay: String,
        /// How long what is in flight may take after that.
        #[schemars(with = "Option<written::Duration>")]
        drain_timeout: String,
    }
}

section! {
    /// Messages, calls between roles, and their retries.
    RawEventing {
        /// Times a message is tried before it is a dead letter.
        max_attempts: u64,
        /// The longest wait before the first retry; before each further one it is twice as long.
        #[schemars(with = "Option<written::Duration>")]
        backoff_base: String,
        /// The longest wait between two tries.
        #[schemars(with = "Option<written::Duration>")]
        backoff_cap: String,
        /// How often what was left behind is looked for: unpublished events, unfinished calls.
        #[schemars(with = "Option<written::Duration>")]
        sweep_interval: String,
        /// How long one call to another role may take before its outcome counts as unknown.
        #[schemars(with = "Option<written::Duration>")]
        call_timeout: String,
    }
}

section! {
    /// What one process takes on at once.
    RawLimits {
        /// Requests in progress on the public port; more are told to come back later.
        concurrent_requests: u64,
        /// Connections to the public port; more wait until one is closed.
        connections: u64,
        /// The largest gRPC message that is read.
        #[schemars(with = "Option<written::Size>")]
        grpc_message: String,
    }
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}
