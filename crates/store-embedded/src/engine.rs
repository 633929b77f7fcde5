//! The engine's handle: opens the file, starts its threads, and ends them in order.

use std::{collections::HashMap, path::PathBuf, sync::Arc, thread::JoinHandle};

use bistro_core::{Clock, Timestamp};
use bistro_store::{Collection, StoreError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::{
    OpenError,
    catalog::Catalog,
    failure::{Stop, closed},
    lock::DataDir,
    messages,
    queues::Queues,
    reads::Readers,
    schema, wal,
    writer::{Commit, OnFatal, Submission, Tx, Writer, real_commit, submission},
};

/// Submissions that may wait for the writer; whoever comes then waits to be let in.
const WAITING: usize = 1024;
/// The exit code of a process whose disk failed to flush (`EX_IOERR`).
const EXIT_IO_ERROR: i32 = 74;

/// What to open, and with what.
pub struct Options {
    /// Where the file is; made if it is missing.
    pub data_dir: PathBuf,
    /// Every collection that will be used.
    pub collections: Vec<&'static Collection>,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// What to do with its cause when the disk fails to flush. Nothing that was or will be written
    /// can be trusted then, so it must not return but in a test; after it, the engine answers
    /// nothing any more.
    pub on_fatal: OnFatal,
}

impl Options {
    /// Options that end the process, with the cause logged, when the disk fails to flush.
    pub fn new(
        data_dir: impl Into<PathBuf>,
        collections: Vec<&'static Collection>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            data_dir: data_dir.into(),
            collections,
            clock,
            on_fatal: Arc::new(|error| {
                tracing::error!(error, "the disk failed to flush; the process ends");
                std::process::exit(EXIT_IO_ERROR);
            }),
        }
    }
}

/// The embedded engine. Clones are handles to the same one; the last to go closes it.
#[derive(Clone)]
pub struct Embedded {
    pub(crate) engine: Arc<Engine>,
}

/// Who holds a lease, and until when.
pub(crate) type Leases = HashMap<(String, String), (String, Timestamp)>;

pub(crate) struct Engine {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) clock: Arc<dyn Clock>,
    /// In memory: the data directory has one process, so a lease is not to outlive it.
    pub(crate) leases: Mutex<Leases>,
    submit: RwLock<Option<mpsc::Sender<Box<dyn Submission>>>>,
    running: Mutex<Option<Running>>,
}

/// What has to end before the data directory is let go.
struct Running {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    _data_dir: DataDir,
}

impl Embedded {
    /// Opens the file in `data_dir`, making it if it is missing, and holds the directory until
    /// the engine is closed.
    pub fn open(
        data_dir: impl Into<PathBuf>,
        collections: &[&'static Collection],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_with(Options::new(data_dir, collections.to_vec(), clock))
    }

    /// Opens the file as `options` say.
    pub fn open_with(options: Options) -> Result<Self, OpenError> {
        Self::open_committing(options, Box::new(real_commit))
    }

    /// Opens the file with `commit` in place of SQLite's.
    pub(crate) fn open_committing(options: Options, commit: Commit) -> Result<Self, OpenError> {
        let data_dir = DataDir::hold(&options.data_dir)?;
        let path = data_dir.database.clone();
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let mut conn = schema::open_writer(&path)?;
        let catalog = Arc::new(Catalog::load(&mut conn, &path, &options.collections)?);
        let queues = Arc::new(Queues::default());
        queues.load(&conn).map_err(failed)?;
        let last_seq = messages::last_seq(&conn).map_err(failed)?;
        let on_fatal = options.on_fatal;
        let (log, checkpointer) = wal::start(&path, &mut conn, Arc::clone(&on_fatal))?;
        let (submit, submissions) = mpsc::channel(WAITING);
        let writer = Writer {
            conn,
            catalog: Arc::clone(&catalog),
            queues: Arc::clone(&queues),
            submissions,
            commit,
            on_fatal,
            log,
            last_seq,
            is_failing: false,
        };
        let writer = std::thread::Builder::new()
            .name("bistro-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            engine: Arc::new(Engine {
                catalog,
                queues,
                readers: Arc::new(Readers::new(path)),
                clock: options.clock,
                leases: Mutex::default(),
                submit: RwLock::new(Some(submit)),
                running: Mutex::new(Some(Running { writer, checkpointer, _data_dir: data_dir })),
            }),
        })
    }

    /// Finishes what is queued, moves the log into the file, closes it and lets the data directory
    /// go. Whatever any handle is asked afterwards fails.
    pub async fn close(&self) {
        let engine = Arc::clone(&self.engine);
        // Joining threads blocks. That the task may be cancelled with its runtime is no harm:
        // dropping the last handle closes too.
        let _ = tokio::task::spawn_blocking(move || engine.shut_down()).await;
    }
}

impl Engine {
    /// Has the writer run `run` in its next group, and waits until the group is durable.
    pub(crate) async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
    {
        let sender = self.submit.read().clone().ok_or_else(closed)?;
        let (job, answer) = submission(run);
        sender.send(job).await.map_err(|_| closed())?;
        // Or the engine would not close while somebody waits.
        drop(sender);
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::Unknown {
                message: "the embedded store stopped before it answered".to_owned(),
                source: None,
            })
        })
    }

    /// Whether `close` was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.submit.read().is_none()
    }

    fn shut_down(&self) {
        self.submit.write().take();
        self.readers.close();
        self.queues.wake_all();
        let Some(running) = self.running.lock().take() else {
            return;
        };
        // A thread that panicked has said so; there is nothing left to wait for.
        let _ = running.writer.join();
        let _ = running.checkpointer.join();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut_down();
    }
}
