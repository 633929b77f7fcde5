//! The rules between keys. Each looks at single keys that are right by themselves, so that a
//! mistake elsewhere does not hide one here.

use std::{net::SocketAddr, time::Duration};

use crate::{
    check::{Checker, Key},
    secret::SecretUrl,
    shape::quote,
    units::{format_duration, parse_duration},
    validate::{BUS_SCHEMES, Engine, STORE_SCHEMES, Written, key, parse_engine},
};

/// Applies them all for a process that runs `roles`, noting mistakes in `check`.
pub(crate) fn between_keys(check: &mut Checker<'_>, written: Written<'_>, roles: &[&str]) {
    engines(check, written, roles);
    listeners(check, written);
    stripe(check, written, roles);

    let least = key!(written, store_options.min_pool_size);
    let most = key!(written, store_options.max_pool_size);
    if let (Some(minimum), Some(maximum)) = (least.value(), most.value())
        && minimum > maximum
    {
        check.wrong(
            least.path,
            format!("{minimum} is more than {} ({maximum})", most.path),
            *maximum,
        );
    }
    longer(
        check,
        &key!(written, eventing.backoff_cap),
        &key!(written, eventing.backoff_base),
        Duration::ZERO,
        "the longest wait cannot be shorter than the first",
    );
    longer(
        check,
        &key!(written, auth.refresh_token_ttl),
        &key!(written, auth.access_token_ttl),
        Duration::from_millis(1),
        "a session must outlive its access token",
    );
    longer(
        check,
        &key!(written, catalog.reservation_ttl),
        &key!(written, orders.confirm_within),
        Duration::from_millis(1),
        "stock must stay reserved while its order is being confirmed",
    );
}

/// `long` must be longer than `short` by `margin` or more.
fn longer(
    check: &mut Checker<'_>,
    long: &Key<'_, String>,
    short: &Key<'_, String>,
    margin: Duration,
    why: &str,
) {
    let read = |key: &Key<'_, String>| parse_duration(key.value()?).ok();
    let (Some(longer), Some(shorter)) = (read(long), read(short)) else {
        return;
    };
    if longer < shorter.saturating_add(margin) {
        check.wrong(
            long.path,
            format!(
                "{} is too short beside {} ({}): {why}",
                format_duration(longer),
                short.path,
                format_duration(shorter)
            ),
            format_duration(shorter.saturating_mul(2)),
        );
    }
}

/// The embedded engines go together, and so do MongoDB and RabbitMQ. Many processes on MongoDB
/// know each other by one secret; accounts encrypts its stored keys by another, which no other role
/// should be given.
fn engines(check: &mut Checker<'_>, written: Written<'_>, roles: &[&str]) {
    let read = |key: Key<'_, SecretUrl>, schemes| parse_engine(key.value()?, schemes).ok();
    let store = read(key!(written, store), STORE_SCHEMES);
    let bus = read(key!(written, bus), BUS_SCHEMES);
    let secret = written.given.auth.workload_secret.is_some()
        || written.given.auth.workload_secret_file.is_some();
    if let (Some(Engine::At(_)), false) = (&store, secret) {
        check.wrong_beside(
            "auth.workload_secret_file",
            "store",
            "is needed with MongoDB, where every process must hold the same secret",
            "/run/secrets/bistro/workload",
        );
    }
    let secret = written.given.auth.key_encryption_secret.is_some()
        || written.given.auth.key_encryption_secret_file.is_some();
    if let (Some(Engine::At(_)), false, true) = (&store, secret, roles.contains(&"accounts")) {
        check.wrong_beside(
            "auth.key_encryption_secret_file",
            "store",
            "is needed to run accounts on MongoDB, to encrypt the stored signing keys",
            "/run/secrets/bistro/key-encryption",
        );
    }
    match (store, bus) {
        (Some(Engine::At(mongodb)), Some(Engine::Embedded)) => check.wrong_beside(
            "bus",
            "store",
            format!(
                "is embedded, but store is {}: MongoDB goes with RabbitMQ, and embedded with \
                 embedded",
                quote(mongodb.expose())
            ),
            "amqp://rabbitmq:5672",
        ),
        (Some(Engine::Embedded), Some(Engine::At(amqp))) => check.wrong_beside(
            "store",
            "bus",
            format!(
                "is embedded, but bus is {}: RabbitMQ goes with MongoDB, and embedded with \
                 embedded",
                quote(amqp.expose())
            ),
            "mongodb://mongodb:27017/?replicaSet=rs0",
        ),
        _ => {}
    }
}

/// Where payments runs and Stripe charges the cards, both of its secrets are needed; one without
/// the other is of no use anywhere.
fn stripe(check: &mut Checker<'_>, written: Written<'_>, roles: &[&str]) {
    let given = &written.given.payments.stripe;
    let key = given.secret_key.is_some() || given.secret_key_file.is_some();
    let webhook = given.webhook_secret.is_some() || given.webhook_secret_file.is_some();
    let chosen = written.given.payments.provider.as_deref() == Some("stripe");
    let needed = key || webhook || (chosen && roles.contains(&"payments"));
    let beside = if chosen {
        "payments.provider"
    } else if given.secret_key.is_some() {
        "payments.stripe.secret_key"
    } else if key {
        "payments.stripe.secret_key_file"
    } else if given.webhook_secret.is_some() {
        "payments.stripe.webhook_secret"
    } else {
        "payments.stripe.webhook_secret_file"
    };
    if needed && !key {
        check.wrong_beside(
            "payments.stripe.secret_key_file",
            beside,
            "is needed to charge cards by Stripe",
            "/run/secrets/bistro/stripe-secret-key",
        );
    }
    if needed && !webhook {
        check.wrong_beside(
            "payments.stripe.webhook_secret_file",
            beside,
            "is needed with Stripe, to know its messages from forged ones",
            "/run/secrets/bistro/stripe-webhook-secret",
        );
    }
}

/// Two listeners cannot share an address and port; port 0 is a free one each time.
fn listeners(check: &mut Checker<'_>, written: Written<'_>) {
    let listeners = [
        (key!(written, gateway.listen), 8080),
        (key!(written, grpc.listen), 50051),
        (key!(written, admin.listen), 9090),
    ];
    let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
    for (key, usual_port) in listeners {
        let Some(address) = key.value().and_then(|text| text.parse::<SocketAddr>().ok()) else {
            continue;
        };
        let clash = taken.iter().find(|(other, _)| {
            address.port() != 0
                && address.port() == other.port()
                && (address.ip() == other.ip()
                    || address.ip().is_unspecified()
                    || other.ip().is_unspecified())
        });
        if let Some((_, other)) = clash {
            let free = |port: &u16| taken.iter().all(|(address, _)| address.port() != *port);
            let port = (usual_port..=u16::MAX).find(free).unwrap_or(0);
            check.wrong(
                key.path,
                format!("{address} is taken by {other}"),
                SocketAddr::new(address.ip(), port).to_string(),
            );
        }
        taken.push((address, key.path));
    }
}
