//! A stand-in for Stripe: speaks its HTTP on this machine, keeps intents, and fails as it is told.
//!
//! | card | what it does |
//! |---|---|
//! | `pm_card_visa` | approves everything |
//! | `pm_card_chargeDeclined` | declines: `generic_decline` |
//! | `pm_card_insufficient` | declines: `insufficient_funds` |
//! | `pm_processing` | takes its time until [`StripeStandIn::finish`] |
//! | `pm_refund_fails` | approves; refunds fail |
//!
//! Any other card is a `resource_missing`.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    sync::Arc,
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
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinSet};

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

/// A PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub id: String,
    /// The key in its metadata.
    pub key: String,
    /// In Stripe's units.
    pub amount: i64,
    /// Stripe's word for where it stands.
    pub status: &'static str,
    /// What was given back of it.
    pub refunded: i64,
    method: String,
    decline: &'static str,
}

/// A message as Stripe sends it.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its body.
    pub body: Vec<u8>,
    /// Its header `Stripe-Signature`.
    pub signature: String,
}

/// What was answered to a command the first time.
struct Remembered {
    asked: String,
    status: u16,
    body: Value,
}

#[derive(Default)]
struct State {
    intents: BTreeMap<String, Intent>,
    refunds: BTreeMap<String, Value>,
    remembered: BTreeMap<String, Remembered>,
    faults: VecDeque<StripeFault>,
    commands: Vec<String>,
    search_lags: bool,
}

/// The stand-in. Dropping it ends it.
pub struct StripeStandIn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

type Form = BTreeMap<String, String>;
type Said = (u16, Value);

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

    /// Has the next commands fail, one fault each.
    pub fn fail(&self, faults: &[StripeFault]) {
        self.state.lock().faults.extend(faults);
    }

    /// Whether its search does not find anything yet.
    pub fn lag(&self, lags: bool) {
        self.state.lock().search_lags = lags;
    }

    /// Every intent, in the order of their making.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.state.lock().intents.values().cloned().collect()
    }

    /// Every command that it was sent: method and path.
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
        self.change(id, |intent| {
            intent.status = "requires_payment_method";
            intent.decline = "do_not_honor";
        });
    }

    /// Cancels an intent as Stripe does by itself, some days after it was authorized.
    pub fn lapse(&self, id: &str) {
        self.change(id, |intent| intent.status = "canceled");
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Intent)) {
        if let Some(intent) = self.state.lock().intents.get_mut(id) {
            change(intent);
        }
    }

    /// The message `event` of `kind` about an intent, signed at `at`.
    pub fn webhook(&self, event: &str, kind: &str, intent: &str, at: Timestamp) -> Result<Webhook> {
        let object = self.state.lock().intents.get(intent).map(shown);
        let body = json!({ "id": event, "object": "event", "type": kind,
            "data": { "object": object } });
        sign(Self::WEBHOOK_SECRET, body.to_string().into_bytes(), at)
    }
}

/// `body` signed with `secret` at `at`, as Stripe signs.
fn sign(secret: &str, body: Vec<u8>, at: Timestamp) -> Result<Webhook> {
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
    let path = parts.uri.path().to_owned();
    if parts.method == Method::GET {
        let query = form(parts.uri.query().unwrap_or_default().as_bytes());
        return Ok(written(state.lock().read(&path, &query), false));
    }
    let fault = {
        let mut state = state.lock();
        state.commands.push(path.clone());
        state.faults.pop_front()
    };
    if let Some(StripeFault::Refuse(status)) = fault {
        return Ok(written((status, error("api_error", "told_to")), false));
    }
    let (said, repeated) = state.lock().command(&path, &body, &header("idempotency-key"));
    match fault {
        Some(StripeFault::LoseAnswer) => Err(Lost),
        Some(StripeFault::Hang) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        _ => Ok(written(said, repeated)),
    }
}

fn form(bytes: &[u8]) -> Form {
    serde_urlencoded::from_bytes(bytes).unwrap_or_default()
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

fn error(kind: &str, code: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": "as a person would read it" } })
}

fn missing() -> Said {
    (404, error("invalid_request_error", "resource_missing"))
}

fn shown(intent: &Intent) -> Value {
    let failure = (!intent.decline.is_empty())
        .then(|| json!({ "code": "card_declined", "decline_code": intent.decline }));
    json!({
        "id": intent.id, "object": "payment_intent", "amount": intent.amount,
        "status": intent.status, "metadata": { "bistro_key": intent.key },
        "last_payment_error": failure,
    })
}

impl State {
    fn read(&self, path: &str, query: &Form) -> Said {
        if path == "/v1/payment_intents/search" {
            let wanted = query.get("query").map_or("", String::as_str);
            let wanted = wanted.split('\'').rev().nth(1).unwrap_or_default();
            let found = self.intents.values().filter(|one| one.key == wanted && !self.search_lags);
            return (
                200,
                json!({ "object": "search_result",
                "data": found.map(shown).collect::<Vec<_>>() }),
            );
        }
        let found = if let Some(id) = path.strip_prefix("/v1/payment_intents/") {
            self.intents.get(id).map(shown)
        } else {
            path.strip_prefix("/v1/refunds/").and_then(|id| self.refunds.get(id).cloned())
        };
        found.map_or_else(missing, |found| (200, found))
    }

    /// Does a command once for each key, and says whether it was done before.
    fn command(&mut self, path: &str, body: &[u8], key: &str) -> (Said, bool) {
        let asked = format!("{path} {}", String::from_utf8_lossy(body));
        if let Some(first) = self.remembered.get(key) {
            if first.asked != asked {
                return ((400, error("idempotency_error", "idempotency_key_in_use")), false);
            }
            return ((first.status, first.body.clone()), true);
        }
        let (status, body) = self.perform(path, &form(body));
        if !key.is_empty() {
            let remembered = Remembered { asked, status, body: body.clone() };
            self.remembered.insert(key.to_owned(), remembered);
        }
        ((status, body), false)
    }

    fn perform(&mut self, path: &str, form: &Form) -> Said {
        match path {
            "/v1/payment_intents" => return self.create(form),
            "/v1/refunds" => return self.refund(form),
            _ => {}
        }
        let rest = path.strip_prefix("/v1/payment_intents/").unwrap_or_default();
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(intent) = self.intents.get_mut(id) else { return missing() };
        let amount = form.get("amount_to_capture").and_then(|text| text.parse().ok());
        let is_over = matches!(intent.status, "processing" | "succeeded" | "canceled");
        intent.status = match (what, intent.status) {
            ("capture", "requires_capture") if amount == Some(intent.amount) => "succeeded",
            ("cancel", _) if !is_over => "canceled",
            _ => return (400, error("invalid_request_error", "payment_intent_unexpected_state")),
        };
        (200, shown(intent))
    }

    fn create(&mut self, form: &Form) -> Said {
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        let Some(amount) = text("amount").parse().ok().filter(|amount| *amount >= 30) else {
            return (400, error("invalid_request_error", "amount_too_small"));
        };
        let method = text("payment_method");
        let (status, decline) = match (text("confirm").as_str(), method.as_str()) {
            ("true", "pm_card_visa" | "pm_refund_fails") => ("requires_capture", ""),
            ("true", "pm_card_chargeDeclined") => ("requires_payment_method", "generic_decline"),
            ("true", "pm_card_insufficient") => ("requires_payment_method", "insufficient_funds"),
            ("true", "pm_processing") => ("processing", ""),
            ("true", _) => return (400, error("invalid_request_error", "resource_missing")),
            _ => ("requires_payment_method", ""),
        };
        let id = format!("pi_{:06}", self.intents.len() + 1);
        let key = text("metadata[bistro_key]");
        let intent = Intent { id, key, amount, status, refunded: 0, method, decline };
        let said = if decline.is_empty() {
            (200, shown(&intent))
        } else {
            let mut said = error("card_error", "card_declined");
            said["error"]["decline_code"] = decline.into();
            said["error"]["payment_intent"] = shown(&intent);
            (402, said)
        };
        self.intents.insert(intent.id.clone(), intent);
        said
    }

    fn refund(&mut self, form: &Form) -> Said {
        let id = form.get("payment_intent").map_or("", String::as_str);
        let amount = form.get("amount").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let Some(intent) = self.intents.get_mut(id) else { return missing() };
        if intent.status != "succeeded" || amount < 1 || intent.refunded + amount > intent.amount {
            return (400, error("invalid_request_error", "charge_already_refunded"));
        }
        let id = format!("re_{:06}", self.refunds.len() + 1);
        let refund = |status: &str, reason: Option<&str>| {
            json!({ "id": id, "object": "refund", "amount": amount, "status": status,
                "failure_reason": reason })
        };
        // It is answered before the bank has been asked; asked again by its id, it says more.
        let (first, then) = if intent.method == "pm_refund_fails" {
            (refund("pending", None), refund("failed", Some("lost_or_stolen_card")))
        } else {
            intent.refunded += amount;
            (refund("pending", None), refund("succeeded", None))
        };
        self.refunds.insert(id.clone(), then);
        (200, first)
    }
}
