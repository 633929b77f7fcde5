//! Which access tokens are believed, and what unknown and forged ones cost.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{ErrorCode, FixedClock, Id, Principal, Role, Timestamp};
use bistro_proto::accounts::v1::{
    ListKeysRequest, ListKeysResponse, PublicKey,
    accounts_server::{Accounts, AccountsServer},
};
use bistro_runtime::{AccessClaims, Authority, GrpcServer, Peers, TokenVerifier};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use prometheus::Registry;
use serde_json::{Value, json};
use tonic::{Request, Response, Status, service::Routes};

const LIFETIME: Duration = Duration::from_mins(10);
/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Accounts, as far as it tells its keys: key `n` is there once `keys` is more than `n`.
#[derive(Clone, Default)]
struct Keys {
    keys: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl Accounts for Keys {
    async fn list_keys(
        &self,
        _: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let keys = (0..self.keys.load(Ordering::SeqCst))
            .map(|number| PublicKey { kid: kid(number), ed25519: public(number).to_vec() });
        Ok(Response::new(ListKeysResponse { keys: keys.collect() }))
    }
}

fn seed(number: u32) -> [u8; 32] {
    [u8::try_from(number).unwrap() + 1; 32]
}

fn kid(number: u32) -> String {
    format!("key-{number}")
}

fn public(number: u32) -> [u8; 32] {
    SigningKey::from_bytes(&seed(number)).verifying_key().to_bytes()
}

struct Bench {
    keys: Keys,
    clock: Arc<FixedClock>,
    authority: Arc<Authority>,
    verifier: TokenVerifier,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let peers = Peers::new(Arc::clone(&authority));
        peers.local("accounts");
        let channel = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), channel, clock.clone());
        let keys = Keys::default();
        keys.keys.store(1, Ordering::SeqCst);
        let routes = Routes::new(AccountsServer::new(keys.clone()));
        let server =
            GrpcServer::new("accounts", routes, verifier.clone(), &Registry::new()).unwrap();
        peers.provide("accounts", server);
        Self { keys, clock, authority, verifier }
    }

    /// What a token of somebody's says now.
    fn claims(&self) -> Value {
        let now = bistro_core::Clock::now(&*self.clock);
        let user = Id::from_bits(1);
        let claims =
            AccessClaims::new(user, Id::from_bits(2), vec![Role::Customer], &[], now, LIFETIME);
        serde_json::to_value(claims).unwrap()
    }

    async fn check(&self, token: &str) -> Result<Principal, ErrorCode> {
        let header = format!("Bearer {token}");
        self.verifier.principal(Some(&header)).await.map_err(|error| error.code())
    }

    fn asked(&self) -> u32 {
        self.keys.asked.load(Ordering::SeqCst)
    }
}

/// `claims`, signed with key `number` under the name `kid`.
fn signed(number: u32, kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let key = EncodingKey::from_ed_der(&[PKCS8.as_slice(), &seed(number)].concat());
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[tokio::test]
async fn a_token_is_believed_until_it_expires() {
    let bench = Bench::new();
    let token = signed(0, &kid(0), &bench.claims());
    assert!(matches!(bench.check(&token).await, Ok(Principal::User { .. })));
    bench.clock.advance(LIFETIME);
    assert_eq!(bench.check(&token).await, Err(ErrorCode::Unauthenticated));
    // The same when it was never seen while it was good.
    let fresh = Bench::new();
    fresh.clock.advance(LIFETIME);
    assert_eq!(fresh.check(&token).await, Err(ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn what_is_not_signed_by_us_for_us_is_refused() {
    let bench = Bench::new();
    let claims = bench.claims();
    let good = signed(0, &kid(0), &claims);
    let base64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let parts: Vec<&str> = good.split('.').collect();
    // The public key is no secret: as the key of a symmetric algorithm it must be worth nothing.
    let confused = |kid: Option<String>| {
        let header = Header { kid, ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&public(0))).unwrap()
    };
    let none = |alg: &str| {
        let header = base64(&json!({ "alg": alg, "typ": "JWT", "kid": kid(0) }));
        format!("{header}.{}.", base64(&claims))
    };
    let altered = base64(&with(claims.clone(), "roles", json!(["admin"])));
    let forged = [
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg none with a signature", format!("{}{}", none("none"), parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another's signature", signed(1, &kid(0), &claims)),
        ("an unknown key", signed(1, &kid(1), &claims)),
        ("a symmetric algorithm", confused(None)),
        ("a symmetric algorithm under a key's name", confused(Some(kid(0)))),
        ("altered claims", format!("{}.{altered}.{}", parts[0], parts[2])),
        ("another audience", signed(0, &kid(0), &with(claims.clone(), "aud", json!("others")))),
        (
            "the audience of roles",
            signed(0, &kid(0), &with(claims.clone(), "aud", json!("bistro-workload"))),
        ),
        ("another issuer", signed(0, &kid(0), &with(claims.clone(), "iss", json!("others")))),
        ("no audience", signed(0, &kid(0), &without(claims.clone(), "aud"))),
        ("no end", signed(0, &kid(0), &without(claims.clone(), "exp"))),
        ("nobody", signed(0, &kid(0), &with(claims.clone(), "sub", json!("usr_1")))),
        ("rubbish", "rubbish".to_owned()),
        ("dots", "..".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in forged {
        assert_eq!(bench.check(&token).await, Err(ErrorCode::Unauthenticated), "{what}");
    }
    let secret = Authority::new(&[1; 32], bench.clock.clone());
    let other = secret.operator_token().unwrap();
    assert_eq!(bench.check(&other).await, Err(ErrorCode::Unauthenticated));
    let operator = bench.authority.operator_token().unwrap();
    assert_eq!(bench.check(&operator).await, Ok(Principal::Operator));
    assert!(bench.check(&good).await.is_ok());
}

#[tokio::test]
async fn a_new_key_is_learnt_at_once_also_after_others_and_forged_ones() {
    let bench = Bench::new();
    let claims = bench.claims();
    bench.check(&signed(0, &kid(0), &claims)).await.unwrap();
    // Keys that are rotated one after the other, with no time between.
    for number in 1..4 {
        let forged = signed(9, &format!("forged-{number}"), &claims);
        assert_eq!(bench.check(&forged).await, Err(ErrorCode::Unauthenticated));
        bench.keys.keys.store(number + 1, Ordering::SeqCst);
        assert!(bench.check(&signed(number, &kid(number), &claims)).await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn a_storm_of_forged_keys_makes_few_fetches_and_delays_a_new_key_by_seconds() {
    let bench = Bench::new();
    let claims = bench.claims();
    let known = signed(0, &kid(0), &claims);
    bench.check(&known).await.unwrap();
    for number in 0..1000 {
        let forged = signed(9, &format!("forged-{number}"), &claims);
        assert_eq!(bench.check(&forged).await, Err(ErrorCode::Unauthenticated));
    }
    assert!(bench.asked() <= 8, "{} fetches", bench.asked());
    assert!(bench.check(&known).await.is_ok(), "who has a known key does not notice");
    bench.keys.keys.store(2, Ordering::SeqCst);
    bench.clock.advance(Duration::from_secs(2));
    // Whoever asks next brings the new key with it.
    let forged = signed(9, "forged again", &claims);
    assert_eq!(bench.check(&forged).await, Err(ErrorCode::Unauthenticated));
    assert!(bench.check(&signed(1, &kid(1), &claims)).await.is_ok());
    assert!(bench.asked() <= 9, "{} fetches", bench.asked());
}
