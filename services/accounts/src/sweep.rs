//! Removes sessions, resets and invitations that have expired.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::Error;
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_store::{Cause, Document, Key, Query, StoreError, StoreExt as _};

use crate::{
    invitations::{self, Invitation},
    passwords::{self, PasswordReset},
    session::{self, Session},
};

/// The tick's name.
const TICK: &str = "expired";
/// How often what has expired is looked for.
const EVERY: Duration = Duration::from_mins(10);
/// Documents removed by one Work.
const BATCH: u32 = 100;

/// Reacts to nothing but the passing of time.
pub(crate) struct Sweeper {
    pub(crate) engine: Engine,
}

#[async_trait]
impl Reactor for Sweeper {
    fn ticks(&self) -> &'static [Tick] {
        &[Tick { name: TICK, every: EVERY }]
    }

    async fn on_tick(&self, _tick: &str) -> Result<(), Error> {
        remove_expired::<Session>(&self.engine, session::BY_EXPIRY).await?;
        remove_expired::<PasswordReset>(&self.engine, passwords::BY_EXPIRY).await?;
        remove_expired::<Invitation>(&self.engine, invitations::BY_EXPIRY).await
    }
}

/// Removes documents whose moment in `index` is past. They change no more, unless by their removal.
async fn remove_expired<D: Document>(engine: &Engine, index: &'static str) -> Result<(), Error> {
    loop {
        let query = Query::prefix::<D>(index, &Key::new())
            .before(&Key::new().time(engine.now()))
            .limit(BATCH);
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
