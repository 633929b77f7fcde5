//! Gives what a deleted station had to cook to the restaurant's default station, a few tickets
//! with each Work.
//!
//! A ticket that was routed just before the station was deleted may be committed just after. So
//! the station stays, deleted, until no ticket can come to it any more, and is looked at once more.

use std::time::Duration;

use bistro_core::{Error, Id, PageRequest, kinds};
use bistro_eventing::Engine;
use bistro_store::{Key, Query, StoreExt as _, Versioned, Work};

use crate::{
    board,
    station::Station,
    ticket::{OPEN_BY_RESTAURANT, Ticket},
};

/// The timer of a deleted station.
pub(crate) const REROUTE_TIMER: &str = "reroute";
/// Tickets that one Work changes.
const BATCH: usize = 16;
/// How long a ticket may take to be committed after its stations were read.
const STRAGGLERS: Duration = Duration::from_secs(60);

/// What the timer of the deleted station `id` causes.
pub(crate) async fn round(
    engine: &Engine,
    mut work: Work,
    id: &str,
) -> Result<Option<Work>, Error> {
    let Some(station) = engine.store().load::<Station>(id).await? else { return Ok(None) };
    let Some(deleted_at) = station.deleted_at else { return Ok(None) };
    let tickets = tickets_of(engine, &station).await?;
    let last_look = deleted_at + STRAGGLERS;
    if tickets.is_empty() && work.time >= last_look {
        work.delete(&station);
        return Ok(Some(work));
    }
    let stations = board::stations(engine, station.restaurant).await?;
    let default = stations.iter().find(|other| other.default).map(|other| other.id);
    work.replace(&station, &station.value)?;
    let next = if tickets.is_empty() { last_look } else { work.time };
    work.timer::<Station>(station.id, REROUTE_TIMER, next);
    for before in &tickets {
        let mut after = before.value.clone();
        if after.reroute(station.id, default, work.time) {
            work.replace(before, &after)?;
        }
    }
    Ok(Some(work))
}

/// The oldest open tickets of `station`, as many as one Work changes.
async fn tickets_of(
    engine: &Engine,
    station: &Versioned<Station>,
) -> Result<Vec<Versioned<Ticket>>, Error> {
    let of_station = |ticket: &Versioned<Ticket>, id: Id<kinds::Station>| ticket.is_for(id);
    let mut tickets = Vec::new();
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let prefix = Key::new().id(station.restaurant);
        let query = Query::prefix::<Ticket>(OPEN_BY_RESTAURANT, &prefix).page(&page)?;
        let found = engine.store().list::<Ticket>(query).await?;
        tickets.extend(found.items.into_iter().filter(|ticket| of_station(ticket, station.id)));
        tickets.truncate(BATCH);
        page.cursor = found.next;
        if tickets.len() == BATCH || page.cursor.is_none() {
            return Ok(tickets);
        }
    }
}
