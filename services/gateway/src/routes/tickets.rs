//! Kitchen tickets.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::kitchen::v1::{GetTicketRequest, ItemRequest, ListTicketsRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Cursor, Page, Ticket},
    edge::{Answer, At, Command, Edge, IfNoneMatch, LineAt, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list_tickets))
        .routes(routes!(get_ticket))
        .routes(routes!(start_ticket))
        .routes(routes!(bump_ticket))
        .routes(routes!(recall_ticket))
        .routes(routes!(start_ticket_item))
        .routes(routes!(bump_ticket_item))
        .routes(routes!(recall_ticket_item))
}

/// List a restaurant's open tickets, oldest first
///
/// For its staff.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/tickets", tag = "tickets", params(Cursor),
    responses((status = 200, description = "A page of tickets", body = Page<Ticket>))
)]
async fn list_tickets(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Ticket>>, Problem> {
    let request = ListTicketsRequest {
        restaurant_id: id.to_string(),
        page: Some(cursor.into_request()?),
        ..ListTicketsRequest::default()
    };
    let page = edge.kitchen().list_tickets(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.tickets, page.next_cursor)))
}

/// Show a ticket
#[utoipa::path(
    get, path = "/api/v1/tickets/{id}", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn get_ticket(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Ticket>,
    known: IfNoneMatch,
) -> Result<Answer<Ticket>, Problem> {
    let request = ask.with(GetTicketRequest { id: id.to_string() });
    let ticket = edge.kitchen().get_ticket(request).await?.into_inner();
    Ok(tagged(ticket.into()).unless(&known))
}

/// Begin to cook a ticket's items
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/start", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn start_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ItemRequest { ticket_id: id.to_string(), line: None };
    Ok(tagged(edge.kitchen().start(ask.with(request)).await?.into_inner().into()))
}

/// Say that a ticket's items are ready
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/bump", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn bump_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ItemRequest { ticket_id: id.to_string(), line: None };
    Ok(tagged(edge.kitchen().bump(ask.with(request)).await?.into_inner().into()))
}

/// Take a ticket's items back from ready
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/recall", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn recall_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ItemRequest { ticket_id: id.to_string(), line: None };
    Ok(tagged(edge.kitchen().recall(ask.with(request)).await?.into_inner().into()))
}

/// Begin to cook one item
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/items/{line}/start", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn start_ticket_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    at: LineAt,
) -> Result<Answer<Ticket>, Problem> {
    Ok(tagged(edge.kitchen().start(ask.with(item(&at))).await?.into_inner().into()))
}

/// Say that one item is ready
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/items/{line}/bump", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn bump_ticket_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    at: LineAt,
) -> Result<Answer<Ticket>, Problem> {
    Ok(tagged(edge.kitchen().bump(ask.with(item(&at))).await?.into_inner().into()))
}

/// Take one item back from ready
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/items/{line}/recall", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn recall_ticket_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    at: LineAt,
) -> Result<Answer<Ticket>, Problem> {
    Ok(tagged(edge.kitchen().recall(ask.with(item(&at))).await?.into_inner().into()))
}

fn item(at: &LineAt) -> ItemRequest {
    ItemRequest { ticket_id: at.ticket.to_string(), line: Some(at.line) }
}

fn tagged(ticket: Ticket) -> Answer<Ticket> {
    let version = ticket.version;
    Answer::ok(ticket).tagged(version)
}
