//! From [`RawConfig`] to [`Config`]: the rules about each key by itself.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::{
    check::{Checker, Key},
    config::{
        Admin, Audit, Auth, Bus, BusOptions, Catalog, Config, Delivery, Eventing, Gateway, Grpc,
        Limits, LiveStreams, Log, LogFormat, Orders, PaymentProvider, Payments, Peers, RateLimit,
        Recorded, RecordedAddress, Shutdown, Store, StoreOptions, Stripe,
    },
    raw::RawConfig,
    secret::SecretUrl,
    shape::quote,
};

/// What was written, beside what holds where nothing is.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) given: &'a RawConfig,
    pub(crate) defaults: &'a RawConfig,
}

/// The key at a path of fields, as `key!(written, gateway.listen)`.
macro_rules! key {
    ($written:ident, $first:ident $(. $more:ident)*) => {
        $crate::check::Key {
            path: concat!(stringify!($first) $(, ".", stringify!($more))*),
            given: $written.given.$first$(.$more)*.as_ref(),
            default: $written.defaults.$first$(.$more)*.as_ref(),
        }
    };
}

pub(crate) use key;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// From one to more than anyone should need.
const COUNT: RangeInclusive<u64> = 1..=1_000_000;

pub(crate) const STORE_SCHEMES: &[&str] = &["mongodb://", "mongodb+srv://"];
pub(crate) const BUS_SCHEMES: &[&str] = &["amqp://", "amqps://"];

/// Checks each key by itself, noting mistakes in `check`; none if there was one.
pub(crate) fn validate(check: &mut Checker<'_>, written: Written<'_>) -> Option<Config> {
    let data_dir = check.text(&key!(written, data_dir), |text| match text {
        "" => Err("is empty".to_owned()),
        text => Ok(PathBuf::from(text)),
    });
    let engines = engines(check, written);
    let store_options = store_options(check, written);
    let bus_options = bus_options(check, written);
    let gateway = gateway(check, written);
    let in_process = written.given.grpc.in_process.or(written.defaults.grpc.in_process);
    let people = written.given.grpc.people.or(written.defaults.grpc.people);
    let grpc = check.address(&key!(written, grpc.listen));
    let admin = check.address(&key!(written, admin.listen));
    let peers = peers(check, written);
    let auth = auth(check, written);
    let orders = orders(check, written);
    let catalog = check
        .duration(&key!(written, catalog.reservation_ttl), SECOND..=DAY)
        .map(|reservation_ttl| Catalog { reservation_ttl });
    let payments = payments(check, written);
    let delivery = delivery(check, written);
    let audit = audit(check, written);
    let log = log(check, written);
    let shutdown = shutdown(check, written);
    let eventing = eventing(check, written);
    let limits = limits(check, written);

    let (store, bus) = engines?;
    Some(Config {
        data_dir: data_dir?,
        store,
        store_options: store_options?,
        bus,
        bus_options: bus_options?,
        gateway: gateway?,
        grpc: Grpc { listen: grpc?, in_process: in_process?, people: people? },
        admin: Admin { listen: admin? },
        peers: peers?,
        auth: auth?,
        orders: orders?,
        catalog: catalog?,
        payments: payments?,
        delivery: delivery?,
        audit: audit?,
        log: log?,
        shutdown: shutdown?,
        eventing: eventing?,
        limits: limits?,
    })
}

fn engines(check: &mut Checker<'_>, written: Written<'_>) -> Option<(Store, Bus)> {
    let store = engine(check, &key!(written, store), STORE_SCHEMES);
    let bus = engine(check, &key!(written, bus), BUS_SCHEMES);
    match (store?, bus?) {
        (Engine::Embedded, Engine::Embedded) => Some((Store::Embedded, Bus::Embedded)),
        (Engine::At(store), Engine::At(bus)) => Some((Store::Mongodb(store), Bus::Amqp(bus))),
        // A rule between keys says which to change.
        _ => None,
    }
}

fn engine(check: &mut Checker<'_>, key: &Key<'_, SecretUrl>, schemes: &[&str]) -> Option<Engine> {
    let url = key.value()?;
    parse_engine(url, schemes)
        .map_err(|problem| {
            check.wrong(key.path, format!("{} {problem}", quote(url.expose())), "embedded");
        })
        .ok()
}

/// What `store` and `bus` name.
pub(crate) enum Engine {
    Embedded,
    At(SecretUrl),
}

/// Reads `embedded`, or an address with one of `schemes`.
pub(crate) fn parse_engine(url: &SecretUrl, schemes: &[&str]) -> Result<Engine, String> {
    let text = url.expose();
    if text == "embedded" {
        return Ok(Engine::Embedded);
    }
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or_else(|| {
        format!("is neither embedded nor an address that begins with {}", schemes.join(" or "))
    })?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err("has white space in it".to_owned())
    } else if text.contains("***@") {
        Err("was copied from where its password is hidden".to_owned())
    } else if hosts.split(',').any(|host| host.is_empty() || host.starts_with(':')) {
        Err("names no host".to_owned())
    } else {
        Ok(Engine::At(url.clone()))
    }
}

fn store_options(check: &mut Checker<'_>, written: Written<'_>) -> Option<StoreOptions> {
    let database = check.text(&key!(written, store_options.database), |text| {
        let fits = (1..=38).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        fits.then(|| text.to_owned())
            .ok_or_else(|| "is not a name of 1 to 38 letters, digits, - and _".to_owned())
    });
    let max_pool_size = check.integer(&key!(written, store_options.max_pool_size), 1..=10_000);
    let min_pool_size = check.integer(&key!(written, store_options.min_pool_size), 0..=10_000);
    let server_selection_timeout = check.duration(
        &key!(written, store_options.server_selection_timeout),
        100 * MILLISECOND..=5 * MINUTE,
    );
    Some(StoreOptions {
        database: database?,
        max_pool_size: max_pool_size?,
        min_pool_size: min_pool_size?,
        server_selection_timeout: server_selection_timeout?,
    })
}

fn bus_options(check: &mut Checker<'_>, written: Written<'_>) -> Option<BusOptions> {
    let prefetch = check.integer(&key!(written, bus_options.prefetch), 1..=10_000);
    let confirm_timeout =
        check.duration(&key!(written, bus_options.confirm_timeout), 100 * MILLISECOND..=5 * MINUTE);
    Some(BusOptions { prefetch: prefetch?, confirm_timeout: confirm_timeout? })
}

fn gateway(check: &mut Checker<'_>, written: Written<'_>) -> Option<Gateway> {
    let listen = check.address(&key!(written, gateway.listen));
    let request_timeout =
        check.duration(&key!(written, gateway.request_timeout), 100 * MILLISECOND..=10 * MINUTE);
    let header_timeout =
        check.duration(&key!(written, gateway.header_timeout), 100 * MILLISECOND..=HOUR);
    let body_timeout =
        check.duration(&key!(written, gateway.body_timeout), 100 * MILLISECOND..=10 * MINUTE);
    let body_limit = check.size(&key!(written, gateway.body_limit), KIB..=256 * MIB);
    let trusted_proxies = check.integer(&key!(written, gateway.trusted_proxies), 0..=16);
    let per_second = check.integer(&key!(written, gateway.rate_limit.per_second), COUNT);
    let burst = check.integer(&key!(written, gateway.rate_limit.burst), COUNT);
    let user_per_second = check.integer(&key!(written, gateway.user_rate_limit.per_second), COUNT);
    let user_burst = check.integer(&key!(written, gateway.user_rate_limit.burst), COUNT);
    let streams_per_user = check.integer(&key!(written, gateway.live_streams.per_user), COUNT);
    let streams = check.integer(&key!(written, gateway.live_streams.per_process), COUNT);
    Some(Gateway {
        listen: listen?,
        request_timeout: request_timeout?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        body_limit: body_limit?,
        trusted_proxies: trusted_proxies?,
        rate_limit: RateLimit { per_second: per_second?, burst: burst? },
        user_rate_limit: RateLimit { per_second: user_per_second?, burst: user_burst? },
        live_streams: LiveStreams { per_user: streams_per_user?, per_process: streams? },
    })
}

fn peers(check: &mut Checker<'_>, written: Written<'_>) -> Option<Peers> {
    macro_rules! peers {
        ($($role:ident)+) => {
            [$((stringify!($role), check.text(&key!(written, peers.$role), peer)),)+]
        };
    }
    let addresses = peers! { accounts catalog orders payments kitchen delivery };
    let addresses = addresses
        .into_iter()
        .map(|(role, address)| Some((role, address?)))
        .collect::<Option<_>>()?;
    Some(Peers { addresses })
}

fn peer(text: &str) -> Result<String, String> {
    let authority = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or("does not begin with http:// or https://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let port_fits = match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address are inside brackets.
        Some((_, port)) if !port.ends_with(']') => port.parse::<u16>().is_ok(),
        _ => true,
    };
    let host_fits = !authority.is_empty()
        && !authority.starts_with(':')
        && !authority.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c));
    if host_fits && port_fits {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("is not a host and a port after the scheme".to_owned())
    }
}

fn auth(check: &mut Checker<'_>, written: Written<'_>) -> Option<Auth> {
    let workload_secret = check
        .secret(&key!(written, auth.workload_secret), &key!(written, auth.workload_secret_file));
    let key_encryption_secret = check.secret(
        &key!(written, auth.key_encryption_secret),
        &key!(written, auth.key_encryption_secret_file),
    );
    let access_token_ttl =
        check.duration(&key!(written, auth.access_token_ttl), 10 * SECOND..=HOUR);
    let refresh_token_ttl =
        check.duration(&key!(written, auth.refresh_token_ttl), MINUTE..=366 * DAY);
    let refresh_grace =
        check.duration(&key!(written, auth.refresh_grace), Duration::ZERO..=5 * MINUTE);
    let argon2_concurrency = check.integer(&key!(written, auth.argon2_concurrency), 1..=1_024);
    Some(Auth {
        workload_secret: workload_secret.ok()?,
        key_encryption_secret: key_encryption_secret.ok()?,
        access_token_ttl: access_token_ttl?,
        refresh_token_ttl: refresh_token_ttl?,
        refresh_grace: refresh_grace?,
        argon2_concurrency: argon2_concurrency?,
    })
}

fn orders(check: &mut Checker<'_>, written: Written<'_>) -> Option<Orders> {
    let accept_within = check.duration(&key!(written, orders.accept_within), SECOND..=DAY);
    let confirm_within = check.duration(&key!(written, orders.confirm_within), SECOND..=HOUR);
    let quote_ttl = check.duration(&key!(written, orders.quote_ttl), SECOND..=DAY);
    Some(Orders {
        accept_within: accept_within?,
        confirm_within: confirm_within?,
        quote_ttl: quote_ttl?,
    })
}

fn payments(check: &mut Checker<'_>, written: Written<'_>) -> Option<Payments> {
    let provider = check.choice(
        &key!(written, payments.provider),
        &[("sandbox", PaymentProvider::Sandbox), ("stripe", PaymentProvider::Stripe)],
    );
    let hold_time = check.duration(&key!(written, payments.hold_time), HOUR..=60 * DAY);
    let url = check.text(&key!(written, payments.stripe.url), stripe_url);
    // Two of these, and a second, fit in the deadline of a call.
    let timeout =
        check.duration(&key!(written, payments.stripe.timeout), 100 * MILLISECOND..=4 * SECOND);
    let secret_key = check.credential(
        &key!(written, payments.stripe.secret_key),
        &key!(written, payments.stripe.secret_key_file),
        &["sk_", "rk_"],
    );
    let webhook_secret = check.credential(
        &key!(written, payments.stripe.webhook_secret),
        &key!(written, payments.stripe.webhook_secret_file),
        &["whsec_"],
    );
    let (url, timeout) = (url?, timeout?);
    let stripe = match (secret_key.ok()?, webhook_secret.ok()?) {
        (Some(secret_key), Some(webhook_secret)) => {
            Some(Stripe { url, timeout, secret_key, webhook_secret })
        }
        // A rule between keys says which one is missing.
        _ => None,
    };
    Some(Payments { provider: provider?, hold_time: hold_time?, stripe })
}

/// Checks where Stripe answers: the secret key must not cross a network in the open.
fn stripe_url(text: &str) -> Result<String, String> {
    let url = peer(text)?;
    let host = url.strip_prefix("http://").map(|rest| match rest.rsplit_once(':') {
        Some((host, _)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => host,
        _ => rest,
    });
    match host {
        None | Some("localhost" | "127.0.0.1" | "[::1]") => Ok(url),
        Some(_) => Err("would send the secret key in the open: begin with https://".to_owned()),
    }
}

fn delivery(check: &mut Checker<'_>, written: Written<'_>) -> Option<Delivery> {
    let offer_timeout = check.duration(&key!(written, delivery.offer_timeout), SECOND..=HOUR);
    let assignment_retry =
        check.duration(&key!(written, delivery.assignment_retry), 100 * MILLISECOND..=HOUR);
    let batch_radius_m = check.integer(&key!(written, delivery.batch_radius_m), 0..=100_000);
    let proof = key!(written, delivery.proof_by_code);
    let max_capacity = check.integer(&key!(written, delivery.max_capacity), 1..=1_000);
    Some(Delivery {
        offer_timeout: offer_timeout?,
        assignment_retry: assignment_retry?,
        batch_radius_m: batch_radius_m?,
        proof_by_code: *proof.value()?,
        max_capacity: max_capacity?,
    })
}

fn audit(check: &mut Checker<'_>, written: Written<'_>) -> Option<Audit> {
    let record = check.choice(
        &key!(written, audit.record),
        &[("all", Recorded::All), ("privileged", Recorded::Privileged)],
    );
    let address = check.choice(
        &key!(written, audit.address),
        &[
            ("none", RecordedAddress::None),
            ("network", RecordedAddress::Network),
            ("full", RecordedAddress::Full),
        ],
    );
    let retention = check.duration(&key!(written, audit.retention), HOUR..=3660 * DAY);
    Some(Audit { record: record?, address: address?, retention: retention? })
}

fn log(check: &mut Checker<'_>, written: Written<'_>) -> Option<Log> {
    let format = check.choice(
        &key!(written, log.format),
        &[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
    );
    let level = check.text(&key!(written, log.level), level);
    Some(Log { format: format?, level: level? })
}

/// Checks a list of `level` and `target=level`.
fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',') {
        let (target, level) = directive.rsplit_once('=').unwrap_or(("all", directive));
        let target_fits = !target.is_empty()
            && target
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':' || b == b'-');
        if !target_fits || !LEVELS.contains(&level) {
            return Err(format!(
                "has {} in it, which is neither a level ({}) nor part=level",
                quote(directive),
                LEVELS.join(", ")
            ));
        }
    }
    Ok(text.to_owned())
}

fn shutdown(check: &mut Checker<'_>, written: Written<'_>) -> Option<Shutdown> {
    let not_ready_delay =
        check.duration(&key!(written, shutdown.not_ready_delay), Duration::ZERO..=5 * MINUTE);
    let drain_timeout =
        check.duration(&key!(written, shutdown.drain_timeout), Duration::ZERO..=HOUR);
    Some(Shutdown { not_ready_delay: not_ready_delay?, drain_timeout: drain_timeout? })
}

fn eventing(check: &mut Checker<'_>, written: Written<'_>) -> Option<Eventing> {
    let max_attempts = check.integer(&key!(written, eventing.max_attempts), 1..=1_000);
    let backoff_base = check.duration(&key!(written, eventing.backoff_base), MILLISECOND..=HOUR);
    let backoff_cap = check.duration(&key!(written, eventing.backoff_cap), MILLISECOND..=DAY);
    let sweep_interval =
        check.duration(&key!(written, eventing.sweep_interval), 10 * MILLISECOND..=HOUR);
    let call_timeout =
        check.duration(&key!(written, eventing.call_timeout), 10 * MILLISECOND..=5 * MINUTE);
    Some(Eventing {
        max_attempts: max_attempts?,
        backoff_base: backoff_base?,
        backoff_cap: backoff_cap?,
        sweep_interval: sweep_interval?,
        call_timeout: call_timeout?,
    })
}

fn limits(check: &mut Checker<'_>, written: Written<'_>) -> Option<Limits> {
    let concurrent_requests = check.integer(&key!(written, limits.concurrent_requests), COUNT);
    let grpc_message = check.size(&key!(written, limits.grpc_message), 16 * KIB..=256 * MIB);
    let connections = check.integer(&key!(written, limits.connections), COUNT);
    Some(Limits {
        concurrent_requests: concurrent_requests?,
        connections: connections?,
        grpc_message: grpc_message?,
    })
}
