//! The port to whoever charges cards.

use async_trait::async_trait;
use bistro_core::Money;

/// What a provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; for an authorization, this is the provider's name for it.
    Approved(String),
    /// It is refused, for good, for this reason.
    Declined(String),
    /// What it is about was voided before, and holds no money any more.
    Voided,
    /// It is taken up; ask [`Provider::lookup`] for the outcome.
    Pending,
    /// It may have been done or not: ask again with the same key.
    Unknown(String),
}

/// A card provider.
///
/// Each thing asked has a key. Asking again with the same key asks for the same thing: it is done
/// once, and answered as it stands then.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Sets `amount` aside on the card that `method` names.
    async fn authorize(&self, key: &str, amount: Money, method: &str) -> Answer;

    /// What became of the authorization asked for under `key`; none if there was none.
    async fn lookup(&self, key: &str) -> Option<Answer>;

    /// Takes `amount` of `authorization`.
    async fn capture(&self, key: &str, authorization: &str, amount: Money) -> Answer;

    /// Gives back whatever was authorized under `key`, and declines it from now on. Approved also
    /// if nothing was.
    async fn void(&self, key: &str) -> Answer;

    /// Gives `amount` of what was taken of `authorization` back.
    async fn refund(&self, key: &str, authorization: &str, amount: Money) -> Answer;
}
