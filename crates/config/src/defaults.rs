//! What holds where nothing is written.

use crate::{
    raw::{
        RawAdmin, RawAudit, RawAuth, RawBusOptions, RawCatalog, RawConfig, RawDelivery,
        RawEventing, RawGateway, RawGrpc, RawLimits, RawLiveStreams, RawLog, RawOrders,
        RawPayments, RawPeers, RawRateLimit, RawShutdown, RawStoreOptions, RawStripe,
        RawUserRateLimit,
    },
    secret::SecretUrl,
};

impl RawConfig {
    /// Every key with its default. Only the secrets and their files have none.
    #[must_use]
    pub fn defaults() -> Self {
        Self {
            data_dir: text("bistro-data"),
            store: Some(SecretUrl::new("embedded")),
            store_options: RawStoreOptions {
                database: text("bistro"),
                max_pool_size: Some(64),
                min_pool_size: Some(4),
                server_selection_timeout: text("5s"),
            },
            bus: Some(SecretUrl::new("embedded")),
            bus_options: RawBusOptions { prefetch: Some(100), confirm_timeout: text("10s") },
            gateway: RawGateway {
                listen: text("127.0.0.1:8080"),
                request_timeout: text("30s"),
                header_timeout: text("30s"),
                body_timeout: text("10s"),
                body_limit: text("1MiB"),
                trusted_proxies: Some(0),
                rate_limit: RawRateLimit { per_second: Some(10), burst: Some(50) },
                user_rate_limit: RawUserRateLimit { per_second: Some(100), burst: Some(1000) },
                live_streams: RawLiveStreams { per_user: Some(16), per_process: Some(10_000) },
            },
            grpc: RawGrpc {
                listen: text("127.0.0.1:50051"),
                in_process: Some(true),
                people: Some(false),
            },
            admin: RawAdmin { listen: text("127.0.0.1:9090") },
            peers: RawPeers {
                accounts: Some(peer("accounts")),
                catalog: Some(peer("catalog")),
                orders: Some(peer("orders")),
                payments: Some(peer("payments")),
                kitchen: Some(peer("kitchen")),
                delivery: Some(peer("delivery")),
            },
            auth: RawAuth {
                workload_secret: None,
                workload_secret_file: None,
                key_encryption_secret: None,
                key_encryption_secret_file: None,
                access_token_ttl: text("10m"),
                refresh_token_ttl: text("30d"),
                refresh_grace: text("10s"),
                argon2_concurrency: Some(2),
            },
            orders: RawOrders {
                accept_within: text("10m"),
                confirm_within: text("2m"),
                quote_ttl: text("15m"),
            },
            catalog: RawCatalog { reservation_ttl: text("15m") },
            payments: RawPayments {
                provider: text("sandbox"),
                hold_time: text("6d"),
                stripe: RawStripe {
                    url: text("https://api.stripe.com"),
                    timeout: text("3s"),
                    secret_key: None,
                    secret_key_file: None,
                    webhook_secret: None,
                    webhook_secret_file: None,
                },
            },
            delivery: RawDelivery {
                offer_timeout: text("15m"),
                assignment_retry: text("15s"),
                batch_radius_m: Some(1_500),
                proof_by_code: Some(false),
                max_capacity: Some(50),
            },
            audit: RawAudit {
                record: text("all"),
                address: text("network"),
                retention: text("90d"),
            },
            log: RawLog { format: text("auto"), level: text("info") },
            shutdown: RawShutdown { not_ready_delay: text("0s"), drain_timeout: text("20s") },
            eventing: RawEventing {
                max_attempts: Some(12),
                backoff_base: text("500ms"),
                backoff_cap: text("5m"),
                sweep_interval: text("5s"),
                call_timeout: text("5s"),
            },
            limits: RawLimits {
                concurrent_requests: Some(1024),
                connections: Some(10_000),
                grpc_message: text("4MiB"),
            },
        }
    }
}

/// The name that the Helm chart gives a role's service.
fn peer(role: &str) -> String {
    format!("http://bistro-{role}:50051")
}

#[expect(clippy::unnecessary_wraps, reason = "it fills in optional keys")]
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}
