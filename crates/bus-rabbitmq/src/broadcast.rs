//! Broadcasts: wake-ups that reach every connected listener, or are lost.
//!
//! Each topic that somebody in this process listens to has one exclusive queue, which the broker
//! deletes with the connection; the process's listeners of the topic share it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use crate::{
    link::{self, Link, Reused, away},
    topology::BROADCAST,
};
use async_trait::async_trait;
use bistro_bus::{BusError, Listener, MAX_EVENT_BYTES};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{
        Mutex,
        broadcast::{self, error::RecvError},
        oneshot,
    },
    time::{Instant, timeout_at},
};

/// Wake-ups a slow listener may be behind before it is told that it missed some.
const BACKLOG: usize = 1024;
/// Wake-ups the broker keeps for a process that does not read.
const MAX_LENGTH: i64 = 10_000;

/// Sends and receives broadcasts.
pub(crate) struct Broadcasts {
    receiving: Link,
    sending: Mutex<Reused>,
    topics: Mutex<HashMap<String, Weak<Hub>>>,
}

/// One topic's queue in this process; dropping it ends the queue.
struct Hub {
    /// Gone when the connection is lost.
    sender: broadcast::WeakSender<Vec<u8>>,
    _stop: oneshot::Sender<()>,
}

impl Broadcasts {
    pub(crate) fn new(sending: Link, receiving: Link) -> Self {
        Self { receiving, sending: Mutex::new(Reused::new(sending)), topics: Mutex::default() }
    }

    pub(crate) async fn broadcast(
        &self,
        topic: &str,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<(), BusError> {
        check(topic)?;
        if payload.len() > MAX_EVENT_BYTES {
            return Err(BusError::TooLarge {
                id: topic.to_owned(),
                bytes: payload.len(),
                limit: MAX_EVENT_BYTES,
            });
        }
        let late = || away("RabbitMQ did not take a broadcast in time");
        let channel = {
            let mut sending =
                timeout_at(deadline, self.sending.lock()).await.map_err(|_| late())?;
            sending.get(deadline).await?.0
        };
        let sent = channel.basic_publish(
            BROADCAST.into(),
            topic.into(),
            BasicPublishOptions::default(),
            payload,
            BasicProperties::default(),
        );
        match timeout_at(deadline, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(BusError::unknown("a broadcast may be lost", error)),
            Err(_) => Err(late()),
        }
    }

    pub(crate) async fn listen(
        &self,
        topic: &str,
        deadline: Instant,
    ) -> Result<RabbitListener, BusError> {
        check(topic)?;
        let mut topics = timeout_at(deadline, self.topics.lock())
            .await
            .map_err(|_| away("RabbitMQ did not begin to broadcast in time"))?;
        if let Some(hub) = topics.get(topic).and_then(Weak::upgrade)
            && let Some(sender) = hub.sender.upgrade()
        {
            let received = sender.subscribe();
            return Ok(RabbitListener { received, _hub: hub });
        }
        topics.retain(|_, hub| hub.strong_count() > 0);
        let channel = self.receiving.channel(deadline).await?;
        let failed = "RabbitMQ did not begin to broadcast";
        let messages = link::within(deadline, failed, subscribe(&channel, topic)).await?;
        let (sender, received) = broadcast::channel(BACKLOG);
        let (stop, stopped) = oneshot::channel();
        let hub = Arc::new(Hub { sender: sender.downgrade(), _stop: stop });
        topics.insert(topic.to_owned(), Arc::downgrade(&hub));
        tokio::spawn(pump(channel, messages, sender, stopped));
        Ok(RabbitListener { received, _hub: hub })
    }
}

fn check(topic: &str) -> Result<(), BusError> {
    if topic.len() > 255 {
        return Err(BusError::Malformed(format!(
            "a topic has {} bytes; the most is 255",
            topic.len()
        )));
    }
    Ok(())
}

async fn subscribe(channel: &Channel, topic: &str) -> Result<lapin::Consumer, lapin::Error> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_LENGTH));
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive().auto_delete(), arguments)
        .await?;
    channel
        .queue_bind(
            queue.name().clone(),
            BROADCAST.into(),
            topic.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let options =
        BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await
}

async fn pump(
    channel: Channel,
    mut messages: lapin::Consumer,
    sender: broadcast::Sender<Vec<u8>>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            message = messages.next() => match message {
                // No receiver is left for a moment when the last listener goes.
                Some(Ok(message)) => {
                    let _ = sender.send(message.data);
                }
                Some(Err(_)) | None => break,
            }
        }
    }
    drop(sender);
    link::close(&channel).await;
}

/// One listener's end of a topic.
pub(crate) struct RabbitListener {
    received: broadcast::Receiver<Vec<u8>>,
    _hub: Arc<Hub>,
}

#[async_trait]
impl Listener for RabbitListener {
    async fn next(&mut self) -> Result<Vec<u8>, BusError> {
        match self.received.recv().await {
            Ok(payload) => Ok(payload),
            Err(RecvError::Lagged(missed)) => Err(BusError::Lagged(missed)),
            Err(RecvError::Closed) => Err(away("the listener's connection is lost; listen again")),
        }
    }
}
