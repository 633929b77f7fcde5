//! Removes slots whose time has passed: nobody orders for them or lists them any more.

use std::time::Duration;

use bistro_core::Error;
use bistro_eventing::{Engine, Tick};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _};

use crate::slots::{BY_TIME, Slot};

/// When passed slots are looked for.
pub(crate) const TICK: Tick = Tick { name: "passed_slots", every: Duration::from_mins(1) };
/// How long a slot is kept after its beginning: longer than places of it are given back.
const KEPT: Duration = Duration::from_hours(24);
/// Slots removed by one Work.
const BATCH: u32 = 50;
/// Works of one round. What is left over is removed by the next ones, oldest first.
const BATCHES: u32 = 10;

/// Removes the oldest slots that have passed, so many at most.
pub(crate) async fn remove(engine: &Engine) -> Result<(), Error> {
    let end = Key::new().time(engine.now() - KEPT);
    for _ in 0..BATCHES {
        let query = Query::prefix::<Slot>(BY_TIME, &Key::new()).before(&end).limit(BATCH);
        let passed = engine.store().list::<Slot>(query).await?.items;
        if passed.is_empty() {
            return Ok(());
        }
        let mut work = engine.work(Cause::Tick { name: TICK.name.to_owned() });
        for slot in &passed {
            work.delete(slot);
        }
        match engine.commit(work).await {
            Ok(_) => {}
            // Another process removes them too; it goes on.
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::GIVEN_BACK;

    #[test]
    fn a_slot_is_kept_while_places_of_it_are_given_back() {
        assert!(GIVEN_BACK + Duration::from_hours(1) < KEPT);
    }
}
