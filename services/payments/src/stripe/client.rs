//! Speaks Stripe's HTTP: forms in, JSON out, the secret key in a header that does not print.

use std::time::Duration;

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode};
use bistro_https::Connector;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use super::answers::{Reply, Trouble};

/// The version of Stripe's API that this program was written for.
const VERSION: HeaderValue = HeaderValue::from_static("2024-06-20");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(2);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Names and values to send.
#[derive(Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }
}

/// A client of Stripe's API.
pub(super) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    /// How long one answer is waited for.
    timeout: Duration,
}

impl Client {
    pub(super) fn new(url: &str, secret_key: &Secret, timeout: Duration) -> Result<Self, Error> {
        let text = format!("Bearer {}", secret_key.expose());
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| {
            let message = "payments.stripe.secret_key has characters that no header may have";
            Error::new(ErrorCode::InvalidArgument, message)
        })?;
        authorization.set_sensitive(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Connector::trusting_browsers(CONNECTING).map_err(Error::internal)?);
        Ok(Self { http, base: url.trim_end_matches('/').to_owned(), authorization, timeout })
    }

    /// Asks for `path`, under `key` if it is to be done once, and waits for the answer as long as is
    /// configured.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        form: Form,
        key: Option<&str>,
    ) -> Result<Reply, Trouble> {
        let unknown = |what: &str, cause: &dyn std::fmt::Display| {
            Trouble::Unknown(format!("Stripe {what}: {cause}"))
        };
        let encoded = serde_urlencoded::to_string(form.0)
            .map_err(|cause| unknown("cannot be asked", &cause))?;
        let (uri, body) = if method == Method::GET && !encoded.is_empty() {
            (format!("{}{path}?{encoded}", self.base), String::new())
        } else {
            (format!("{}{path}", self.base), encoded)
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header("stripe-version", VERSION);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, FORM);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|cause| unknown("cannot be asked", &cause))?;
        let answered = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|cause| unknown("did not answer", &cause))?;
            let status = response.status().as_u16();
            let repeated = response.headers().get("idempotent-replayed");
            let repeated = repeated.is_some_and(|value| value.as_bytes() == b"true");
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|cause| unknown("broke off", &cause))?.to_bytes();
            Reply::read(status, repeated, &body)
        };
        let late = |_| Err(Trouble::Unknown("Stripe did not answer in time".to_owned()));
        tokio::time::timeout(self.timeout, answered).await.unwrap_or_else(late)
    }
}
