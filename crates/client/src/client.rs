//! Requests over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{Answer, ClientError, Problem};

/// How long one request may take, beyond what it asks the platform to wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A client of one platform. Clones share connections.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<HeaderValue>,
    http: Http<HttpConnector, Full<Bytes>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    key: Option<String>,
    if_match: Option<String>,
    wait: Option<u32>,
    last_event_id: Option<i64>,
}

impl Request {
    /// Reads `path`, which begins with `/api/`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), None)
    }

    /// Posts `body` to `path` under the idempotency key `key`.
    pub fn post(path: impl Into<String>, key: impl Into<String>, body: &Value) -> Self {
        Self { key: Some(key.into()), ..Self::new(Method::POST, path.into(), Some(body)) }
    }

    /// Puts `body` at `path`.
    pub fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PUT, path.into(), Some(body))
    }

    /// Removes what is at `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), None)
    }

    fn new(method: Method, path: String, body: Option<&Value>) -> Self {
        let body = body.map(|body| body.to_string().into_bytes());
        let (key, if_match, wait, last_event_id) = (None, None, None, None);
        Self { method, path, body, key, if_match, wait, last_event_id }
    }

    /// Only if the thing is still at `version`.
    #[must_use]
    pub fn if_match(mut self, version: impl ToString) -> Self {
        self.if_match = Some(version.to_string());
        self
    }

    /// Asks a stream to begin after the event `seen`.
    #[must_use]
    pub fn last_event_id(mut self, seen: i64) -> Self {
        self.last_event_id = Some(seen);
        self
    }

    /// Asks the platform to answer only when there is an outcome, or after `seconds`.
    #[must_use]
    pub fn prefer_wait(mut self, seconds: u32) -> Self {
        self.wait = Some(seconds);
        self
    }
}

/// How long to insist, and what it took.
#[derive(Clone, Copy, Debug)]
pub struct Insistence {
    /// When to give up.
    pub until: Instant,
    /// Tries beyond the first, added up.
    pub retries: u64,
}

impl Insistence {
    /// Insists for `patience` from now on.
    #[must_use]
    pub fn lasting(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, retries: 0 }
    }
}

impl Client {
    /// A client of the platform at `url` (`http://host:port`), who is nobody in particular.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refuse = |why: &str| {
            Err(ClientError::Unsendable(format!(
                "{url:?} {why}; write it like http://localhost:8080"
            )))
        };
        let Ok(uri) = url.parse::<Uri>() else { return refuse("is not a URL") };
        match uri.scheme_str() {
            Some("http") if uri.host().is_some() => {}
            Some("https") => {
                return refuse("needs TLS, which this client leaves to a proxy beside it");
            }
            _ => return refuse("is not a URL of HTTP"),
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(512)
            .build(connector);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), token: None, http })
    }

    /// The same client, speaking for the holder of `token`.
    pub fn with_token(&self, token: &str) -> Result<Self, ClientError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
                ClientError::Unsendable("the token holds characters that no token has".to_owned())
            })?;
        value.set_sensitive(true);
        Ok(Self { token: Some(value), ..self.clone() })
    }

    /// Makes one request.
    pub async fn send(&self, request: &Request) -> Result<Answer, ClientError> {
        let timeout = REQUEST_TIMEOUT + Duration::from_secs(request.wait.unwrap_or(0).into());
        let exchange = async {
            let response = self.open(request, "application/json").await?;
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.map_err(|source| self.no_answer(source))?.to_bytes();
            Ok((parts, bytes))
        };
        let (parts, bytes) = match tokio::time::timeout(timeout, exchange).await {
            Ok(exchanged) => exchanged?,
            Err(late) => return Err(self.no_answer(late)),
        };
        let header =
            |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if !parts.status.is_success() {
            return Err(problem(parts.status, header(header::RETRY_AFTER), &bytes));
        }
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|source| ClientError::Unreadable { source })?
        };
        let etag = header(header::ETAG).map(|tag| tag.trim_matches('"').to_owned());
        Ok(Answer { status: parts.status, etag, body })
    }

    /// Makes the same request until it is answered, or until `insistence` ends.
    pub async fn insist(
        &self,
        request: &Request,
        insistence: &mut Insistence,
    ) -> Result<Answer, ClientError> {
        let mut pause = PAUSES.0;
        loop {
            let error = match self.send(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => error,
            };
            let wished = match &error {
                ClientError::Problem { retry_after, .. } => *retry_after,
                _ => None,
            };
            let wait = wished.unwrap_or(pause);
            if Instant::now() + wait >= insistence.until {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
            insistence.retries += 1;
        }
    }

    /// Begins a request whose answer is a stream.
    pub(crate) async fn open(
        &self,
        request: &Request,
        accept: &'static str,
    ) -> Result<hyper::Response<Incoming>, ClientError> {
        let mut built = hyper::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.base, request.path))
            .header(header::ACCEPT, accept);
        if let Some(token) = &self.token {
            built = built.header(header::AUTHORIZATION, token);
        }
        if let Some(key) = &request.key {
            built = built.header("idempotency-key", key);
        }
        if let Some(version) = &request.if_match {
            built = built.header(header::IF_MATCH, format!("\"{version}\""));
        }
        if let Some(seen) = request.last_event_id {
            built = built.header("last-event-id", seen);
        }
        if let Some(seconds) = request.wait {
            built = built.header("prefer", format!("wait={seconds}"));
        }
        if request.body.is_some() {
            built = built.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::from(request.body.clone().unwrap_or_default());
        let built = built.body(body).map_err(|error| {
            ClientError::Unsendable(format!("{} cannot be sent: {error}", request.path))
        })?;
        self.http.request(built).await.map_err(|source| self.no_answer(source))
    }

    pub(crate) fn no_answer(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ClientError {
        ClientError::NoAnswer { url: self.base.clone(), source: source.into() }
    }
}

pub(crate) fn problem(status: StatusCode, retry_after: Option<&str>, body: &[u8]) -> ClientError {
    let mut problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.status = status.as_u16();
    if problem.code.is_empty() {
        "unknown".clone_into(&mut problem.code);
        problem.detail = format!("the server answered {status}");
    }
    let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    ClientError::Problem { problem, retry_after }
}
