//! The life of a real server under test: started, stopped, killed, paused, restarted on the same data and port.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::OnceCell;

use crate::ports::Port;
use crate::process::Process;
use crate::sandbox::{SMALL_DISK, Sandbox};
use crate::wait;

mod mongo;
mod mongo_wire;
mod rabbit;
mod virtual_hosts;

pub use mongo::Mongo;
pub use rabbit::Rabbit;

/// How long a server may take until it is ready. Long: two cores may be busy with a build meanwhile.
const START: Duration = Duration::from_mins(3);
/// How long a server may take to end after SIGTERM.
const STOP: Duration = Duration::from_mins(1);

/// What a disk is filled with, a page at a time: less than a page that is left holds nothing more.
const BALLAST: [u8; 4096] = [0; 4096];

/// A real MongoDB: a replica set of one node, so that transactions and change streams work.
pub type MongoServer = Server<Mongo>;
/// A real RabbitMQ node, with the user `guest`.
pub type RabbitServer = Server<Rabbit>;

/// What is particular to one kind of server.
pub trait Engine: Sized + Send + Sync + 'static {
    /// Its name in messages and file names.
    const NAME: &'static str;

    /// The size in MiB of a disk that it works on, and that is full soon.
    const SMALL_DISK: u32;

    /// Finds its program and writes its configuration into the sandbox, once.
    fn prepare(sandbox: &Sandbox) -> Result<Self>;

    /// The command that starts it on `addr`, with its data in the folder `data`.
    fn command(&self, sandbox: &Sandbox, data: &Path, addr: SocketAddr) -> Command;

    /// Whether it serves clients on `addr`; if not, what it answered.
    fn ready(addr: SocketAddr) -> impl Future<Output = Result<()>> + Send;

    /// The URL at which clients reach it on `addr`.
    fn url(addr: SocketAddr) -> String;

    /// The URL at which clients reach it through a proxy that listens on `proxy`, and never past it.
    fn url_via(proxy: SocketAddr) -> String;

    /// The server that the tests of this process share.
    fn shared() -> &'static OnceCell<Server<Self>>;
}

/// A real server with a port and data of its own. Dropping it kills it and removes its data.
///
/// It is bound to no async runtime: tests may hand it around.
#[derive(Debug)]
pub struct Server<E> {
    engine: E,
    // Dropped in this order: the process ends before its data goes.
    process: Process,
    sandbox: Sandbox,
    data: PathBuf,
    port: Port,
}

impl<E: Engine> Server<E> {
    /// Starts a server and returns once it serves clients.
    pub async fn start() -> Result<Self> {
        let sandbox = Sandbox::new(E::NAME)?;
        let data = sandbox.path().join("data");
        fs::create_dir(&data).context("cannot make a server's data folder")?;
        Self::start_in(sandbox, data).await
    }

    /// [`start`](Self::start) with its data on a small disk of its own, which a test can [fill](Self::fill_disk).
    /// Mounting one needs root.
    pub async fn start_on_a_small_disk() -> Result<Self> {
        let sandbox = Sandbox::new(E::NAME)?;
        let data = sandbox.small_disk(E::SMALL_DISK)?;
        Self::start_in(sandbox, data).await
    }

    async fn start_in(sandbox: Sandbox, data: PathBuf) -> Result<Self> {
        let engine = E::prepare(&sandbox)?;
        Self::launch(engine, sandbox, data).await
    }

    async fn launch(engine: E, sandbox: Sandbox, data: PathBuf) -> Result<Self> {
        let port = Port::reserve()?;
        let process = sandbox.spawn(engine.command(&sandbox, &data, port.addr()), E::NAME)?;
        let mut server = Self { engine, process, sandbox, data, port };
        server.until_ready().await?;
        Ok(server)
    }

    /// The one server that all tests of this process share; the first caller starts it.
    ///
    /// It lives until the process ends and then goes with its data. As it is lent out immutably, no test can stop it
    /// for the others: a test that wants to do so starts its own. Sharing tests keep apart by name (a database, a virtual
    /// host, a queue of their own).
    pub async fn shared() -> Result<&'static Self> {
        E::shared().get_or_try_init(Self::start).await
    }

    /// The URL at which clients reach it.
    #[must_use]
    pub fn url(&self) -> String {
        E::url(self.addr())
    }

    /// The URL at which clients reach it through a [`FaultProxy`](crate::FaultProxy) that listens on `proxy`.
    #[must_use]
    pub fn url_via(&self, proxy: SocketAddr) -> String {
        E::url_via(proxy)
    }

    /// Where it listens: the upstream of a proxy.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Its process, for a look at its log.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it in good order; its data stays for [`restart`](Self::restart).
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Kills it (`kill -9`); its data stays for [`restart`](Self::restart).
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Halts it: its connections stay open and nothing answers.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) -> Result<()> {
        self.process.resume()
    }

    /// Starts it again on the same data and port, and returns once it serves clients. One that runs is stopped first.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.process = self
            .sandbox
            .spawn(self.engine.command(&self.sandbox, &self.data, self.addr()), E::NAME)?;
        self.until_ready().await
    }

    /// Whether its process runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// Takes the room that its small disk has left but for `spare` bytes, until [`make_room`](Self::make_room).
    ///
    /// # Errors
    /// When its data is on no disk of its own: the machine's is not to be filled.
    pub fn fill_disk(&self, spare: u64) -> Result<()> {
        ensure!(self.data.ends_with(SMALL_DISK), "{} has no small disk", E::NAME);
        let mut ballast = File::create(self.ballast()).context("cannot make the ballast")?;
        loop {
            match ballast.write_all(&BALLAST) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("cannot write the ballast"),
            }
        }
        let size = ballast.metadata().context("cannot look at the ballast")?.len();
        ballast.set_len(size.saturating_sub(spare)).context("cannot shorten the ballast")
    }

    /// Gives back what [`fill_disk`](Self::fill_disk) took.
    pub fn make_room(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("cannot remove the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.data.join("ballast")
    }

    async fn until_ready(&mut self) -> Result<()> {
        let addr = self.addr();
        let process = &mut self.process;
        let ready = wait::try_until(START, async || match process.ended() {
            Ok(None) => E::ready(addr).await.map(|()| None),
            ended => Ok(Some(ended)),
        })
        .await;
        match ready {
            Ok(None) => Ok(()),
            Ok(Some(ended)) => {
                let how = ended?.map(|status| status.to_string()).unwrap_or_default();
                bail!(
                    "{} ended while it started ({how}); its last words:\n{}",
                    E::NAME,
                    self.process.last_words()
                )
            }
            Err(last) => {
                let error = last.unwrap_or_else(|| anyhow::anyhow!("no answer"));
                Err(error).with_context(|| {
                    format!(
                        "{} was not ready within {START:?}; its last words:\n{}",
                        E::NAME,
                        self.process.last_words()
                    )
                })
            }
        }
    }
}
