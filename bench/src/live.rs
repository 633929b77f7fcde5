//! Followers of orders, whom the platform tells of every change, and those who change the orders.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::{
    load::Client,
    people::People,
    place::Placer,
    platform::Platform,
    timing::Latencies,
    wire::{self, Fault, Wire},
};

/// What ends an event of a stream.
const END: &[u8] = b"\n\n";
/// What the line with an event's id begins with.
const ID: &str = "id: ";

/// An order that is followed.
pub(crate) struct Followed {
    /// Its id.
    pub(crate) id: String,
    /// The token of its customer.
    customer: HeaderValue,
}

/// That somebody saw an order as it was after its change number `sequence`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    order: usize,
    sequence: i64,
    at: Instant,
}

/// That somebody changed an order.
#[derive(Clone, Copy, Debug)]
struct Change {
    order: usize,
    sequence: i64,
    asked: Instant,
}

/// Places `count` orders, each of `clients` customers as many as the others.
pub(crate) async fn place(
    platform: &Platform,
    people: &Arc<People>,
    count: usize,
    clients: u32,
) -> Result<Vec<Followed>> {
    let placers = Placer::many(platform, people, "followed", clients);
    let tasks = placers.into_iter().enumerate().map(|(number, mut placer)| {
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for _ in (number..count).step_by(clients as usize) {
                let id = placer.place().await?;
                placed.push(Followed { id, customer: placer.customer().clone() });
            }
            Ok::<_, Fault>(placed)
        })
    });
    let mut orders = Vec::with_capacity(count);
    for task in tasks.collect::<Vec<_>>() {
        let placed = task.await.context("a customer failed")?;
        orders.extend(placed.map_err(|fault| anyhow::anyhow!(fault.0))?);
    }
    Ok(orders)
}

/// Everybody who follows an order. Dropping them ends their streams.
pub(crate) struct Followers {
    tasks: Vec<JoinHandle<()>>,
    sights: mpsc::UnboundedReceiver<Sight>,
}

impl Followers {
    /// Follows each of `orders` over a connection of its own; all have been told how theirs is.
    pub(crate) async fn of(platform: &Platform, orders: &[Followed]) -> Result<Self> {
        let (told, sights) = mpsc::unbounded_channel();
        let mut followers = Self { tasks: Vec::with_capacity(orders.len()), sights };
        for (number, order) in orders.iter().enumerate() {
            followers.tasks.push(follow(platform, number, order, told.clone()).await?);
        }
        Ok(followers)
    }

    /// Ends the streams; gives all that was seen and was not taken.
    pub(crate) fn end(mut self) -> Result<Vec<Sight>> {
        ensure!(self.tasks.iter().all(|task| !task.is_finished()), "a stream broke off");
        let mut seen = Vec::new();
        while let Ok(sight) = self.sights.try_recv() {
            seen.push(sight);
        }
        Ok(seen)
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Begins to follow order number `number`; returns once its first event has come.
async fn follow(
    platform: &Platform,
    number: usize,
    order: &Followed,
    told: mpsc::UnboundedSender<Sight>,
) -> Result<JoinHandle<()>> {
    let path = format!("/api/v1/orders/{}/events", order.id);
    let request = Request::get(&path)
        .header(header::AUTHORIZATION, &order.customer)
        .header(header::HOST, platform.address().to_string())
        .body(Empty::<Bytes>::new())
        .context("the request cannot be sent")?;
    let stream = TokioIo::new(wire::connect(platform.address()).await?);
    let (mut sender, connection) = http1::handshake(stream).await.context("cannot connect")?;
    // It ends with the connection; whoever waits for an event is told why.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.context("no stream")?;
    ensure!(response.status() == StatusCode::OK, "a stream is {}", response.status());
    let mut body = response.into_body();
    let mut events = Events::default();
    loop {
        let frame = body.frame().await.context("a stream broke off")?.context("a stream ended")?;
        if !events.take(frame.data_ref().map_or(&[], |data| data)).is_empty() {
            break;
        }
    }
    Ok(tokio::spawn(async move {
        // A connection ends when nobody could send on it any more.
        let _sender = sender;
        while let Some(Ok(frame)) = body.frame().await {
            let at = Instant::now();
            for sequence in events.take(frame.data_ref().map_or(&[], |data| data)) {
                // Whoever ends the streams does not listen any more.
                let _ = told.send(Sight { order: number, sequence, at });
            }
        }
    }))
}

/// Takes events out of what comes over a stream, however it is cut.
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
}

impl Events {
    /// The ids of the events that `bytes` complete.
    fn take(&mut self, bytes: &[u8]) -> Vec<i64> {
        self.rest.extend_from_slice(bytes);
        let mut ids = Vec::new();
        while let Some(end) = self.rest.windows(END.len()).position(|window| window == END) {
            let event: Vec<u8> = self.rest.drain(..end + END.len()).collect();
            let text = String::from_utf8_lossy(&event);
            let id = text.lines().find_map(|line| line.strip_prefix(ID));
            ids.extend(id.and_then(|id| id.parse::<i64>().ok()));
        }
        ids
    }
}

/// Somebody of the restaurant who keeps orders in motion: accepts each, then puts it off again and
/// again.
pub(crate) struct Mover {
    wire: Wire,
    owner: HeaderValue,
    orders: Arc<[Followed]>,
    next: Arc<AtomicUsize>,
    made: Vec<Change>,
}

impl Mover {
    /// As many as there are `clients`, who take turns.
    pub(crate) fn many(
        platform: &Platform,
        people: &People,
        orders: &Arc<[Followed]>,
        clients: u32,
    ) -> Vec<Self> {
        let next = Arc::new(AtomicUsize::new(0));
        (0..clients)
            .map(|_| Self {
                wire: platform.wire(),
                owner: people.owner.clone(),
                orders: Arc::clone(orders),
                next: Arc::clone(&next),
                made: Vec::new(),
            })
            .collect()
    }
}

impl Client for Mover {
    async fn go(&mut self) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Order {
            sequence: i64,
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let order = turn % self.orders.len();
        let (step, body) = if turn < self.orders.len() {
            ("accept", r#"{"minutes":20}"#)
        } else {
            ("delay", r#"{"minutes":1,"reason":"The oven is full."}"#)
        };
        let path = format!("/api/v1/orders/{}/{step}", self.orders[order].id);
        let key = format!("move-{turn}");
        let asked = Instant::now();
        let answer = self.wire.post(&path, &self.owner, &key, body.to_owned(), false).await?;
        let sequence = answer.read::<Order>(step)?.sequence;
        self.made.push(Change { order, sequence, asked });
        Ok(())
    }
}

/// What became of the changes that were made.
pub(crate) struct Visible {
    /// From the moment at which a change was asked for to that at which it was seen.
    pub(crate) times: Latencies,
    /// Changes that nobody saw.
    pub(crate) unseen: u64,
}

/// Looks up when each change that `movers` made was seen.
pub(crate) fn visible(movers: &[Mover], sights: &[Sight]) -> Visible {
    let changes: Vec<Change> = movers.iter().flat_map(|mover| mover.made.iter().copied()).collect();
    join(&changes, sights)
}

fn join(changes: &[Change], sights: &[Sight]) -> Visible {
    let mut by_order: HashMap<usize, Vec<&Sight>> = HashMap::new();
    for sight in sights {
        by_order.entry(sight.order).or_default().push(sight);
    }
    let mut visible = Visible { times: Latencies::new(), unseen: 0 };
    for change in changes {
        let seen = by_order.get(&change.order).into_iter().flatten();
        // Of several changes at once a follower may be shown only the last.
        let first = seen.filter(|sight| sight.sequence >= change.sequence).map(|one| one.at).min();
        match first {
            Some(at) => visible.times.record(at.saturating_duration_since(change.asked)),
            None => visible.unseen += 1,
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream = b"retry: 1000\n\nid: 3\nevent: order\ndata: {}\n\n: alive\n\nid: 12\nevent: order\ndata: {}\n\n";
        for size in 1..stream.len() {
            let mut events = Events::default();
            let ids: Vec<i64> = stream.chunks(size).flat_map(|part| events.take(part)).collect();
            assert_eq!(ids, [3, 12], "in pieces of {size}");
        }
    }

    #[test]
    fn a_change_is_seen_with_the_first_event_that_has_it() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let changes = [(0, 2, 0), (0, 3, 10), (1, 2, 0)].map(|(order, sequence, asked)| Change {
            order,
            sequence,
            asked: after(asked),
        });
        let sights = [(0, 1, 5), (0, 3, 40), (0, 4, 90), (2, 9, 1)]
            .map(|(order, sequence, at)| Sight { order, sequence, at: after(at) });
        let visible = join(&changes, &sights);
        assert_eq!((visible.times.count(), visible.unseen), (2, 1));
        assert!((visible.times.longest() - 40.0).abs() < 1.0, "{}", visible.times.longest());
    }
}
