//! The secrets in the data directory: the one that roles share, and the operator's token.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bistro_config::Config;
use bistro_core::{Error, ErrorCode};
use bistro_runtime::Authority;
use rand::{TryRng as _, rngs::SysRng};
use tracing::info;

const WORKLOAD_SECRET: &str = "workload-secret";
/// The file that the command reads the operator's token from.
pub(crate) const OPERATOR_TOKEN: &str = "operator-token";
/// Bytes of a secret made here.
const SECRET_BYTES: usize = 32;

/// The secret that every process of the platform shares: the configured one, or one that is made
/// once and kept in the data directory.
pub(crate) fn workload(config: &Config) -> Result<Vec<u8>, Error> {
    if let Some(secret) = &config.auth.workload_secret {
        return Ok(secret.expose().as_bytes().to_vec());
    }
    let path = config.data_dir.join(WORKLOAD_SECRET);
    match fs::read(&path) {
        Ok(secret) if secret.len() >= SECRET_BYTES => return Ok(secret),
        Ok(_) => {
            let message = format!(
                "{} is too short to be a secret; remove it and start again",
                path.display()
            );
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(&path, error)),
    }
    let mut secret = [0; SECRET_BYTES];
    SysRng.try_fill_bytes(&mut secret).map_err(Error::internal)?;
    write_private(&path, &secret)?;
    Ok(secret.to_vec())
}

/// Writes the operator's token where the command looks for it, and gives it. The first time it
/// says how to get in.
pub(crate) fn write_operator_token(
    config: &Config,
    authority: &Authority,
) -> Result<String, Error> {
    let token = authority.operator_token()?;
    let path = config.data_dir.join(OPERATOR_TOKEN);
    let is_first = !path.exists();
    write_private(&path, token.as_bytes())?;
    if is_first {
        info!(
            operator_token = %path.display(),
            "whoever can read this file may do everything; the first administrator is made with: \
             bistro admin create EMAIL"
        );
    }
    Ok(token)
}

/// Writes a file that only its owner can read; all of it or nothing.
fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} cannot be used: {error}; set data_dir to a folder that can be written",
        path.display()
    );
    Error::new(ErrorCode::Unavailable, message).caused_by(error)
}
