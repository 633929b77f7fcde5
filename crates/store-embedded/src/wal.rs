//! The write-ahead log: moved into the database file beside the commits, not between them.
//!
//! Moving pages costs as much as writing them, and SQLite would do it inside whichever commit
//! finds the log long. Here a thread of its own moves what has gathered while commits go on. Under
//! steady load it never catches up to the last page, which it must for the log to begin anew; so
//! when the log is long the writer moves the little that is left itself, between two groups.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use crate::{
    OpenError,
    failure::{Shared, is_failed_flush},
    schema,
    writer::OnFatal,
};

/// Every so many pages in the log they are moved (8 MiB).
const STEP_FRAMES: usize = 2048;
/// Pages in the log from which on it should begin anew (32 MiB).
const LONG_FRAMES: usize = 8192;

/// There is something to move.
struct Nudge;

/// The writer's view of the log.
pub(crate) struct LogWatch {
    /// Pages in the log, as SQLite reports them after each commit.
    frames: Arc<AtomicUsize>,
    /// Pages at which the checkpointer is nudged next.
    nudge_at: usize,
    nudge: mpsc::SyncSender<Nudge>,
    /// Set by the checkpointer when nearly all of a long log is moved.
    restart: Arc<AtomicBool>,
}

impl LogWatch {
    /// Nudges the checkpointer when there is enough to move; whether the writer should now move
    /// the rest and begin the log anew.
    pub(crate) fn wants_restart(&mut self) -> bool {
        let frames = self.frames.load(Ordering::Relaxed);
        if frames + STEP_FRAMES < self.nudge_at {
            self.nudge_at = STEP_FRAMES;
        }
        if frames >= self.nudge_at {
            self.nudge_at = frames + STEP_FRAMES;
            // A full channel means that the checkpointer has work already.
            let _ = self.nudge.try_send(Nudge);
        }
        self.restart.swap(false, Ordering::Relaxed)
    }
}

/// Runs a checkpoint; the pages of the log that are in the file now.
pub(crate) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<usize> {
    conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok(usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0)))
}

/// Starts the thread that moves pages whenever `writer`'s watch nudges it, until that is dropped.
pub(crate) fn start(
    path: &Path,
    writer: &mut Connection,
    on_fatal: OnFatal,
) -> Result<(LogWatch, JoinHandle<()>), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let frames = Arc::new(AtomicUsize::new(0));
    let reported = Arc::clone(&frames);
    writer
        .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            reported.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(failed)?;
    let conn = schema::open_checkpointer(path).map_err(failed)?;
    let (nudge, nudges) = mpsc::sync_channel(1);
    let restart = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&restart);
    let thread = std::thread::Builder::new()
        .name("bistro-log".to_owned())
        .spawn(move || serve(&conn, &nudges, &flag, &on_fatal))
        .map_err(OpenError::Thread)?;
    let watch = LogWatch { frames, nudge_at: STEP_FRAMES, nudge, restart };
    Ok((watch, thread))
}

fn serve(
    conn: &Connection,
    nudges: &mpsc::Receiver<Nudge>,
    restart: &AtomicBool,
    on_fatal: &OnFatal,
) {
    for Nudge in nudges {
        match checkpoint(conn, "PASSIVE") {
            Ok(moved) if moved >= LONG_FRAMES => restart.store(true, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) if is_failed_flush(&error) => on_fatal(&Shared::from(error)),
            // A full disk: what is in the log stays there, and it is tried again.
            Err(error) => tracing::warn!(%error, "the log cannot be moved into the file yet"),
        }
    }
}
