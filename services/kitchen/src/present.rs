//! Tickets, stations and loads as others see them.

use std::sync::Arc;

use bistro_core::{Error, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::kitchen::v1::{
    Load, Station as StationMessage, StationLoad as StationLoadMessage, Ticket as TicketMessage,
    TicketItem,
};
use bistro_store::Versioned;

use crate::{
    board::Boards,
    load::{Board, Range},
    notes::{Notes, NotesDesk},
    station::Station,
    ticket::{Ticket, TicketState},
};

/// Shows tickets, with what is only known of them at the moment.
pub(crate) struct Presenter {
    pub(crate) engine: Engine,
    pub(crate) boards: Boards,
    pub(crate) notes: NotesDesk,
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eyes {
    /// Those who cook: they have to know what people wrote.
    Cook,
    /// Another role, which asks orders itself for what it needs.
    Role,
}

impl Presenter {
    /// `tickets` with their notes and the times at which they are likely to be ready.
    pub(crate) async fn show(
        &self,
        tickets: &[Versioned<Ticket>],
        eyes: Eyes,
    ) -> Result<Vec<TicketMessage>, Error> {
        let wanted = |ticket: &&Versioned<Ticket>| {
            eyes == Eyes::Cook && ticket.has_notes && ticket.ended.is_none()
        };
        let noted: Vec<_> = tickets.iter().filter(wanted).map(|ticket| ticket.order()).collect();
        let notes = if noted.is_empty() { None } else { Some(self.notes.of(&noted).await) };
        let now = self.engine.now();
        let mut shown = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            let mut message = message(ticket, ticket.version);
            if is_awaited(ticket.state()) {
                estimate(&mut message, ticket, &*self.boards.of(ticket.restaurant).await?, now);
            }
            if wanted(&ticket) {
                let known = notes.as_ref().and_then(|notes| notes.get(&ticket.order()));
                annotate(&mut message, known);
            }
            shown.push(message);
        }
        Ok(shown)
    }

    /// One ticket.
    pub(crate) async fn show_one(
        &self,
        ticket: Versioned<Ticket>,
        eyes: Eyes,
    ) -> Result<TicketMessage, Error> {
        let mut shown = self.show(std::slice::from_ref(&ticket), eyes).await?;
        Ok(shown.pop().unwrap_or_default())
    }
}

const fn is_awaited(state: TicketState) -> bool {
    matches!(state, TicketState::Queued | TicketState::InPreparation)
}

fn estimate(message: &mut TicketMessage, ticket: &Ticket, board: &Board, now: Timestamp) {
    let Range { earliest_ms, latest_ms } = board.ticket(ticket, now);
    let moment =
        |after: u64| now.as_millis().saturating_add(i64::try_from(after).unwrap_or(i64::MAX));
    (message.earliest_ms, message.latest_ms) = (moment(earliest_ms), moment(latest_ms));
}

fn annotate(message: &mut TicketMessage, notes: Option<&Arc<Notes>>) {
    let Some(notes) = notes else {
        message.notes_missing = true;
        return;
    };
    message.allergies.clone_from(&notes.allergies);
    for (item, note) in message.items.iter_mut().zip(&notes.lines) {
        item.note.clone_from(note);
    }
}

fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_millis)
}

fn message(ticket: &Ticket, version: i64) -> TicketMessage {
    let items = ticket.items.iter().zip(0..).map(|(item, line)| TicketItem {
        line,
        item_id: item.dish.to_string(),
        name: item.name.clone(),
        quantity: item.quantity,
        state: item.state.as_str().to_owned(),
        station_id: item.station.map(|station| station.to_string()).unwrap_or_default(),
        choices: item.choices.clone(),
        note: String::new(),
        held: item.held,
        started_at_ms: millis(item.started_at),
        done_at_ms: millis(item.done_at),
    });
    TicketMessage {
        id: ticket.id.to_string(),
        order_id: ticket.order().to_string(),
        restaurant_id: ticket.restaurant.to_string(),
        state: ticket.state().as_str().to_owned(),
        items: items.collect(),
        version,
        created_at_ms: ticket.created_at.as_millis(),
        ready_at_ms: millis(ticket.ready_at),
        fire_at_ms: millis(ticket.fire_at),
        earliest_ms: 0,
        latest_ms: 0,
        acknowledged: ticket.ended == Some(TicketState::Cancelled) && !ticket.unseen,
        allergies: Vec::new(),
        notes_missing: false,
        fulfilment: ticket.fulfilment.clone(),
        started_at_ms: millis(ticket.started_at()),
        done_at_ms: millis(ticket.done_at()),
        changed_at_ms: ticket.changed_at.as_millis(),
    }
}

/// A station at `version`.
pub(crate) fn station(station: &Station, version: i64) -> StationMessage {
    StationMessage {
        id: station.id.to_string(),
        restaurant_id: station.restaurant.to_string(),
        name: station.name.clone(),
        capacity: station.capacity,
        item_minutes: station.item_minutes,
        default: station.default,
        version,
    }
}

fn seconds(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How long an order takes; for `staff` also what each station has to do.
pub(crate) fn load(board: &Board, staff: bool) -> Load {
    let stations = board.loads().iter().map(|load| StationLoadMessage {
        station_id: load.station.map(|station| station.to_string()).unwrap_or_default(),
        name: load.name.clone(),
        queued: count(load.queued),
        in_preparation: count(load.in_preparation),
        held: count(load.held),
        busy_s: seconds(load.busy_ms),
    });
    let next = board.next_order();
    Load {
        stations: if staff { stations.collect() } else { Vec::new() },
        earliest_s: seconds(next.earliest_ms),
        latest_s: seconds(next.latest_ms),
    }
}
