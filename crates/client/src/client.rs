//! Requests over HTTP.

use std::time::Duration;

use bistro_https::Connector;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client as Http,
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{Answer, ClientError, Problem};

/// How long one request may take, beyond what it asks the platform to wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks whether there is somebody to connect to by now.
const LOOK: Duration = Duration::from_millis(250);
/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A client of one platform. Clones share connections.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<HeaderValue>,
    /// How long [`Client::insist`] bears that there is nobody to connect to.
    connecting: Option<Duration>,
    http: Http<Connector, Full<Bytes>>,
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
    /// A client of the platform at `url` (`http://host:port` or `https://host`), who is nobody in
    /// particular. Over TLS it believes the certificate authorities that this machine believes.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refuse = |why: &str| {
            Err(ClientError::Unsendable(format!(
                "{url:?} {why}; write it like http://localhost:8080"
            )))
        };
        let Ok(uri) = url.parse::<Uri>() else { return refuse("is not a URL") };
        let connector = match uri.scheme_str() {
            Some("http") if uri.host().is_some() => Connector::plain(CONNECT_TIMEOUT),
            Some("https") if uri.host().is_some() => {
                Connector::trusting_the_machine(CONNECT_TIMEOUT)
                    .map_err(|cause| ClientError::Unsendable(cause.to_string()))?
            }
            _ => return refuse("is not a URL of HTTP"),
        };
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(512)
            .build(connector);
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { base, token: None, connecting: None, http })
    }

    /// Where the platform answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The same client, which gives up insisting when there has been nobody to connect to for
    /// `patience`; with none it insists on, as on anything else.
    #[must_use]
    pub fn connecting_within(self, patience: Option<Duration>) -> Self {
        Self { connecting: patience, ..self }
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

    /// Makes the same request until it is answered, or until `insistence` ends. While there is nobody
    /// to connect to, what [`Client::connecting_within`] said counts instead.
    pub async fn insist(
        &self,
        request: &Request,
        insistence: &mut Insistence,
    ) -> Result<Answer, ClientError> {
        let mut pause = PAUSES.0;
        let mut nobody_since = None;
        loop {
            let tried = Instant::now();
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
            if !error.is_unreachable() {
                nobody_since = None;
            } else if let Some(patience) = self.connecting {
                if nobody_since.get_or_insert(tried).elapsed() + LOOK > patience {
                    return Err(error);
                }
                tokio::time::sleep(LOOK).await;
                insistence.retries += 1;
                continue;
            }
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A port on which nobody listens.
    async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    #[test]
    fn a_url_is_one_of_http() {
        for wrong in ["", "localhost:8080", "ftp://example.org", "http://", "https:///"] {
            let refused = Client::new(wrong).err();
            assert!(matches!(refused, Some(ClientError::Unsendable(_))), "{wrong}: {refused:?}");
        }
        assert_eq!(Client::new("http://localhost:8080/").unwrap().url(), "http://localhost:8080");
    }

    #[tokio::test]
    async fn nobody_to_connect_to_is_borne_no_longer_than_was_said() {
        let client = Client::new(&nobody().await).unwrap();
        let look = async |client: &Client, patience: Duration| {
            let began = Instant::now();
            let mut insistence = Insistence::lasting(patience);
            let error = client.insist(&Request::get("/"), &mut insistence).await.unwrap_err();
            assert!(error.is_unreachable(), "{error:?}");
            (began.elapsed(), insistence.retries)
        };
        let hasty = client.clone().connecting_within(Some(Duration::ZERO));
        assert_eq!(look(&hasty, Duration::from_secs(3600)).await.1, 0);
        let waiting = client.clone().connecting_within(Some(Duration::from_secs(1)));
        let (took, retries) = look(&waiting, Duration::from_secs(3600)).await;
        assert!(retries > 1 && took < Duration::from_secs(30), "{retries} in {took:?}");
        // Who has not said so insists for as long as on anything.
        let (took, _) = look(&client, Duration::from_millis(500)).await;
        assert!(took >= Duration::from_millis(100), "{took:?}");
    }

    #[tokio::test]
    async fn somebody_who_is_busy_is_not_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in ["503 Service Unavailable", "503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let answer =
                    format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = Client::new(&url).unwrap().connecting_within(Some(Duration::ZERO));
        let mut insistence = Insistence::lasting(Duration::from_secs(60));
        let answer = client.insist(&Request::get("/"), &mut insistence).await.unwrap();
        assert_eq!((answer.status, insistence.retries), (StatusCode::OK, 2));
    }
}
