//! The exchanges and queues on the broker: their names, their arguments, and which kinds they take.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bistro_bus::{BusError, Queue};
use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use parking_lot::RwLock;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use crate::link::{self, Link};

/// The topic exchange of events; the routing key is the event's kind.
pub(crate) const EVENTS: &str = "bistro.events";
/// The direct exchange of broadcasts; the routing key is the topic.
pub(crate) const BROADCAST: &str = "bistro.broadcast";
/// The direct exchange that dead letters of the broker go through; the key is the queue's name.
const DEAD: &str = "bistro.dead";
/// Deliveries that may fail by crash or requeue before the broker gives a message up. Ordinary
/// retries do not count: they are parked on the shelf and acknowledged.
const DELIVERY_LIMIT: i64 = 1000;
/// The delivery limit of a dead-letter queue, which must never give up; 4.x would at 20.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;
/// Messages a queue holds before publishers are refused. Required by at-least-once dead-lettering.
const MAX_LENGTH: i64 = 5_000_000;
/// The longest queue name: AMQP's 255 bytes less the suffix of its dead-letter queue.
const MAX_NAME: usize = 255 - DEAD_SUFFIX.len();
const DEAD_SUFFIX: &str = ".dead";

/// The queue that takes what the broker gives up of `queue`.
pub(crate) fn dead_queue(queue: &str) -> String {
    format!("{queue}{DEAD_SUFFIX}")
}

/// Where an event of some kind goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To no queue that this process knows of.
    Unbound,
    /// To at least one.
    Bound,
    /// To a queue that was found missing.
    Missing,
}

/// The queues that this process declared.
#[derive(Default)]
pub(crate) struct Topology {
    state: RwLock<State>,
    /// How long a new queue takes to be safe.
    settling: Duration,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<&'static str, Queue>,
    missing: HashSet<&'static str>,
    settled_at: Option<Instant>,
}

impl Topology {
    pub(crate) fn new(settling: Duration) -> Self {
        Self { settling, ..Self::default() }
    }

    /// Remembers `queues`, to be declared now and after every reconnect.
    pub(crate) fn add(&self, queues: &[Queue]) -> Result<(), BusError> {
        for queue in queues {
            let longest = queue.kinds.iter().map(|kind| kind.len()).max().unwrap_or(0);
            if queue.name.len() > MAX_NAME || longest > 255 {
                return Err(BusError::Malformed(format!(
                    "queue {} or one of its kinds has too long a name",
                    queue.name
                )));
            }
        }
        let mut state = self.state.write();
        for queue in queues {
            state.queues.insert(queue.name, queue.clone());
        }
        Ok(())
    }

    /// The declared queue of that name.
    pub(crate) fn queue(&self, name: &str) -> Result<Queue, BusError> {
        let state = self.state.read();
        state.queues.get(name).cloned().ok_or_else(|| BusError::NoQueue(name.to_owned()))
    }

    /// Where an event of `kind` goes.
    pub(crate) fn route(&self, kind: &str) -> Route {
        let state = self.state.read();
        let mut route = Route::Unbound;
        for queue in state.queues.values() {
            if queue.kinds.contains(&kind) {
                if state.missing.contains(queue.name) {
                    return Route::Missing;
                }
                route = Route::Bound;
            }
        }
        route
    }

    /// Declares everything; repeating it changes nothing.
    pub(crate) async fn establish(&self, connection: &Connection) -> Result<(), lapin::Error> {
        let queues: Vec<Queue> = self.state.read().queues.values().cloned().collect();
        let mut created = Vec::new();
        for queue in &queues {
            if !exists(connection, queue.name).await? {
                created.push(queue.name);
            }
        }
        let channel = connection.create_channel().await?;
        for (name, kind) in [
            (EVENTS, ExchangeKind::Topic),
            (DEAD, ExchangeKind::Direct),
            (BROADCAST, ExchangeKind::Direct),
        ] {
            let durable =
                ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
        }
        for queue in &queues {
            self.declare_queue(&channel, queue).await?;
        }
        if !created.is_empty() {
            info!(?created, "created queues");
            self.state.write().settled_at = Some(Instant::now() + self.settling);
        }
        Ok(())
    }

    /// Waits until the broker has noted the queues that were created last.
    pub(crate) async fn settled(&self) {
        let settled_at = self.state.read().settled_at;
        if let Some(moment) = settled_at {
            sleep_until(moment).await;
        }
    }

    /// Declares one queue, its dead-letter queue and their bindings.
    ///
    /// The arguments are the same on every version: a queue's arguments cannot be changed later.
    pub(crate) async fn declare_queue(
        &self,
        channel: &Channel,
        queue: &Queue,
    ) -> Result<(), lapin::Error> {
        let dead = dead_queue(queue.name);
        // The dead-letter queue comes first, so that nothing can be given up into the void.
        let arguments =
            quorum(&[("x-delivery-limit", AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT))]);
        channel
            .queue_declare(dead.as_str().into(), QueueDeclareOptions::durable(), arguments)
            .await?;
        bind(channel, &dead, DEAD, queue.name).await?;
        let arguments = quorum(&[
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", text(DEAD)),
            ("x-dead-letter-routing-key", text(queue.name)),
            ("x-dead-letter-strategy", text("at-least-once")),
        ]);
        channel.queue_declare(queue.name.into(), QueueDeclareOptions::durable(), arguments).await?;
        for kind in queue.kinds {
            bind(channel, queue.name, EVENTS, kind).await?;
        }
        self.state.write().missing.remove(queue.name);
        Ok(())
    }

    /// Looks for every declared queue. A kind with several queues would still be routed to the
    /// others, so `mandatory` alone would not notice that one of them was deleted: publishing a
    /// kind of a missing queue fails until it is declared again. Gives the missing ones.
    pub(crate) async fn check(
        &self,
        link: &Link,
        deadline: Instant,
    ) -> Result<Vec<&'static str>, BusError> {
        let connection = link.connection(deadline).await?;
        let names: Vec<&'static str> = self.state.read().queues.keys().copied().collect();
        let mut missing = Vec::new();
        for name in names {
            let failed = "RabbitMQ did not say whether a queue exists";
            if link::within(deadline, failed, exists(&connection, name)).await? {
                self.state.write().missing.remove(name);
            } else {
                self.state.write().missing.insert(name);
                missing.push(name);
            }
        }
        Ok(missing)
    }
}

/// Whether the broker has that queue.
async fn exists(connection: &Connection, queue: &str) -> Result<bool, lapin::Error> {
    // A missing queue ends its channel, so each has its own.
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions::durable().passive();
    let found = channel.queue_declare(queue.into(), options, FieldTable::default());
    match found.await {
        Ok(_) => {
            link::close(&channel).await;
            Ok(true)
        }
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the broker said that something does not exist.
fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(error)
        if error.get_id() == 404)
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn quorum(more: &[(&'static str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-overflow".into(), text("reject-publish"));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_LENGTH));
    for (key, value) in more {
        table.insert((*key).into(), value.clone());
    }
    table
}

async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
) -> Result<(), lapin::Error> {
    channel
        .queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Queue = Queue { name: "orders.flow", role: "orders", kinds: &["a.A", "b.B"] };

    #[test]
    fn a_kind_is_unbound_bound_or_missing() {
        let topology = Topology::default();
        assert_eq!(topology.route("a.A"), Route::Unbound);
        topology.add(&[QUEUE]).unwrap();
        assert_eq!(topology.route("a.A"), Route::Bound);
        assert_eq!(topology.route("c.C"), Route::Unbound);
        topology.state.write().missing.insert(QUEUE.name);
        assert_eq!(topology.route("b.B"), Route::Missing);
        assert!(matches!(topology.queue("x"), Err(BusError::NoQueue(_))));
    }

    #[test]
    fn a_name_that_amqp_cannot_carry_is_refused() {
        let name: &'static str = Box::leak("q".repeat(251).into_boxed_str());
        let queue = Queue { name, ..QUEUE };
        assert!(Topology::default().add(&[queue]).is_err());
    }
}
