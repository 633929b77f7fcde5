//! Tokens that are well made, but with another key, for another purpose, or too late.

use bistro_core::{Clock as _, SystemClock};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    bad_input::{decode, encode},
    people::Person,
    platform::{Platform, Topology, on_every_topology},
    rude::{Refusals, Rude, token},
};

on_every_topology!(tokens_of_another_key, tokens_for_another_purpose);

const REFUSED: Refusals = &[(401, "unauthenticated")];

/// `claims` with one of them changed.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut changed = claims.clone();
    changed[name] = value;
    changed
}

/// Whatever they say: with a key of one's own one may say anything. Nobody outside can try whether a
/// token for another audience is refused although the platform's own key has signed it, since only
/// accounts has that key; `crates/runtime/tests/tokens.rs` tries it.
async fn tokens_of_another_key(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let good = token(platform, &ada).await;
    let rude = Rude::new(platform);
    let whole = rude.with(format!("Bearer {good}")).read("/api/v1/me").await;
    assert_eq!(whole.status, 200, "{whole:?}");

    let parts: Vec<&str> = good.split('.').collect();
    let claims: Value = serde_json::from_slice(&decode(parts[1])).expect("claims");
    assert_eq!(claims["aud"], "bistro");
    // The head names the platform's own key, under which another one has signed.
    let foreign = SigningKey::from_bytes(&[9; 32]);
    for claims in [
        claims.clone(),
        with(&claims, "roles", json!(["customer", "admin"])),
        with(&claims, "exp", json!(4_102_444_800_i64)),
    ] {
        let said = format!("{}.{}", parts[0], encode(claims.to_string().as_bytes()));
        let signature = foreign.sign(said.as_bytes()).to_bytes();
        let forged = rude.with(format!("Bearer {said}.{}", encode(&signature)));
        for path in ["/api/v1/me", "/api/v1/restaurants", "/api/v1/users"] {
            forged.read(path).await.is_problem(REFUSED, &format!("{claims} for {path}"));
        }
    }
}

async fn tokens_for_another_purpose(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let secret = platform.workload_secret();
    let rude = Rude::new(platform);
    let signed = |claims: &Value| {
        let head = encode(json!({ "typ": "JWT", "alg": "HS256" }).to_string().as_bytes());
        let said = format!("{head}.{}", encode(claims.to_string().as_bytes()));
        let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key").chain_update(&said);
        rude.with(format!("Bearer {said}.{}", encode(&mac.finalize().into_bytes())))
    };
    let now = SystemClock.now().as_secs();
    let operator =
        json!({ "iss": "bistro", "aud": "bistro-workload", "sub": "operator", "exp": now + 600 });
    // Made as the platform makes them, and with its own secret.
    let whole = signed(&operator).read("/api/v1/users?limit=1").await;
    assert_eq!(whole.status, 200, "{whole:?}");
    for (name, value) in [
        ("aud", json!("bistro")),
        ("aud", Value::Null),
        ("iss", json!("somebody else")),
        ("sub", json!("somebody")),
        ("exp", json!(now - 1)),
        ("exp", Value::Null),
    ] {
        let reply = signed(&with(&operator, name, value.clone())).read("/api/v1/users").await;
        reply.is_problem(REFUSED, &format!("{name}: {value}"));
    }
}
