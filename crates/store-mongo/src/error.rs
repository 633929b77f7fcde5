//! What a driver's error means: it did not happen, it met another writer, or it may have happened.

use bistro_store::StoreError;
use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

const DUPLICATE_KEY: i32 = 11000;
/// Codes with which a server refuses an operation because it is not the primary, or not any more:
/// the same again finds the one that is.
const NOT_PRIMARY: [i32; 3] = [10058, 10107, 13435];
const SNAPSHOT_UNAVAILABLE: i32 = 246;
/// Codes with which a server ends an operation that it may have carried out already: it was
/// interrupted, stepped down or shut down, or the write concern was not met, while it waited for
/// the majority.
const MAYBE_DONE: [i32; 8] = [50, 64, 89, 91, 189, 262, 11600, 11602];

/// An error of the driver without what it quotes: neither documents nor keys nor the URL.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DriverError {
    message: String,
}

impl DriverError {
    pub(crate) fn not_done(self, message: impl Into<String>) -> StoreError {
        StoreError::not_done(message, self)
    }

    pub(crate) fn unknown(self, message: impl Into<String>) -> StoreError {
        StoreError::unknown(message, self)
    }
}

impl From<&Error> for DriverError {
    fn from(error: &Error) -> Self {
        let own = match error.kind.as_ref() {
            ErrorKind::Command(refused) => {
                server_said(refused.code, Some(&refused.code_name), &refused.message)
            }
            ErrorKind::Write(WriteFailure::WriteError(refused)) => {
                server_said(refused.code, refused.code_name.as_ref(), &refused.message)
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(unmet)) => {
                server_said(unmet.code, Some(&unmet.code_name), &unmet.message)
            }
            // Its own words quote the documents.
            ErrorKind::InsertMany(_) => "one of several inserts was refused".to_owned(),
            // Its message is a piece of the URL.
            ErrorKind::InvalidArgument { .. } => "an argument is not valid".to_owned(),
            kind => kind.to_string(),
        };
        let message = match std::error::Error::source(error)
            .and_then(<dyn std::error::Error>::downcast_ref)
        {
            Some(source) => format!("{own}: {}", Self::from(source).message),
            None => own,
        };
        Self { message }
    }
}

fn server_said(code: i32, name: Option<&String>, message: &str) -> String {
    let name = name.map_or("", String::as_str);
    if code == DUPLICATE_KEY {
        // The rest of the message quotes the key.
        format!("duplicate key in {}", index_in(message).unwrap_or("an index"))
    } else {
        format!("{message} ({code} {name})")
    }
}

/// The index that a duplicate key error is about.
fn index_in(message: &str) -> Option<&str> {
    message.split_once(" index: ")?.1.split(' ').next()
}

/// What an error of a write means.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It did not happen: this unique index has the key already.
    Duplicate(String),
    /// It did not happen, because of another writer or because another server has become the
    /// primary; the same again may succeed at once.
    Transient(DriverError),
    /// It did not happen.
    NotDone(DriverError),
    /// It may have happened.
    Unknown(DriverError),
}

impl Fault {
    /// An error of a write that is its own commit.
    pub(crate) fn of_write(error: &Error) -> Self {
        if let Some(index) = duplicate(error) {
            return Self::Duplicate(index);
        }
        let said = DriverError::from(error);
        match error.kind.as_ref() {
            ErrorKind::Command(refused) if MAYBE_DONE.contains(&refused.code) => {
                Self::Unknown(said)
            }
            ErrorKind::Command(refused) if NOT_PRIMARY.contains(&refused.code) => {
                Self::Transient(said)
            }
            ErrorKind::Command(_)
            | ErrorKind::Write(WriteFailure::WriteError(_))
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::InvalidArgument { .. }
            | ErrorKind::IncompatibleServer { .. }
            | ErrorKind::SessionsNotSupported
            | ErrorKind::Bson(_)
            | ErrorKind::Shutdown => Self::NotDone(said),
            _ => Self::Unknown(said),
        }
    }

    /// An error of a statement in a transaction whose commit has not been asked for.
    pub(crate) fn of_statement(error: &Error) -> Self {
        if let Some(index) = duplicate(error) {
            return Self::Duplicate(index);
        }
        let said = DriverError::from(error);
        let waited = matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. });
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && !waited {
            Self::Transient(said)
        } else {
            Self::NotDone(said)
        }
    }

    /// An error of the commit of a transaction. `first`: of the first attempt to commit it.
    pub(crate) fn of_commit(error: &Error, first: bool) -> Self {
        let said = DriverError::from(error);
        let unsent = matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. });
        if unsent && first {
            Self::NotDone(said)
        } else if error.contains_label(TRANSIENT_TRANSACTION_ERROR)
            && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
        {
            Self::Transient(said)
        } else {
            Self::Unknown(said)
        }
    }

    /// The error a caller is given, when there is nothing better to be made of it.
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Duplicate(index) => StoreError::NotDone {
                message: format!("there is a second key in {index}"),
                source: None,
            },
            Self::Transient(said) => said.not_done("MongoDB keeps putting it off"),
            Self::NotDone(said) => said.not_done("MongoDB did not take it"),
            Self::Unknown(said) => said.unknown("MongoDB did not say"),
        }
    }
}

fn duplicate(error: &Error) -> Option<String> {
    let (code, message) = match error.kind.as_ref() {
        ErrorKind::Command(refused) => (refused.code, &refused.message),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => (refused.code, &refused.message),
        _ => return None,
    };
    (code == DUPLICATE_KEY).then(|| index_in(message).unwrap_or_default().to_owned())
}

/// Whether an upsert met a document that its filter did not let it see.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    duplicate(error).is_some()
}

/// Whether a read found no snapshot as recent as its collection and its indexes.
pub(crate) fn has_no_snapshot(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(refused) if refused.code == SNAPSHOT_UNAVAILABLE)
}

/// An error of a read, which changes nothing.
pub(crate) fn of_read(error: &Error) -> StoreError {
    DriverError::from(error).not_done("MongoDB did not answer")
}

#[cfg(test)]
mod tests {
    use mongodb::error::{CommandError, WriteConcernError, WriteError};
    use serde_json::json;

    use super::*;

    fn command(code: i32, message: &str) -> Error {
        let said: CommandError = serde_json::from_value(
            json!({"code": code, "codeName": "Name", "errmsg": message, "topologyVersion": null}),
        )
        .unwrap();
        ErrorKind::Command(said).into()
    }

    fn write(code: i32, message: &str) -> Error {
        let said: WriteError =
            serde_json::from_value(json!({"code": code, "errmsg": message, "errInfo": null}))
                .unwrap();
        ErrorKind::Write(WriteFailure::WriteError(said)).into()
    }

    #[test]
    fn a_duplicate_names_its_index_and_quotes_no_key() {
        let message = "E11000 duplicate key error collection: bistro.accounts.users index: k_email \
                       dup key: { k.email: \"ann@example.org\u{1}\" }";
        for error in [write(11000, message), command(11000, message)] {
            let Fault::Duplicate(index) = Fault::of_write(&error) else {
                panic!("{error:?}");
            };
            assert_eq!(index, "k_email");
            let shown = format!("{:?}", DriverError::from(&error));
            assert!(!shown.contains("ann@"), "{shown}");
        }
    }

    #[test]
    fn what_may_have_reached_the_server_is_unknown() {
        let cut: Error = std::io::Error::from(std::io::ErrorKind::ConnectionReset).into();
        assert!(matches!(Fault::of_write(&cut), Fault::Unknown(_)));
        assert!(matches!(Fault::of_statement(&cut), Fault::NotDone(_)));
        assert!(matches!(Fault::of_commit(&cut, true), Fault::Unknown(_)));
        let unmet: WriteConcernError = serde_json::from_value(
            json!({"code": 64, "codeName": "WriteConcernFailed", "errmsg": "", "errInfo": null}),
        )
        .unwrap();
        let unmet = ErrorKind::Write(WriteFailure::WriteConcernError(unmet)).into();
        assert!(matches!(Fault::of_write(&unmet), Fault::Unknown(_)));
        for code in [91, 189, 11602] {
            assert!(matches!(Fault::of_write(&command(code, "")), Fault::Unknown(_)));
        }
    }

    #[test]
    fn only_a_missing_snapshot_is_waited_for() {
        assert!(has_no_snapshot(&command(246, "Unable to read from a snapshot")));
        assert!(!has_no_snapshot(&command(239, "too old")));
    }

    #[test]
    fn what_the_server_refused_did_not_happen() {
        for error in [command(13, "not allowed"), write(121, "")] {
            assert!(matches!(Fault::of_write(&error), Fault::NotDone(_)), "{error:?}");
        }
        for code in NOT_PRIMARY {
            // Another server may take it at once.
            assert!(matches!(Fault::of_write(&command(code, "")), Fault::Transient(_)));
        }
        assert!(matches!(Fault::of_write(&ErrorKind::Shutdown.into()), Fault::NotDone(_)));
    }
}
