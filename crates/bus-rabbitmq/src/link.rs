//! One supervised connection: it is rebuilt after every loss, and whoever needs it waits a bounded time.

use std::{sync::Arc, time::Duration};

use bistro_bus::BusError;
use futures::StreamExt;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{options::RabbitOptions, topology::Topology};

/// How long a connection attempt may take before the engine counts as away.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a silent connection attempt is kept before a new one is made. The old one may still
/// succeed when a stopped server goes on; each abandoned one costs a thread until TCP gives up.
const CONNECT_LIMIT: Duration = Duration::from_mins(1);
/// How long closing a channel may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between attempts; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the connection's state is looked at beside its events.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Clone)]
enum State {
    /// An attempt is under way and has not taken long yet.
    Connecting,
    Up(Arc<Connection>),
    /// The last attempt failed, so whoever asks is told at once.
    Away(Arc<Failure>),
}

/// Why the engine is away.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("RabbitMQ did not answer within {} s", CONNECT_PATIENCE.as_secs())]
    Silent,
    #[error("{0}")]
    Refused(#[source] lapin::Error),
}

/// A shared handle to one supervised connection.
#[derive(Clone)]
pub(crate) struct Link {
    purpose: &'static str,
    state: watch::Receiver<State>,
}

impl Link {
    /// Starts the supervisor. With a topology it declares all of it before the connection counts
    /// as up. Aborting the handle ends the supervision and leaves the connection as it is.
    pub(crate) fn start(
        options: &RabbitOptions,
        purpose: &'static str,
        topology: Option<Arc<Topology>>,
        seed: u64,
    ) -> (Self, AbortHandle) {
        let (sender, state) = watch::channel(State::Connecting);
        let supervisor = Supervisor {
            options: options.clone(),
            purpose,
            topology,
            state: sender,
            rng: StdRng::seed_from_u64(seed),
        };
        let task = tokio::spawn(supervisor.run());
        (Self { purpose, state }, task.abort_handle())
    }

    /// The live connection. Fails at once when the last attempt failed, and at `deadline` when an
    /// attempt takes longer than that.
    pub(crate) async fn connection(&self, deadline: Instant) -> Result<Arc<Connection>, BusError> {
        let mut state = self.state.clone();
        loop {
            let seen = state.borrow_and_update().clone();
            match seen {
                State::Up(connection) if connection.status().connected() => return Ok(connection),
                State::Away(failure) => {
                    return Err(BusError::not_done("RabbitMQ is away", failure));
                }
                State::Up(_) | State::Connecting => {}
            }
            match timeout_at(deadline, state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(away("the bus is closed")),
                Err(_) => {
                    return Err(away(&format!(
                        "RabbitMQ's {} connection is not up yet",
                        self.purpose
                    )));
                }
            }
        }
    }

    /// A new channel on the live connection.
    pub(crate) async fn channel(&self, deadline: Instant) -> Result<Channel, BusError> {
        let connection = self.connection(deadline).await?;
        open(&connection, deadline).await
    }
}

/// A new channel on `connection`.
async fn open(connection: &Connection, deadline: Instant) -> Result<Channel, BusError> {
    within(deadline, "RabbitMQ opened no channel", connection.create_channel()).await
}

/// Asks lapin for something, and no longer than until `deadline`: a request that is under way when
/// its connection is lost may never be answered.
pub(crate) async fn within<T>(
    deadline: Instant,
    failed: &str,
    request: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BusError> {
    match timeout_at(deadline, request).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(BusError::not_done(failed, error)),
        Err(_) => Err(away(&format!("{failed} in time"))),
    }
}

/// Closes a channel. Dropping it would do, but only in the background.
pub(crate) async fn close(channel: &Channel) {
    let deadline = Instant::now() + CLOSE_PATIENCE;
    if channel.status().connected()
        && let Err(error) =
            within(deadline, "RabbitMQ closed no channel", channel.close(200, "OK".into())).await
    {
        debug!(%error, "a channel was not closed");
    }
}

/// A channel that is kept for as long as its connection lives.
pub(crate) struct Reused {
    link: Link,
    open: Option<(Arc<Connection>, Channel)>,
}

impl Reused {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, open: None }
    }

    /// The channel, and whether it is a new one. Fails while the broker takes no messages.
    pub(crate) async fn get(&mut self, deadline: Instant) -> Result<(Channel, bool), BusError> {
        let connection = self.link.connection(deadline).await?;
        if connection.status().blocked() {
            return Err(away("RabbitMQ takes no messages while it is short of memory or disk"));
        }
        if let Some((of, channel)) = &self.open
            && Arc::ptr_eq(of, &connection)
            && channel.status().connected()
        {
            return Ok((channel.clone(), false));
        }
        self.open = None;
        let channel = open(&connection, deadline).await?;
        self.open = Some((connection, channel.clone()));
        Ok((channel, true))
    }

    /// Gives the channel up.
    pub(crate) fn discard(&mut self) {
        self.open = None;
    }
}

/// [`BusError::NotDone`] without a cause.
pub(crate) fn away(message: &str) -> BusError {
    BusError::NotDone { message: message.to_owned(), source: None }
}

struct Supervisor {
    options: RabbitOptions,
    purpose: &'static str,
    topology: Option<Arc<Topology>>,
    state: watch::Sender<State>,
    rng: StdRng,
}

impl Supervisor {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    info!(purpose = self.purpose, "connected to RabbitMQ");
                    pause = FIRST_PAUSE;
                    let connection = Arc::new(connection);
                    self.state.send_replace(State::Up(connection.clone()));
                    lost(&connection).await;
                    warn!(purpose = self.purpose, "lost the connection to RabbitMQ");
                    self.state.send_replace(State::Connecting);
                }
                Err(failure) => {
                    warn!(purpose = self.purpose, %failure, "cannot connect to RabbitMQ");
                    self.state.send_replace(State::Away(Arc::new(failure)));
                    sleep(pause.mul_f64(self.rng.random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let attempt = self.attempt();
        tokio::pin!(attempt);
        if let Ok(done) = timeout(CONNECT_PATIENCE, &mut attempt).await {
            return done;
        }
        self.state.send_replace(State::Away(Arc::new(Failure::Silent)));
        timeout(CONNECT_LIMIT, attempt).await.unwrap_or(Err(Failure::Silent))
    }

    async fn attempt(&self) -> Result<Connection, Failure> {
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {}", self.options.name, self.purpose).into());
        let connection = Connection::connect_uri(self.options.uri.clone(), properties)
            .await
            .map_err(Failure::Refused)?;
        if let Some(topology) = &self.topology {
            topology.establish(&connection).await.map_err(Failure::Refused)?;
        }
        Ok(connection)
    }
}

/// Waits until `connection` is of no more use.
async fn lost(connection: &Connection) {
    let events = connection.events_listener();
    tokio::pin!(events);
    while connection.status().connected() {
        // An event says so at once; the interval is for an end that has no event.
        if let Ok(Some(Event::ConnectionBlocked(reason))) =
            timeout(WATCH_INTERVAL, events.next()).await
        {
            warn!(reason, "RabbitMQ takes no more messages for now");
        }
    }
}
