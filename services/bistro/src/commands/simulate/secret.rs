//! The secret of a run, from which its accounts' passwords follow, and the run's name.
//!
//! It is kept beside the journal, readable by its owner only, for `--resume` to log in with, and
//! removed when the run is done: then nobody can log in to the accounts any more. The operator's
//! token would not do, since it is another one after each start of the server.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bistro_core::{Error, ErrorCode};
use rand::{TryRng as _, rngs::SysRng};

use super::{account::Passwords, beside};

const EXTENSION: &str = ".secret";
const SECRET_BYTES: usize = 32;

/// A name for a new run.
pub(super) fn run_name() -> Result<String, Error> {
    let mut bytes = [0; 5];
    SysRng.try_fill_bytes(&mut bytes).map_err(Error::internal)?;
    Ok(hex(&bytes))
}

/// Makes the secret of a new run, whose journal is at `journal`.
pub(super) fn create(journal: &Path) -> Result<Passwords, Error> {
    let mut secret = [0; SECRET_BYTES];
    SysRng.try_fill_bytes(&mut secret).map_err(Error::internal)?;
    let path = beside(journal, EXTENSION);
    let write = || {
        // One that is left of a run whose journal was removed is of no use to anybody.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(&secret)
    };
    write().map_err(|cause| unusable(&path, &cause))?;
    Passwords::new(&secret)
}

/// The secret of the run whose journal is at `journal`.
pub(super) fn read(journal: &Path) -> Result<Passwords, Error> {
    let path = beside(journal, EXTENSION);
    let secret = fs::read(&path).map_err(|cause| unusable(&path, &cause))?;
    if secret.len() != SECRET_BYTES {
        return Err(unusable(&path, &io::Error::other("it was cut off")));
    }
    Passwords::new(&secret)
}

/// Removes the secret: the run is done.
pub(super) fn forget(journal: &Path) {
    // If it stays, it opens accounts that can do nothing any more than test.
    let _ = fs::remove_file(beside(journal, EXTENSION));
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unusable(path: &Path, cause: &io::Error) -> Error {
    let message = format!(
        "the secret of the run, {}, cannot be used: {cause}; a run without it cannot be gone on with, begin a new one",
        path.display()
    );
    Error::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_secret_is_its_owners_alone_and_goes_with_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("a.journal");
        assert!(read(&journal).is_err());
        create(&journal).unwrap();
        let path = folder.path().join("a.journal.secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        read(&journal).unwrap();
        forget(&journal);
        assert!(!path.exists());
    }
}
