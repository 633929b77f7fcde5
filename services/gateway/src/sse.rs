//! Server-sent events of whatever a role tells live.

use std::time::Duration;

use axum::{body::Body, response::Response};
use bistro_proto::{delivery::v1 as delivery, kitchen::v1 as kitchen, orders::v1};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::info;

use crate::{
    dto::{Order, has_ended},
    edge::StreamGuard,
};

/// How often a comment says that the stream lives; proxies close what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The content type of live events.
const EVENT_STREAM: &str = "text/event-stream";
/// A comment, which readers skip.
const COMMENT: Bytes = Bytes::from_static(b": alive\n\n");
/// The first line: how long a browser waits before it reconnects.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// What streams tell of; the gauge of open ones has a value for each.
pub(crate) const EVENTS: [&str; 4] = [
    v1::Order::EVENT,
    kitchen::TicketChange::EVENT,
    delivery::CourierPosition::EVENT,
    delivery::DeliveryChange::EVENT,
];

/// A role's message that a stream tells as an event.
pub(crate) trait Live: Send + 'static {
    /// The event's name, unless `event` says another.
    const EVENT: &'static str;
    /// Its data.
    type Data: Serialize;

    /// What its reader sends back as `Last-Event-ID` to go on after it.
    fn id(&self) -> String;

    /// The name of this event.
    fn event(&self) -> &'static str {
        Self::EVENT
    }

    /// Whether nothing follows it.
    fn is_last(&self) -> bool {
        false
    }

    /// Its data; none if the message says nothing, which ends the stream.
    fn data(self) -> Option<Self::Data>;
}

impl Live for v1::Order {
    const EVENT: &'static str = "order";
    type Data = Order;

    fn id(&self) -> String {
        self.sequence.to_string()
    }

    fn is_last(&self) -> bool {
        has_ended(&self.state)
    }

    fn data(self) -> Option<Order> {
        Some(self.into())
    }
}

/// Events of `messages` until the last one, the end of `messages`, or `stopping`.
///
/// A stream that breaks off without an end is gone on with by its reader, with `Last-Event-ID`.
/// Every stream of a user also ends with the user's token: the middleware sees to it.
pub(crate) fn response<S, M>(
    messages: S,
    stopping: CancellationToken,
    guard: StreamGuard,
) -> Response
where
    S: Stream<Item = Result<M, Status>> + Send + Unpin + 'static,
    M: Live,
{
    let mut response = Response::new(Body::from_stream(
        stream::once(async { RETRY })
            .chain(events(messages, stopping, guard))
            .map(Ok::<_, std::convert::Infallible>),
    ));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back to fill its buffer.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// `response`, which ends after `left` if it is a stream: its asker's token has expired by then.
pub(crate) fn ended_after(response: Response, left: Duration) -> Response {
    if response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(sleep(left))))
}

struct Events<S> {
    messages: S,
    heartbeat: Interval,
    stopping: CancellationToken,
    ended: bool,
    _guard: StreamGuard,
}

fn events<S, M>(
    messages: S,
    stopping: CancellationToken,
    guard: StreamGuard,
) -> impl Stream<Item = Bytes> + Send + 'static
where
    S: Stream<Item = Result<M, Status>> + Send + Unpin + 'static,
    M: Live,
{
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { messages, heartbeat, stopping, ended: false, _guard: guard };
    stream::unfold(events, |mut events| async move {
        if events.ended {
            return None;
        }
        tokio::select! {
            biased;
            () = events.stopping.cancelled() => None,
            message = events.messages.next() => match message? {
                Ok(message) => {
                    events.ended = message.is_last();
                    events.heartbeat.reset();
                    Some((event(message)?, events))
                }
                Err(status) => {
                    info!(%status, "a live stream broke off");
                    None
                }
            },
            _ = events.heartbeat.tick() => Some((COMMENT, events)),
        }
    })
}

/// One event. JSON has no raw line ends, so `data` is one line.
fn event<M: Live>(message: M) -> Option<Bytes> {
    let mut frame =
        format!("id: {}\nevent: {}\ndata: ", message.id(), message.event()).into_bytes();
    serde_json::to_writer(&mut frame, &message.data()?).ok()?;
    frame.extend_from_slice(b"\n\n");
    Some(frame.into())
}
