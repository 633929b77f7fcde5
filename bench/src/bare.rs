//! The bare loop: the commits and the publish of placing, made through the engine and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bistro_bus::Bus;
use bistro_core::{Clock as _, SystemClock};
use bistro_store::{Committed, Store};

use crate::{
    engines::{Place, on_all_processors},
    load::{self, Client, Outcome},
    procs::Meter,
    recipe::Recipe,
    wire::Fault,
};

/// What the loop makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of placing: four Works, one after the other, and the publish.
    Placing,
    /// Its first Work alone, which inserts one document with a call in it: what the engine can do.
    Insert,
}

struct Committer {
    part: Part,
    store: Arc<dyn Store>,
    bus: Option<Arc<dyn Bus>>,
    recipe: Arc<Recipe>,
    numbers: Arc<AtomicU64>,
}

impl Client for Committer {
    /// One order's Works, each after the one before as in the platform, and its event.
    async fn go(&mut self) -> Result<(), Fault> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut works = Vec::from(self.recipe.placing(number, SystemClock.now()));
        if self.part == Part::Insert {
            works.truncate(1);
        }
        let events: Vec<_> = works.iter().flat_map(|work| &work.events).cloned().collect();
        for work in works {
            match self.store.commit(work).await {
                Ok(Committed::Applied) => {}
                Ok(Committed::AlreadyDone(_)) => {
                    return Err(Fault("commit: done before".to_owned()));
                }
                Err(error) => return Err(Fault(format!("commit: {error}"))),
            }
        }
        if let Some(bus) = &self.bus {
            for published in bus.publish(events).await {
                published.map_err(|error| Fault(format!("publish: {error}")))?;
            }
        }
        Ok(())
    }
}

/// Measures `part` at `place`, which is empty, with so many `clients`. `meter` counts this process and
/// the servers.
pub(crate) async fn measure(
    part: Part,
    place: Place,
    meter: Meter,
    clients: u32,
    warm_up: Duration,
    span: Duration,
) -> Result<Outcome> {
    on_all_processors(async move {
        let open = place.open().await?;
        let now = SystemClock.now();
        let recipe = Arc::new(Recipe::new(now)?);
        for work in recipe.menu(now) {
            let done = open.store.commit(work).await.context("a dish cannot be stored")?;
            ensure!(done == Committed::Applied, "a dish is there already");
        }
        let numbers = Arc::new(AtomicU64::new(0));
        let committers = (0..clients)
            .map(|_| Committer {
                part,
                store: Arc::clone(&open.store),
                bus: open.bus.clone(),
                recipe: Arc::clone(&recipe),
                numbers: Arc::clone(&numbers),
            })
            .collect();
        let (outcome, committers) = load::closed(committers, &meter, warm_up, span).await?;
        drop(committers);
        open.close().await;
        Ok(outcome)
    })
    .await
}
