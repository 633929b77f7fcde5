//! The platform that is sent things, and the people who send them.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use bistro_client::{Client, Request};
use bistro_testkit::{MongoServer, Port, Process, RabbitServer, Sandbox, log};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{
    Engine,
    things::{self, Makers, Named, post, text},
};

/// How long the platform may take to be ready, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the processes of one platform share.
const SECRET: &str = "a secret for schemathesis, long enough";
const ADMIN: &str = "admin@example.org";
const CUSTOMER: &str = "customer@example.org";
const PASSWORD: &str = "correct horse battery";

/// Who sends, and what there is to be asked for.
pub(crate) struct People {
    /// The address of an administrator who is everything else as well, and owns restaurants.
    pub(crate) admin: &'static str,
    /// The address of a customer.
    pub(crate) customer: &'static str,
    /// What there is.
    pub(crate) things: Vec<Named>,
}

/// A running platform, and the servers below it.
pub(crate) struct Platform {
    url: String,
    serve: Process,
    sandbox: Sandbox,
    _servers: Option<(MongoServer, RabbitServer)>,
    ports: [Port; 3],
}

impl Platform {
    /// Starts `program` and waits until it is ready.
    pub(crate) async fn start(engine: Engine, program: &Path) -> Result<Self> {
        let servers = match engine {
            Engine::Embedded => None,
            Engine::Servers => Some((MongoServer::start().await?, RabbitServer::start().await?)),
        };
        let sandbox = Sandbox::new("schemathesis")?;
        let ports = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
        let [public, grpc, admin] = &ports;
        let mut command = sandbox.command(program);
        command
            .arg("serve")
            .env("BISTRO__DATA_DIR", sandbox.path().join("data"))
            .env("BISTRO__GATEWAY__LISTEN", public.addr().to_string())
            .env("BISTRO__GRPC__LISTEN", grpc.addr().to_string())
            .env("BISTRO__ADMIN__LISTEN", admin.addr().to_string())
            .env("BISTRO__AUTH__ACCESS_TOKEN_TTL", "1h")
            .env("BISTRO__LOG__FORMAT", "json")
            .env("BISTRO__LOG__LEVEL", "warn");
        for limit in ["RATE_LIMIT", "USER_RATE_LIMIT"] {
            for what in ["PER_SECOND", "BURST"] {
                command.env(format!("BISTRO__GATEWAY__{limit}__{what}"), "1000000");
            }
        }
        if let Some((mongo, rabbit)) = &servers {
            command
                .env("BISTRO__STORE", mongo.url())
                .env("BISTRO__BUS", rabbit.url())
                .env("BISTRO__AUTH__WORKLOAD_SECRET", SECRET)
                .env("BISTRO__AUTH__KEY_ENCRYPTION_SECRET", SECRET);
        }
        let serve = sandbox.spawn(command, "serve")?;
        let url = format!("http://{}", public.addr());
        let mut platform = Self { url, serve, sandbox, _servers: servers, ports };
        let deadline = Instant::now() + PATIENCE;
        while !platform.answers().await {
            if Instant::now() > deadline || platform.serve.ended()?.is_some() {
                bail!("the platform does not answer: {}", platform.serve.last_words());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(platform)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where files may be put that go with the platform.
    pub(crate) fn folder(&self) -> &Path {
        self.sandbox.path()
    }

    async fn answers(&self) -> bool {
        let Ok(client) = Client::new(&self.url) else { return false };
        client.send(&Request::get("/api/v1/restaurants")).await.is_ok()
    }

    /// A client with the operator's token.
    fn operator(&self) -> Result<Client> {
        let path = self.sandbox.path().join("data/operator-token");
        let token = std::fs::read_to_string(path).context("the operator's token")?;
        Ok(Client::new(&self.url)?.with_token(&token)?)
    }

    /// Registers people, and gives them something to ask for.
    pub(crate) async fn people(&self) -> Result<People> {
        let operator = self.operator()?;
        let roles = ["restaurateur", "chef", "courier", "support", "admin"];
        let founder = register(&operator, ADMIN, &roles).await?;
        let restaurants = things::restaurants(&founder).await?;
        // Logged in again: now the token says that the restaurants are hers.
        let admin = log_in(&operator, ADMIN).await?;
        let customer = register(&operator, CUSTOMER, &[]).await?;
        let cora = register(&operator, "cora@example.org", &["courier"]).await?;
        let rudi = register(&operator, "rudi@example.org", &["courier"]).await?;
        let mut victims = Vec::new();
        for email in ["victim@example.org", "erased@example.org"] {
            let victim = register(&operator, email, &[]).await?;
            let me = victim.send(&Request::get("/api/v1/me")).await?.body;
            victims.push(text(&me, "/id")?);
        }
        let makers = Makers {
            admin: &admin,
            customer: &customer,
            couriers: [&cora, &rudi],
            victims: [victims[0].clone(), victims[1].clone()],
        };
        let things = things::make(&makers, &restaurants).await?;
        Ok(People { admin: ADMIN, customer: CUSTOMER, things })
    }

    /// A token of somebody who is registered, good for an hour from now.
    pub(crate) async fn fresh_token(&self, email: &str) -> Result<String> {
        token(&self.operator()?, email).await
    }

    /// The API's document.
    pub(crate) async fn document(&self) -> Result<Value> {
        Ok(self.operator()?.send(&Request::get("/api/v1/openapi.json")).await?.body)
    }

    /// What the platform's metrics say now.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let [_, _, admin] = &self.ports;
        let mut stream = TcpStream::connect(admin.addr()).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, metrics) = answer.split_once("\r\n\r\n").context("no metrics")?;
        Ok(metrics.to_owned())
    }

    /// What shows, beside the answers, that something went wrong.
    pub(crate) async fn faults(&mut self) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        if let Some(status) = self.serve.ended()? {
            faults.push(format!("the platform ended with {status}"));
        } else if !self.answers().await {
            faults.push("the platform does not answer any more".to_owned());
        }
        let log = std::fs::read_to_string(self.serve.log()).context("the platform's log")?;
        faults.extend(log::faults(&log));
        Ok(faults)
    }
}

/// Registers somebody, and logs them in.
async fn register(operator: &Client, email: &str, roles: &[&str]) -> Result<Client> {
    let user = json!({"email": email, "password": PASSWORD, "name": "Ada", "roles": roles});
    post(operator, "/users", &user).await?;
    log_in(operator, email).await
}

/// Logs somebody in who is registered.
async fn log_in(operator: &Client, email: &str) -> Result<Client> {
    Ok(operator.with_token(&token(operator, email).await?)?)
}

async fn token(operator: &Client, email: &str) -> Result<String> {
    let body = json!({"email": email, "password": PASSWORD});
    text(&post(operator, "/sessions", &body).await?, "/access_token")
}
