//! The one thread that writes: it takes what is queued, commits it as one group, then answers.

use std::sync::Arc;

use bistro_store::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    catalog::Catalog,
    failure::{Shared, Stop, Verdict, commit_is_undone, is_failed_flush},
    queues::{Effects, Queues},
    wal::{self, LogWatch},
};

/// The most submissions in one commit.
const GROUP: usize = 256;

/// What a submission sees while it runs.
pub(crate) struct Tx<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) catalog: &'a Catalog,
    pub(crate) queues: &'a Queues,
    /// What to do in memory once the group is durable.
    pub(crate) effects: &'a mut Effects,
    /// The number of the message inserted last.
    pub(crate) last_seq: &'a mut i64,
}

/// Something to be written, by whoever waits for the answer.
pub(crate) trait Submission: Send {
    /// Writes; the writer undoes it alone when it is refused.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop>;
    /// Tells the waiting one.
    fn answer(self: Box<Self>, verdict: &Verdict);
}

struct Job<T, F> {
    run: Option<F>,
    result: Option<Result<T, StoreError>>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Result<T, Stop> + Send> Submission for Job<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        match run(tx) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(())
            }
            Err(Stop::Refused(error)) => {
                self.result = Some(Err(error));
                // The writer needs to know only that there is something to undo.
                Err(Stop::Refused(crate::failure::closed()))
            }
            Err(failed) => Err(failed),
        }
    }

    fn answer(self: Box<Self>, verdict: &Verdict) {
        let result = self.result.unwrap_or_else(|| Err(crate::failure::closed()));
        // Whoever asked may have gone away.
        let _ = self.waiting.send(verdict.answer(result));
    }
}

/// A submission that runs `run`, and where its answer arrives.
pub(crate) fn submission<T, F>(
    run: F,
) -> (Box<dyn Submission>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
{
    let (waiting, answer) = oneshot::channel();
    let job = Job { run: Some(run), result: None, waiting };
    (Box::new(job), answer)
}

/// Called with the cause when the disk failed to flush and the process must end.
pub type OnFatal = Arc<dyn Fn(&(dyn std::error::Error + 'static)) + Send + Sync>;
/// How a transaction is committed; tests put a failing disk in its place.
pub(crate) type Commit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// A COMMIT by SQLite.
pub(crate) fn real_commit(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) submissions: mpsc::Receiver<Box<dyn Submission>>,
    pub(crate) commit: Commit,
    pub(crate) on_fatal: OnFatal,
    pub(crate) log: LogWatch,
    /// The number of the message inserted last.
    pub(crate) last_seq: i64,
    /// Whether the group before was undone; said once, not for each group.
    pub(crate) is_failing: bool,
}

impl Writer {
    /// Serves until every sender is gone, then moves the log into the file.
    pub(crate) fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            group.clear();
            let Some(first) = self.submissions.blocking_recv() else {
                break;
            };
            group.push(first);
            while group.len() < GROUP {
                match self.submissions.try_recv() {
                    Ok(next) => group.push(next),
                    Err(_) => break,
                }
            }
            let mut effects = Effects::default();
            let verdict = self.write_group(&mut group, &mut effects);
            if matches!(verdict, Verdict::Committed) {
                self.queues.apply(&self.conn, effects);
            }
            for submission in group.drain(..) {
                submission.answer(&verdict);
            }
            if let Verdict::Unknown(cause) = &verdict {
                (self.on_fatal)(cause);
                return;
            }
            self.note(&verdict);
            if self.log.wants_restart() || self.is_failing {
                self.restart_log();
            }
        }
        self.finish();
    }

    fn write_group(&mut self, group: &mut [Box<dyn Submission>], effects: &mut Effects) -> Verdict {
        if let Err(error) = self.run_group(group, effects) {
            return self.undo(error);
        }
        match (self.commit)(&self.conn) {
            Ok(()) => Verdict::Committed,
            Err(error) if commit_is_undone(&error) => self.undo(error),
            Err(error) => Verdict::Unknown(error.into()),
        }
    }

    fn run_group(
        &mut self,
        group: &mut [Box<dyn Submission>],
        effects: &mut Effects,
    ) -> rusqlite::Result<()> {
        let run = |sql| self.conn.prepare_cached(sql)?.execute([]).map(drop);
        run("BEGIN IMMEDIATE")?;
        for submission in group {
            run("SAVEPOINT one")?;
            let kept = effects.len();
            let mut tx = Tx {
                conn: &self.conn,
                catalog: &self.catalog,
                queues: &self.queues,
                effects,
                last_seq: &mut self.last_seq,
            };
            match submission.run(&mut tx) {
                Ok(()) => {}
                Err(Stop::Refused(_)) => {
                    effects.truncate(kept);
                    run("ROLLBACK TO one")?;
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
            run("RELEASE one")?;
        }
        Ok(())
    }

    /// Rolls the group back; what cannot be rolled back cannot be trusted either.
    fn undo(&self, error: rusqlite::Error) -> Verdict {
        if is_failed_flush(&error) {
            return Verdict::Unknown(error.into());
        }
        // SQLite may have rolled back by itself.
        if !self.conn.is_autocommit()
            && let Err(second) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %second, "a group cannot be rolled back");
            return Verdict::Unknown(error.into());
        }
        Verdict::Undone(error.into())
    }

    /// Says when groups begin to fail and when they succeed again.
    fn note(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Undone(error) if !self.is_failing => {
                tracing::error!(%error, "commits fail and are undone");
            }
            Verdict::Committed if self.is_failing => tracing::info!("commits succeed again"),
            _ => {}
        }
        self.is_failing = matches!(verdict, Verdict::Undone(_));
    }

    /// Moves the rest of the log into the file and begins it anew; see [`wal`]. On a full disk the
    /// room that the log takes may be all that is needed.
    fn restart_log(&self) {
        match wal::checkpoint(&self.conn, "RESTART") {
            Ok(_) => {}
            Err(error) if is_failed_flush(&error) => (self.on_fatal)(&Shared::from(error)),
            Err(_) if self.is_failing => {}
            Err(error) => tracing::warn!(%error, "the log cannot be begun anew yet"),
        }
    }

    fn finish(self) {
        // The log is replayed at the next open when this fails.
        if let Err(error) = wal::checkpoint(&self.conn, "TRUNCATE") {
            tracing::warn!(%error, "the log cannot be moved into the file at the end");
        }
        if let Err((_, error)) = self.conn.close() {
            tracing::warn!(%error, "the database file cannot be closed");
        }
    }
}
