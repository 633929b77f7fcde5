//! The platform that is sent things, and the people who send them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bistro_client::{Client, Insistence, Request};
use bistro_testkit::{MongoServer, Port, Process, RabbitServer, Sandbox};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Engine;

/// How long the platform may take to be ready, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the processes of one platform share.
const SECRET: &str = "a secret for schemathesis, long enough";
const PASSWORD: &str = "correct horse battery";

/// Who sends, and what there is to be asked for.
pub(crate) struct People {
    /// The token of an administrator who is everything else as well, and owns a restaurant.
    pub(crate) admin: String,
    /// The token of a customer.
    pub(crate) customer: String,
    /// A restaurant.
    pub(crate) restaurant: String,
    /// An item on its menu.
    pub(crate) item: String,
    /// Somebody who may be changed and erased.
    pub(crate) victim: String,
    /// An order of the customer's.
    pub(crate) order: String,
}

/// A running platform, and the servers below it.
pub(crate) struct Platform {
    url: String,
    serve: Process,
    sandbox: Sandbox,
    _servers: Option<(MongoServer, RabbitServer)>,
    _ports: [Port; 3],
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
        let mut platform = Self { url, serve, sandbox, _servers: servers, _ports: ports };
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

    /// Registers people, and gives them something to ask for.
    pub(crate) async fn people(&self) -> Result<People> {
        let path = self.sandbox.path().join("data/operator-token");
        let token = std::fs::read_to_string(path).context("the operator's token")?;
        let operator = Client::new(&self.url)?.with_token(&token)?;
        let roles = ["restaurateur", "chef", "courier", "support", "admin"];
        let (admin, _) = self.log_in(&operator, "admin@example.org", &roles).await?;
        let made = post(
            &admin,
            "/restaurants",
            &json!({"name": "Chez Ada", "currency": "GBP", "time_zone": "Europe/London"}),
        )
        .await?;
        let restaurant = text(&made, "/id")?;
        let path = format!("/api/v1/restaurants/{restaurant}/open");
        let open = Request::put(path, &json!({"open": true})).if_match(&made["version"]);
        if made["open"] == false {
            admin.send(&open).await?;
        }
        let rows = json!({"rows": [{"line": 2, "name": "Margherita", "price_minor": 1295}]});
        post(&admin, &format!("/restaurants/{restaurant}/menu-import"), &rows).await?;
        let items = format!("/api/v1/restaurants/{restaurant}/items");
        let item = text(&admin.send(&Request::get(items)).await?.body, "/items/0/id")?;
        // Logged in again: now the token says that the restaurant is hers.
        let (_, admin) = self.log_in(&operator, "admin@example.org", &roles).await?;
        let (client, customer) = self.log_in(&operator, "customer@example.org", &[]).await?;
        let (victim, _) = self.log_in(&operator, "victim@example.org", &[]).await?;
        let victim = text(&victim.send(&Request::get("/api/v1/me")).await?.body, "/id")?;
        let basket = json!({
            "restaurant_id": restaurant, "fulfilment": "pick_up",
            "lines": [{"item_id": item, "quantity": 1}],
        });
        let quote = post(&client, "/quotes", &basket).await?;
        let order = json!({"quote": text(&quote, "/token")?, "payment_method": "card_ok"});
        let order = text(&post(&client, "/orders", &order).await?, "/id")?;
        Ok(People { admin, customer, restaurant, item, victim, order })
    }

    /// Registers somebody, unless they are there, and logs them in: a client and its token.
    async fn log_in(
        &self,
        operator: &Client,
        email: &str,
        roles: &[&str],
    ) -> Result<(Client, String)> {
        let user = json!({"email": email, "password": PASSWORD, "name": "Ada", "roles": roles});
        post(operator, "/users", &user).await?;
        let tokens =
            post(operator, "/sessions", &json!({"email": email, "password": PASSWORD})).await?;
        let token = text(&tokens, "/access_token")?;
        Ok((operator.with_token(&token)?, token))
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
        faults.extend(crate::logged::faults(&log));
        Ok(faults)
    }
}

/// Posts `body` under a key that follows from both.
async fn post(client: &Client, path: &str, body: &Value) -> Result<Value> {
    let key: String = format!("{path} {body}").chars().filter(char::is_ascii).take(255).collect();
    let request = Request::post(format!("/api/v1{path}"), key, body);
    let answer = client.insist(&request, &mut Insistence::lasting(PATIENCE)).await;
    Ok(answer.with_context(|| format!("POST {path}"))?.body)
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(ToOwned::to_owned).with_context(|| format!("no {pointer} in {value}"))
}

/// Builds the program.
pub(crate) fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let status = Command::new("cargo")
        .current_dir(&root)
        .args(["build", "--locked", "--package", "bistro"])
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("the program cannot be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("debug/bistro"))
}
