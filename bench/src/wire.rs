//! One client's connection to the platform: HTTP/1.1, one request at a time.
//!
//! Leaner than the client library, since the generator shares its processors with the server.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

/// Seconds that a placing waits for its outcome.
const WAIT: &str = "wait=10";

/// One client's connection. It is made by the first request, and again when it was lost.
pub(crate) struct Wire {
    address: SocketAddr,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
    sent: u64,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Its entity tag, if it has one.
    pub(crate) tag: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// Why a step of a scenario did not come about: a few words, the same for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

impl Wire {
    /// A connection to `address`, not made yet.
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let host = HeaderValue::from_str(&address.to_string()).context("the address is no host")?;
        Ok(Self { address, host, sender: None, sent: 0 })
    }

    /// Requests sent so far.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Reads `path`.
    pub(crate) async fn get(&mut self, path: &str, token: Option<&HeaderValue>) -> Result<Reply> {
        self.send(request(Method::GET, path, token), String::new()).await
    }

    /// Reads `path` unless it still is what has the entity tag `known`.
    pub(crate) async fn get_unless(
        &mut self,
        path: &str,
        token: &HeaderValue,
        known: &HeaderValue,
    ) -> Result<Reply> {
        let request = request(Method::GET, path, Some(token)).header(header::IF_NONE_MATCH, known);
        self.send(request, String::new()).await
    }

    /// Posts `body` to `path` under the idempotency key `key`; `wait` asks to be answered only
    /// when there is an outcome.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        token: &HeaderValue,
        key: &str,
        body: String,
        wait: bool,
    ) -> Result<Reply> {
        let mut request = request(Method::POST, path, Some(token))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key);
        if wait {
            request = request.header("prefer", WAIT);
        }
        self.send(request, body).await
    }

    async fn send(&mut self, request: http::request::Builder, body: String) -> Result<Reply> {
        self.sent += 1;
        let request = request
            .header(header::HOST, &self.host)
            .body(Full::new(Bytes::from(body)))
            .context("the request cannot be sent")?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => connect(self.address).await?,
        };
        let response = sender.send_request(request).await.context("no answer")?;
        let (mut parts, body) = response.into_parts();
        let tag = parts.headers.remove(header::ETAG);
        let body = body.collect().await.context("the answer broke off")?.to_bytes();
        // Ready once the answer is read; if not, the next request connects again.
        if sender.ready().await.is_ok() {
            self.sender = Some(sender);
        }
        Ok(Reply { status: parts.status, tag, body })
    }
}

/// The head of a request, without its host.
pub(crate) fn request(
    method: Method,
    path: &str,
    token: Option<&HeaderValue>,
) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    match token {
        Some(token) => request.header(header::AUTHORIZATION, token),
        None => request,
    }
}

/// A new connection to `address`.
pub(crate) async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true).context("cannot connect")?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("cannot connect")?;
    // It ends with the connection; whoever waits for an answer is told why.
    tokio::spawn(connection);
    Ok(sender)
}

impl Reply {
    /// The body as `T`; a problem, or a body that is something else, is a fault of `step`.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self, step: &str) -> Result<T, Fault> {
        if !self.status.is_success() {
            return Err(self.problem(step));
        }
        serde_json::from_slice(&self.body).map_err(|_| Fault(format!("{step}: not as described")))
    }

    /// The problem as a fault of `step`.
    pub(crate) fn problem(&self, step: &str) -> Fault {
        #[derive(Deserialize)]
        struct Problem<'a> {
            code: &'a str,
        }
        let code =
            serde_json::from_slice::<Problem<'_>>(&self.body).map_or("", |problem| problem.code);
        Fault(format!("{step}: {} {code}", self.status.as_u16()))
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            tag: None,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn faults_of_one_kind_are_alike() {
        let body = r#"{"code":"rate_limited","detail":"wait 3 seconds","request_id":"req_1"}"#;
        assert_eq!(
            reply(429, body).read::<()>("quote"),
            Err(Fault("quote: 429 rate_limited".into()))
        );
        assert_eq!(reply(502, "").read::<()>("quote"), Err(Fault("quote: 502 ".into())));
        assert_eq!(reply(200, "7").read::<u8>("quote"), Ok(7));
    }
}
