//! The platform under attack, and the servers below it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bistro_testkit::{MongoServer, Port, Process, RabbitServer, Sandbox};
use tokio::time::Instant;

use crate::arguments::Engine;

/// How long the platform may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long an order may wait to be confirmed, and to be accepted: short, so that timers fire during
/// the campaign, and longer than everything below the platform is away at a stretch, since the
/// simulation's orders must all come through.
const fn patience(engine: Engine) -> &'static str {
    match engine {
        Engine::Embedded => "25s",
        Engine::Servers => "60s",
    }
}
/// What the processes of one platform share.
const SECRET: &str = "a secret for campaigns, long enough";

/// The servers that a platform runs on.
pub(crate) struct Servers {
    pub(crate) mongo: MongoServer,
    pub(crate) rabbit: RabbitServer,
}

/// The platform under attack.
pub(crate) struct Platform {
    pub(crate) sandbox: Sandbox,
    pub(crate) servers: Option<Servers>,
    engine: Engine,
    program: PathBuf,
    ports: [Port; 3],
    serve: Option<Process>,
}

impl Platform {
    pub(crate) async fn new(engine: Engine, program: &Path) -> Result<Self> {
        let servers = match engine {
            Engine::Embedded => None,
            Engine::Servers => Some(Servers {
                mongo: MongoServer::start().await?,
                rabbit: RabbitServer::start().await?,
            }),
        };
        Ok(Self {
            sandbox: Sandbox::new("crash")?,
            servers,
            engine,
            program: program.to_owned(),
            ports: [Port::reserve()?, Port::reserve()?, Port::reserve()?],
            serve: None,
        })
    }

    /// Where the public API answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.ports[0].addr())
    }

    /// The program, set up for this platform and no other.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.sandbox.command(&self.program);
        let [public, grpc, admin] = &self.ports;
        command
            .env("BISTRO_URL", self.url())
            .env("BISTRO__DATA_DIR", self.sandbox.path().join("data"))
            .env("BISTRO__GATEWAY__LISTEN", public.addr().to_string())
            .env("BISTRO__GRPC__LISTEN", grpc.addr().to_string())
            .env("BISTRO__ADMIN__LISTEN", admin.addr().to_string())
            .env("BISTRO__GATEWAY__RATE_LIMIT__PER_SECOND", "1000")
            .env("BISTRO__GATEWAY__RATE_LIMIT__BURST", "1000")
            .env("BISTRO__GATEWAY__USER_RATE_LIMIT__PER_SECOND", "1000000")
            .env("BISTRO__GATEWAY__USER_RATE_LIMIT__BURST", "1000000")
            .env("BISTRO__LOG__LEVEL", "warn")
            .env("BISTRO__ORDERS__ACCEPT_WITHIN", patience(self.engine))
            .env("BISTRO__ORDERS__CONFIRM_WITHIN", patience(self.engine))
            .env("BISTRO__DELIVERY__OFFER_TIMEOUT", "5s")
            .env("BISTRO__DELIVERY__ASSIGNMENT_RETRY", "1s");
        if let Some(servers) = &self.servers {
            command
                .env("BISTRO__STORE", servers.mongo.url())
                .env("BISTRO__BUS", servers.rabbit.url())
                .env("BISTRO__AUTH__WORKLOAD_SECRET", SECRET)
                .env("BISTRO__AUTH__KEY_ENCRYPTION_SECRET", SECRET);
        }
        command
    }

    /// Starts the platform; `failpoint` (`point:nth`) makes it kill itself there.
    pub(crate) fn start(&mut self, failpoint: Option<&str>) -> Result<()> {
        let mut command = self.command();
        command.arg("serve");
        if let Some(failpoint) = failpoint {
            command.args(["--failpoint", failpoint]);
        }
        self.serve = Some(self.sandbox.spawn(command, "serve")?);
        Ok(())
    }

    fn serving(&mut self) -> Result<&mut Process> {
        self.serve.as_mut().context("the platform was never started")
    }

    /// Waits until the platform is ready. False if it died before: a fail point can be that early.
    pub(crate) async fn ready(&mut self) -> Result<bool> {
        let url = format!("http://{}/readyz", self.ports[2].addr());
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if self.is_dead()? {
                return Ok(false);
            }
            if answers(&url).await {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the platform was not ready within {START:?}: {}", self.serving()?.last_words());
    }

    /// Whether the platform's process is gone.
    pub(crate) fn is_dead(&mut self) -> Result<bool> {
        Ok(self.serving()?.ended()?.is_some())
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.serving()?.kill()
    }

    /// What it said last.
    pub(crate) fn last_words(&mut self) -> String {
        self.serve.as_mut().map_or_else(String::new, |serve| serve.last_words())
    }

    /// Runs a client command to its end; its standard output.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!(
                "bistro {} ended with {}: {complaint}\n{text}",
                arguments.join(" "),
                output.status
            );
        }
        Ok(text)
    }
}

/// Whether `url` answers 200.
async fn answers(url: &str) -> bool {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<&'static [u8]>>();
    let Ok(uri) = url.parse() else { return false };
    let asked = tokio::time::timeout(Duration::from_secs(2), client.get(uri)).await;
    matches!(asked, Ok(Ok(response)) if response.status().is_success())
}
