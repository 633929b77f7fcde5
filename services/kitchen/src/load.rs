//! How busy stations are, and when food is likely to be ready: plain functions over what is open.
//!
//! Work is counted in milliseconds of one pair of hands. An item that is queued takes its
//! station's minutes; one that was begun takes what is left of them, and a tenth of them at least,
//! since what is late is late for a while; one that is held or ready takes nothing. A station of
//! capacity `c` cooks `c` items side by side. What has `ahead` before it is done after
//!
//! ```text
//! max((ahead + own) / c, rounds × minutes)      rounds = own items / c, rounded up
//! ```
//!
//! and a ticket when the last of its stations is. Nobody cooks by the clock, so a time is shown as
//! a range: from 80 % to 130 % of it. An order that comes now is taken as one item: it is ready at
//! the soonest when the least busy station has cooked that, and at the latest when the busiest has.

use std::collections::BTreeMap;

use bistro_core::{Id, Timestamp, kinds};

use crate::{
    item::{Item, ItemState},
    station::Station,
    ticket::Ticket,
};

/// Where items go in a restaurant without stations: a kitchen of two cooks.
const NOWHERE: Pace = Pace { capacity: 4, item_ms: 10 * MINUTE_MS };
const MINUTE_MS: u64 = 60_000;

/// How fast a station cooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    capacity: u64,
    /// Milliseconds that one item takes.
    item_ms: u64,
}

impl Pace {
    fn of(station: &Station) -> Self {
        Self {
            capacity: u64::from(station.capacity.max(1)),
            item_ms: u64::from(station.item_minutes) * MINUTE_MS,
        }
    }

    /// What is left of one item like this.
    fn left_ms(self, item: &Item, now: Timestamp) -> u64 {
        match item.state {
            ItemState::Ready => 0,
            ItemState::Queued => self.item_ms,
            ItemState::InPreparation => {
                let begun = item.started_at.map_or(self.item_ms / 2, |began| {
                    u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX)
                });
                self.item_ms.saturating_sub(begun).max(self.item_ms / 10)
            }
        }
    }

    /// How long until `own` is done that has `ahead_ms` before it.
    fn until_done_ms(self, ahead_ms: u64, own: &Share) -> u64 {
        let shared = ahead_ms.saturating_add(own.work_ms) / self.capacity;
        shared.max(own.items.div_ceil(self.capacity).saturating_mul(own.longest_ms))
    }
}

/// What one station has to cook of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    items: u64,
    work_ms: u64,
    /// The most that is left of one item.
    longest_ms: u64,
}

impl Share {
    fn add(&mut self, item: &Item, left_ms: u64) {
        let quantity = u64::from(item.quantity);
        if left_ms > 0 {
            self.items = self.items.saturating_add(quantity);
        }
        self.work_ms = self.work_ms.saturating_add(left_ms.saturating_mul(quantity));
        self.longest_ms = self.longest_ms.max(left_ms);
    }
}

type Place = Option<Id<kinds::Station>>;

/// From the soonest to the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) earliest_ms: u64,
    pub(crate) latest_ms: u64,
}

impl Range {
    fn between(soonest_ms: u64, latest_ms: u64) -> Self {
        Self {
            earliest_ms: soonest_ms.saturating_mul(8) / 10,
            latest_ms: latest_ms.saturating_mul(13).div_ceil(10),
        }
    }
}

/// What one station has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StationLoad {
    /// None for what no station has.
    pub(crate) station: Place,
    pub(crate) name: String,
    /// Items, counted singly.
    pub(crate) queued: u64,
    pub(crate) in_preparation: u64,
    pub(crate) held: u64,
    pub(crate) busy_ms: u64,
}

/// An open ticket, as far as it is work.
#[derive(Clone, Debug)]
struct Open {
    made: (Timestamp, Id<kinds::Ticket>),
    work: Vec<(Place, u64)>,
}

/// What a restaurant has to cook at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    paces: BTreeMap<Place, Pace>,
    tickets: Vec<Open>,
    loads: Vec<StationLoad>,
    total: BTreeMap<Place, Share>,
}

impl Board {
    /// The board of `tickets`, in a restaurant with these `stations`, at `now`.
    pub(crate) fn new<'a>(
        stations: impl IntoIterator<Item = &'a Station>,
        tickets: impl IntoIterator<Item = &'a Ticket>,
        now: Timestamp,
    ) -> Self {
        let mut board = Self {
            paces: BTreeMap::new(),
            tickets: Vec::new(),
            loads: Vec::new(),
            total: BTreeMap::new(),
        };
        for station in stations {
            let (place, name) = (Some(station.id), station.name.clone());
            board.paces.insert(place, Pace::of(station));
            board.loads.push(StationLoad { station: place, name, ..StationLoad::default() });
        }
        if board.paces.is_empty() {
            board.loads.push(StationLoad::default());
            board.paces.insert(None, NOWHERE);
        }
        for ticket in tickets.into_iter().filter(|ticket| ticket.ended.is_none()) {
            board.add(ticket, now);
        }
        let (paces, total) = (&board.paces, &board.total);
        for load in &mut board.loads {
            let pace = pace(paces, load.station);
            load.busy_ms = total.get(&load.station).map_or(0, |share| pace.until_done_ms(0, share));
        }
        board
    }

    fn add(&mut self, ticket: &Ticket, now: Timestamp) {
        for item in &ticket.items {
            let count = u64::from(item.quantity);
            let load = self.load_of(item.station);
            match item.state {
                ItemState::Queued if item.held => load.held += count,
                ItemState::Queued => load.queued += count,
                ItemState::InPreparation => load.in_preparation += count,
                ItemState::Ready => {}
            }
        }
        let fired = ticket.items.iter().filter(|item| !item.held);
        let shares = shares(&self.paces, fired, now);
        for (place, share) in &shares {
            let total = self.total.entry(*place).or_default();
            total.items = total.items.saturating_add(share.items);
            total.work_ms = total.work_ms.saturating_add(share.work_ms);
            total.longest_ms = total.longest_ms.max(share.longest_ms);
        }
        let work = shares.into_iter().map(|(place, share)| (place, share.work_ms)).collect();
        self.tickets.push(Open { made: (ticket.created_at, ticket.id), work });
    }

    fn load_of(&mut self, place: Place) -> &mut StationLoad {
        let at = self.loads.iter().position(|load| load.station == place);
        let at = at.unwrap_or_else(|| {
            self.loads.push(StationLoad { station: place, ..StationLoad::default() });
            self.loads.len() - 1
        });
        &mut self.loads[at]
    }

    /// What each station has to do.
    pub(crate) fn loads(&self) -> &[StationLoad] {
        &self.loads
    }

    /// How long an order takes that comes now.
    pub(crate) fn next_order(&self) -> Range {
        let times = self.loads.iter().map(|load| {
            let pace = pace(&self.paces, load.station);
            let own = Share { items: 1, work_ms: pace.item_ms, longest_ms: pace.item_ms };
            let ahead = self.total.get(&load.station).map_or(0, |share| share.work_ms);
            pace.until_done_ms(ahead, &own)
        });
        let (least, most) =
            times.fold((u64::MAX, 0), |(least, most), time| (least.min(time), most.max(time)));
        Range::between(least.min(most), most)
    }

    /// How long `ticket` takes from `now` on, behind what was ordered before it. What waits for a
    /// moment is cooked from then on, and what came before it is less by then.
    pub(crate) fn ticket(&self, ticket: &Ticket, now: Timestamp) -> Range {
        let wait = ticket.fire_at.map_or(0, |at| at.since(now).as_millis());
        let wait_ms = u64::try_from(wait).unwrap_or(u64::MAX);
        let made = (ticket.created_at, ticket.id);
        let mut ahead: BTreeMap<Place, u64> = BTreeMap::new();
        for (place, work_ms) in
            self.tickets.iter().filter(|other| other.made < made).flat_map(|other| &other.work)
        {
            let sum = ahead.entry(*place).or_default();
            *sum = sum.saturating_add(*work_ms);
        }
        let time = shares(&self.paces, &ticket.items, now)
            .iter()
            .map(|(place, share)| {
                let pace = pace(&self.paces, *place);
                let ahead = ahead.get(place).copied().unwrap_or_default();
                let left = ahead.saturating_sub(wait_ms.saturating_mul(pace.capacity));
                pace.until_done_ms(left, share)
            })
            .max()
            .unwrap_or_default();
        let range = Range::between(time, time);
        Range {
            earliest_ms: range.earliest_ms.saturating_add(wait_ms),
            latest_ms: range.latest_ms.saturating_add(wait_ms),
        }
    }
}

fn pace(paces: &BTreeMap<Place, Pace>, place: Place) -> Pace {
    paces.get(&place).copied().unwrap_or(NOWHERE)
}

fn shares<'a>(
    paces: &BTreeMap<Place, Pace>,
    items: impl IntoIterator<Item = &'a Item>,
    now: Timestamp,
) -> BTreeMap<Place, Share> {
    let mut shares: BTreeMap<Place, Share> = BTreeMap::new();
    for item in items {
        let left_ms = pace(paces, item.station).left_ms(item, now);
        shares.entry(item.station).or_default().add(item, left_ms);
    }
    shares
}

/// How long `items` take in a kitchen that has nothing else to do, at the latest.
pub(crate) fn prep_ms<'a>(stations: impl IntoIterator<Item = &'a Station>, items: &[Item]) -> i64 {
    let paces = stations.into_iter().map(|one| (Some(one.id), Pace::of(one))).collect();
    let shares = shares(&paces, items, Timestamp::from_millis(0));
    let times = shares.iter().map(|(place, share)| pace(&paces, *place).until_done_ms(0, share));
    let time = times.max().unwrap_or_default();
    i64::try_from(Range::between(time, time).latest_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
