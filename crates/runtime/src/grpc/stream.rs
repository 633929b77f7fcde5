//! A role's side of a stream: messages on their way to whoever reads it.

use bistro_core::Error;
use futures::{StreamExt as _, stream::Map};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::status_of;

/// A channel has room for 32 messages at least, however few it may hold, and a message takes up to a
/// kilobyte: by themselves they would be most of what an idle stream weighs.
type Boxed<T> = Box<Result<T, Status>>;

/// The messages of a stream, as a service answers with them. They end with their
/// [`MessageSender`].
pub type MessageStream<T> = Map<ReceiverStream<Boxed<T>>, fn(Boxed<T>) -> Result<T, Status>>;

/// Puts messages on a [`MessageStream`].
pub struct MessageSender<T>(mpsc::Sender<Boxed<T>>);

/// A stream of which at most `ahead` messages wait to be read: whoever has more waits as well.
pub fn message_stream<T>(ahead: usize) -> (MessageSender<T>, MessageStream<T>) {
    let (to, messages) = mpsc::channel(ahead);
    let unboxed: fn(Boxed<T>) -> Result<T, Status> = |message| *message;
    (MessageSender(to), ReceiverStream::new(messages).map(unboxed))
}

impl<T> MessageSender<T> {
    /// Sends `message`; whether somebody still reads.
    pub async fn send(&self, message: T) -> bool {
        self.0.send(Box::new(Ok(message))).await.is_ok()
    }

    /// Sends why the stream ends.
    pub async fn fail(&self, error: &Error) {
        // Whoever has gone need not know.
        let _ = self.0.send(Box::new(Err(status_of(error)))).await;
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl<T> Clone for MessageSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::ErrorCode;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_read_in_its_order_and_the_end_says_why() {
        let (sender, mut read) = message_stream(1);
        let sending = tokio::spawn(async move {
            assert!(sender.send(1).await && sender.send(2).await);
            sender.fail(&Error::new(ErrorCode::Unavailable, "the store is away")).await;
        });
        assert_eq!(read.next().await.unwrap().unwrap(), 1);
        assert_eq!(read.next().await.unwrap().unwrap(), 2);
        assert_eq!(read.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
        assert!(read.next().await.is_none());
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_sender_learns_that_nobody_reads() {
        let (sender, read) = message_stream(1);
        drop(read);
        sender.closed().await;
        assert!(!sender.send(1).await);
    }
}
