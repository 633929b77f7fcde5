//! RabbitMQ: how to start a node of one's own, and when it is ready.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::{Engine, Server};
use crate::locations::RABBITMQ_SERVER;
use crate::ports::Port;
use crate::sandbox::Sandbox;

/// With fewer bytes than this free, RabbitMQ stops every publisher, without an error. Little: only tests that fill a
/// disk of their own are to see that.
const DISK_FREE_LIMIT: u32 = 16_000_000;

/// The kind of a [`RabbitServer`](super::RabbitServer).
#[derive(Debug)]
pub struct Rabbit {
    /// Erlang's own port, where nodes and tools would reach this one.
    distribution: Port,
}

impl Rabbit {
    /// Writes its configuration into the sandbox: what every test's node needs, then `more` terms of its application.
    pub(super) fn configured(sandbox: &Sandbox, more: &str) -> Result<Self> {
        ensure!(
            Path::new(RABBITMQ_SERVER).exists(),
            "there is no {RABBITMQ_SERVER}: run `cargo xtask provision`"
        );
        let configuration =
            format!("[{{rabbit, [{{disk_free_limit, {DISK_FREE_LIMIT}}}{more}]}}].\n");
        fs::write(sandbox.path().join("advanced.config"), configuration)
            .context("cannot write RabbitMQ's configuration")?;
        fs::write(sandbox.path().join("enabled_plugins"), "[].\n")
            .context("cannot write RabbitMQ's plugins")?;
        Ok(Self { distribution: Port::reserve()? })
    }
}

impl Engine for Rabbit {
    const NAME: &'static str = "rabbitmq";
    const SMALL_DISK: u32 = 64;

    fn prepare(sandbox: &Sandbox) -> Result<Self> {
        Self::configured(sandbox, "")
    }

    fn command(&self, sandbox: &Sandbox, data: &Path, addr: SocketAddr) -> Command {
        let node = format!("bistro{}@localhost", addr.port());
        let distribution = self.distribution.number();
        // With the name given up front and a fixed port, Erlang needs no epmd. That daemon would outlive the node, and
        // RabbitMQ would start one every minute: hence ERL_FLAGS, which reaches the helpers that it starts for that.
        let erlang = format!(
            "-sname {node} -erl_epmd_port {distribution} -kernel inet_dist_use_interface {{127,0,0,1}}"
        );
        let mut command = sandbox.command(Path::new(RABBITMQ_SERVER));
        command
            // Nothing of the machine's own RabbitMQ, nor of whoever runs the tests, may leak in.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", sandbox.path())
            .env("RABBITMQ_CONF_ENV_FILE", sandbox.path().join("none"))
            .env("RABBITMQ_CONFIG_FILE", sandbox.path().join("none"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", sandbox.path().join("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", sandbox.path().join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", data)
            .env("RABBITMQ_LOG_BASE", sandbox.path().join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_NODENAME", &node)
            .env("RABBITMQ_NODE_IP_ADDRESS", addr.ip().to_string())
            .env("RABBITMQ_NODE_PORT", addr.port().to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang)
            .env("ERL_FLAGS", "-start_epmd false")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            // By default an idle scheduler sleeps at once, and waking it costs half of the time that a start takes.
            .env("RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD", "short")
            // As under systemd: the script becomes the node, instead of starting it and passing signals on.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }

    /// Ready is: it answers a client's first bytes with `Connection.Start`.
    async fn ready(addr: SocketAddr) -> Result<()> {
        let mut stream = TcpStream::connect(addr).await.context("cannot connect")?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await.context("cannot greet")?;
        // Frame type (method), channel (2 bytes), size (4), class, method.
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).await.context("no answer to the greeting")?;
        ensure!(
            answer[0] == 1 && answer[7..] == [0, 10, 0, 10],
            "an answer that is not Connection.Start: {answer:?}"
        );
        Ok(())
    }

    fn url(addr: SocketAddr) -> String {
        format!("amqp://guest:guest@{addr}/%2f")
    }

    fn url_via(proxy: SocketAddr) -> String {
        Self::url(proxy)
    }

    fn shared() -> &'static OnceCell<Server<Self>> {
        static SHARED: OnceCell<Server<Rabbit>> = OnceCell::const_new();
        &SHARED
    }
}
