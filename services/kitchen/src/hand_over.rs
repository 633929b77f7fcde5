//! Takes tickets whose orders are completed off the pass, many with one Work.
//!
//! Nothing waits for a ticket to be `handed_over`, so it need not be a Work of its own in every
//! order's life: a round every few seconds asks orders which of the ready ones are completed.

use std::{collections::HashSet, time::Duration};

use bistro_core::{Error, PageRequest};
use bistro_eventing::{Engine, Tick};
use bistro_proto::orders::v1::{GetStatesRequest, orders_client::OrdersClient};
use bistro_runtime::{PeerChannel, error_of};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned};

use crate::ticket::{READY, Ticket, TicketState};

pub(crate) const TICK: Tick = Tick { name: "hand-over", every: Duration::from_secs(2) };
/// Tickets that are asked about, and changed, at once.
const BATCH: u32 = 64;

/// One round over every ready ticket.
pub(crate) async fn round(engine: &Engine, orders: &PeerChannel) -> Result<(), Error> {
    let mut page = PageRequest::first(BATCH);
    loop {
        let query = Query::prefix::<Ticket>(READY, &Key::new()).page(&page)?;
        let ready = engine.store().list::<Ticket>(query).await?;
        if !ready.items.is_empty() {
            let completed = completed(&ready.items, orders).await?;
            hand_over(engine, &ready.items, &completed).await?;
        }
        match ready.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// The orders among those of `tickets` that are completed.
async fn completed(
    tickets: &[Versioned<Ticket>],
    orders: &PeerChannel,
) -> Result<HashSet<String>, Error> {
    let ids = tickets.iter().map(|ticket| ticket.order().to_string()).collect();
    let states = OrdersClient::new(orders.clone())
        .get_states(GetStatesRequest { ids })
        .await
        .map_err(|status| error_of(&status))?
        .into_inner()
        .states;
    Ok(states.into_iter().filter(|one| one.state == "completed").map(|one| one.id).collect())
}

async fn hand_over(
    engine: &Engine,
    tickets: &[Versioned<Ticket>],
    completed: &HashSet<String>,
) -> Result<(), Error> {
    let done: Vec<_> =
        tickets.iter().filter(|one| completed.contains(&one.order().to_string())).collect();
    let Some(first) = done.first() else { return Ok(()) };
    let mut work = engine.work(Cause::Tick { name: format!("hand-over/{}", first.id) });
    for before in done {
        let mut after = before.value.clone();
        if after.end(TicketState::HandedOver, work.time) {
            work.replace(before, &after)?;
        }
    }
    match engine.commit(work).await {
        // A ticket that changed meanwhile is seen to in the next round.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
