//! A ticket: what may be done to it as a whole, and its state, which follows from its items'.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

use crate::item::{Action, Item, ItemState};

/// Tickets of one restaurant that are on its screens: those that are to be cooked, then cancelled
/// ones, which nobody may ever acknowledge; each by the time they were made.
pub(crate) const OPEN_BY_RESTAURANT: &str = "open_by_restaurant";
/// Tickets that are or were ready and are not known to have left, by the time they last changed.
pub(crate) const READY: &str = "ready";
/// Cancelled tickets that nobody has acknowledged, by the time they were cancelled.
pub(crate) const UNSEEN: &str = "unseen";
/// Tickets of one restaurant by the time they last changed.
pub(crate) const BY_CHANGE: &str = "by_change";

/// The parts of [`OPEN_BY_RESTAURANT`].
const TO_COOK: i64 = 0;
const CALLED_OFF: i64 = 1;

/// The timer of a ticket that is held back until its moment.
pub(crate) const FIRE_TIMER: &str = "fire";

pub(crate) static TICKETS: Collection = Collection {
    role: "kitchen",
    name: "tickets",
    schema: 2,
    compatible_from: 1,
    indexes: &[
        Index::new(OPEN_BY_RESTAURANT),
        Index::new(READY),
        Index::new(UNSEEN),
        Index::new(BY_CHANGE),
    ],
};

/// Where a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TicketState {
    Queued,
    InPreparation,
    Ready,
    HandedOver,
    Cancelled,
}

impl TicketState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InPreparation => "in_preparation",
            Self::Ready => "ready",
            Self::HandedOver => "handed_over",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can follow.
    pub(crate) const fn is_end(self) -> bool {
        matches!(self, Self::HandedOver | Self::Cancelled)
    }
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else, as it is stored")]
pub(crate) struct Ticket {
    pub(crate) id: Id<kinds::Ticket>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) items: Vec<Item>,
    pub(crate) created_at: Timestamp,
    /// Never goes back, whichever process changes it.
    pub(crate) changed_at: Timestamp,
    /// When the restaurant promised it.
    pub(crate) ready_at: Option<Timestamp>,
    /// The trace of its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// How it ended, if it has; until then the items say where it is.
    pub(crate) ended: Option<TicketState>,
    /// How it reaches its customer, in orders' word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) fulfilment: String,
    /// Whether orders knows something that people wrote, which is not kept here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_notes: bool,
    /// How long before it is wanted its items begin; of a scheduled order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) prep_ms: i64,
    /// When its held items are fired; none when nothing waits for a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fire_at: Option<Timestamp>,
    /// Whether it was ready once. One that is recalled after it left may never be ready again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) been_ready: bool,
    /// Whether it was cancelled and nobody has acknowledged it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unseen: bool,
    /// Whether only its delay is known: what makes it a ticket is still on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) awaited: bool,
    /// Stations that had to cook something of it and have not any more. Whoever watches one of
    /// them may still have it on the screen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) left: Vec<Id<kinds::Station>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What an action changed about the ticket as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: it was like that already.
    Nothing,
    /// Only items.
    Items,
    /// Cooking began.
    Started,
    /// The last item became ready.
    Ready,
    /// It was ready and is not any more.
    Recalled,
}

impl Ticket {
    /// The order it is cooked for.
    pub(crate) fn order(&self) -> Id<kinds::Order> {
        self.id.sibling()
    }

    /// Where the ticket is: how it ended, or what follows from its items.
    pub(crate) fn state(&self) -> TicketState {
        if let Some(end) = self.ended {
            return end;
        }
        if self.items.iter().all(|item| item.state == ItemState::Queued) {
            TicketState::Queued
        } else if self.items.iter().all(|item| item.state == ItemState::Ready) {
            TicketState::Ready
        } else {
            TicketState::InPreparation
        }
    }

    /// Whether the kitchen has to see it.
    pub(crate) fn is_on_screen(&self) -> bool {
        !self.awaited && (self.ended.is_none() || self.unseen)
    }

    /// When somebody began to cook it.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|item| item.started_at).min()
    }

    /// When its last item became ready, if all are.
    pub(crate) fn done_at(&self) -> Option<Timestamp> {
        let last = self.items.iter().map(|item| item.done_at).max().flatten();
        last.filter(|_| self.items.iter().all(|item| item.state == ItemState::Ready))
    }

    /// Whether `station` has to cook something of it.
    pub(crate) fn is_for(&self, station: Id<kinds::Station>) -> bool {
        self.items.iter().any(|item| item.station == Some(station))
    }

    /// Whether `station` had to cook something of it, and has not any more.
    pub(crate) fn has_left(&self, station: Id<kinds::Station>) -> bool {
        self.left.contains(&station)
    }

    /// Takes `action` on the item at `line`, or on every item that it can be taken on.
    ///
    /// Refuses when there is none, and says why.
    pub(crate) fn act(
        &mut self,
        action: Action,
        line: Option<u32>,
        now: Timestamp,
    ) -> Result<Change, Error> {
        let before = self.state();
        if before.is_end() {
            let message =
                format!("the ticket is {}; nothing on it changes any more", before.as_str());
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        let changed = match line {
            Some(line) => self.act_on(action, line, now)?,
            None => self.act_on_all(action, now)?,
        };
        if !changed {
            return Ok(Change::Nothing);
        }
        self.changed(now);
        let after = self.state();
        Ok(match (before, after) {
            (TicketState::Ready, _) => Change::Recalled,
            (_, TicketState::Ready) => Change::Ready,
            (TicketState::Queued, TicketState::InPreparation) => Change::Started,
            _ => Change::Items,
        })
    }

    fn act_on(&mut self, action: Action, line: u32, now: Timestamp) -> Result<bool, Error> {
        let count = self.items.len();
        let item = self.items.get_mut(line as usize).ok_or_else(|| {
            Error::field("line", format!("the ticket has {count} items; they count from 0"))
        })?;
        let taken = item.take(action, now);
        taken.ok_or_else(|| Error::new(ErrorCode::WrongState, item.refusal(action)))
    }

    fn act_on_all(&mut self, action: Action, now: Timestamp) -> Result<bool, Error> {
        let taken: Vec<Option<bool>> =
            self.items.iter_mut().map(|item| item.take(action, now)).collect();
        if taken.contains(&Some(true)) {
            return Ok(true);
        }
        if taken.contains(&Some(false)) {
            return Ok(false);
        }
        let waits = self.items.iter().find(|item| item.held && action == Action::Start);
        let message = match waits {
            Some(held) => held.refusal(action),
            None => format!("the ticket is {}; that changes nothing on it", self.state().as_str()),
        };
        Err(Error::new(ErrorCode::WrongState, message))
    }

    /// Brings what follows from the items up to date.
    fn changed(&mut self, now: Timestamp) {
        self.changed_at = self.changed_at.max(now);
        self.been_ready |= self.state() == TicketState::Ready;
        if !self.items.iter().any(|item| item.held) {
            self.fire_at = None;
        }
    }

    /// Holds every item back until it is time to cook for `due`; nothing if that is now or past.
    pub(crate) fn schedule(&mut self, due: Timestamp, prep_ms: i64, now: Timestamp) {
        self.prep_ms = prep_ms;
        let fire_at = Timestamp::from_millis(due.as_millis().saturating_sub(prep_ms));
        if fire_at > now {
            self.fire_at = Some(fire_at);
            for item in &mut self.items {
                item.held = true;
            }
        }
    }

    /// Fires what is held, if its moment has come; false if there is none, or it was put off.
    pub(crate) fn fire_when_due(&mut self, now: Timestamp) -> bool {
        if self.ended.is_some() || self.fire_at.is_none_or(|at| at > now) {
            return false;
        }
        for item in &mut self.items {
            item.take(Action::Fire, now);
        }
        self.changed(now);
        true
    }

    /// Puts the promise off to `ready_at`, and with it what waits for its moment; false if both
    /// were as late before, or there is nothing to put off any more.
    pub(crate) fn delay(&mut self, ready_at: Timestamp, now: Timestamp) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let promise = self.ready_at.max(Some(ready_at));
        let prep = Timestamp::from_millis(ready_at.as_millis().saturating_sub(self.prep_ms));
        let fire_at = self.fire_at.map(|at| at.max(prep));
        if (promise, fire_at) == (self.ready_at, self.fire_at) {
            return false;
        }
        (self.ready_at, self.fire_at) = (promise, fire_at);
        self.changed_at = self.changed_at.max(now);
        true
    }

    /// Ends the ticket as `end`; false if it had ended. Who has it on a screen has to acknowledge
    /// that it is cancelled.
    pub(crate) fn end(&mut self, end: TicketState, now: Timestamp) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.unseen = end == TicketState::Cancelled && !self.awaited;
        self.awaited = false;
        self.ended = Some(end);
        self.fire_at = None;
        self.changed_at = self.changed_at.max(now);
        true
    }

    /// Somebody has seen that it is cancelled; false if somebody had before.
    pub(crate) fn acknowledge(&mut self, now: Timestamp) -> Result<bool, Error> {
        if self.ended != Some(TicketState::Cancelled) {
            let message = format!(
                "the ticket is {}; only a cancelled one has to be acknowledged",
                self.state().as_str()
            );
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        if !self.unseen {
            return Ok(false);
        }
        self.unseen = false;
        self.changed_at = self.changed_at.max(now);
        Ok(true)
    }

    /// Gives what `station` had to cook to `other`; false if it had nothing.
    pub(crate) fn reroute(
        &mut self,
        station: Id<kinds::Station>,
        other: Option<Id<kinds::Station>>,
        now: Timestamp,
    ) -> bool {
        if !self.is_for(station) {
            return false;
        }
        for item in &mut self.items {
            if item.station == Some(station) {
                item.station = other;
            }
        }
        self.left.retain(|before| Some(*before) != other);
        if other != Some(station) {
            self.left.push(station);
        }
        self.changed_at = self.changed_at.max(now);
        true
    }

    /// What is kept of an order that ended before its ticket was made, so that the message that
    /// makes it, which is still on its way, makes nothing.
    pub(crate) fn tombstone(
        id: Id<kinds::Ticket>,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            restaurant,
            items: Vec::new(),
            created_at: now,
            changed_at: now,
            ready_at: None,
            traceparent: None,
            ended: Some(TicketState::Cancelled),
            fulfilment: String::new(),
            has_notes: false,
            prep_ms: 0,
            fire_at: None,
            been_ready: false,
            unseen: false,
            awaited: false,
            left: Vec::new(),
        }
    }

    /// What is kept of an order that was put off before its ticket was made.
    pub(crate) fn awaited(
        id: Id<kinds::Ticket>,
        restaurant: Id<kinds::Restaurant>,
        ready_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let ready_at = Some(ready_at);
        Self { ready_at, ended: None, awaited: true, ..Self::tombstone(id, restaurant, now) }
    }

    /// Where it is in its restaurant's list of open tickets.
    pub(crate) fn place_in_list(&self) -> Key {
        let part = if self.ended.is_none() { TO_COOK } else { CALLED_OFF };
        Key::new().id(self.restaurant).int(part).time(self.created_at)
    }

    /// The prefix of a restaurant's tickets in [`OPEN_BY_RESTAURANT`] that are to be cooked.
    pub(crate) fn to_cook(restaurant: Id<kinds::Restaurant>) -> Key {
        Key::new().id(restaurant).int(TO_COOK)
    }
}

impl Document for Ticket {
    const COLLECTION: &'static Collection = &TICKETS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = Vec::with_capacity(3);
        if self.is_on_screen() {
            keys.push((OPEN_BY_RESTAURANT, self.place_in_list()));
        }
        if self.unseen {
            keys.push((UNSEEN, Key::new().time(self.changed_at)));
        }
        let is_ready = self.been_ready || self.state() == TicketState::Ready;
        if self.ended.is_none() && is_ready {
            keys.push((READY, Key::new().time(self.changed_at)));
        }
        // Nobody ever saw one that is awaited, or a tombstone.
        if !self.items.is_empty() {
            keys.push((BY_CHANGE, Key::new().id(self.restaurant).time(self.changed_at)));
        }
        keys
    }
}

#[cfg(test)]
pub(crate) mod tests;
