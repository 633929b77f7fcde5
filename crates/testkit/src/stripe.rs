//! A stand-in for Stripe: speaks its HTTP on this machine, and fails as it is told.
//!
//! What it keeps, and what that does, is `account`'s.
//!
//! | card | what it does |
//! |---|---|
//! | `pm_card_visa` | approves everything |
//! | `pm_card_chargeDeclined` | declines: `generic_decline` |
//! | `pm_card_insufficient` | declines: `insufficient_funds` |
//! | `pm_visa_…` | approves everything |
//! | `pm_processing…` | takes its time until [`StripeStandIn::finish`] |
//! | `pm_refund_fails…` | approves; refunds fail |
//! | `pm_refund_waits…` | approves; refunds are pending until [`StripeStandIn::answer_refunds`] |
//!
//! Any other card is a `resource_missing`. Those that begin with `pm_card_` are taken as often as one
//! likes. As at Stripe, any other is taken once, unless it has become a Customer's.

mod account;

use std::{
    collections::VecDeque, convert::Infallible, fmt::Write as _, net::SocketAddr, sync::Arc,
    time::Duration,
};

use anyhow::Result;
use bistro_core::Timestamp;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinSet};

use self::account::{Account, Said, error};
pub use self::account::{Intent, Refund};

/// What goes wrong with a command, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeFault {
    /// It is done, and the connection is closed without an answer.
    LoseAnswer,
    /// It is done, and never answered.
    Hang,
    /// It is not done, and answered with this status.
    Refuse(u16),
}

/// A message as Stripe sends it.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its body.
    pub body: Vec<u8>,
    /// Its header `Stripe-Signature`.
    pub signature: String,
}

#[derive(Default)]
struct State {
    account: Account,
    faults: VecDeque<StripeFault>,
    commands: Vec<String>,
    slowness: Duration,
}

/// The stand-in. Dropping it ends it.
pub struct StripeStandIn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl StripeStandIn {
    /// The secret key that it takes.
    pub const SECRET_KEY: &'static str = "sk_test_stand_in";
    /// What it signs its messages with.
    pub const WEBHOOK_SECRET: &'static str = "whsec_stand_in";

    /// Starts on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, _server: server })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has the next commands fail, one fault each; but not the making of Customers.
    pub fn fail(&self, faults: &[StripeFault]) {
        self.state.lock().faults.extend(faults);
    }

    /// Forgets the faults that are left.
    pub fn recover(&self) {
        self.state.lock().faults.clear();
    }

    /// Takes this long for each answer.
    pub fn slow_down(&self, slowness: Duration) {
        self.state.lock().slowness = slowness;
    }

    /// Whether its search does not find anything yet.
    pub fn lag(&self, lags: bool) {
        self.state.lock().account.search_lags = lags;
    }

    /// Lets time pass: keys are forgotten after a day, and holds lapse after a week.
    pub fn pass(&self, time: Duration) {
        self.state.lock().account.pass(time);
    }

    /// Forgets every key.
    pub fn forget_keys(&self) {
        self.state.lock().account.forget_keys();
    }

    /// Every intent, in the order of their making.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.state.lock().account.intents.values().cloned().collect()
    }

    /// Every refund, in the order of their making.
    #[must_use]
    pub fn refunds(&self) -> Vec<Refund> {
        self.state.lock().account.refunds.values().cloned().collect()
    }

    /// Every command that it was sent: its path.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().commands.clone()
    }

    /// Ends the processing of an intent: its card approves.
    pub fn finish(&self, id: &str) {
        self.change(id, |intent| intent.status = "requires_capture");
    }

    /// Ends the processing of an intent: its card declines.
    pub fn decline(&self, id: &str) {
        self.change(id, Intent::decline);
    }

    /// Cancels an intent as Stripe does by itself, some days after it was authorized.
    pub fn lapse(&self, id: &str) {
        self.change(id, |intent| intent.status = "canceled");
    }

    /// Ends the waiting of every refund that is pending: the money goes back, or it fails.
    pub fn answer_refunds(&self, good: bool) {
        self.state.lock().account.answer_refunds(good);
    }

    /// Has a refund fail that had succeeded, as when the bank finds the account closed.
    pub fn return_refund(&self, id: &str) {
        self.state.lock().account.return_refund(id);
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Intent)) {
        if let Some(intent) = self.state.lock().account.intents.get_mut(id) {
            change(intent);
        }
    }

    /// The message `event` of `kind` about an intent or a refund, signed at `at`.
    pub fn webhook(&self, event: &str, kind: &str, id: &str, at: Timestamp) -> Result<Webhook> {
        let object = self.state.lock().account.object(id);
        let body = json!({ "id": event, "object": "event", "type": kind,
            "data": { "object": object } });
        Self::sign(Self::WEBHOOK_SECRET, body.to_string().into_bytes(), at)
    }

    /// `body` signed with `secret` at `at`, as Stripe signs.
    pub fn sign(secret: &str, body: Vec<u8>, at: Timestamp) -> Result<Webhook> {
        let seconds = at.as_secs();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(&body);
        let bytes = mac.finalize().into_bytes();
        let signature = bytes.iter().fold(format!("t={seconds},v1="), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Webhook { body, signature })
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // One that breaks off is what a test wanted, or the end of one.
            let _ = connection.await;
        });
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct Lost;

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Lost> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    if header(header::AUTHORIZATION.as_str()) != format!("Bearer {}", StripeStandIn::SECRET_KEY) {
        return Ok(written((401, error("invalid_request_error", "api_key_invalid")), false));
    }
    let slowness = state.lock().slowness;
    if !slowness.is_zero() {
        tokio::time::sleep(slowness).await;
    }
    let path = parts.uri.path().to_owned();
    if parts.method == Method::GET {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        return Ok(written(state.lock().account.read(&path, query), false));
    }
    let fault = {
        let mut state = state.lock();
        state.commands.push(path.clone());
        if path == account::CUSTOMERS { None } else { state.faults.pop_front() }
    };
    if let Some(StripeFault::Refuse(status)) = fault {
        return Ok(written((status, error("api_error", "told_to")), false));
    }
    let key = header("idempotency-key");
    let (said, repeated) = state.lock().account.command(&path, &body, &key);
    match fault {
        Some(StripeFault::LoseAnswer) => Err(Lost),
        Some(StripeFault::Hang) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        _ => Ok(written(said, repeated)),
    }
}

fn written((status, body): Said, repeated: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    if repeated {
        let yes = http::HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", yes);
    }
    response
}
