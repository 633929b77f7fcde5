//! One client's connection to the platform: HTTP/1.1, one request at a time.
//!
//! Leaner than a client library, since the generator shares its processors with the server: a
//! request is one write, by the task that then reads the answer. It knows what the platform's
//! answers use: a length, and no transfer coding.

use std::{io::Write as _, net::SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Seconds that a placing waits for its outcome.
const WAIT: &[u8] = b"wait=10";
/// Headers that an answer may have.
const HEADERS: usize = 32;
/// Bytes of an answer that are read at once.
const READ: usize = 64 << 10;

/// One client's connection. It is made by the first request, and again when it was lost.
pub(crate) struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    arrived: BytesMut,
    sent: u64,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Its entity tag, if it has one.
    pub(crate) tag: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// Why a step of a scenario did not come about: a few words, the same for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: StatusCode,
    tag: Option<HeaderValue>,
    /// Bytes of the head, and of the body behind it.
    length: usize,
    body: usize,
    /// Whether the connection ends with it.
    last: bool,
}

impl Wire {
    /// A connection to `address`, not made yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let (request, arrived) = (Vec::new(), BytesMut::new());
        Self { address, stream: None, request, arrived, sent: 0 }
    }

    /// Requests sent so far.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Reads `path`.
    pub(crate) async fn get(&mut self, path: &str, token: Option<&HeaderValue>) -> Result<Reply> {
        let token = token.map(|token| ("authorization", token.as_bytes()));
        self.send("GET", path, token, None).await
    }

    /// Reads `path` unless it still is what has the entity tag `known`.
    pub(crate) async fn get_unless(
        &mut self,
        path: &str,
        token: &HeaderValue,
        known: &HeaderValue,
    ) -> Result<Reply> {
        let headers = [("authorization", token.as_bytes()), ("if-none-match", known.as_bytes())];
        self.send("GET", path, headers, None).await
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
        let headers = [
            ("authorization", token.as_bytes()),
            ("content-type", b"application/json"),
            ("idempotency-key", key.as_bytes()),
        ];
        let headers = headers.into_iter().chain(wait.then_some(("prefer", WAIT)));
        self.send("POST", path, headers, Some(&body)).await
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&str, &[u8])>,
        body: Option<&str>,
    ) -> Result<Reply> {
        self.sent += 1;
        let request = &mut self.request;
        request.clear();
        write!(request, "{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address)?;
        for (name, value) in headers {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        }
        match body {
            Some(body) => write!(request, "content-length: {}\r\n\r\n{body}", body.len())?,
            None => request.extend_from_slice(b"\r\n"),
        }
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        self.arrived.clear();
        stream.write_all(&self.request).await.context("the request cannot be sent")?;
        let (reply, last) = read(&mut stream, &mut self.arrived).await?;
        // Whoever is not answered, or told that it is over, connects again for the next request.
        self.stream = (!last).then_some(stream);
        Ok(reply)
    }
}

/// A new connection to `address`.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true).context("cannot connect")?;
    Ok(stream)
}

/// Reads an answer to its end; and whether the connection ends with it.
async fn read(stream: &mut TcpStream, arrived: &mut BytesMut) -> Result<(Reply, bool)> {
    let head = loop {
        if let Some(head) = parse(arrived)? {
            break head;
        }
        more(stream, arrived).await?;
    };
    while arrived.len() < head.length + head.body {
        more(stream, arrived).await?;
    }
    let body = arrived.split_to(head.length + head.body).split_off(head.length).freeze();
    Ok((Reply { status: head.status, tag: head.tag, body }, head.last))
}

async fn more(stream: &mut TcpStream, arrived: &mut BytesMut) -> Result<()> {
    arrived.reserve(READ);
    let count = stream.read_buf(arrived).await.context("no answer")?;
    ensure!(count > 0, "the answer broke off");
    Ok(())
}

/// The head of the answer that `arrived` begins with, once all of it is there.
fn parse(arrived: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) =
        answer.parse(arrived).context("the answer is no HTTP")?
    else {
        return Ok(None);
    };
    let code = answer.code.context("the answer has no status")?;
    let status = StatusCode::from_u16(code).context("the answer is no HTTP")?;
    let mut head = Head { status, tag: None, length, body: 0, last: false };
    let mut told = None;
    for one in answer.headers {
        let is = |name: header::HeaderName| one.name.eq_ignore_ascii_case(name.as_str());
        if is(header::CONTENT_LENGTH) {
            let text = std::str::from_utf8(one.value).context("a length is no number")?;
            told = Some(text.trim().parse().context("a length is no number")?);
        } else if is(header::ETAG) {
            head.tag = Some(HeaderValue::from_bytes(one.value).context("a tag is no text")?);
        } else if is(header::CONNECTION) {
            head.last = one.value.eq_ignore_ascii_case(b"close");
        }
    }
    // Those have no body, whatever length they tell (RFC 9112, 6.3).
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        let Some(told) = told else { bail!("the answer does not say how long it is") };
        head.body = told;
    }
    Ok(Some(head))
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
    fn a_head_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: 3\r\n\r\nabc";
        let whole = answer.len() - 3;
        for end in 0..whole {
            assert_eq!(parse(&answer[..end]).unwrap(), None, "{end}");
        }
        let head = parse(answer).unwrap().unwrap();
        assert_eq!(
            (head.status, head.length, head.body, head.last),
            (StatusCode::OK, whole, 3, false)
        );
        assert_eq!(head.tag.unwrap(), "\"7\"");
    }

    #[test]
    fn what_has_no_body_needs_no_length_and_anything_else_does() {
        let read = |head: &str| parse(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes());
        let unchanged = read("304 Not Modified\r\ncontent-length: 31220").unwrap().unwrap();
        assert_eq!((unchanged.body, unchanged.last), (0, false));
        assert!(read("204 No Content\r\nconnection: close").unwrap().unwrap().last);
        for bad in ["200 OK", "200 OK\r\ntransfer-encoding: chunked", "200 OK\r\ncontent-length: x"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
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
