//! What catalog does when it is told something.

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode};
use bistro_eventing::{Engine, Outcome, Reactor, Tick};
use bistro_runtime::Peers;
use bistro_store::Work;
use tracing::warn;

use crate::{documents::Restaurant, expiry, import, restaurants::MEMBERSHIP};

const TICKS: &[Tick] = &[
    Tick { name: expiry::TICK, every: expiry::EVERY },
    Tick { name: import::TICK, every: import::EVERY },
];

/// Catalog's reactions.
pub(crate) struct CatalogReactor {
    pub(crate) engine: Engine,
    pub(crate) peers: Peers,
}

#[async_trait]
impl Reactor for CatalogReactor {
    async fn on_outcome(&self, mut work: Work, outcome: &Outcome) -> Result<Option<Work>, Error> {
        match (outcome.chain.label.as_str(), &outcome.refused) {
            (MEMBERSHIP, None) => Ok(None),
            (MEMBERSHIP, Some(refused)) => {
                // Nobody could change it, and everybody would be shown it.
                let restaurant = &outcome.document.id;
                warn!(
                    restaurant,
                    cause = refused.chain(),
                    "it cannot have its owner and is closed"
                );
                let Some(found) = outcome.anchor::<Restaurant>(self.engine.store()).await? else {
                    return Ok(None);
                };
                let Some(closed) = found.closed(work.time) else {
                    return Ok(None);
                };
                work.replace(&found, &closed)?;
                Ok(Some(work))
            }
            (other, _) => {
                let message = format!("catalog made no call named {other}");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    fn ticks(&self) -> &'static [Tick] {
        TICKS
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        match tick {
            import::TICK => import::sweep(&self.engine).await,
            _ => expiry::settle_due(&self.engine, &self.peers).await,
        }
    }
}
