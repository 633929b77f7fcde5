//! Broadcasts within the process: ephemeral, and lost when nobody listens.

use std::collections::HashMap;

use async_trait::async_trait;
use bistro_bus::{BusError, Listener};
use parking_lot::Mutex;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// Wake-ups kept for a listener that is slow; beyond, the oldest are lost and it is told.
const KEPT: usize = 256;

/// The topics that somebody listens to.
#[derive(Default)]
pub(crate) struct Broadcasts {
    topics: Mutex<HashMap<String, Sender<Vec<u8>>>>,
}

impl Broadcasts {
    /// Wakes every listener of `topic`.
    pub(crate) fn send(&self, topic: &str, payload: &[u8]) {
        let mut topics = self.topics.lock();
        if let Some(sender) = topics.get(topic)
            && sender.send(payload.to_vec()).is_err()
        {
            // The last listener is gone.
            topics.remove(topic);
        }
    }

    /// Listens to `topic` from now on.
    pub(crate) fn listen(&self, topic: &str) -> TopicListener {
        let mut topics = self.topics.lock();
        topics.retain(|name, sender| name == topic || sender.receiver_count() > 0);
        let sender = topics.entry(topic.to_owned()).or_insert_with(|| Sender::new(KEPT));
        TopicListener { receiver: sender.subscribe() }
    }
}

/// A listener's end.
pub(crate) struct TopicListener {
    receiver: Receiver<Vec<u8>>,
}

#[async_trait]
impl Listener for TopicListener {
    async fn next(&mut self) -> Result<Vec<u8>, BusError> {
        match self.receiver.recv().await {
            Ok(payload) => Ok(payload),
            Err(RecvError::Lagged(missed)) => Err(BusError::Lagged(missed)),
            Err(RecvError::Closed) => {
                Err(BusError::NotDone { message: "the bus is gone".to_owned(), source: None })
            }
        }
    }
}
