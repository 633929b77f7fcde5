//! A TCP proxy whose faults a test switches on and off while connections run through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::background::Background;
use crate::ports::Port;

/// What the proxy does with the bytes of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad: bytes pass as they come.
    Pass,
    /// New connections are refused (nobody listens). Existing ones go on.
    Refuse,
    /// New connections are accepted, and no byte passes in any connection until the fault changes. None is lost.
    BlackHole,
    /// Every piece of data waits this long before it passes, in both directions.
    Delay(Duration),
    /// After this many further bytes in one direction a connection is reset; what goes in the other direction passes
    /// until then. Counted for each connection on its own, from the moment when the fault is set.
    ///
    /// Zero bytes [`ToClient`](Direction::ToClient) lets a request through and loses its answer: "it may have happened".
    CutAfter {
        /// The direction that is counted.
        direction: Direction,
        /// How many bytes still pass.
        bytes: u64,
    },
}

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What clients send: requests.
    ToServer,
    /// What the server sends: answers.
    ToClient,
}

/// The proxy. Dropping it ends every connection and stops listening.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    orders: mpsc::UnboundedSender<Order>,
    open: watch::Receiver<usize>,
    _relay: Background,
}

/// What a test tells the proxy; the answer comes when it is in force.
type Order = (Change, oneshot::Sender<io::Result<()>>);

#[derive(Clone, Copy, Debug)]
enum Change {
    Set(Fault),
    CutAll,
}

/// What the connections go by.
#[derive(Clone, Copy, Debug)]
struct Settings {
    fault: Fault,
    /// Grows with every `set`: counters start again.
    version: u64,
    /// Grows with every cut: older connections end.
    cuts: u64,
}

impl FaultProxy {
    /// Starts a proxy to `upstream` on a port of the loopback address, with [`Fault::Pass`].
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let port = Port::reserve()?;
        let (orders, received) = mpsc::unbounded_channel();
        let (count, open) = watch::channel(0);
        let relay = Relay {
            listen: port.addr(),
            upstream,
            settings: watch::Sender::new(Settings { fault: Fault::Pass, version: 0, cuts: 0 }),
            open: Arc::new(count),
        };
        let relay = Background::spawn("fault-proxy", relay.run(received))?;
        let proxy = Self { port, orders, open, _relay: relay };
        proxy.set(Fault::Pass).await.context("the proxy cannot listen")?;
        Ok(proxy)
    }

    /// Where clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Replaces the fault. In force for every connection, old and new, when this returns.
    pub async fn set(&self, fault: Fault) -> Result<()> {
        self.order(Change::Set(fault)).await
    }

    /// Resets every connection there is; they are gone when this returns. New ones are treated by the fault as before.
    pub async fn cut(&self) -> Result<()> {
        self.order(Change::CutAll).await
    }

    /// How many connections are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.open.borrow()
    }

    async fn order(&self, change: Change) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.orders.send((change, done)).context("the proxy has ended")?;
        answer.await.context("the proxy has ended")?.context("the proxy cannot listen")
    }
}

struct Relay {
    listen: SocketAddr,
    upstream: SocketAddr,
    settings: watch::Sender<Settings>,
    open: Arc<watch::Sender<usize>>,
}

impl Relay {
    /// Accepts connections and follows orders, until nobody can give any more.
    async fn run(self, mut orders: mpsc::UnboundedReceiver<Order>) -> Result<()> {
        let mut listener: Option<TcpListener> = None;
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some((change, done)) = order else { return Ok(()) };
                    let outcome = match change {
                        Change::Set(fault) => self.set(fault, &mut listener).await,
                        Change::CutAll => {
                            self.cut().await;
                            Ok(())
                        }
                    };
                    // Nobody waits for it any more if the test gave up.
                    let _ = done.send(outcome);
                }
                accepted = accept(listener.as_ref()) => {
                    // A client that is gone already needs no connection.
                    if let Ok(client) = accepted {
                        self.connect(client);
                    }
                }
            }
        }
    }

    async fn set(&self, fault: Fault, listener: &mut Option<TcpListener>) -> io::Result<()> {
        self.settings.send_modify(|settings| {
            settings.fault = fault;
            settings.version += 1;
        });
        if fault == Fault::Refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(TcpListener::bind(self.listen).await?);
        }
        Ok(())
    }

    async fn cut(&self) {
        self.settings.send_modify(|settings| settings.cuts += 1);
        // Fails only if the sender is gone, and that is ours.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn connect(&self, client: TcpStream) {
        let counted = Counted::new(&self.open);
        let mut settings = self.settings.subscribe();
        let born = settings.borrow_and_update().cuts;
        let mut connection = Connection {
            client,
            server: None,
            upstream: self.upstream,
            settings: settings.clone(),
        };
        tokio::spawn(async move {
            let carried = tokio::select! {
                carried = connection.carry() => carried,
                _ = settings.wait_for(|settings| settings.cuts > born) => Err(io::ErrorKind::ConnectionReset.into()),
            };
            if carried.is_err() {
                connection.reset();
            }
            drop((connection, counted));
        });
    }
}

/// The next connection; never, without a listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// One client's connection and its continuation to the server.
struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    upstream: SocketAddr,
    settings: watch::Receiver<Settings>,
}

impl Connection {
    /// Carries bytes both ways, until both sides have closed or one way breaks.
    async fn carry(&mut self) -> io::Result<()> {
        passing(&mut self.settings).await?;
        let server = self.server.insert(TcpStream::connect(self.upstream).await?);
        server.set_nodelay(true)?;
        self.client.set_nodelay(true)?;
        let (from_client, to_client) = self.client.split();
        let (from_server, to_server) = server.split();
        let requests = Pump { direction: Direction::ToServer, settings: self.settings.clone() };
        let answers = Pump { direction: Direction::ToClient, settings: self.settings.clone() };
        tokio::try_join!(
            requests.run(from_client, to_server),
            answers.run(from_server, to_client)
        )?;
        Ok(())
    }

    /// Makes both sides see a reset when the sockets are closed next: a failure, not an end in good order.
    fn reset(&self) {
        for side in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            // Fails only on a socket that is gone already.
            let _ = side.set_zero_linger();
        }
    }
}

/// Waits while the fault is a black hole; the settings then. An error when the proxy has ended.
async fn passing(settings: &mut watch::Receiver<Settings>) -> io::Result<Settings> {
    settings
        .wait_for(|settings| settings.fault != Fault::BlackHole)
        .await
        .map(|settings| *settings)
        .map_err(io::Error::other)
}

/// One direction of one connection.
struct Pump {
    direction: Direction,
    settings: watch::Receiver<Settings>,
}

impl Pump {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut counting = (0, 0);
        loop {
            let read = from.read(&mut buffer).await?;
            let mut settings = passing(&mut self.settings).await?;
            if let Fault::Delay(delay) = settings.fault {
                sleep(delay).await;
                settings = passing(&mut self.settings).await?;
            }
            if read == 0 {
                return to.shutdown().await;
            }
            let (version, passed) = &mut counting;
            if *version != settings.version {
                (*version, *passed) = (settings.version, 0);
            }
            let left = match settings.fault {
                Fault::CutAfter { direction, bytes } if direction == self.direction => {
                    bytes - *passed
                }
                _ => u64::MAX,
            };
            let pass = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            to.write_all(&buffer[..pass]).await?;
            *passed += u64::try_from(pass).unwrap_or(u64::MAX);
            if pass < read {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }
}

/// A connection in the count of open ones, for as long as it lives.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(open: &Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
