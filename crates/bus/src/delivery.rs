//! One event in a consumer's hands, and the three ways to be done with it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bistro_core::Event;

use crate::{BusError, MAX_RETRY_DELAY};

/// How an engine settles one of its deliveries.
///
/// Dropping it unsettled makes the engine deliver the event again.
#[async_trait]
pub trait Settle: Send {
    /// It is handled.
    async fn ack(self: Box<Self>) -> Result<(), BusError>;
    /// Put it off for `after`, because of `cause`.
    async fn retry(self: Box<Self>, after: Duration, cause: &str) -> Result<(), BusError>;
    /// Give it up because of `cause`.
    async fn dead_letter(self: Box<Self>, cause: &str) -> Result<(), BusError>;
}

/// One event in a consumer's hands.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// 1 the first time; one more after each retry. Redelivery after a loss does not count.
    pub attempt: u32,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// A delivery of `event` that `settle` settles.
    #[must_use]
    pub fn new(event: Event, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self { event, attempt, settle }
    }

    /// It is handled and is not delivered again. After an error it may be.
    pub async fn ack(self) -> Result<(), BusError> {
        self.settle.ack().await
    }

    /// It is delivered again, not sooner than `after` (at most [`MAX_RETRY_DELAY`]).
    pub async fn retry(self, after: Duration, cause: &str) -> Result<(), BusError> {
        self.settle.retry(after.min(MAX_RETRY_DELAY), cause).await
    }

    /// It is kept with its cause and not delivered again until somebody revives it.
    pub async fn dead_letter(self, cause: &str) -> Result<(), BusError> {
        self.settle.dead_letter(cause).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
