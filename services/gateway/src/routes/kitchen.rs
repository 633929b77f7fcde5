//! Kitchens: their stations, how busy they are, and their tickets live.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::{Error, kinds};
use bistro_proto::kitchen::v1::{
    CreateStationRequest, DeleteStationRequest, GetLoadRequest, GetStationRequest,
    ListStationsRequest, TicketChange, UpdateStationRequest,
};
use bistro_runtime::error_of;
use http::StatusCode;
use tonic::Status;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Cursor, Load, Page, Station, StationContent, StationFilter, Ticket},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, LastEventCursor, Problem, Query, Reading,
        Repeatable, Version,
    },
    sse::{self, Live},
};

/// The event of a ticket that a screen shows no longer.
const REMOVED: &str = "removed";

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_station, list_stations))
        .routes(routes!(get_station, update_station, delete_station))
        .routes(routes!(get_load))
        .routes(routes!(watch_tickets))
}

/// Add a station to a restaurant's kitchen
///
/// For managers and owners of the restaurant. Tickets that are made from now on come to it.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/stations", tag = "stations",
    request_body = StationContent,
    responses((status = 201, description = "The station", body = Station))
)]
async fn create_station(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(content): Json<StationContent>,
) -> Result<Answer<Station>, Problem> {
    let content = Some(content.into());
    let request = ask.with(CreateStationRequest { restaurant_id: id.to_string(), content });
    let station = Station::from(edge.kitchen().create_station(request).await?.into_inner());
    let (location, version) = (format!("/api/v1/stations/{}", station.id), station.version);
    Ok(Answer::created(station, location).tagged(version))
}

/// List the stations of a restaurant's kitchen, by name
///
/// For its staff.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/stations", tag = "stations", params(Cursor),
    responses((status = 200, description = "A page of stations", body = Page<Station>))
)]
async fn list_stations(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Station>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListStationsRequest { restaurant_id: id.to_string(), page });
    let page = edge.kitchen().list_stations(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.stations, page.next_cursor)))
}

/// Show a station
///
/// For the staff of its restaurant.
#[utoipa::path(
    get, path = "/api/v1/stations/{id}", tag = "stations",
    responses((status = 200, description = "The station", body = Station))
)]
async fn get_station(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Station>,
    known: IfNoneMatch,
) -> Result<Answer<Station>, Problem> {
    let request = ask.with(GetStationRequest { id: id.to_string() });
    let station = edge.kitchen().get_station(request).await?.into_inner();
    Ok(tagged(station.into()).unless(&known))
}

/// Change a station
///
/// For managers and owners of the restaurant. Tickets stay where they are.
#[utoipa::path(
    put, path = "/api/v1/stations/{id}", tag = "stations", request_body = StationContent,
    responses((status = 200, description = "The station", body = Station))
)]
async fn update_station(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Station>,
    Version(version): Version,
    Json(content): Json<StationContent>,
) -> Result<Answer<Station>, Problem> {
    let content = Some(content.into());
    let request = ask.with(UpdateStationRequest { id: id.to_string(), version, content });
    Ok(tagged(edge.kitchen().update_station(request).await?.into_inner().into()))
}

/// Delete a station
///
/// For managers and owners of the restaurant. What it has to cook goes to the default station.
#[utoipa::path(
    delete, path = "/api/v1/stations/{id}", tag = "stations",
    responses((status = 204, description = "It is not there any more"))
)]
async fn delete_station(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Station>,
) -> Result<Response, Problem> {
    let request = ask.with(DeleteStationRequest { id: id.to_string() });
    edge.kitchen().delete_station(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Show how busy a kitchen is
///
/// How long an order takes that comes now, for everybody; what each station has to do, for the
/// restaurant's staff. A second old at most.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/load", tag = "stations",
    responses((status = 200, description = "The load", body = Load))
)]
async fn get_load(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
) -> Result<Answer<Load>, Problem> {
    let request = ask.with(GetLoadRequest { restaurant_id: id.to_string() });
    Ok(Answer::ok(edge.kitchen().get_load(request).await?.into_inner().into()))
}

/// Follow a kitchen's tickets live
///
/// Server-sent events, for the restaurant's staff: the tickets that are open now, and then each
/// that changes, as it is. `id` is a place in the order of changes, `data` is the ticket. `event`
/// is `ticket`, and `removed` for one that does not belong on the screen any more: it was handed
/// over, its cancellation was acknowledged, or the station has nothing to cook of it any more. A
/// change may come more than once, also that of a ticket the screen has not. A comment comes every
/// 15 seconds. The stream ends when the access token expires: reconnect with a new one and with
/// `Last-Event-ID`, to be sent what changed since.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/kitchen/events", tag = "tickets",
    params(
        StationFilter,
        ("Last-Event-ID" = Option<String>, Header, description =
            "The id of the last event that was seen"),
    ),
    responses((
        status = 200, description = "The events", content_type = "text/event-stream",
        body = String,
        example = "id: MTc2…\nevent: ticket\ndata: {\"id\":\"tkt_…\",\"state\":\"queued\"}\n\n",
    ))
)]
async fn watch_tickets(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(filter): Query<StationFilter>,
    LastEventCursor(seen): LastEventCursor,
) -> Result<Response, Problem> {
    let place = edge.open_stream::<TicketChange>()?;
    let changes = edge.kitchen().watch_tickets(ask.with(filter.of(id, seen))).await;
    let changes = changes.map_err(|status| resumed_wrongly(&status))?.into_inner();
    Ok(sse::response(changes, edge.stopping(), place))
}

/// What the kitchen refuses about the place to go on from, said of the header that names it.
fn resumed_wrongly(status: &Status) -> Error {
    let refused = error_of(status);
    match refused.field_errors() {
        [field] if field.path == "after" => {
            let message = "write the id of the last event of this kitchen's that you have seen";
            Error::field("Last-Event-ID", message)
        }
        _ => refused,
    }
}

impl Live for TicketChange {
    const EVENT: &'static str = "ticket";
    type Data = Ticket;

    fn id(&self) -> String {
        self.cursor.clone()
    }

    fn event(&self) -> &'static str {
        if self.removed { REMOVED } else { Self::EVENT }
    }

    fn data(self) -> Option<Ticket> {
        self.ticket.map(Into::into)
    }
}

fn tagged(station: Station) -> Answer<Station> {
    let version = station.version;
    Answer::ok(station).tagged(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_that_leaves_the_screen_is_another_event() {
        let change = TicketChange::default();
        assert_eq!(change.event(), "ticket");
        assert_eq!(TicketChange { removed: true, ..change }.event(), "removed");
    }
}
