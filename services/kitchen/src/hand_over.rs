//! Takes tickets whose orders have left the kitchen off the pass, many with one Work.
//!
//! Nothing waits for a ticket to be `handed_over`, so it need not be a Work of its own in every
//! order's life: a round every few seconds asks orders which of those that are ready have left,
//! or were ready once: one that is recalled after it left may never be ready again.
//!
//! Food that nobody comes for is ready for hours. The longer a ticket has not changed, the seldomer
//! orders is asked about it.

use std::{collections::HashSet, time::Duration};

use bistro_core::{Error, PageRequest, Timestamp};
use bistro_eventing::{Engine, Tick};
use bistro_proto::orders::v1::{GetStatesRequest, OrderState, orders_client::OrdersClient};
use bistro_runtime::{PeerChannel, error_of};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned};
use parking_lot::Mutex;

use crate::ticket::{READY, Ticket, TicketState};

/// The round.
pub(crate) const TICK: Tick = Tick { name: "hand-over", every: Duration::from_secs(2) };
/// Tickets that are asked about, and changed, at once.
const BATCH: u32 = 64;

/// Tickets that have not changed for so long.
struct Band {
    from: Duration,
    before: Option<Duration>,
    /// How often they are asked about.
    every: Duration,
}

/// From the youngest to the oldest; together, all there are.
static BANDS: [Band; COUNT] = [
    Band { from: Duration::ZERO, before: Some(FRESH), every: Duration::ZERO },
    Band { from: FRESH, before: Some(STALE), every: Duration::from_secs(30) },
    Band { from: STALE, before: Some(LEFT), every: Duration::from_mins(5) },
    Band { from: LEFT, before: None, every: Duration::from_hours(1) },
];
const COUNT: usize = 4;
const FRESH: Duration = Duration::from_mins(5);
const STALE: Duration = Duration::from_hours(1);
const LEFT: Duration = Duration::from_hours(24);

/// When each band was last asked about by this process. Another one that goes on with the rounds
/// asks once too often.
type Looked = [Option<Timestamp>; COUNT];

/// The bands that are due at `now`, by their number.
fn due(looked: &Looked, now: Timestamp) -> impl Iterator<Item = (usize, &'static Band)> {
    BANDS
        .iter()
        .enumerate()
        .filter(move |(number, band)| looked[*number].is_none_or(|at| now.since(at) >= band.every))
}

/// Does the rounds.
pub(crate) struct HandOver {
    engine: Engine,
    orders: PeerChannel,
    looked: Mutex<Looked>,
}

impl HandOver {
    /// Speaks to `orders` as this role.
    pub(crate) fn new(engine: Engine, orders: PeerChannel) -> Self {
        Self { engine, orders, looked: Mutex::default() }
    }

    /// One round.
    pub(crate) async fn round(&self) -> Result<(), Error> {
        let now = self.engine.now();
        let looked = *self.looked.lock();
        for (number, band) in due(&looked, now) {
            self.ask_about(band, now).await?;
            self.looked.lock()[number] = Some(now);
        }
        Ok(())
    }

    async fn ask_about(&self, band: &Band, now: Timestamp) -> Result<(), Error> {
        let mut all = Query::prefix::<Ticket>(READY, &Key::new());
        if !band.from.is_zero() {
            // A ticket of a process whose clock is ahead is as young as any.
            all = all.before(&Key::new().time(now - band.from));
        }
        if let Some(before) = band.before {
            all = all.from(&Key::new().time(now - before));
        }
        let mut page = PageRequest::first(BATCH);
        loop {
            let query = all.clone().page(&page)?;
            let found = self.engine.store().list::<Ticket>(query).await?;
            if !found.items.is_empty() {
                let states = states(&found.items, &self.orders).await?;
                hand_over(&self.engine, &left(&found.items, &states)).await?;
            }
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(()),
            }
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
    fn every_age_is_in_one_band_and_the_older_the_seldomer() {
        assert_eq!((BANDS[0].from, BANDS[COUNT - 1].before), (Duration::ZERO, None));
        for pair in BANDS.windows(2) {
            assert_eq!(pair[0].before, Some(pair[1].from));
            assert!(pair[0].from < pair[1].from && pair[0].every < pair[1].every);
        }
        let numbers = |looked: &Looked, now| due(looked, now).map(|(number, _)| number).collect();
        let begin: Vec<usize> = numbers(&Looked::default(), NOW);
        assert_eq!(begin, [0, 1, 2, 3]);
        let looked = [Some(NOW); COUNT];
        for (after, count) in [
            (Duration::from_secs(2), 1),
            (Duration::from_secs(30), 2),
            (Duration::from_mins(5), 3),
            (Duration::from_hours(1), 4),
        ] {
            let asked: Vec<usize> = numbers(&looked, NOW + after);
            assert_eq!(asked, (0..count).collect::<Vec<_>>());
        }
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
