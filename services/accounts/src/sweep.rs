//! Removes sessions that have expired.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::Error;
use bistro_eventing::{Engine, Reactor, Tick};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _};

use crate::session::{BY_EXPIRY, Session};

/// The tick's name.
const TICK: &str = "sessions";
/// How often expired sessions are looked for.
const EVERY: Duration = Duration::from_mins(10);
/// Sessions removed by one Work.
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
        loop {
            // An expired session changes no more, unless by its removal.
            let now = self.engine.now();
            let query = Query::prefix::<Session>(BY_EXPIRY, &Key::new())
                .before(&Key::new().time(now))
                .limit(BATCH);
            let expired = self.engine.store().list::<Session>(query).await?.items;
            if expired.is_empty() {
                return Ok(());
            }
            let mut work = self.engine.work(Cause::Tick { name: TICK.to_owned() });
            for session in &expired {
                work.delete(session);
            }
            match self.engine.commit(work).await {
                Ok(_) => {}
                // Another process removes them too; it goes on.
                Err(StoreError::Conflict { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
