//! The gRPC service: who may see and change tickets, and the answer.

use bistro_core::{Error, Id, PageRequest, Principal, StaffRole, Timestamp, kinds};
use bistro_eventing::{Decision, Engine, MarkAt};
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    kitchen::v1::{
        GetTicketRequest, ItemRequest, ListTicketsRequest, ListTicketsResponse,
        Ticket as TicketMessage, TicketItem, TicketReady, TicketRecalled, TicketStarted,
        kitchen_server::Kitchen,
    },
};
use bistro_runtime::{Asked, ask, status_of};
use bistro_store::{DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work};
use prost::{Message as _, Name as _};
use tonic::{Request, Response, Status};

use crate::{
    audit,
    ticket::{Action, Change, OPEN_BY_RESTAURANT, Ticket},
};

/// Who works on tickets.
const STAFF: &[StaffRole] = &[StaffRole::Chef, StaffRole::Manager];

/// Serves the kitchen.
pub(crate) struct KitchenService {
    pub(crate) engine: Engine,
}

impl KitchenService {
    /// The ticket, for who works in its restaurant; for anybody else there is none.
    async fn visible(&self, principal: &Principal, id: &str) -> Result<Versioned<Ticket>, Error> {
        let id: Id<kinds::Ticket> =
            id.parse().map_err(|cause| Error::field("ticket_id", format!("{cause}")))?;
        let ticket = self.engine.store().require::<Ticket, _>("ticket", id).await?;
        match principal {
            Principal::Anonymous => Err(Error::unauthenticated()),
            Principal::Workload(_) => Ok(ticket),
            _ => principal
                .require_staff(ticket.restaurant, STAFF)
                .map(|()| ticket)
                .map_err(|_| Error::not_found(format_args!("ticket {id}"))),
        }
    }

    async fn act(
        &self,
        asked: &Asked,
        action: Action,
        request: &ItemRequest,
    ) -> Result<TicketMessage, Error> {
        let operation = match action {
            Action::Start => "kitchen.start",
            Action::Bump => "kitchen.bump",
            Action::Recall => "kitchen.recall",
        };
        let command = asked.command(operation, request)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Ticket>(&request.ticket_id));
        self.engine
            .request(
                &command,
                &mark_at,
                |work| self.decide(asked, action, request, work),
                |mark| self.again(mark),
            )
            .await
    }

    async fn decide(
        &self,
        asked: &Asked,
        action: Action,
        request: &ItemRequest,
        mut work: Work,
    ) -> Result<Decision<TicketMessage>, Error> {
        let before = self.visible(&asked.principal, &request.ticket_id).await?;
        let mut after = before.value.clone();
        let change = after.act(action, request.line, work.time)?;
        work.replace(&before, &after)?;
        let version = before.version + 1;
        tell(&mut work, &after, version, change);
        let answer = message(&after, version);
        Ok(Decision::commit(work, answer))
    }

    async fn again(&self, mark: Mark) -> Result<TicketMessage, Error> {
        let ticket = self.engine.store().load::<Ticket>(&mark.document.id).await?;
        let ticket = ticket.ok_or_else(|| Error::not_found(&mark.document))?;
        Ok(message(&ticket, ticket.version))
    }

    async fn list(
        &self,
        asked: &Asked,
        request: ListTicketsRequest,
    ) -> Result<ListTicketsResponse, Error> {
        let restaurant: Id<kinds::Restaurant> = request
            .restaurant_id
            .parse()
            .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
        asked.principal.require_staff(restaurant, STAFF)?;
        let page = request.page.unwrap_or_default();
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let query = Query::prefix::<Ticket>(OPEN_BY_RESTAURANT, &Key::new().id(restaurant));
        let found = self.engine.store().list::<Ticket>(query.page(&page)?).await?;
        Ok(ListTicketsResponse {
            tickets: found.items.iter().map(|ticket| message(ticket, ticket.version)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }
}

/// Tells others what changed about the ticket as a whole.
fn tell(work: &mut Work, ticket: &Ticket, version: i64, change: Change) {
    let (ticket_id, order_id) = (ticket.id.to_string(), ticket.order().to_string());
    let (kind, data) = match change {
        Change::Items => return,
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

fn message(ticket: &Ticket, version: i64) -> TicketMessage {
    let items = ticket.items.iter().zip(0..).map(|(item, line)| TicketItem {
        line,
        item_id: item.dish.to_string(),
        name: item.name.clone(),
        quantity: item.quantity,
        state: item.state.as_str().to_owned(),
        ..TicketItem::default()
    });
    TicketMessage {
        id: ticket.id.to_string(),
        order_id: ticket.order().to_string(),
        restaurant_id: ticket.restaurant.to_string(),
        state: ticket.state().as_str().to_owned(),
        items: items.collect(),
        version,
        created_at_ms: ticket.created_at.as_millis(),
        ready_at_ms: ticket.ready_at.map_or(0, Timestamp::as_millis),
        ..TicketMessage::default()
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Kitchen for KitchenService {
    async fn get_ticket(
        &self,
        request: Request<GetTicketRequest>,
    ) -> Result<Response<TicketMessage>, Status> {
        let (asked, request) = ask(request)?;
        let found = self.visible(&asked.principal, &request.id).await;
        answer(found.map(|ticket| message(&ticket, ticket.version)))
    }

    async fn list_tickets(
        &self,
        request: Request<ListTicketsRequest>,
    ) -> Result<Response<ListTicketsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list(&asked, request).await)
    }

    async fn start(
        &self,
        request: Request<ItemRequest>,
    ) -> Result<Response<TicketMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Start, &request).await)
    }

    async fn bump(&self, request: Request<ItemRequest>) -> Result<Response<TicketMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Bump, &request).await)
    }

    async fn recall(
        &self,
        request: Request<ItemRequest>,
    ) -> Result<Response<TicketMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Recall, &request).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, request) = ask(request)?;
        let audited = async {
            asked.principal.require_admin().or_else(|_| asked.principal.require_workload())?;
            audit::page(&self.engine, request).await
        };
        answer(audited.await)
    }
}
