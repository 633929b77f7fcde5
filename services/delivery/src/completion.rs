//! Asks again where deliveries begin and end, and whose they are, when somebody did not answer while
//! they were made.

use std::time::Duration;

use bistro_core::{Error, PageRequest};
use bistro_eventing::{Engine, Tick};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned};

use crate::{
    delivery::{Delivery, INCOMPLETE},
    erasure,
    places::{Ends, Places},
};

/// The round.
pub(crate) const TICK: Tick = Tick { name: "ends", every: Duration::from_secs(5) };
/// Deliveries that are read at once.
const BATCH: u32 = 64;
/// After so many in a row about which somebody is silent, the rest waits for the next round.
const SILENT: u32 = 3;

/// One round.
pub(crate) async fn round(engine: &Engine, places: &Places) -> Result<(), Error> {
    let mut page = PageRequest::first(BATCH);
    let mut silent = 0;
    loop {
        let query = Query::prefix::<Delivery>(INCOMPLETE, &Key::new()).page(&page)?;
        let found = engine.store().list::<Delivery>(query).await?;
        for before in &found.items {
            let ends = places.ends(before.order(), before.restaurant, engine.now()).await;
            silent = if ends.known { 0 } else { silent + 1 };
            complete(engine, before, ends).await?;
            if silent == SILENT {
                return Ok(());
            }
        }
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn complete(engine: &Engine, before: &Versioned<Delivery>, ends: Ends) -> Result<(), Error> {
    let mut after = before.value.clone();
    after.complete(ends);
    if erasure::is_erased(engine, after.customer).await? {
        after.forget_customer();
    }
    if after == before.value {
        return Ok(());
    }
    let name = format!("ends/{}/{}", before.id, before.version);
    let mut work = engine.work(Cause::Tick { name });
    work.replace(before, &after)?;
    match engine.commit(work).await {
        // One that changed meanwhile is seen to in the next round.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
