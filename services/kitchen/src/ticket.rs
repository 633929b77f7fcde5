//! The ticket and its items: one state machine per item, and the ticket's state from its items'.

use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Tickets of one restaurant that are still to be cooked or handed over, by time.
pub(crate) const OPEN_BY_RESTAURANT: &str = "open_by_restaurant";

/// Tickets that are ready and not handed over yet, by the time they last changed.
pub(crate) const READY: &str = "ready";

pub(crate) static TICKETS: Collection = Collection {
    role: "kitchen",
    name: "tickets",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(OPEN_BY_RESTAURANT), Index::new(READY)],
};

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemState {
    Queued,
    InPreparation,
    Ready,
}

impl ItemState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InPreparation => "in_preparation",
            Self::Ready => "ready",
        }
    }
}

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

/// What a cook does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Begins.
    Start,
    /// Is done with it.
    Bump,
    /// Takes it back.
    Recall,
}

/// Every allowed action on an item: from where, by what, to where.
///
/// An item that is bumped without having been started was in preparation in between all the same.
const TABLE: &[(ItemState, Action, ItemState)] = &[
    (ItemState::Queued, Action::Start, ItemState::InPreparation),
    (ItemState::Queued, Action::Bump, ItemState::Ready),
    (ItemState::InPreparation, Action::Bump, ItemState::Ready),
    (ItemState::Ready, Action::Recall, ItemState::InPreparation),
];

impl ItemState {
    /// Where `action` leads from here, if it may be taken.
    pub(crate) fn after(self, action: Action) -> Option<Self> {
        TABLE.iter().find(|(from, by, _)| (*from, *by) == (self, action)).map(|(_, _, to)| *to)
    }
}

/// One line of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// What is to be cooked.
    #[serde(rename = "item")]
    pub(crate) dish: Id<kinds::Item>,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    pub(crate) state: ItemState,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) id: Id<kinds::Ticket>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) items: Vec<Item>,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) ready_at: Option<Timestamp>,
    /// The trace of its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// How it ended, if it has; until then the items say where it is.
    pub(crate) ended: Option<TicketState>,
}

/// What an action changed about the ticket as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
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
        if self.items.iter().all(|item| item.state == ItemState::Ready) {
            TicketState::Ready
        } else if self.items.iter().all(|item| item.state == ItemState::Queued) {
            TicketState::Queued
        } else {
            TicketState::InPreparation
        }
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
        match line {
            Some(line) => self.act_on(action, line)?,
            None => self.act_on_all(action)?,
        }
        self.changed_at = now;
        let after = self.state();
        Ok(match (before, after) {
            (TicketState::Ready, _) => Change::Recalled,
            (_, TicketState::Ready) => Change::Ready,
            (TicketState::Queued, _) => Change::Started,
            _ => Change::Items,
        })
    }

    fn act_on(&mut self, action: Action, line: u32) -> Result<(), Error> {
        let count = self.items.len();
        let item = self.items.get_mut(line as usize).ok_or_else(|| {
            Error::field("line", format!("the ticket has {count} items; they count from 0"))
        })?;
        item.state = item.state.after(action).ok_or_else(|| {
            let message = format!("{} is {} already or still", item.name, item.state.as_str());
            Error::new(ErrorCode::WrongState, message)
        })?;
        Ok(())
    }

    fn act_on_all(&mut self, action: Action) -> Result<(), Error> {
        let mut changed = false;
        for item in &mut self.items {
            if let Some(next) = item.state.after(action) {
                item.state = next;
                changed = true;
            }
        }
        if changed {
            return Ok(());
        }
        let message =
            format!("the ticket is {}; that changes nothing on it", self.state().as_str());
        Err(Error::new(ErrorCode::WrongState, message))
    }

    /// Ends the ticket as `end`; false if it had ended.
    pub(crate) fn end(&mut self, end: TicketState, now: Timestamp) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.ended = Some(end);
        self.changed_at = now;
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
        }
    }
}

impl Document for Ticket {
    const COLLECTION: &'static Collection = &TICKETS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        if self.state().is_end() {
            return Vec::new();
        }
        let mut keys =
            vec![(OPEN_BY_RESTAURANT, Key::new().id(self.restaurant).time(self.created_at))];
        if self.state() == TicketState::Ready {
            keys.push((READY, Key::new().time(self.changed_at)));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(items: usize) -> Ticket {
        let item = |n| Item {
            dish: Id::from_bits(n as u128),
            name: format!("dish {n}"),
            quantity: 1,
            state: ItemState::Queued,
        };
        Ticket {
            items: (0..items).map(item).collect(),
            ended: None,
            ..Ticket::tombstone(Id::from_bits(1), Id::from_bits(2), Timestamp::from_millis(0))
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(5);

    #[test]
    fn bumping_a_fresh_ticket_makes_it_ready_at_once() {
        let mut ticket = ticket(3);
        assert_eq!(ticket.act(Action::Bump, None, NOW).unwrap(), Change::Ready);
        assert!(ticket.act(Action::Bump, None, NOW).is_err());
        assert_eq!(ticket.act(Action::Recall, Some(1), NOW).unwrap(), Change::Recalled);
        assert_eq!(ticket.state(), TicketState::InPreparation);
        assert_eq!(ticket.act(Action::Bump, Some(1), NOW).unwrap(), Change::Ready);
    }

    #[test]
    fn an_ended_ticket_does_not_change() {
        let mut ticket = ticket(1);
        assert!(ticket.end(TicketState::Cancelled, NOW));
        assert!(!ticket.end(TicketState::HandedOver, NOW));
        let refused = ticket.act(Action::Bump, None, NOW).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::WrongState);
        assert!(ticket.keys().is_empty());
    }

    proptest! {
        #[test]
        fn a_ticket_is_ready_exactly_when_told_so(
            acts in prop::collection::vec((0..3_u8, prop::option::of(0..4_u32)), 0..40),
        ) {
            let mut ticket = ticket(3);
            let mut told_ready = false;
            for (action, line) in acts {
                let action = [Action::Start, Action::Bump, Action::Recall][action as usize];
                let before = ticket.clone();
                match ticket.act(action, line, NOW) {
                    Ok(Change::Ready) => { prop_assert!(!told_ready); told_ready = true; }
                    Ok(Change::Recalled) => { prop_assert!(told_ready); told_ready = false; }
                    Ok(Change::Started | Change::Items) => {}
                    Err(_) => prop_assert_eq!(&ticket, &before),
                }
                prop_assert_eq!(told_ready, ticket.state() == TicketState::Ready);
            }
        }
    }
}
