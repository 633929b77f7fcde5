//! The port to whoever charges cards.

use std::time::Duration;

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
    /// It is taken up, under the provider's name if it said one. Whoever asks again brings the name.
    Pending(Option<String>),
    /// It may have been done or not: ask again with the same key.
    Unknown(String),
}

/// Money to be set aside, or that may have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold<'a> {
    /// The same whenever the same is asked for.
    pub(crate) key: &'a str,
    pub(crate) amount: Money,
    /// The provider's token for the card.
    pub(crate) method: &'a str,
    /// The provider's name for it, if it is known.
    pub(crate) name: Option<&'a str>,
    /// The provider's name for what the same card was asked for before, for the same order.
    pub(crate) like: Option<&'a str>,
    /// How long ago it may have been asked for the first time: providers forget keys.
    pub(crate) age: Duration,
}

/// Money to be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repayment<'a> {
    /// The same whenever the same is asked for.
    pub(crate) key: &'a str,
    /// The provider's name for the authorization of which it was taken.
    pub(crate) authorization: &'a str,
    pub(crate) amount: Money,
    /// The provider's name for the repayment, if it is known.
    pub(crate) name: Option<&'a str>,
    /// How long ago it may have been asked for the first time.
    pub(crate) age: Duration,
}

/// A card provider.
///
/// Each thing asked has a key. Asking again with the same key asks for the same thing: it is done
/// once, and answered as it stands then.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Sets the amount aside on the card.
    async fn authorize(&self, hold: &Hold<'_>) -> Answer;

    /// What became of an authorization; none if there was none.
    async fn lookup(&self, hold: &Hold<'_>) -> Option<Answer>;

    /// Takes `amount` of `authorization`.
    async fn capture(&self, key: &str, authorization: &str, amount: Money) -> Answer;

    /// Gives back whatever was authorized under `key`, and declines it from now on. Approved also
    /// if nothing was, but not if it was taken: a capture whose answer was lost has to be asked
    /// about again, and the money refunded. `age` is how long ago it may have been authorized, and
    /// `hold` what would have been asked for, where that is known.
    async fn void(&self, key: &str, age: Duration, hold: Option<&Hold<'_>>) -> Answer;

    /// Gives some of what was taken back. Approved and pending name the repayment.
    async fn refund(&self, repayment: &Repayment<'_>) -> Answer;

    /// Whether the repayment of this name, which was approved, is so still. Declined if the money
    /// came back, and in no other case. A provider that never takes back what it said keeps this.
    async fn confirm_refund(&self, name: &str) -> Answer {
        Answer::Approved(name.to_owned())
    }
}
