//! How logins and refreshes end, and how many passwords are hashed for them: what a wave of guesses,
//! or of stolen tokens, is seen by.

use bistro_core::Error;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

pub(crate) struct Metrics {
    /// By `outcome`: done, wrong, throttled, failed.
    pub(crate) logins: IntCounterVec,
    /// By `outcome`: rotated, again, reused, refused.
    pub(crate) refreshes: IntCounterVec,
    /// By `outcome`: done, refused, failed.
    pub(crate) exchanges: IntCounterVec,
    /// Each is 19 MiB and some 20 ms of a processor, whatever it was for.
    pub(crate) hashes: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounterVec, Error> {
            let counter =
                IntCounterVec::new(Opts::new(name, help), &["outcome"]).map_err(Error::internal)?;
            registry.register(Box::new(counter.clone())).map_err(Error::internal)?;
            Ok(counter)
        };
        let hashes = IntCounter::new(
            "bistro_accounts_password_hashes_total",
            "Passwords hashed, to be kept or compared, also for users who do not exist",
        )
        .map_err(Error::internal)?;
        registry.register(Box::new(hashes.clone())).map_err(Error::internal)?;
        Ok(Self {
            logins: counter("bistro_accounts_logins_total", "Logins, by how they ended")?,
            refreshes: counter(
                "bistro_accounts_refreshes_total",
                "Refresh tokens shown, by what became of them; reused means that one was stolen",
            )?,
            exchanges: counter(
                "bistro_accounts_key_exchanges_total",
                "API keys shown to be traded for access tokens, by what became of them",
            )?,
            hashes,
        })
    }
}
