//! Takes tickets whose orders have left the kitchen off the pass, many with one Work.
//!
//! Nothing waits for a ticket to be `handed_over`, so it need not be a Work of its own in every
//! order's life: a round every few seconds asks orders which of those that are ready have left,
//! or were ready once: one that is recalled after it left may never be ready again.

use std::{collections::HashSet, time::Duration};

use bistro_core::{Error, PageRequest};
use bistro_eventing::{Engine, Tick};
use bistro_proto::orders::v1::{GetStatesRequest, OrderState, orders_client::OrdersClient};
use bistro_runtime::{PeerChannel, error_of};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned};

use crate::ticket::{READY, Ticket, TicketState};

/// The round.
pub(crate) const TICKS: &[Tick] = &[Tick { name: "hand-over", every: Duration::from_secs(2) }];
/// Tickets that are asked about, and changed, at once.
const BATCH: u32 = 64;

/// One round.
pub(crate) async fn round(engine: &Engine, orders: &PeerChannel) -> Result<(), Error> {
    let mut page = PageRequest::first(BATCH);
    loop {
        let query = Query::prefix::<Ticket>(READY, &Key::new()).page(&page)?;
        let found = engine.store().list::<Ticket>(query).await?;
        if !found.items.is_empty() {
            let states = states(&found.items, orders).await?;
            hand_over(engine, &left(&found.items, &states)).await?;
        }
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// The states of the orders of `tickets`.
async fn states(
    tickets: &[Versioned<Ticket>],
    orders: &PeerChannel,
) -> Result<Vec<OrderState>, Error> {
    let ids = tickets.iter().map(|ticket| ticket.order().to_string()).collect();
    let answer = OrdersClient::new(orders.clone()).get_states(GetStatesRequest { ids }).await;
    Ok(answer.map_err(|status| error_of(&status))?.into_inner().states)
}

/// The `tickets` whose orders are out of the kitchen: with a courier or with the customer.
fn left<'a>(tickets: &'a [Versioned<Ticket>], states: &[OrderState]) -> Vec<&'a Versioned<Ticket>> {
    let gone = |one: &&OrderState| matches!(one.state.as_str(), "in_delivery" | "completed");
    let gone: HashSet<_> = states.iter().filter(gone).map(|one| one.id.as_str()).collect();
    tickets.iter().filter(|one| gone.contains(one.order().to_string().as_str())).collect()
}

async fn hand_over(engine: &Engine, left: &[&Versioned<Ticket>]) -> Result<(), Error> {
    let Some(first) = left.first() else { return Ok(()) };
    let name = format!("hand-over/{}/{}", first.id, first.version);
    let mut work = engine.work(Cause::Tick { name });
    for before in left {
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

#[cfg(test)]
mod tests {
    use bistro_core::{Id, Timestamp};
    use bistro_store::Document as _;

    use super::*;
    use crate::{
        item::Action,
        ticket::{OPEN_BY_RESTAURANT, tests::item},
    };

    const NOW: Timestamp = Timestamp::from_millis(5);

    /// The ticket of one dish, after `actions`.
    fn ticket(bits: u128, actions: &[Action]) -> Versioned<Ticket> {
        let mut value = Ticket {
            items: vec![item(7)],
            ended: None,
            ..Ticket::tombstone(Id::from_bits(bits), Id::from_bits(2), NOW)
        };
        for action in actions {
            value.act(*action, None, NOW).unwrap();
        }
        Versioned { value, version: 1 }
    }

    fn state(ticket: &Ticket, state: &str) -> OrderState {
        OrderState {
            id: ticket.order().to_string(),
            state: state.to_owned(),
            ..OrderState::default()
        }
    }

    fn is_in(ticket: &Ticket, index: &str) -> bool {
        ticket.keys().iter().any(|(name, _)| *name == index)
    }

    #[test]
    fn what_left_the_kitchen_is_handed_over_and_nothing_else() {
        let tickets: Vec<_> = (1..=5).map(|bits| ticket(bits, &[Action::Bump])).collect();
        let words = ["ready", "in_delivery", "completed", "preparing"];
        // Orders does not know of the fifth.
        let states: Vec<_> =
            tickets.iter().zip(words).map(|(ticket, word)| state(ticket, word)).collect();
        let left = left(&tickets, &states);
        assert_eq!(left, [&tickets[1], &tickets[2]]);
    }

    #[test]
    fn a_ticket_that_is_recalled_after_it_left_is_seen_all_the_same() {
        let recalled = ticket(1, &[Action::Bump, Action::Recall]);
        assert!(is_in(&recalled, READY) && is_in(&recalled, OPEN_BY_RESTAURANT));
        let states = [state(&recalled, "completed")];
        let mut tickets = [recalled];
        assert_eq!(left(&tickets, &states).len(), 1);
        assert!(tickets[0].value.end(TicketState::HandedOver, NOW));
        assert!(!is_in(&tickets[0], OPEN_BY_RESTAURANT) && !is_in(&tickets[0], READY));
    }
}
