//! How a delivery ends: one that the broker holds, and one that the shelf holds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_bus::{BusError, Parked, Settle};
use bistro_core::Event;
use lapin::{
    Acker,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    lane::{Lane, Unsettled},
    link::away,
};

/// Requeues that happen at once; later ones of the same message wait longer and longer.
const PROMPT_RETURNS: u32 = 3;
/// What the first delayed requeue waits.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest that a requeue waits. A message reaches the broker's delivery limit by failing this
/// slowly, so a store that is away for an hour turns nothing into a dead letter.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How long it may take to hand an acknowledgement to the network.
const ACK_PATIENCE: Duration = Duration::from_secs(5);

fn gone() -> BusError {
    away("the delivery's connection is gone; it is delivered again")
}

/// A message that the broker holds until it is told how it ended.
pub(crate) struct Held {
    acker: Acker,
    /// How often it was given back before.
    returns: u32,
    unsettled: Unsettled,
    runtime: Handle,
}

impl Held {
    pub(crate) fn new(acker: Acker, returns: u32, unsettled: Unsettled) -> Self {
        Self { acker, returns, unsettled, runtime: Handle::current() }
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        self.unsettled.lane()
    }

    /// Whether the channel it came on is still there.
    pub(crate) fn usable(&self) -> bool {
        self.acker.usable()
    }

    /// Tells the broker that it is done.
    pub(crate) async fn ack(self) -> Result<(), BusError> {
        match timeout(ACK_PATIENCE, self.acker.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => Ok(()),
            // lapin says false when the channel is gone: the broker delivers it again.
            Ok(Ok(false)) => Err(gone()),
            Ok(Err(error)) => Err(BusError::unknown("the acknowledgement may be lost", error)),
            Err(_) => Err(BusError::Unknown {
                message: "the acknowledgement could not be sent in time".to_owned(),
                source: None,
            }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // After ack or nack the acker is used up.
        if !self.acker.usable() {
            return;
        }
        let (acker, delay) = (self.acker.clone(), delay(self.returns));
        self.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            // When this fails the channel is gone, and the broker requeues by itself.
            let _ = acker.nack(requeue).await;
        });
    }
}

/// A message that keeps coming back is not put through the queue as fast as the machine can.
fn delay(returns: u32) -> Duration {
    match returns.checked_sub(PROMPT_RETURNS) {
        None => Duration::ZERO,
        Some(late) => FIRST_DELAY.saturating_mul(1 << late.min(20)).min(LONGEST_DELAY),
    }
}

/// Settles a delivery of the broker's.
pub(crate) struct BrokerDelivery {
    pub(crate) held: Held,
    pub(crate) event: Event,
    /// The consumer's room for one more delivery.
    pub(crate) _slot: OwnedSemaphorePermit,
}

#[async_trait]
impl Settle for BrokerDelivery {
    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        self.held.ack().await
    }

    async fn retry(self: Box<Self>, after: Duration, cause: &str) -> Result<(), BusError> {
        self.held.alive()?;
        self.held.lane().park(&self.event, 1, after, cause).await?;
        self.held.ack().await
    }

    async fn dead_letter(self: Box<Self>, cause: &str) -> Result<(), BusError> {
        self.held.alive()?;
        self.held.lane().bury(&self.event, 1, cause).await?;
        self.held.ack().await
    }
}

impl Held {
    /// Nothing is put on the shelf for a message that the broker delivers again anyway.
    fn alive(&self) -> Result<(), BusError> {
        if self.usable() { Ok(()) } else { Err(gone()) }
    }
}

/// Settles a delivery of the shelf's.
pub(crate) struct ShelfDelivery {
    lane: Arc<Lane>,
    parked: Parked,
    settled: bool,
    _slot: OwnedSemaphorePermit,
}

impl ShelfDelivery {
    pub(crate) fn new(lane: Arc<Lane>, parked: Parked, slot: OwnedSemaphorePermit) -> Self {
        Self { lane, parked, settled: false, _slot: slot }
    }
}

#[async_trait]
impl Settle for ShelfDelivery {
    async fn ack(mut self: Box<Self>) -> Result<(), BusError> {
        let id = &self.parked.event.id;
        self.lane.shelf.unpark(self.lane.queue.name, id).await?;
        self.settled = true;
        Ok(())
    }

    async fn retry(mut self: Box<Self>, after: Duration, cause: &str) -> Result<(), BusError> {
        self.lane.park_again(&self.parked, after, cause).await?;
        self.settled = true;
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, cause: &str) -> Result<(), BusError> {
        let (event, attempts) = (&self.parked.event, self.parked.attempt);
        self.lane.bury(event, attempts, cause).await?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for ShelfDelivery {
    fn drop(&mut self) {
        let id = &self.parked.event.id;
        if self.settled {
            self.lane.settled(id);
        } else {
            self.lane.let_go(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_returns_are_prompt_and_later_ones_bounded() {
        assert_eq!(delay(0), Duration::ZERO);
        assert_eq!(delay(2), Duration::ZERO);
        assert_eq!(delay(3), FIRST_DELAY);
        assert_eq!(delay(5), FIRST_DELAY * 4);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }
}
