//! The platform under load: one `bistro serve` with data, ports and servers of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bistro_client::Client;
use bistro_testkit::{MongoServer, Port, Process, RabbitServer, Sandbox};
use tokio::time::{Instant, sleep};

use crate::{
    args::Engine,
    procs::{Meter, Who},
    report::say,
    scrape::Scrape,
    wire::Wire,
};

/// How long a start and a stop may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two looks at whether it is ready: what a start is measured to.
const LOOK: Duration = Duration::from_millis(1);
/// What processes on servers derive their secrets from.
const SECRET: &str = "a secret for benchmarks that is long enough";
/// The database on MongoDB, and the data directory.
pub(crate) const DATABASE: &str = "bistro";

/// What MongoDB may keep in memory.
const MONGO_MEMORY_GIB: u32 = 2;

/// The servers of a platform that is not embedded.
pub(crate) struct Servers {
    pub(crate) mongo: MongoServer,
    pub(crate) rabbit: RabbitServer,
}

/// A platform. Dropping it kills it, and removes its data.
pub(crate) struct Platform {
    program: PathBuf,
    process: Option<Process>,
    sandbox: Sandbox,
    servers: Option<Servers>,
    public: Port,
    grpc: Port,
    admin: Port,
}

impl Platform {
    /// An empty platform, not started.
    pub(crate) async fn new(program: &Path, engine: Engine) -> Result<Self> {
        let servers = match engine {
            Engine::Embedded => None,
            Engine::Servers => {
                say("starting MongoDB and RabbitMQ");
                let (mongo, rabbit) =
                    tokio::try_join!(MongoServer::start(), RabbitServer::start())?;
                mongo.give_memory(MONGO_MEMORY_GIB).await?;
                Some(Servers { mongo, rabbit })
            }
        };
        Ok(Self {
            program: program.to_owned(),
            process: None,
            sandbox: Sandbox::new("bench")?,
            servers,
            public: Port::reserve()?,
            grpc: Port::reserve()?,
            admin: Port::reserve()?,
        })
    }

    /// An empty platform that is ready.
    pub(crate) async fn started(program: &Path, engine: Engine) -> Result<Self> {
        let mut platform = Self::new(program, engine).await?;
        platform.start().await?;
        Ok(platform)
    }

    /// Starts it; gives how long it took from then until it said that it is ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let mut command = self.sandbox.command(&self.program);
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing of whoever runs the benchmark may leak in"
        )]
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BISTRO") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .env("BISTRO__DATA_DIR", self.data_dir(DATABASE))
            .env("BISTRO__GATEWAY__LISTEN", self.public.addr().to_string())
            .env("BISTRO__GRPC__LISTEN", self.grpc.addr().to_string())
            .env("BISTRO__ADMIN__LISTEN", self.admin.addr().to_string())
            // By address, for those who are not logged in: all who register here share one.
            .env("BISTRO__GATEWAY__RATE_LIMIT__PER_SECOND", "1000")
            .env("BISTRO__GATEWAY__RATE_LIMIT__BURST", "1000")
            .env("BISTRO__GATEWAY__USER_RATE_LIMIT__PER_SECOND", "1000000")
            .env("BISTRO__GATEWAY__USER_RATE_LIMIT__BURST", "1000000")
            .env("BISTRO__GATEWAY__LIVE_STREAMS__PER_USER", "1000000")
            // The clients log in once.
            .env("BISTRO__AUTH__ACCESS_TOKEN_TTL", "1h")
            // Orders that are placed and left must not begin to expire while others are placed.
            .env("BISTRO__ORDERS__ACCEPT_WITHIN", "24h");
        if let Some(servers) = &self.servers {
            command
                .env("BISTRO__STORE", servers.mongo.url())
                .env("BISTRO__STORE_OPTIONS__DATABASE", DATABASE)
                .env("BISTRO__BUS", servers.rabbit.url())
                .env("BISTRO__AUTH__WORKLOAD_SECRET", SECRET)
                .env("BISTRO__AUTH__KEY_ENCRYPTION_SECRET", SECRET);
        }
        let began = Instant::now();
        let mut process = self.sandbox.spawn(command, "serve")?;
        let mut wire = Wire::new(self.admin.addr());
        loop {
            if let Some(status) = process.ended()? {
                bail!(
                    "bistro ended with {status} while it started; its last words:\n{}",
                    process.last_words()
                );
            }
            if let Ok(answer) = wire.get("/readyz", None).await
                && answer.status.is_success()
            {
                break;
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "bistro was not ready within {PATIENCE:?}; its last words:\n{}",
                    process.last_words()
                );
            }
            sleep(LOOK).await;
        }
        let took = began.elapsed();
        self.process = Some(process);
        Ok(took)
    }

    /// Ends it in good order; its data stays.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.stop(PATIENCE).await?;
            ensure!(
                status.success(),
                "bistro ended with {status}; its last words:\n{}",
                process.last_words()
            );
        }
        Ok(())
    }

    /// The data directory `name`: the platform's own is called as its database is.
    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    /// Its servers.
    pub(crate) const fn servers(&self) -> Option<&Servers> {
        self.servers.as_ref()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("bistro is not running")?.id())
    }

    /// Counts the processor time of the generator, of bistro and of its servers.
    pub(crate) fn meter(&self) -> Result<Meter> {
        let mut whose = vec![Who::Generator, Who::Group("bistro", self.id()?)];
        whose.extend(self.servers.iter().flat_map(Servers::groups));
        Ok(Meter::new(whose))
    }

    /// Where the public API listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.public.addr()
    }

    /// A connection of its own to the public API.
    pub(crate) fn wire(&self) -> Wire {
        Wire::new(self.public.addr())
    }

    /// A client who is nobody in particular.
    pub(crate) fn anybody(&self) -> Result<Client> {
        Ok(Client::new(&format!("http://{}", self.public.addr()))?)
    }

    /// All that it tells on `/metrics`.
    pub(crate) async fn metrics(&self) -> Result<Scrape> {
        let answer = Wire::new(self.admin.addr()).get("/metrics", None).await?;
        ensure!(answer.status.is_success(), "/metrics answered {}", answer.status);
        Ok(Scrape::parse(&String::from_utf8_lossy(&answer.body)))
    }
}

impl Servers {
    /// The process groups whose time is counted.
    pub(crate) fn groups(&self) -> [Who; 2] {
        [
            Who::Group("mongod", self.mongo.process().id()),
            Who::Group("rabbitmq", self.rabbit.process().id()),
        ]
    }
}
