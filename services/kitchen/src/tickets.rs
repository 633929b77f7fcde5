//! What is asked about tickets: lists, commands and live changes.

use bistro_core::{Error, Id, PageRequest, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::kitchen::v1::{
    GetLoadRequest, GetTicketRequest, ItemRequest, ListTicketsRequest, ListTicketsResponse, Load,
    Ticket as TicketMessage, TicketReady, TicketRecalled, TicketRequest, TicketStarted,
    WatchTicketsRequest,
};
use bistro_runtime::Asked;
use bistro_store::{Cursor, DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work};
use prost::{Message as _, Name as _};

use crate::{
    item::Action,
    place::Place,
    present::{self, Eyes},
    service::{KitchenService, restaurant_id, station_id},
    stream::{self, Wanted},
    ticket::{Change, FIRE_TIMER, OPEN_BY_RESTAURANT, Ticket},
};

/// Who works on tickets.
pub(crate) const STAFF: &[StaffRole] = &[StaffRole::Chef, StaffRole::Manager];
/// Pages of a restaurant's open tickets that are looked through for one page of a station's.
const PAGES: usize = 5;

impl KitchenService {
    /// The ticket, for who works in its restaurant; for anybody else there is none.
    async fn visible(
        &self,
        principal: &Principal,
        path: &str,
        id: &str,
    ) -> Result<Versioned<Ticket>, Error> {
        let id: Id<kinds::Ticket> =
            id.parse().map_err(|cause| Error::field(path, format!("{cause}")))?;
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let none = || Error::not_found(format_args!("ticket {id}"));
        let ticket = self.engine().store().require::<Ticket, _>("ticket", id).await?;
        if ticket.awaited {
            return Err(none());
        }
        match principal {
            Principal::Workload(_) => Ok(ticket),
            _ => principal
                .require_staff(ticket.restaurant, STAFF)
                .map(|()| ticket)
                .map_err(|_| none()),
        }
    }

    /// Shows a ticket.
    pub(crate) async fn get_ticket(
        &self,
        principal: &Principal,
        request: &GetTicketRequest,
    ) -> Result<TicketMessage, Error> {
        let ticket = self.visible(principal, "id", &request.id).await?;
        self.presenter().show_one(ticket, eyes(principal)).await
    }

    /// Takes `action` on an item, or on all that it can be taken on.
    pub(crate) async fn act(
        &self,
        asked: &Asked,
        action: Action,
        request: &ItemRequest,
    ) -> Result<TicketMessage, Error> {
        let operation = match action {
            Action::Start => "kitchen.start",
            Action::Bump => "kitchen.bump",
            Action::Recall => "kitchen.recall",
            Action::Hold => "kitchen.hold",
            Action::Fire => "kitchen.fire",
        };
        let command = asked.command(operation, request)?;
        let decide = |mut work: Work| async move {
            let before = self.visible(&asked.principal, "ticket_id", &request.ticket_id).await?;
            let mut after = before.value.clone();
            match after.act(action, request.line, work.time)? {
                // Two cooks did the same: the second one sees what the first one did.
                Change::Nothing => Ok(Decision::Answer(before)),
                change => {
                    replace(&mut work, &before, &after)?;
                    tell(&mut work, &after, before.version + 1, change);
                    let answer = Versioned { value: after, version: before.version + 1 };
                    Ok(Decision::commit(work, answer))
                }
            }
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Ticket>(&request.ticket_id));
        let replay = |mark| self.again(mark);
        let ticket = self.engine().request(&command, &mark_at, decide, replay).await?;
        self.presenter().show_one(ticket, eyes(&asked.principal)).await
    }

    /// Notes that somebody has seen that the ticket is cancelled.
    pub(crate) async fn acknowledge(
        &self,
        asked: &Asked,
        request: &TicketRequest,
    ) -> Result<TicketMessage, Error> {
        let command = asked.command("kitchen.acknowledge_cancellation", request)?;
        let decide = |mut work: Work| async move {
            let before = self.visible(&asked.principal, "id", &request.id).await?;
            let mut after = before.value.clone();
            if !after.acknowledge(work.time)? {
                return Ok(Decision::Answer(before));
            }
            work.replace(&before, &after)?;
            let answer = Versioned { value: after, version: before.version + 1 };
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Ticket>(&request.id));
        let replay = |mark| self.again(mark);
        let ticket = self.engine().request(&command, &mark_at, decide, replay).await?;
        self.presenter().show_one(ticket, eyes(&asked.principal)).await
    }

    /// The ticket as it is now: what was asked before has been done, and more may have been since.
    async fn again(&self, mark: Mark) -> Result<Versioned<Ticket>, Error> {
        let ticket = self.engine().store().load::<Ticket>(&mark.document.id).await?;
        ticket.ok_or_else(|| Error::not_found(format_args!("ticket {}", mark.document.id)))
    }

    /// A page of the tickets that are on a restaurant's or a station's screen.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        request: ListTicketsRequest,
    ) -> Result<ListTicketsResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        principal.require_staff(restaurant, STAFF)?;
        let page = request.page.unwrap_or_default();
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let (tickets, next) = if request.station_id.is_empty() {
            let found = self.open(restaurant, &page).await?;
            (found.items, found.next)
        } else {
            self.open_of(restaurant, station_id("station_id", &request.station_id)?, page).await?
        };
        Ok(ListTicketsResponse {
            tickets: self.presenter().show(&tickets, Eyes::Cook).await?,
            next_cursor: next.unwrap_or_default(),
        })
    }

    async fn open(
        &self,
        restaurant: Id<kinds::Restaurant>,
        page: &PageRequest,
    ) -> Result<bistro_core::Page<Versioned<Ticket>>, Error> {
        let query = Query::prefix::<Ticket>(OPEN_BY_RESTAURANT, &Key::new().id(restaurant));
        Ok(self.engine().store().list(query.page(page)?).await?)
    }

    /// The open tickets of one station. A ticket has several stations and an index one key for
    /// each document, so they are found among those of the restaurant; a page may be short, or
    /// empty, although more follow.
    async fn open_of(
        &self,
        restaurant: Id<kinds::Restaurant>,
        station: Id<kinds::Station>,
        wanted: PageRequest,
    ) -> Result<(Vec<Versioned<Ticket>>, Option<String>), Error> {
        let limit = wanted.limit as usize;
        let mut tickets = Vec::new();
        let mut page = PageRequest { limit: PageRequest::MAX_LIMIT, cursor: wanted.cursor };
        for _ in 0..PAGES {
            let found = self.open(restaurant, &page).await?;
            tickets.extend(found.items.into_iter().filter(|ticket| ticket.is_for(station)));
            if tickets.len() > limit {
                tickets.truncate(limit);
                let next = tickets.last().map(|last| after(last).encode());
                return Ok((tickets, next));
            }
            page.cursor = found.next;
            if page.cursor.is_none() {
                break;
            }
        }
        Ok((tickets, page.cursor))
    }

    /// The stream of what changes.
    pub(crate) fn watch(
        &self,
        principal: &Principal,
        request: &WatchTicketsRequest,
    ) -> Result<stream::Changes, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        principal.require_staff(restaurant, STAFF)?;
        let station = match request.station_id.as_str() {
            "" => None,
            id => Some(station_id("station_id", id)?),
        };
        let after = match request.after.as_str() {
            "" => None,
            text => Some(Place::decode(text, restaurant)?),
        };
        let wanted = Wanted { restaurant, station, after };
        Ok(stream::stream(self.hub.clone(), wanted, self.stream_lifetime))
    }

    /// How long an order takes; for the restaurant's staff, also what each station has to do.
    pub(crate) async fn load(
        &self,
        principal: &Principal,
        request: &GetLoadRequest,
    ) -> Result<Load, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let board = self.presenter().boards.of(restaurant).await?;
        Ok(present::load(&board, principal.require_staff(restaurant, STAFF).is_ok()))
    }
}

/// Cooks see what people wrote; another role asks orders.
fn eyes(principal: &Principal) -> Eyes {
    match principal {
        Principal::Workload(_) => Eyes::Role,
        _ => Eyes::Cook,
    }
}

/// The place behind `ticket` in its restaurant's list.
fn after(ticket: &Ticket) -> Cursor {
    Cursor { key: ticket.place_in_list().as_str().to_owned(), id: ticket.id.to_string() }
}

/// Writes what became of a ticket, and its timer.
pub(crate) fn replace(
    work: &mut Work,
    before: &Versioned<Ticket>,
    after: &Ticket,
) -> Result<(), Error> {
    work.replace(before, after)?;
    match (before.fire_at, after.fire_at) {
        (before, after) if before == after => {}
        (_, Some(at)) => {
            work.timer::<Ticket>(after.id, FIRE_TIMER, at);
        }
        (_, None) => {
            work.cancel_timer::<Ticket>(after.id, FIRE_TIMER);
        }
    }
    Ok(())
}

/// Tells others what changed about the ticket as a whole.
fn tell(work: &mut Work, ticket: &Ticket, version: i64, change: Change) {
    let (ticket_id, order_id) = (ticket.id.to_string(), ticket.order().to_string());
    let (kind, data) = match change {
        Change::Nothing | Change::Items => return,
        Change::Started => {
            (TicketStarted::full_name(), TicketStarted { ticket_id, order_id }.encode_to_vec())
        }
        Change::Ready => {
            (TicketReady::full_name(), TicketReady { ticket_id, order_id }.encode_to_vec())
        }
        Change::Recalled => {
            (TicketRecalled::full_name(), TicketRecalled { ticket_id, order_id }.encode_to_vec())
        }
    };
    if ticket.traceparent.is_some() {
        // What follows belongs to the order's trace, not to the cook's request.
        work.traceparent.clone_from(&ticket.traceparent);
    }
    work.event(&kind, ticket.id, version, data);
}
