//! Live positions: reported by couriers, told to every process by broadcast, and shown to whoever
//! waits for what a courier brings.

use std::{sync::Arc, time::Duration};

use bistro_bus::BusError;
use bistro_core::{Error, ErrorCode, FieldError, GeoPoint, Id, kinds};
use bistro_eventing::Engine;
use bistro_proto::{
    common::v1::GeoPoint as PointMessage,
    delivery::v1::{CourierMoved, CourierPosition},
};
use bistro_runtime::{MessageSender, MessageStream, message_stream};
use bistro_store::{StoreExt as _, Stored, Versioned};
use prost::Message as _;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    courier::Courier,
    delivery::Delivery,
    positions::{Pace, Position, Positions},
};

/// Where positions are told.
const TOPIC: &str = "delivery.positions";
/// Changes that another process made are seen after this long at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait before listening again when the bus is away.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// What a watcher is sent.
pub(crate) type Moves = MessageStream<CourierPosition>;

/// Takes positions and gives them on. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Tracker {
    engine: Engine,
    positions: Positions,
}

/// Where a courier says to be, or what is wrong with it.
pub(crate) fn check(position: Option<&PointMessage>) -> Result<GeoPoint, Error> {
    let said = position.ok_or_else(|| Error::field("position", "say where you are"))?;
    if let Some(point) = GeoPoint::new(said.lat_e6, said.lon_e6) {
        return Ok(point);
    }
    let beyond = |name: &str, value: i32, most: u32| {
        (value.unsigned_abs() > most * 1_000_000).then(|| FieldError {
            path: format!("position.{name}"),
            message: format!("write millionths of a degree, from -{most}000000 to {most}000000"),
        })
    };
    let wrong = [beyond("lat_e6", said.lat_e6, 90), beyond("lon_e6", said.lon_e6, 180)];
    Err(Error::fields(wrong.into_iter().flatten().collect()))
}

/// A point on the wire.
pub(crate) const fn message(point: GeoPoint) -> PointMessage {
    PointMessage { lat_e6: point.lat_e6, lon_e6: point.lon_e6 }
}

impl Tracker {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, positions: Positions::default() }
    }

    /// What is known of where couriers are.
    pub(crate) const fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Takes up that `courier` is at `point`. Of many positions in a short time the latest is
    /// told.
    pub(crate) async fn report(
        &self,
        courier: Id<kinds::Courier>,
        point: GeoPoint,
    ) -> Result<(), Error> {
        let now = self.engine.now();
        // Who was let through a moment ago is not looked up again.
        if !self.positions.reported_lately(courier, now) {
            let known = self.engine.store().require::<Courier, _>("courier", courier).await?;
            if known.deleted {
                return Err(Error::not_found(format_args!("courier {courier}")));
            }
            if !known.on_duty && known.load == 0 {
                let message = "you are off duty; go on duty to say where you are";
                return Err(Error::new(ErrorCode::WrongState, message));
            }
        }
        let position = Position { point, at: now };
        match self.positions.report(courier, position) {
            Pace::Now => self.tell(courier, position).await,
            Pace::After(wait) => {
                let (tracker, stopping) = (self.clone(), self.engine.stopping());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stopping.cancelled() => return,
                        () = tokio::time::sleep(wait) => {}
                    }
                    let now = tracker.engine.now();
                    if let Some(position) = tracker.positions.take_waiting(courier, now) {
                        tracker.tell(courier, position).await;
                    }
                });
            }
            Pace::Merged => {}
        }
        Ok(())
    }

    async fn tell(&self, courier: Id<kinds::Courier>, position: Position) {
        self.positions.hear(courier, position, self.engine.now());
        let told = CourierMoved {
            courier_id: courier.to_string(),
            position: Some(message(position.point)),
            at_ms: position.at.as_millis(),
        };
        if let Err(error) = self.engine.bus().broadcast(TOPIC, &told.encode_to_vec()).await {
            // The next one is not long in coming.
            debug!(%courier, %error, "a position was not told");
        }
    }

    /// Listens to what couriers tell other processes, until the process stops.
    pub(crate) async fn listen(&self) -> Result<(), Error> {
        let stopping = self.engine.stopping();
        loop {
            let lost = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                lost = self.hear_all() => lost,
            };
            warn!(error = %lost, "positions are not heard for the moment");
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(LISTEN_AGAIN) => {}
            }
        }
    }

    /// Remembers what is told until the bus is lost.
    async fn hear_all(&self) -> BusError {
        let mut listener = match self.engine.bus().listen(TOPIC).await {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        loop {
            match listener.next().await {
                Ok(payload) => self.hear(&payload),
                // Newer ones follow.
                Err(BusError::Lagged(_)) => {}
                Err(error) => return error,
            }
        }
    }

    fn hear(&self, payload: &[u8]) {
        let Ok(told) = CourierMoved::decode(payload) else { return };
        let point = crate::places::point(told.position.as_ref());
        if let (Ok(courier), Some(point)) = (told.courier_id.parse(), point) {
            let at = bistro_core::Timestamp::from_millis(told.at_ms);
            self.positions.hear(courier, Position { point, at }, self.engine.now());
        }
    }

    /// Streams where the courier of `delivery` is, from now until it has ended. An end that
    /// another process brings about is seen a second later at the latest.
    pub(crate) fn stream(&self, delivery: Versioned<Delivery>) -> Moves {
        // One at a time: a slow watcher is shown the latest position.
        let (to, moves) = message_stream(1);
        let tracker = self.clone();
        tokio::spawn(async move {
            if let Err(error) = tracker.follow(delivery, &to).await {
                to.fail(&error).await;
            }
        });
        moves
    }

    async fn follow(
        &self,
        mut delivery: Versioned<Delivery>,
        to: &MessageSender<CourierPosition>,
    ) -> Result<(), Error> {
        let stopping = self.engine.stopping();
        let mut watcher = self.engine.watch(delivery.id.to_string());
        while !delivery.state.is_end() {
            let courier = delivery.courier.filter(|_| delivery.state.is_under_way());
            let mut moves = courier.map(|courier| self.positions.watch(courier));
            let seen = delivery.version;
            let id = delivery.id;
            let look = |known: Option<Arc<Stored>>| async move {
                let now = match known {
                    Some(stored) => Versioned::read(&stored)?,
                    None => self.engine.store().require::<Delivery, _>("delivery", id).await?,
                };
                Ok::<_, Error>((now.version > seen).then_some(now))
            };
            let changed = watcher.until(LOOK_AGAIN, look);
            tokio::pin!(changed);
            // What was known before is the first thing to show.
            let mut position = moves.as_mut().and_then(|moves| *moves.borrow_and_update());
            delivery = loop {
                let now = self.engine.now();
                let fresh = position.filter(|one| now.since(one.at) < crate::positions::KEPT_FOR);
                if let Some(position) = fresh
                    && !to.send(shown(position)).await
                {
                    return Ok(());
                }
                position = tokio::select! {
                    // An end comes before where the courier goes next.
                    biased;
                    () = to.closed() => return Ok(()),
                    () = stopping.cancelled() => return Ok(()),
                    next = &mut changed => break next?,
                    next = next_move(&mut moves) => next,
                };
            };
        }
        Ok(())
    }
}

/// The next position; for ever, if nobody has what is waited for.
async fn next_move(moves: &mut Option<watch::Receiver<Option<Position>>>) -> Option<Position> {
    if let Some(moves) = moves
        && moves.changed().await.is_ok()
    {
        return *moves.borrow_and_update();
    }
    std::future::pending().await
}

fn shown(position: Position) -> CourierPosition {
    CourierPosition { position: Some(message(position.point)), at_ms: position.at.as_millis() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_on_earth_is_refused_with_all_that_is_wrong() {
        let point = |lat_e6, lon_e6| check(Some(&PointMessage { lat_e6, lon_e6 }));
        assert_eq!(point(90_000_000, -180_000_000).unwrap().lat_e6, 90_000_000);
        let wrong = point(90_000_001, i32::MIN).unwrap_err();
        let paths: Vec<_> = wrong.field_errors().iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["position.lat_e6", "position.lon_e6"]);
        assert_eq!(check(None).unwrap_err().field_errors()[0].path, "position");
    }
}
