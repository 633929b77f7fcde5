//! What a SQLite error means for the Works it met.

use std::{fmt, path::PathBuf, sync::Arc};

use bistro_store::StoreError;
use rusqlite::{ErrorCode, ffi};

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be made or used.
    #[error("the data directory {} cannot be used", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process holds the data directory.
    #[error(
        "the data directory {} is in use by {holder}; stop it, or give this server a data directory of its own",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The file was written by a newer program.
    #[error(
        "{} has file schema {found}, and this program knows {known}; run the newer program that wrote it, or restore a backup from before the upgrade",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema number in the file.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// An index holds keys that repeat, and the program now declares that they may not, or the
    /// other way round.
    #[error(
        "index {index} of {collection} changed whether its keys are unique; give the new one another name"
    )]
    IndexChanged {
        /// `role.name`.
        collection: String,
        /// The index.
        index: String,
    },
    /// SQLite cannot open the file.
    #[error("{} cannot be opened", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A thread cannot be started.
    #[error("a thread of the embedded store cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Why a submission stopped short.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The submission itself is refused; the others of its group are not affected.
    Refused(StoreError),
    /// SQLite failed; the whole group is undone.
    Failed(rusqlite::Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        // A constraint that the checks before it should have met concerns one submission only.
        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
            Self::Refused(StoreError::not_done("a constraint of the file", error))
        } else {
            Self::Failed(error)
        }
    }
}

/// One SQLite error that is the cause of many answers.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<rusqlite::Error>);

impl From<rusqlite::Error> for Shared {
    fn from(error: rusqlite::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Shared {}

/// What became of a group.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Durable.
    Committed,
    /// Undone, all of it.
    Undone(Shared),
    /// Nobody can tell until the file is opened again.
    Unknown(Shared),
}

impl Verdict {
    /// The answer to somebody whose submission gave `result`.
    pub(crate) fn answer<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Committed => result,
            Self::Undone(cause) => Err(StoreError::not_done(describe(&cause.0), cause.clone())),
            Self::Unknown(cause) => {
                Err(StoreError::unknown("the disk did not confirm the commit", cause.clone()))
            }
        }
    }
}

/// A failed read or an undone group, as a sentence for whoever mends it.
fn describe(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; nothing was written",
        Some(ErrorCode::SystemIoFailure) => "the disk failed; nothing was written",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the database file is damaged; restore a backup"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has the database file open"
        }
        _ => "SQLite failed; nothing was written",
    }
}

/// A failed read.
pub(crate) fn not_read(error: rusqlite::Error) -> StoreError {
    StoreError::not_done(describe(&error), error)
}

/// The engine was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::NotDone { message: "the embedded store is closed".to_owned(), source: None }
}

/// Whether the disk refused to flush: what the kernel had not written yet may be lost, and it
/// will not say so again, so nothing after it can be trusted.
pub(crate) fn is_failed_flush(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error().map(|error| error.extended_code),
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

/// Whether a COMMIT that failed so certainly left no commit record in the log.
///
/// The record is the last thing COMMIT writes; a full disk keeps it from being written whole.
/// After any other failure it may be in the log, where the next start would find it.
pub(crate) fn commit_is_undone(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
}
