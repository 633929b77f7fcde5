//! What a request carries along: who asks, with which token, until when.

use bistro_core::{Error, ErrorCode, Principal};
use bistro_eventing::Command;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::{IDEMPOTENCY_KEY, status_of};

/// What a request carries along from role to role.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Who asks.
    pub principal: Principal,
    /// The `Authorization` value that says so, to pass on.
    pub authorization: Option<String>,
    /// When the asker stops waiting.
    pub deadline: Instant,
}

tokio::task_local! {
    static SCOPE: Scope;
}

/// The scope of the request that this task serves, if it serves one.
#[must_use]
pub fn current_scope() -> Option<Scope> {
    SCOPE.try_with(Clone::clone).ok()
}

impl Scope {
    /// Runs `work` as part of this request: what it asks other roles, it asks for this asker and
    /// within this deadline.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        SCOPE.scope(self, work).await
    }
}

/// A request as a service's method gets it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub principal: Principal,
    key: Option<String>,
}

impl Asked {
    /// The command of a method that changes something.
    ///
    /// Refuses a request without an idempotency key.
    pub fn command<M: Message>(&self, operation: &str, message: &M) -> Result<Command, Error> {
        let key = self.key.as_deref().ok_or_else(|| {
            Error::new(
                ErrorCode::PreconditionRequired,
                "send an Idempotency-Key: a text of your own, new for each new request, the same when you repeat one",
            )
        })?;
        Ok(Command::new(&self.principal, operation, key, &message.encode_to_vec()))
    }
}

/// Splits a request into who asks and what is asked.
pub fn ask<M>(request: Request<M>) -> Result<(Asked, M), Status> {
    let key = match request.metadata().get(IDEMPOTENCY_KEY) {
        Some(value) => match value.to_str() {
            Ok(text) if (1..=255).contains(&text.len()) => Some(text.to_owned()),
            _ => {
                let why = "write 1 to 255 printable ASCII characters";
                return Err(status_of(&Error::field("Idempotency-Key", why)));
            }
        },
        None => None,
    };
    let principal = request
        .extensions()
        .get::<Principal>()
        .cloned()
        // The server's layer sets it; without that layer nobody is trusted.
        .unwrap_or(Principal::Anonymous);
    Ok((Asked { principal, key }, request.into_inner()))
}
