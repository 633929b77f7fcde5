//! Makes an ordinary error of a panic in a role's functions, so that one mistake of a role is tried
//! again and given up like any other failure, and neither ends the process nor is repeated for ever.

use std::panic::AssertUnwindSafe;

use bistro_core::{Error, ErrorCode, Panicked};
use futures::FutureExt as _;

/// Runs `run`; a panic in it is an internal error that names `what` and says what it said.
///
/// A reaction has no effect of its own, and no lock of ours stays poisoned: what a panic leaves
/// behind is a Work that was not committed.
pub(crate) async fn caught<T>(
    what: &str,
    run: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Error::new(ErrorCode::Internal, Panicked::new(what, &*panic).to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_with_its_words() {
        let table = 7;
        let formatted = caught("the waiter", async { panic!("table {table} is not there") });
        let plain = caught("the cook", async { panic!("the oven is cold") });
        let odd = caught("the guest", async { std::panic::panic_any(table) });
        let results: [Result<(), Error>; 3] = [formatted.await, plain.await, odd.await];
        let said = results.map(|result| result.unwrap_err().chain());
        assert_eq!(
            said,
            [
                "internal: the waiter panicked: table 7 is not there",
                "internal: the cook panicked: the oven is cold",
                "internal: the guest panicked: without a message",
            ]
        );
    }

    #[tokio::test]
    async fn what_does_not_panic_is_left_alone() {
        assert_eq!(caught("the cook", async { Ok(7) }).await.unwrap(), 7);
        let refused = Error::new(ErrorCode::SoldOut, "no soup today");
        let result: Result<(), Error> = caught("the cook", async { Err(refused) }).await;
        assert_eq!(result.unwrap_err().code(), ErrorCode::SoldOut);
    }
}
