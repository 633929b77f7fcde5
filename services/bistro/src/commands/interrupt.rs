//! ^C, where a command has something to finish first: then an exit code says that it was interrupted.
//!
//! Where there is nothing to finish, the signal ends the process, as whoever pressed the keys expects;
//! a shell calls that by the same number.

use std::{error, fmt};

use bistro_core::{Error, ErrorCode};

/// The cause of an error that nobody made.
#[derive(Debug)]
struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl error::Error for Interrupted {}

/// Does `work` unless it is interrupted meanwhile; `then` says how to go on.
pub(crate) async fn guard<T>(
    work: impl Future<Output = Result<T, Error>>,
    then: &str,
) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        heard = tokio::signal::ctrl_c() => {
            heard.map_err(Error::internal)?;
            Err(Error::new(ErrorCode::Internal, format!("interrupted; {then}")).caused_by(Interrupted))
        }
    }
}

/// Whether `error` says that the command was interrupted.
pub(crate) fn is_cause_of(error: &Error) -> bool {
    error::Error::source(error).is_some_and(<dyn error::Error>::is::<Interrupted>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_interrupted_is_done() {
        assert_eq!(guard(async { Ok(3) }, "go on").await.unwrap(), 3);
        let failed = Error::new(ErrorCode::NotFound, "interrupted; no, not found");
        let failed = guard(async { Err::<(), _>(failed) }, "go on").await.unwrap_err();
        assert!(!is_cause_of(&failed));
        assert!(is_cause_of(&failed.caused_by(Interrupted)));
    }
}
