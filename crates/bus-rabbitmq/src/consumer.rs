//! A consumer: a channel's deliveries and the lane's parked events, at most `prefetch` at a time.

use std::sync::Arc;

use async_trait::async_trait;
use bistro_bus::{BusError, Consumer, Delivery};
use bistro_core::Event;
use futures::StreamExt;
use lapin::{
    Channel,
    message::Delivery as Message,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Duration, Instant, sleep},
};
use tracing::{error, warn};

use crate::{
    lane::{Lane, Unsettled},
    link::{self, Link, away},
    settle::{BrokerDelivery, Held, ShelfDelivery},
    topology::Topology,
    wire,
};

/// What a message that cannot be buried waits before it is given back.
const BURY_PAUSE: Duration = Duration::from_secs(1);

/// Consumes one queue on a channel of its own.
pub(crate) struct RabbitConsumer {
    lane: Arc<Lane>,
    received: mpsc::UnboundedReceiver<(Event, Held)>,
    slots: Arc<Semaphore>,
    /// Why the consumer is of no more use.
    lost: watch::Receiver<Option<Loss>>,
    /// Dropping it ends the pump, which closes the channel.
    _stop: oneshot::Sender<()>,
}

#[derive(Clone, Debug)]
struct Loss {
    message: &'static str,
    source: Option<lapin::Error>,
}

impl From<Loss> for BusError {
    fn from(loss: Loss) -> Self {
        match loss.source {
            Some(source) => Self::not_done(loss.message, source),
            None => away(loss.message),
        }
    }
}

impl RabbitConsumer {
    /// Begins to consume the lane's queue, which is declared first if it is gone.
    pub(crate) async fn start(
        link: &Link,
        topology: &Topology,
        lane: Arc<Lane>,
        prefetch: u16,
        deadline: Instant,
    ) -> Result<Self, BusError> {
        let prefetch = prefetch.max(1);
        let channel = link.channel(deadline).await?;
        let begin = async {
            topology.declare_queue(&channel, &lane.queue).await?;
            channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
            channel
                .basic_consume(
                    lane.queue.name.into(),
                    "".into(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await
        };
        let failed = format!("RabbitMQ did not begin to deliver {}", lane.queue.name);
        let messages = link::within(deadline, &failed, begin).await?;
        let (sender, received) = mpsc::unbounded_channel();
        let (teller, lost) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let pump = Pump { lane: lane.clone(), channel, sender, loss: teller };
        tokio::spawn(pump.run(messages, stopped));
        Ok(Self {
            lane,
            received,
            slots: Arc::new(Semaphore::new(usize::from(prefetch))),
            lost,
            _stop: stop,
        })
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let slot = tokio::select! {
            biased;
            loss = lost(&mut self.lost) => return Err(loss.into()),
            slot = self.slots.clone().acquire_owned() => {
                slot.map_err(|_| away("the consumer is closed"))?
            }
        };
        tokio::select! {
            // Neither the broker's nor the shelf's events may starve the others.
            loss = lost(&mut self.lost) => Err(loss.into()),
            received = self.received.recv() => match received {
                Some((event, held)) if held.usable() => {
                    let settle = BrokerDelivery { held, event: event.clone(), _slot: slot };
                    Ok(Delivery::new(event, 1, Box::new(settle)))
                }
                // What came on a channel that is gone is delivered again.
                _ => Err(lost(&mut self.lost).await.into()),
            },
            parked = self.lane.next() => {
                let (event, attempt) = (parked.event.clone(), parked.attempt);
                let settle = ShelfDelivery::new(self.lane.clone(), parked, slot);
                Ok(Delivery::new(event, attempt, Box::new(settle)))
            }
        }
    }
}

async fn lost(lost: &mut watch::Receiver<Option<Loss>>) -> Loss {
    let ended = Loss { message: "the consumer has ended", source: None };
    match lost.wait_for(Option::is_some).await {
        Ok(told) => told.clone().unwrap_or(ended),
        Err(_) => ended,
    }
}

/// Takes messages from lapin as they come, so that they are counted, and closes the channel in the
/// end, so that what is unsettled is delivered again.
struct Pump {
    lane: Arc<Lane>,
    channel: Channel,
    sender: mpsc::UnboundedSender<(Event, Held)>,
    loss: watch::Sender<Option<Loss>>,
}

impl Pump {
    async fn run(self, mut messages: lapin::Consumer, mut stopped: oneshot::Receiver<()>) {
        let loss = loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break None,
                message = messages.next() => match message {
                    Some(Ok(message)) => self.take(message),
                    Some(Err(error)) => break Some(Loss {
                        message: "the consumer's connection is lost",
                        source: Some(error),
                    }),
                    // The server ends a consumer whose queue is deleted, for one.
                    None => break Some(Loss {
                        message: "RabbitMQ ended the consumer",
                        source: None,
                    }),
                },
            }
        };
        if loss.is_some() {
            self.loss.send_replace(loss);
        }
        link::close(&self.channel).await;
    }

    fn take(&self, message: Message) {
        let returns = wire::returns(&message.properties);
        let held = Held::new(message.acker, returns, Unsettled::new(self.lane.clone()));
        match wire::decode(&message.properties, message.data) {
            // The consumer may be gone: then the message is let go, and delivered again.
            Ok(event) => {
                let _ = self.sender.send((event, held));
            }
            Err(malformed) => {
                let letter = malformed.into_letter(
                    self.lane.queue.name,
                    &message.properties,
                    message.routing_key.as_str(),
                    self.lane.clock.now(),
                );
                tokio::spawn(bury(held, letter));
            }
        }
    }
}

/// Keeps a message that cannot be handled as a dead letter.
async fn bury(held: Held, letter: bistro_bus::DeadLetter) {
    let (queue, id) = (letter.queue.clone(), letter.event.id.clone());
    error!(queue, id, cause = letter.cause, "a message is not an event of ours");
    if let Err(error) = held.lane().shelf.bury(letter).await {
        warn!(queue, id, %error, "cannot keep a dead letter; trying again");
        sleep(BURY_PAUSE).await;
    } else if let Err(error) = held.ack().await {
        warn!(queue, id, %error, "a dead letter may be kept twice");
    }
}
