//! Server-sent events of an order.

use std::time::Duration;

use axum::{body::Body, response::Response};
use bistro_proto::orders::v1;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderValue, header};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::info;

use crate::{
    dto::{Order, has_ended},
    edge::StreamGuard,
};

/// How often a comment says that the stream lives; proxies close what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment, which readers skip.
const COMMENT: Bytes = Bytes::from_static(b": alive\n\n");
/// The first line: how long a browser waits before it reconnects.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// Events of `orders` until one that has ended, the end of `orders`, or `stopping`.
///
/// A stream that breaks off without an end is gone on with by its reader, with `Last-Event-ID`.
pub(crate) fn response<S>(orders: S, stopping: CancellationToken, guard: StreamGuard) -> Response
where
    S: Stream<Item = Result<v1::Order, Status>> + Send + Unpin + 'static,
{
    let mut response = Response::new(Body::from_stream(
        stream::once(async { RETRY })
            .chain(events(orders, stopping, guard))
            .map(Ok::<_, std::convert::Infallible>),
    ));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back to fill its buffer.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Events<S> {
    orders: S,
    heartbeat: Interval,
    stopping: CancellationToken,
    ended: bool,
    _guard: StreamGuard,
}

fn events<S>(
    orders: S,
    stopping: CancellationToken,
    guard: StreamGuard,
) -> impl Stream<Item = Bytes> + Send + 'static
where
    S: Stream<Item = Result<v1::Order, Status>> + Send + Unpin + 'static,
{
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { orders, heartbeat, stopping, ended: false, _guard: guard };
    stream::unfold(events, |mut events| async move {
        if events.ended {
            return None;
        }
        tokio::select! {
            biased;
            () = events.stopping.cancelled() => None,
            order = events.orders.next() => match order? {
                Ok(order) => {
                    events.ended = has_ended(&order.state);
                    events.heartbeat.reset();
                    Some((event(order)?, events))
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
fn event(order: v1::Order) -> Option<Bytes> {
    let order = Order::from(order);
    let mut frame = format!("id: {}\nevent: order\ndata: ", order.sequence).into_bytes();
    serde_json::to_writer(&mut frame, &order).ok()?;
    frame.extend_from_slice(b"\n\n");
    Some(frame.into())
}
