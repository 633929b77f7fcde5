//! One watcher's stream: the tickets of a restaurant or a station as they are, then as they
//! change, until the watcher goes, has watched for long enough, or this process is about to stop.
//!
//! Each change comes at least once. Who comes back with the cursor of the last change it has seen
//! is sent everything that changed since, and what changed in the seconds before it once more.

use std::{collections::HashMap, time::Duration};

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
use bistro_proto::kitchen::v1::{Ticket as TicketMessage, TicketChange};
use bistro_runtime::{MessageSender, MessageStream, message_stream};
use bistro_store::{Key, Query, StoreExt as _, Versioned};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    changes::{Hub, OVERLAP, Receiver, since},
    place::Place,
    present::Eyes,
    ticket::{OPEN_BY_RESTAURANT, Ticket},
};

/// What a watcher is sent.
pub(crate) type Changes = MessageStream<TicketChange>;

/// What a watcher wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    /// Only what this station has to cook something of.
    pub(crate) station: Option<Id<kinds::Station>>,
    /// What the watcher has seen last; none if it begins.
    pub(crate) after: Option<Place>,
}

/// Streams what is wanted for `lifetime` at most: the right to see it is checked when the watcher
/// comes back.
pub(crate) fn stream(hub: Hub, wanted: Wanted, lifetime: Duration) -> Changes {
    // One change at a time: who reads slowly keeps little waiting.
    let (to, changes) = message_stream(1);
    tokio::spawn(async move {
        let stopping = hub.presenter.engine.stopping();
        let changes = hub.watch(wanted.restaurant);
        let looked_at = hub.presenter.engine.now();
        let mut watcher = Watcher { hub, wanted, to: to.clone(), sent: HashMap::new(), looked_at };
        tokio::select! {
            () = to.closed() => {}
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(lifetime) => {}
            ended = watcher.run(changes) => {
                if let Err(Stop::Failed(error)) = ended {
                    to.fail(&error).await;
                }
            }
        }
    });
    changes
}

/// Why a stream ends by itself.
enum Stop {
    /// Nobody reads it any more, or there is nothing to hear any more.
    Gone,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Watcher {
    hub: Hub,
    wanted: Wanted,
    to: MessageSender<TicketChange>,
    /// The version of each ticket that the watcher has on its screen.
    sent: HashMap<Id<kinds::Ticket>, i64>,
    /// What was not heard of then changed later, or little earlier.
    looked_at: Timestamp,
}

impl Watcher {
    async fn run(&mut self, mut changes: Receiver) -> Result<(), Stop> {
        match self.wanted.after {
            None => self.open().await?,
            Some(seen) => {
                let from = seen.changed_at.min(self.looked_at) - OVERLAP;
                self.changed_since(from).await?;
            }
        }
        loop {
            match changes.recv().await {
                Ok(changed) => {
                    self.looked_at = changed.looked_at;
                    self.tell(&changed.ticket, &changed.message, changed.again).await?;
                }
                Err(RecvError::Lagged(_)) => self.changed_since(self.looked_at - OVERLAP).await?,
                Err(RecvError::Closed) => return Err(Stop::Gone),
            }
        }
    }

    /// Sends what is open, in the order of its last changes, so that each cursor is a place behind
    /// which nothing is left out.
    async fn open(&mut self) -> Result<(), Stop> {
        let mut open = Vec::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let prefix = Key::new().id(self.wanted.restaurant);
            let query = Query::prefix::<Ticket>(OPEN_BY_RESTAURANT, &prefix);
            let query = query.page(&page).map_err(Error::from)?;
            let store = self.hub.presenter.engine.store();
            let found = store.list::<Ticket>(query).await.map_err(Error::from)?;
            open.extend(found.items.into_iter().filter(|ticket| self.concerns(ticket)));
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        open.sort_by_key(|ticket| (ticket.changed_at, ticket.id));
        for some in open.chunks(PageRequest::MAX_LIMIT as usize) {
            self.show(some).await?;
        }
        Ok(())
    }

    /// Sends what changed at `from` or later.
    async fn changed_since(&mut self, from: Timestamp) -> Result<(), Stop> {
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let engine = &self.hub.presenter.engine;
            let mut found = since(engine, self.wanted.restaurant, from, &page).await?;
            let seen = self.wanted.after;
            found
                .items
                .retain(|ticket| self.concerns(ticket) && seen.is_none_or(|seen| !seen.is(ticket)));
            self.show(&found.items).await?;
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn show(&mut self, tickets: &[Versioned<Ticket>]) -> Result<(), Stop> {
        let messages = self.hub.presenter.show(tickets, Eyes::Cook).await?;
        for (ticket, message) in tickets.iter().zip(&messages) {
            self.tell(ticket, message, false).await?;
        }
        Ok(())
    }

    /// Whether the watcher wants to be told of the ticket: as it is, or since it has it on its
    /// screen, or may have it there from before it came back.
    fn concerns(&self, ticket: &Ticket) -> bool {
        self.belongs(ticket) || self.sent.contains_key(&ticket.id) || self.may_have_kept(ticket)
    }

    fn belongs(&self, ticket: &Ticket) -> bool {
        self.wanted.station.is_none_or(|station| ticket.is_for(station))
    }

    /// What a watcher was sent by an earlier stream is not in `sent`. To take away what it has not
    /// does no harm.
    fn may_have_kept(&self, ticket: &Ticket) -> bool {
        let came_back = self.wanted.after.is_some();
        came_back && self.wanted.station.is_some_and(|station| ticket.has_left(station))
    }

    async fn tell(
        &mut self,
        ticket: &Versioned<Ticket>,
        message: &TicketMessage,
        again: bool,
    ) -> Result<(), Stop> {
        let known = self.sent.get(&ticket.id).copied().unwrap_or_default();
        let is_news = ticket.version > known || (again && ticket.version == known);
        if !is_news || !self.concerns(ticket) {
            return Ok(());
        }
        let removed = !ticket.is_on_screen() || !self.belongs(ticket);
        if removed {
            self.sent.remove(&ticket.id);
        } else {
            self.sent.insert(ticket.id, ticket.version);
        }
        let cursor = Place::of(ticket).encode();
        let change = TicketChange { cursor, ticket: Some(message.clone()), removed };
        if self.to.send(change).await { Ok(()) } else { Err(Stop::Gone) }
    }
}
