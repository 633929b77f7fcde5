//! Kitchen tickets.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::kitchen::v1::{GetTicketRequest, ItemRequest, TicketRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Page, Ticket, TicketFilter},
    edge::{Answer, At, Command, Edge, IfNoneMatch, LineAt, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list_tickets))
        .routes(routes!(get_ticket))
        .routes(routes!(start_ticket))
        .routes(routes!(bump_ticket))
        .routes(routes!(recall_ticket))
        .routes(routes!(hold_ticket))
        .routes(routes!(fire_ticket))
        .routes(routes!(acknowledge_ticket))
        .routes(routes!(start_ticket_item))
        .routes(routes!(bump_ticket_item))
        .routes(routes!(recall_ticket_item))
        .routes(routes!(hold_ticket_item))
        .routes(routes!(fire_ticket_item))
}

/// List a restaurant's open tickets
///
/// For its staff: what is to be cooked, oldest first, then what was cancelled and nobody has
/// acknowledged, oldest first. A page of one
/// station's may be short although another follows.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/tickets", tag = "tickets", params(TicketFilter),
    responses((status = 200, description = "A page of tickets", body = Page<Ticket>))
)]
async fn list_tickets(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(filter): Query<TicketFilter>,
) -> Result<Answer<Page<Ticket>>, Problem> {
    let request = ask.with(filter.of(id)?);
    let page = edge.kitchen().list_tickets(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.tickets, page.next_cursor)))
}

/// Show a ticket
///
/// For the staff of its restaurant.
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
    let ticket = Ticket::from(edge.kitchen().get_ticket(request).await?.into_inner());
    // When it is likely to be ready changes without it.
    let settled = ticket.is_settled();
    let answer = tagged(ticket);
    Ok(if settled { answer.unless(&known) } else { answer })
}

/// Begin to cook a ticket's items
///
/// What is held is not begun.
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
///
/// All of them, also what was held. Two who say it at once are both right.
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
///
/// All of them: the order is not ready any more. Refused once it was handed over.
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

/// Hold a ticket's items back
///
/// Those that nobody has begun wait until they are fired.
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/hold", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn hold_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ItemRequest { ticket_id: id.to_string(), line: None };
    Ok(tagged(edge.kitchen().hold(ask.with(request)).await?.into_inner().into()))
}

/// Have a ticket's held items cooked now
///
/// Also before the moment that a scheduled order waits for.
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/fire", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn fire_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ItemRequest { ticket_id: id.to_string(), line: None };
    Ok(tagged(edge.kitchen().fire(ask.with(request)).await?.into_inner().into()))
}

/// Acknowledge that a ticket is cancelled
///
/// It leaves the list.
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/acknowledge", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn acknowledge_ticket(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Ticket>,
) -> Result<Answer<Ticket>, Problem> {
    let request = ask.with(TicketRequest { id: id.to_string() });
    let ticket = edge.kitchen().acknowledge_cancellation(request).await?.into_inner();
    Ok(tagged(ticket.into()))
}

/// Begin to cook one item
///
/// Refused while it is held: fire it first.
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
///
/// When it was the last, the ticket is ready.
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
///
/// The ticket is not ready any more. Refused once it was handed over.
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

/// Hold one item back
///
/// Nobody should begin it until it is fired. Refused when somebody has.
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/items/{line}/hold", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn hold_ticket_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    at: LineAt,
) -> Result<Answer<Ticket>, Problem> {
    Ok(tagged(edge.kitchen().hold(ask.with(item(&at))).await?.into_inner().into()))
}

/// Have one held item cooked now
///
/// Also before the moment that a scheduled order waits for.
#[utoipa::path(
    post, path = "/api/v1/tickets/{id}/items/{line}/fire", tag = "tickets",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
async fn fire_ticket_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    at: LineAt,
) -> Result<Answer<Ticket>, Problem> {
    Ok(tagged(edge.kitchen().fire(ask.with(item(&at))).await?.into_inner().into()))
}

fn item(at: &LineAt) -> ItemRequest {
    ItemRequest { ticket_id: at.ticket.to_string(), line: Some(at.line) }
}

fn tagged(ticket: Ticket) -> Answer<Ticket> {
    let version = ticket.version;
    Answer::ok(ticket).tagged(version)
}
