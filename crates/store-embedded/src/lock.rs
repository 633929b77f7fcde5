//! The data directory: made readable by its owner only, and held by one process at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::OpenError;

const LOCK_FILE: &str = "bistro.lock";
const DATABASE_FILE: &str = "bistro.db";

/// A data directory that this process holds; dropping it lets it go.
///
/// The lock is the operating system's (`flock`), so that it is gone with the process, however the
/// process ends. The file's content only names the holder for the error message.
#[derive(Debug)]
pub(crate) struct DataDir {
    _lock: File,
    pub(crate) database: PathBuf,
}

impl DataDir {
    /// Makes the directory and an empty database file if they are missing, and takes the lock.
    pub(crate) fn hold(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::DataDir { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let mut lock = open_private(&path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: path.to_owned(),
                    holder: read_holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The name of the holder is a courtesy: a full disk must not keep a server from starting.
        let named = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        if let Err(error) = named {
            tracing::warn!(%error, path = %path.display(), "cannot name this process in the lock file");
        }
        let database = path.join(DATABASE_FILE);
        open_private(&database).map_err(failed)?;
        Ok(Self { _lock: lock, database })
    }
}

/// SQLite gives its other files the permissions of the database file.
fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read_holder(lock: &mut File) -> String {
    let mut pid = String::new();
    let read = lock.rewind().and_then(|()| lock.read_to_string(&mut pid));
    match read {
        Ok(_) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
        _ => "another process".to_owned(),
    }
}
