//! What catalog does when it is told something.

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode};
use bistro_eventing::{Engine, Outcome, Reactor, Tick};
use bistro_runtime::Peers;
use bistro_store::Work;
use tracing::error;

use crate::{expiry, restaurants::MEMBERSHIP};

const TICKS: &[Tick] = &[Tick { name: expiry::TICK, every: expiry::EVERY }];

/// Catalog's reactions.
pub(crate) struct CatalogReactor {
    pub(crate) engine: Engine,
    pub(crate) peers: Peers,
}

#[async_trait]
impl Reactor for CatalogReactor {
    async fn on_outcome(&self, _work: Work, outcome: &Outcome) -> Result<Option<Work>, Error> {
        match (outcome.chain.label.as_str(), &outcome.refused) {
            (MEMBERSHIP, None) => Ok(None),
            (MEMBERSHIP, Some(refused)) => {
                // The restaurant stays: an administrator can give it an owner.
                let restaurant = &outcome.document.id;
                error!(restaurant, cause = refused.chain(), "the restaurant has no owner");
                Ok(None)
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

    async fn on_tick(&self, _tick: &str) -> Result<(), Error> {
        expiry::settle_due(&self.engine, &self.peers).await
    }
}
