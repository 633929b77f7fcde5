//! The bus itself: the messaging contract over two supervised connections.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bistro_bus::{Bus, BusError, Consumer, DeadLetter, DeadPlace, Depth, Listener, Queue, Shelf};
use bistro_core::{Clock, Event};
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use parking_lot::Mutex;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{error, warn};

use crate::{
    broadcast::Broadcasts,
    consumer::RabbitConsumer,
    graveyard,
    lane::Lane,
    link::{self, Link, away},
    options::RabbitOptions,
    publisher::Publisher,
    topology::{EVENTS, Topology},
};

/// How long declaring the whole topology may take.
const DECLARE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a ping may take.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// Gives the shelf of a queue: that of the role whose Works its events cause.
pub type Shelves = Arc<dyn Fn(&Queue) -> Arc<dyn Shelf> + Send + Sync>;

/// The messaging contract on RabbitMQ (3.10 and later, 4.x).
///
/// Dropping it closes its connections once its consumers and listeners are dropped too.
pub struct RabbitBus {
    options: RabbitOptions,
    clock: Arc<dyn Clock>,
    shelves: Shelves,
    topology: Arc<Topology>,
    publishing: Link,
    consuming: Link,
    publisher: Publisher,
    broadcasts: Broadcasts,
    lanes: Mutex<HashMap<&'static str, Weak<Lane>>>,
    tasks: Vec<AbortHandle>,
}

impl RabbitBus {
    /// Starts to connect, and returns at once: what is asked of the bus before it is connected
    /// waits for a bounded time. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(options: RabbitOptions, shelves: Shelves, clock: Arc<dyn Clock>) -> Self {
        let topology = Arc::new(Topology::new(options.settling));
        let (publishing, publishing_task) =
            Link::start(&options, "publishing", Some(topology.clone()), options.seed ^ 1);
        let (consuming, consuming_task) =
            Link::start(&options, "consuming", None, options.seed ^ 2);
        let (publisher, mut tasks) =
            Publisher::start(&publishing, topology.clone(), options.publish_timeout);
        let check = check(topology.clone(), publishing.clone(), options.check_interval);
        tasks.extend([publishing_task, consuming_task, tokio::spawn(check).abort_handle()]);
        Self {
            broadcasts: Broadcasts::new(publishing.clone(), consuming.clone()),
            options,
            clock,
            shelves,
            topology,
            publishing,
            consuming,
            publisher,
            lanes: Mutex::default(),
            tasks,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.publish_timeout
    }

    /// What this process knows of a queue that it consumes.
    fn lane(&self, queue: &Queue) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(queue.name).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Lane::start(
            queue.clone(),
            (self.shelves)(queue),
            self.clock.clone(),
            self.options.poll_interval,
            self.options.seed ^ 3,
        );
        let weak = Arc::downgrade(&lane);
        tokio::spawn(graveyard::run(self.consuming.clone(), weak.clone()));
        lanes.insert(queue.name, weak);
        lane
    }

    fn known_lane(&self, queue: &str) -> Option<Arc<Lane>> {
        self.lanes.lock().get(queue).and_then(Weak::upgrade)
    }

    /// Does something on a channel of its own, since an error of the broker's ends the channel.
    async fn control<T>(
        &self,
        what: &str,
        deadline: Instant,
        act: impl AsyncFnOnce(&Channel) -> Result<T, lapin::Error>,
    ) -> Result<T, BusError> {
        let channel = self.publishing.channel(deadline).await?;
        let done = link::within(deadline, what, act(&channel)).await?;
        link::close(&channel).await;
        Ok(done)
    }
}

impl Drop for RabbitBus {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Looks for deleted queues now and then.
async fn check(topology: Arc<Topology>, link: Link, interval: Duration) {
    loop {
        sleep(interval).await;
        match topology.check(&link, Instant::now() + interval).await {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => error!(?missing, "declared queues are gone from RabbitMQ"),
            Err(error) => warn!(%error, "cannot check that the queues exist"),
        }
    }
}

#[async_trait]
impl Bus for RabbitBus {
    async fn declare(&self, queues: &[Queue]) -> Result<(), BusError> {
        self.topology.add(queues)?;
        // Waiting for the connection is bounded as elsewhere; creating many queues takes longer.
        let connection = self.publishing.connection(self.deadline()).await?;
        let deadline = Instant::now() + DECLARE_PATIENCE;
        let failed = "RabbitMQ did not declare the queues";
        link::within(deadline, failed, self.topology.establish(&connection)).await?;
        self.topology.settled().await;
        Ok(())
    }

    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>> {
        self.publisher.publish(events).await
    }

    async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        let queue = self.topology.queue(queue)?;
        let consumer = RabbitConsumer::start(
            &self.consuming,
            &self.topology,
            self.lane(&queue),
            prefetch,
            self.deadline(),
        );
        Ok(Box::new(consumer.await?))
    }

    async fn broadcast(&self, topic: &str, payload: &[u8]) -> Result<(), BusError> {
        let deadline = self.deadline();
        self.broadcasts.broadcast(topic, payload, deadline).await
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        let listener = self.broadcasts.listen(topic, self.deadline());
        Ok(Box::new(listener.await?))
    }

    /// `ready` counts what waits on the broker and what this process has in hand. The broker does
    /// not tell over AMQP what other processes have in hand.
    async fn depth(&self, queue: &str) -> Result<Depth, BusError> {
        let queue = self.topology.queue(queue)?;
        let counts = (self.shelves)(&queue).counts(queue.name).await?;
        let waiting = self
            .control("RabbitMQ did not count messages", self.deadline(), async |channel| {
                let options = QueueDeclareOptions::durable().passive();
                channel.queue_declare(queue.name.into(), options, FieldTable::default()).await
            })
            .await?
            .message_count();
        let unsettled = self.known_lane(queue.name).map_or(0, |lane| lane.unsettled());
        Ok(Depth {
            ready: u64::from(waiting) + unsettled,
            parked: counts.parked,
            oldest_parked: counts.oldest_parked,
            dead: counts.dead,
        })
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<&DeadPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let queue = self.topology.queue(queue)?;
        (self.shelves)(&queue).dead_letters(queue.name, after, limit).await
    }

    async fn dead_letter(&self, queue: &str, event: &str) -> Result<Option<DeadLetter>, BusError> {
        let queue = self.topology.queue(queue)?;
        (self.shelves)(&queue).dead_letter(queue.name, event).await
    }

    async fn revive(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        let queue = self.topology.queue(queue)?;
        let revived = (self.shelves)(&queue).revive(queue.name, event, self.clock.now()).await?;
        if revived && let Some(lane) = self.known_lane(queue.name) {
            lane.revived(event);
        }
        Ok(revived)
    }

    async fn discard(&self, queue: &str, event: &str) -> Result<bool, BusError> {
        let queue = self.topology.queue(queue)?;
        (self.shelves)(&queue).discard(queue.name, event).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        let deadline = Instant::now() + PING_PATIENCE;
        let answer = async {
            if self.publishing.connection(deadline).await?.status().blocked() {
                return Err(away("RabbitMQ takes no messages while it is short of memory or disk"));
            }
            self.control("RabbitMQ did not answer", deadline, async |channel| {
                let options =
                    ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                channel
                    .exchange_declare(
                        EVENTS.into(),
                        ExchangeKind::Topic,
                        options,
                        FieldTable::default(),
                    )
                    .await
            })
            .await
        };
        timeout(PING_PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(away("RabbitMQ did not answer in time")))
    }
}
