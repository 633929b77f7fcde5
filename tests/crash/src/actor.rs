//! Somebody with an account who insists on an answer, whatever is killed meanwhile.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bistro_client::{Answer, Client, ClientError, Insistence, Request};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How long one request is repeated.
const PATIENCE: Duration = Duration::from_mins(5);
const PASSWORD: &str = "correct horse battery";

/// A user of the platform.
pub(crate) struct Actor {
    door: Client,
    email: String,
    session: Mutex<Option<Client>>,
}

impl Actor {
    /// Registers a user of the platform at `url`, who can do what `roles` allow.
    pub(crate) async fn register(url: &str, name: &str, roles: &[&str]) -> Result<Self> {
        let (door, email) = (Client::new(url)?, format!("{name}@mischief.test"));
        let body = json!({ "email": email, "password": PASSWORD, "name": name, "roles": roles });
        let request = Request::post("/api/v1/users", format!("register-{name}"), &body);
        door.insist(&request, &mut Insistence::lasting(PATIENCE)).await?;
        Ok(Self { door, email, session: Mutex::default() })
    }

    /// Makes one request until it is answered.
    pub(crate) async fn call(&self, request: &Request) -> Result<Answer, ClientError> {
        let client = self.client().await?;
        match client.insist(request, &mut Insistence::lasting(PATIENCE)).await {
            Err(error) if error.code() == Some("unauthenticated") => {
                self.renew().await;
                self.client().await?.insist(request, &mut Insistence::lasting(PATIENCE)).await
            }
            answered => answered,
        }
    }

    /// Reads `path`, which begins after the API's version.
    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("/api/v1{path}"));
        Ok(self.call(&request).await.with_context(|| format!("reading {path}"))?.body)
    }

    /// Logs in again before the next request.
    pub(crate) async fn renew(&self) {
        *self.session.lock().await = None;
    }

    async fn client(&self) -> Result<Client, ClientError> {
        let mut session = self.session.lock().await;
        if let Some(client) = &*session {
            return Ok(client.clone());
        }
        let body = json!({ "email": self.email, "password": PASSWORD });
        let request = Request::post("/api/v1/sessions", format!("log-in-{}", self.email), &body);
        let answer = self.door.insist(&request, &mut Insistence::lasting(PATIENCE)).await?;
        Ok(session.insert(self.door.with_token(answer.text("/access_token"))?).clone())
    }
}
