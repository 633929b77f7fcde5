//! Confirmed, pipelined publishing in flights, with returned messages matched by message id.
//!
//! # Why flights
//! A message that no queue takes comes back as `basic.return`, before its own `basic.ack`. lapin
//! puts returns in a queue and gives the oldest to whichever confirm resolves next, so under
//! pipelining a return may ride on another message's confirm, earlier or later than its own.
//!
//! A flight is a set of messages that has a channel to itself until every confirm has come. A
//! return enters lapin's queue while its own confirm is still pending, and every confirm that
//! resolves takes one return out while there is one. So the queue is never longer than the number
//! of returned messages that wait for their confirm, and when no confirm is pending it is empty:
//! at the end of a flight every return of it has ridden on some confirm of it. They are collected
//! and attributed by message id, whichever confirm they rode on.
//!
//! When a flight ends with confirms missing, a return may still be hidden. But an acknowledgement
//! takes a return out whenever there is one: if none was seen at all, the queue was empty at each
//! acknowledgement, and an acknowledged message was not returned. If one was seen, acknowledged
//! messages are reported as unknown. The channel is given up either way.
//!
//! Several flights are under way at once, on channels of their own; what waits meanwhile makes up
//! the next flight, so the more is published the larger flights grow.

use std::{collections::HashSet, sync::Arc, task::Poll, time::Duration};

use bistro_bus::BusError;
use bistro_core::Event;
use lapin::{
    BasicProperties, Channel, Confirmation, Error, ErrorKind, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use crate::{
    link::{self, Link, Reused, away},
    topology::{EVENTS, Route, Topology},
    wire,
};

/// Flights under way at once.
const CHANNELS: usize = 4;
/// The most messages of one flight.
const FLIGHT_MESSAGES: usize = 256;
/// A flight takes no more messages once it holds this many bytes.
const FLIGHT_BYTES: usize = 4 * 1024 * 1024;
/// Messages that may wait for a flight.
const WAITING: usize = 2048;

/// Publishes events on one connection.
pub(crate) struct Publisher {
    jobs: mpsc::Sender<Job>,
    topology: Arc<Topology>,
    /// Half of a publish's time is for waiting, half for its flight.
    patience: Duration,
}

struct Job {
    event: Event,
    properties: BasicProperties,
    mandatory: bool,
    /// Not sent after this.
    expires: Instant,
    reply: oneshot::Sender<Result<(), BusError>>,
}

impl Publisher {
    /// Starts the flights' tasks.
    pub(crate) fn start(
        link: &Link,
        topology: Arc<Topology>,
        timeout: Duration,
    ) -> (Self, Vec<AbortHandle>) {
        let patience = timeout / 2;
        let (sender, jobs) = mpsc::channel(WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let tasks = (0..CHANNELS)
            .map(|_| {
                let runway =
                    Runway { jobs: jobs.clone(), patience, channel: Reused::new(link.clone()) };
                tokio::spawn(runway.run()).abort_handle()
            })
            .collect();
        let publisher = Self { jobs: sender, topology, patience };
        (publisher, tasks)
    }

    /// Publishes each event; the results are in the order of the events.
    pub(crate) async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), BusError>> {
        let expires = Instant::now() + self.patience;
        let mut replies = Vec::with_capacity(events.len());
        for event in events {
            replies.push(self.submit(event, expires).await);
        }
        let mut results = Vec::with_capacity(replies.len());
        for reply in replies {
            results.push(match reply {
                Ok(reply) => reply.await.unwrap_or_else(|_| {
                    Err(BusError::Unknown {
                        message: "the bus was closed while it published".to_owned(),
                        source: None,
                    })
                }),
                Err(error) => Err(error),
            });
        }
        results
    }

    async fn submit(
        &self,
        event: Event,
        expires: Instant,
    ) -> Result<oneshot::Receiver<Result<(), BusError>>, BusError> {
        let properties = wire::encode(&event)?;
        // An event of a kind that no queue known here takes is sent too: a newer version's queue
        // may be bound to it while an older version still publishes.
        let mandatory = match self.topology.route(&event.kind) {
            Route::Bound => true,
            Route::Unbound => false,
            Route::Missing => return Err(unroutable(&event)),
        };
        let (sender, reply) = oneshot::channel();
        let job = Job { event, properties, mandatory, expires, reply: sender };
        match timeout_at(expires, self.jobs.send(job)).await {
            Ok(Ok(())) => Ok(reply),
            Ok(Err(_)) => Err(away("the bus is closed")),
            Err(_) => Err(away("too much is waiting to be published")),
        }
    }
}

fn unroutable(event: &Event) -> BusError {
    BusError::Unroutable { kind: event.kind.clone(), id: event.id.clone() }
}

/// One channel and its flights, one after the other.
struct Runway {
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    patience: Duration,
    channel: Reused,
}

impl Runway {
    async fn run(mut self) {
        loop {
            let flight = self.next_flight().await;
            let Some(deadline) = flight.iter().map(|job| job.expires).min() else {
                return;
            };
            match self.channel(deadline).await {
                Ok(channel) => {
                    if fly(&channel, flight, Instant::now() + self.patience).await == Landing::Whole
                    {
                        continue;
                    }
                    self.channel.discard();
                }
                Err(error) => {
                    let message = with_cause(&error);
                    for job in flight {
                        // Nobody may be waiting any more, which is no concern here.
                        let _ = job.reply.send(Err(away(&message)));
                    }
                }
            }
        }
    }

    /// What waits, at least one; empty when the bus is closed.
    async fn next_flight(&self) -> Vec<Job> {
        let mut jobs = self.jobs.lock().await;
        let mut flight = Vec::new();
        let mut bytes = 0;
        let mut next = jobs.recv().await;
        let now = Instant::now();
        while let Some(job) = next.take() {
            if job.expires <= now {
                let _ = job.reply.send(Err(away("it was not sent in time")));
                next = if flight.is_empty() { jobs.recv().await } else { jobs.try_recv().ok() };
                continue;
            }
            bytes += job.event.data.len();
            flight.push(job);
            if flight.len() < FLIGHT_MESSAGES && bytes < FLIGHT_BYTES {
                next = jobs.try_recv().ok();
            }
        }
        flight
    }

    async fn channel(&mut self, deadline: Instant) -> Result<Channel, BusError> {
        let (channel, fresh) = self.channel.get(deadline).await?;
        if !fresh {
            return Ok(channel);
        }
        let select = channel.confirm_select(ConfirmSelectOptions::default());
        let selected = link::within(deadline, "RabbitMQ promised no confirms", select).await;
        if selected.is_err() {
            self.channel.discard();
        }
        selected.map(|()| channel)
    }
}

/// The sentence with its cause, for each message of a flight that cannot start.
fn with_cause(error: &BusError) -> String {
    match error {
        BusError::NotDone { message, source: Some(source) } => format!("{message}: {source}"),
        BusError::NotDone { message, .. } => message.clone(),
        error => error.to_string(),
    }
}

/// Whether the channel may be used for another flight.
#[derive(PartialEq, Eq)]
enum Landing {
    /// Every confirm came.
    Whole,
    /// Some did not.
    Broken,
}

/// What became of one message, its return aside.
enum Outcome {
    Acked,
    Nacked,
    /// Nothing of it was sent.
    Unsent(Error),
    Lost(Error),
    Late,
}

async fn fly(channel: &Channel, flight: Vec<Job>, landing: Instant) -> Landing {
    let mut sends = Vec::with_capacity(flight.len());
    for job in &flight {
        let options = BasicPublishOptions { mandatory: job.mandatory, immediate: false };
        let mut send = Box::pin(channel.basic_publish(
            EVENTS.into(),
            job.event.kind.as_str().into(),
            options,
            &job.event.data,
            job.properties.clone(),
        ));
        // The first poll gives the message its tag and queues its frames, so all of them are on
        // their way before any confirm is waited for.
        sends.push(match futures::poll!(send.as_mut()) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(confirm)) => Ok(Sending::Sent(confirm)),
            Poll::Pending => Ok(Sending::Under(send)),
        });
    }
    let mut outcomes = Vec::with_capacity(flight.len());
    let mut returned = HashSet::new();
    for send in sends {
        let confirm = async {
            match send {
                Err(error) => Ok(Err(error)),
                Ok(Sending::Sent(confirm)) => confirm.await.map(Ok),
                Ok(Sending::Under(send)) => send.await?.await.map(Ok),
            }
        };
        outcomes.push(match timeout_at(landing, confirm).await {
            Ok(Ok(Ok(confirmation))) => {
                let outcome = match confirmation {
                    Confirmation::Ack(_) => Outcome::Acked,
                    Confirmation::Nack(_) | Confirmation::NotRequested => Outcome::Nacked,
                };
                if let Some(message) = confirmation.take_message() {
                    let id = message.properties.message_id().clone();
                    returned.insert(id.map(|id| id.to_string()).unwrap_or_default());
                }
                outcome
            }
            Ok(Ok(Err(error))) if matches!(error.kind(), ErrorKind::InvalidChannelState(..)) => {
                Outcome::Unsent(error)
            }
            Ok(Ok(Err(error)) | Err(error)) => Outcome::Lost(error),
            Err(_) => Outcome::Late,
        });
    }
    settle(flight, outcomes, &returned)
}

enum Sending<F> {
    Under(std::pin::Pin<Box<F>>),
    Sent(PublisherConfirm),
}

fn settle(flight: Vec<Job>, outcomes: Vec<Outcome>, returned: &HashSet<String>) -> Landing {
    let whole = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Acked | Outcome::Nacked));
    for (job, outcome) in flight.into_iter().zip(outcomes) {
        let result = match outcome {
            _ if returned.contains(&job.event.id) => Err(unroutable(&job.event)),
            Outcome::Acked if whole || returned.is_empty() || !job.mandatory => Ok(()),
            Outcome::Acked => Err(unknown("RabbitMQ returned messages and was lost")),
            Outcome::Nacked => Err(unknown("RabbitMQ refused it: a queue is full or away")),
            Outcome::Unsent(error) => Err(BusError::not_done("it was not sent", error)),
            Outcome::Lost(error) => Err(BusError::unknown("RabbitMQ was lost", error)),
            Outcome::Late => Err(unknown("RabbitMQ did not confirm it in time")),
        };
        // Nobody may be waiting any more, which is no concern here.
        let _ = job.reply.send(result);
    }
    if whole { Landing::Whole } else { Landing::Broken }
}

fn unknown(message: &str) -> BusError {
    BusError::Unknown { message: message.to_owned(), source: None }
}

#[cfg(test)]
mod tests {
    use bistro_core::Timestamp;

    use super::*;

    fn jobs(count: usize) -> (Vec<Job>, Vec<oneshot::Receiver<Result<(), BusError>>>) {
        (0..count)
            .map(|n| {
                let event = Event {
                    id: format!("w/{n}"),
                    source: String::new(),
                    kind: "k".into(),
                    subject: String::new(),
                    time: Timestamp::from_millis(0),
                    sequence: 0,
                    traceparent: None,
                    data: vec![],
                };
                let (reply, result) = oneshot::channel();
                let job = Job {
                    properties: wire::encode(&event).unwrap(),
                    event,
                    mandatory: true,
                    expires: Instant::now(),
                    reply,
                };
                (job, result)
            })
            .unzip()
    }

    fn returned(ids: &[&str]) -> HashSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_return_belongs_to_the_message_whose_id_it_has() {
        let (flight, mut results) = jobs(3);
        let acked = vec![Outcome::Acked, Outcome::Acked, Outcome::Acked];
        assert!(settle(flight, acked, &returned(&["w/1"])) == Landing::Whole);
        let results: Vec<_> = results.iter_mut().map(|r| r.try_recv().unwrap()).collect();
        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(matches!(results[1], Err(BusError::Unroutable { .. })));
    }

    #[test]
    fn an_acknowledged_message_is_unknown_when_its_return_may_be_hidden() {
        let (flight, mut results) = jobs(3);
        let outcomes = vec![Outcome::Acked, Outcome::Acked, Outcome::Late];
        assert!(settle(flight, outcomes, &returned(&["w/1"])) == Landing::Broken);
        let results: Vec<_> = results.iter_mut().map(|r| r.try_recv().unwrap()).collect();
        assert!(matches!(results[0], Err(BusError::Unknown { .. })));
        assert!(matches!(results[1], Err(BusError::Unroutable { .. })));
        assert!(matches!(results[2], Err(BusError::Unknown { .. })));
    }

    #[test]
    fn an_acknowledged_message_is_published_when_nothing_was_returned() {
        let (flight, mut results) = jobs(2);
        let outcomes = vec![Outcome::Acked, Outcome::Late];
        assert!(settle(flight, outcomes, &returned(&[])) == Landing::Broken);
        assert!(results[0].try_recv().unwrap().is_ok());
    }
}
