//! Removes sessions, resets, invitations and API keys that have expired, and old entries of the
//! audit trail.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Error, Timestamp};
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_store::{Cause, Document, Key, Query, StoreError, StoreExt as _};

use crate::{
    activity::{self, Activity},
    api_keys::{self, ApiKey},
    invitations::{self, Invitation},
    passwords::{self, PasswordReset},
    session::{self, Session},
};

/// The tick's name.
const TICK: &str = "expired";
/// How often what has expired is looked for.
const EVERY: Duration = Duration::from_mins(10);
/// How long an API key that has ended is still shown to its user.
const EXPIRED_KEYS: Duration = Duration::from_hours(30 * 24);
/// Documents removed by one Work.
const BATCH: u32 = 100;

/// Reacts to nothing but the passing of time.
pub(crate) struct Sweeper {
    pub(crate) engine: Engine,
    /// How long entries of the audit trail are kept.
    pub(crate) activity: Duration,
}

#[async_trait]
impl Reactor for Sweeper {
    fn ticks(&self) -> &'static [Tick] {
        &[Tick { name: TICK, every: EVERY }]
    }

    async fn on_tick(&self, _tick: &str) -> Result<(), Error> {
        let now = self.engine.now();
        remove_before::<Session>(&self.engine, session::BY_EXPIRY, now).await?;
        remove_before::<PasswordReset>(&self.engine, passwords::BY_EXPIRY, now).await?;
        remove_before::<Invitation>(&self.engine, invitations::BY_EXPIRY, now).await?;
        remove_before::<ApiKey>(&self.engine, api_keys::BY_EXPIRY, now - EXPIRED_KEYS).await?;
        remove_before::<Activity>(&self.engine, activity::BY_TIME, now - self.activity).await
    }
}

/// Removes documents whose moment in `index` is before `end`. They change no more, unless by their
/// removal.
async fn remove_before<D: Document>(
    engine: &Engine,
    index: &'static str,
    end: Timestamp,
) -> Result<(), Error> {
    loop {
        let query =
            Query::prefix::<D>(index, &Key::new()).before(&Key::new().time(end)).limit(BATCH);
        let expired = engine.store().list::<D>(query).await?.items;
        if expired.is_empty() {
            return Ok(());
        }
        let mut work = engine.work(Cause::Tick { name: TICK.to_owned() });
        for document in &expired {
            work.delete(document);
        }
        match engine.commit(work).await {
            Ok(_) => {}
            // Another process removes them too; it goes on.
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
