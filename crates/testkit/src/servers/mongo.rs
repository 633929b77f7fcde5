//! MongoDB: how to start it, and when it is ready.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::OnceCell;

use super::mongo_wire::{Connection, Value};
use super::{Engine, Server};
use crate::locations;
use crate::sandbox::Sandbox;

const REPLICA_SET: &str = "bistro";

/// The kind of a [`MongoServer`](super::MongoServer).
#[derive(Debug)]
pub struct Mongo {
    program: PathBuf,
}

impl Server<Mongo> {
    /// Lets it keep `gib` GiB of its data in memory, for measurements: for tests it has little.
    pub async fn give_memory(&self, gib: u32) -> Result<()> {
        let config = Value::String(format!("cache_size={gib}G"));
        let command =
            [("setParameter", Value::Int32(1)), ("wiredTigerEngineRuntimeConfig", config)];
        Connection::open(self.addr()).await?.command(&command).await.map(drop)
    }
}

impl Engine for Mongo {
    const NAME: &'static str = "mongod";

    /// The journal is laid out in files of 100 MiB, of which there are up to three.
    const SMALL_DISK: u32 = 512;

    fn prepare(_: &Sandbox) -> Result<Self> {
        let root = locations::cache_root().context("neither BISTRO_CACHE nor HOME is set")?;
        let program = locations::mongod(&root);
        ensure!(program.exists(), "there is no {}: run `cargo xtask provision`", program.display());
        Ok(Self { program })
    }

    fn command(&self, sandbox: &Sandbox, data: &Path, addr: SocketAddr) -> Command {
        let mut command = sandbox.command(&self.program);
        command
            .args(["--replSet", REPLICA_SET, "--nounixsocket", "--quiet"])
            .args(["--bind_ip", &addr.ip().to_string(), "--port", &addr.port().to_string()])
            .arg("--dbpath")
            .arg(data)
            // Small: several of these run beside a build.
            .args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "100"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            // Every test brings hundreds of files, and files count against the process's limit while they are open: by
            // default for ten minutes after anybody used them.
            .args(["--setParameter", "wiredTigerFileHandleCloseIdleTime=30"])
            // A client killed in the middle of a transaction keeps its documents locked for this
            // long; the default is a minute.
            .args(["--setParameter", "transactionLifetimeLimitSeconds=10"])
            // There is no other node that clients could turn to while this one ends.
            .args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"]);
        command
    }

    /// Ready is: the primary of its replica set, which it founds if there is none yet.
    async fn ready(addr: SocketAddr) -> Result<()> {
        let mut connection = Connection::open(addr).await?;
        let hello = connection.command(&[("hello", Value::Int32(1))]).await?;
        if hello.get("isWritablePrimary") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        if hello.contains_key("setName") {
            bail!("it is not the primary yet");
        }
        let node = vec![
            ("_id".to_owned(), Value::Int32(0)),
            ("host".to_owned(), Value::String(addr.to_string())),
        ];
        let set = vec![
            ("_id".to_owned(), Value::String(REPLICA_SET.to_owned())),
            ("members".to_owned(), Value::Array(vec![Value::Document(node)])),
        ];
        connection.command(&[("replSetInitiate", Value::Document(set))]).await?;
        bail!("its replica set has just been founded")
    }

    fn url(addr: SocketAddr) -> String {
        format!("mongodb://{addr}/?replicaSet={REPLICA_SET}")
    }

    /// A direct connection: with `replicaSet` the driver would learn the node's own address and go past the proxy.
    fn url_via(proxy: SocketAddr) -> String {
        format!("mongodb://{proxy}/?directConnection=true")
    }

    fn shared() -> &'static OnceCell<Server<Self>> {
        static SHARED: OnceCell<Server<Mongo>> = OnceCell::const_new();
        &SHARED
    }
}
