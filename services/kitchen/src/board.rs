//! What restaurants have to cook, read once a second at most however many ask.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Key, Query, StoreExt as _, Versioned};
use parking_lot::Mutex;

use crate::{
    load::Board,
    station::{BY_NAME, Station},
    ticket::{OPEN_BY_RESTAURANT, Ticket},
};

/// How old a board may be.
const FRESH: Duration = Duration::from_secs(1);
/// Pages of tickets to cook that count as work. What there is beyond them will not be cooked today.
const PAGES: usize = 10;
/// Restaurants whose boards are kept.
const KEPT: usize = 4096;

/// The stations of a restaurant, by name.
pub(crate) async fn stations(
    engine: &Engine,
    restaurant: Id<kinds::Restaurant>,
) -> Result<Vec<Versioned<Station>>, Error> {
    let query = Query::prefix::<Station>(BY_NAME, &Key::new().id(restaurant));
    Ok(engine.store().list(query.limit(PageRequest::MAX_LIMIT)).await?.items)
}

type Slot = Arc<tokio::sync::Mutex<Option<(Timestamp, Arc<Board>)>>>;

/// The boards of restaurants.
pub(crate) struct Boards {
    engine: Engine,
    kept: Mutex<HashMap<Id<kinds::Restaurant>, Slot>>,
}

impl Boards {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, kept: Mutex::default() }
    }

    /// What `restaurant` has to cook, as it was a second ago at most. Of several who ask at once
    /// one reads, and the others wait for it.
    pub(crate) async fn of(&self, restaurant: Id<kinds::Restaurant>) -> Result<Arc<Board>, Error> {
        let slot = self.slot(restaurant);
        let mut slot = slot.lock().await;
        let now = self.engine.now();
        if let Some((at, board)) = &*slot
            && now.since(*at) < FRESH
        {
            return Ok(Arc::clone(board));
        }
        let board = Arc::new(self.read(restaurant, now).await?);
        *slot = Some((now, Arc::clone(&board)));
        Ok(board)
    }

    fn slot(&self, restaurant: Id<kinds::Restaurant>) -> Slot {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT && !kept.contains_key(&restaurant) {
            // Whoever reads one now keeps its slot; the others are read again when asked for.
            kept.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(kept.entry(restaurant).or_default())
    }

    async fn read(
        &self,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Result<Board, Error> {
        let stations = stations(&self.engine, restaurant).await?;
        let mut tickets = Vec::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        for _ in 0..PAGES {
            let query = Query::prefix::<Ticket>(OPEN_BY_RESTAURANT, &Ticket::to_cook(restaurant));
            let found = self.engine.store().list::<Ticket>(query.page(&page)?).await?;
            tickets.extend(found.items);
            if found.next.is_none() {
                break;
            }
            page.cursor = found.next;
        }
        let stations = stations.iter().map(|station| &station.value);
        Ok(Board::new(stations, tickets.iter().map(|ticket| &ticket.value), now))
    }
}
