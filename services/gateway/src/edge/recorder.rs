//! Writes the audit trail: entries wait in a bounded queue and go to accounts, many at a time.
//!
//! A place in the queue is taken before the request is served. A request of support, of an
//! administrator or of the operator waits for one, and is refused if there is none in time: it is
//! never served unrecorded. Other requests do not wait; one that finds no place is counted as lost.

use std::time::Duration;

use bistro_core::{Error, ErrorCode};
use bistro_proto::accounts::v1::{
    Activity, RecordActivityRequest, accounts_client::AccountsClient,
};
use bistro_runtime::{PeerChannel, error_of};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::{
    sync::mpsc::{self, OwnedPermit, Receiver, Sender},
    time::{Instant, sleep, timeout_at},
};
use tonic::Request;
use tracing::{error, warn};

/// Entries that may wait to be written.
const QUEUE: usize = 4096;
/// Entries that are written together at most.
const BATCH: usize = 256;
/// How long an entry waits for others to be written with.
const GATHER: Duration = Duration::from_millis(500);
/// How long one attempt to write may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the last entries are tried for when the process stops.
const LAST: Duration = Duration::from_secs(5);

/// The way into the trail. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Trail {
    queue: Sender<Activity>,
    entries: IntCounterVec,
}

/// The other end of the queue.
pub(crate) struct Recorder {
    queue: Receiver<Activity>,
    accounts: AccountsClient<PeerChannel>,
    entries: IntCounterVec,
}

/// A new trail that is written to accounts; its metrics are registered.
pub(crate) fn trail(
    accounts: AccountsClient<PeerChannel>,
    registry: &Registry,
) -> Result<(Trail, Recorder), Error> {
    let options = Opts::new(
        "bistro_gateway_audit_entries_total",
        "Entries of the audit trail, by what became of them; lost ones are in no trail",
    );
    let entries = IntCounterVec::new(options, &["result"]).map_err(Error::internal)?;
    registry.register(Box::new(entries.clone())).map_err(Error::internal)?;
    for result in ["recorded", "lost"] {
        entries.with_label_values(&[result]);
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    let trail = Trail { queue: sender, entries: entries.clone() };
    Ok((trail, Recorder { queue: receiver, accounts, entries }))
}

impl Trail {
    /// A place for `entry`; none if the queue is full and the actor is not privileged.
    pub(crate) async fn begin(
        &self,
        entry: Activity,
        deadline: Instant,
    ) -> Result<Option<Pending>, Error> {
        let permit = match self.queue.clone().try_reserve_owned() {
            Ok(permit) => permit,
            Err(_) if !entry.privileged => {
                self.entries.with_label_values(&["lost"]).inc();
                return Ok(None);
            }
            Err(_) => match timeout_at(deadline, self.queue.clone().reserve_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => {
                    let message = "the audit trail cannot be written at this moment, and this request must not go unrecorded; it was not served";
                    return Err(Error::new(ErrorCode::Unavailable, message));
                }
            },
        };
        Ok(Some(Pending { entry, permit: Some(permit) }))
    }
}

/// An entry whose request is being served. One that is dropped before it has ended is written as
/// it is: its asker went away, and what was begun may have been done.
pub(crate) struct Pending {
    pub(crate) entry: Activity,
    permit: Option<OwnedPermit<Activity>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(std::mem::take(&mut self.entry));
        }
    }
}

impl Recorder {
    /// Writes what comes, until nothing can come any more and the last is written.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        while let Some(first) = self.queue.recv().await {
            let mut batch = vec![first];
            let until = Instant::now() + GATHER;
            while batch.len() < BATCH {
                match timeout_at(until, self.queue.recv()).await {
                    Ok(Some(entry)) => batch.push(entry),
                    Ok(None) | Err(_) => break,
                }
            }
            self.write(batch).await;
        }
        Ok(())
    }

    /// Writes `batch`, however long that takes while the process runs. The entries have ids, so
    /// that a batch whose answer was lost is not written twice.
    async fn write(&mut self, batch: Vec<Activity>) {
        let (mut pause, mut closed_at) = (PAUSES.0, None);
        let count = batch.len() as u64;
        loop {
            let mut request = Request::new(RecordActivityRequest { entries: batch.clone() });
            request.set_timeout(ATTEMPT);
            let error = match self.accounts.record_activity(request).await {
                Ok(_) => {
                    self.entries.with_label_values(&["recorded"]).inc_by(count);
                    return;
                }
                Err(status) => error_of(&status),
            };
            let now = Instant::now();
            if self.queue.is_closed() {
                closed_at.get_or_insert(now);
            }
            let over = closed_at.is_some_and(|at| now.duration_since(at) >= LAST);
            if over || !error.code().is_retryable() {
                self.entries.with_label_values(&["lost"]).inc_by(count);
                error!(entries = count, cause = error.chain(), "a part of the audit trail is lost");
                return;
            }
            warn!(cause = error.chain(), "the audit trail cannot be written yet");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
