//! Moves what the broker gave up of a queue from its dead-letter queue to the shelf.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bistro_bus::{BusError, DeadLetter};
use futures::StreamExt;
use lapin::{
    message::Delivery as Message,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    lane::Lane,
    link::{self, Link, away},
    topology::dead_queue,
    wire,
};

/// Dead letters in hand at once.
const PREFETCH: u16 = 16;
/// How long the broker may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is waited after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is asked whether the queue is still consumed here.
const ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs for as long as somebody holds the lane.
pub(crate) async fn run(link: Link, lane: Weak<Lane>) {
    while lane.strong_count() > 0 {
        if let Err(error) = drain(&link, &lane).await {
            warn!(%error, "cannot fetch the broker's dead letters; trying again");
            sleep(PAUSE).await;
        }
    }
}

async fn drain(link: &Link, lane: &Weak<Lane>) -> Result<(), BusError> {
    let Some(queue) = lane.upgrade().map(|lane| lane.queue.name) else {
        return Ok(());
    };
    let deadline = Instant::now() + PATIENCE;
    let channel = link.channel(deadline).await?;
    let begin = async {
        channel.basic_qos(PREFETCH, BasicQosOptions { global: false }).await?;
        channel
            .basic_consume(
                dead_queue(queue).into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
    };
    let mut messages = link::within(deadline, "RabbitMQ did not begin to deliver", begin).await?;
    loop {
        let message = match timeout(ALIVE_INTERVAL, messages.next()).await {
            Ok(Some(message)) => {
                message.map_err(|error| BusError::not_done("the connection is lost", error))?
            }
            Ok(None) => return Err(away("RabbitMQ ended the dead letters' consumer")),
            // Nothing came; the channel is closed when it is dropped.
            Err(_) if lane.strong_count() == 0 => return Ok(()),
            Err(_) => continue,
        };
        let Some(lane) = lane.upgrade() else {
            return Ok(());
        };
        // An error drops the channel, and with it all that is unsettled goes back to the queue.
        bury(&lane, message).await?;
    }
}

async fn bury(lane: &Arc<Lane>, message: Message) -> Result<(), BusError> {
    let Message { properties, data, routing_key, acker, .. } = message;
    let now = lane.clock.now();
    let cause = wire::broker_cause(&properties);
    let letter = match wire::decode(&properties, data) {
        Ok(event) => {
            DeadLetter { queue: lane.queue.name.to_owned(), event, attempts: 1, at: now, cause }
        }
        Err(malformed) => {
            malformed.into_letter(lane.queue.name, &properties, routing_key.as_str(), now)
        }
    };
    lane.shelf.bury(letter).await?;
    match acker.ack(BasicAckOptions::default()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(away("the connection is gone; a dead letter may be kept twice")),
        Err(error) => Err(BusError::unknown("a dead letter may be kept twice", error)),
    }
}
