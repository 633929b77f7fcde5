//! A client that sends what no well-behaved one does, and looks closely at the answer and at what the
//! platform logs meanwhile.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bistro_testkit::log;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, fresh, post, text},
    platform::Platform,
};

/// Statuses and codes of problems, any of which is right.
pub(crate) type Refusals<'a> = &'a [(u16, &'a str)];

/// A client that sends what no well-behaved one does. It and its clones send within one trace, and the
/// last of them to go checks that the platform logged no error in it, and no panic at all.
#[derive(Clone)]
pub(crate) struct Rude {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
    authorization: Option<String>,
    watched: Arc<Watched>,
}

/// What the platform's processes log within one trace.
struct Watched {
    trace_id: String,
    logs: Vec<PathBuf>,
}

impl Watched {
    fn new(platform: &Platform) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let trace_id = format!("{:016x}{number:016x}", std::process::id());
        Self { trace_id, logs: platform.logs() }
    }

    /// Whatever `read` finds in the logs.
    fn find<T>(&self, read: impl Fn(&str, &str) -> Vec<T>) -> Vec<T> {
        let found = |file: &PathBuf| {
            let written = std::fs::read(file).expect("a log");
            read(&String::from_utf8_lossy(&written), &self.trace_id)
        };
        self.logs.iter().flat_map(found).collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A test that fails has said why.
        if !std::thread::panicking() {
            let faults = self.find(log::faults_within);
            assert!(faults.is_empty(), "whatever was answered, this was logged: {faults:#?}");
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: String,
    /// The seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    pub(crate) text: String,
}

impl Rude {
    pub(crate) fn new(platform: &Platform) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        let watched = Arc::new(Watched::new(platform));
        Self { http, base: platform.url(), authorization: None, watched }
    }

    /// The same client with this `Authorization`.
    pub(crate) fn with(&self, authorization: impl Into<String>) -> Self {
        Self { authorization: Some(authorization.into()), ..self.clone() }
    }

    /// The same client, logged in as `person`.
    pub(crate) async fn logged_in(platform: &Platform, person: &Person) -> Self {
        let token = token(platform, person).await;
        Self::new(platform).with(format!("Bearer {token}"))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let parent = format!("00-{}-00f067aa0ba902b7-01", self.watched.trace_id);
        request = request.header("traceparent", parent);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let response = self.http.request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("all of the answer").to_bytes();
        let header =
            |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let kind = header("content-type").unwrap_or_default();
        let retry_after = header("retry-after").map(|seconds| seconds.parse().expect("seconds"));
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Reply { status: head.status.as_u16(), kind, retry_after, text }
    }

    /// What the platform has logged of its requests.
    pub(crate) fn logged(&self) -> Vec<Value> {
        self.watched.find(log::lines_within)
    }

    pub(crate) async fn read(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends `body` as JSON under a key of its own.
    pub(crate) async fn json(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Reply {
        let key = fresh("rude");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
            ("if-match", "\"1\""),
        ];
        self.send(method, path, &headers, body).await
    }
}

impl Reply {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    /// Checks that it is a whole problem, of one of these statuses and codes, without anything
    /// of the program's inside.
    #[track_caller]
    pub(crate) fn is_problem(&self, expected: Refusals, what: &str) -> Value {
        let body = self.body();
        let code = body["code"].as_str().unwrap_or_default();
        assert!(expected.contains(&(self.status, code)), "{what}: {self:?}");
        assert_eq!(self.kind, "application/problem+json", "{what}");
        assert_eq!(body["status"], self.status, "{what}");
        for field in ["type", "title", "detail", "request_id"] {
            assert!(!body[field].as_str().unwrap_or_default().is_empty(), "{what}: {self:?}");
        }
        for inside in ["panicked", "backtrace", ".rs:", "/src/", "stack", "unwrap", "Err("] {
            assert!(!self.text.contains(inside), "{what} shows its inside: {self:?}");
        }
        body
    }

    /// Checks that it is a 422 about `field`.
    #[track_caller]
    pub(crate) fn names(&self, field: &str, what: &str) {
        let body = self.is_problem(&[(422, "invalid_argument")], what);
        let errors = body["errors"].as_array().expect("errors");
        let named = errors.iter().any(|error| error["field"] == field);
        assert!(named, "{what} does not name {field}: {body}");
        assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|m| m.len() > 3)));
    }
}

/// A new access token of `person`.
pub(crate) async fn token(platform: &Platform, person: &Person) -> String {
    let body = json!({ "email": person.email, "password": PASSWORD });
    let tokens = post(&platform.anybody(), "/sessions", &body).await.expect("a session");
    text(&tokens, "/access_token").to_owned()
}

/// An id of this kind that nothing has.
pub(crate) fn nobody(prefix: &str) -> String {
    format!("{prefix}_01jd3x8k4v9q2w7r5t6y8z0abc")
}

/// The `Authorization` of the operator.
pub(crate) fn operator(platform: &Platform) -> String {
    let path = platform.sandbox.path().join("data/operator-token");
    format!("Bearer {}", std::fs::read_to_string(path).expect("an operator token").trim())
}
