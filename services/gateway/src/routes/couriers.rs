//! Couriers: who they are, when they are on duty, and where.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::delivery::v1::{
    DeleteCourierRequest, GetCourierRequest, ListShiftsRequest, ReportPositionRequest,
    SetDutyRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Courier, CourierChange, CourierFilter, Cursor, DutyChange, NewCourier, Page, Point, Shift,
    },
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_courier, list_couriers))
        .routes(routes!(get_own_courier, update_own_courier, delete_own_courier))
        .routes(routes!(get_courier, update_courier, delete_courier))
        .routes(routes!(set_own_duty))
        .routes(routes!(report_own_position))
        .routes(routes!(list_own_shifts))
        .routes(routes!(list_shifts))
}

/// Become a courier, or make somebody one
///
/// For users with the role; administrators name who becomes one, a user with the role. A courier
/// begins off duty.
#[utoipa::path(
    post, path = "/api/v1/couriers", tag = "deliveries", request_body = NewCourier,
    responses((status = 201, description = "The new courier", body = Courier))
)]
async fn create_courier(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(new): Json<NewCourier>,
) -> Result<Answer<Courier>, Problem> {
    let names_somebody = new.names_somebody();
    let courier = edge.delivery().create_courier(ask.with(new.into())).await?.into_inner();
    let version = courier.version;
    let location = if names_somebody { courier.id.as_str() } else { "me" };
    let location = format!("/api/v1/couriers/{location}");
    Ok(Answer::created(courier.into(), location).tagged(version))
}

/// List couriers
///
/// For support and administrators.
#[utoipa::path(
    get, path = "/api/v1/couriers", tag = "deliveries", params(CourierFilter),
    responses((status = 200, description = "A page of couriers", body = Page<Courier>))
)]
async fn list_couriers(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<CourierFilter>,
) -> Result<Answer<Page<Courier>>, Problem> {
    let page = edge.delivery().list_couriers(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.couriers, page.next_cursor)))
}

/// Show the asking user as a courier
///
/// 404 for users who are no courier.
#[utoipa::path(
    get, path = "/api/v1/couriers/me", tag = "deliveries",
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn get_own_courier(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    known: IfNoneMatch,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(GetCourierRequest { id: String::new() });
    let courier = edge.delivery().get_courier(request).await?.into_inner();
    Ok(tagged(courier.into()).unless(&known))
}

/// Show a courier
///
/// For the courier, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/couriers/{id}", tag = "deliveries",
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn get_courier(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Courier>,
    known: IfNoneMatch,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(GetCourierRequest { id: id.to_string() });
    let courier = edge.delivery().get_courier(request).await?.into_inner();
    Ok(tagged(courier.into()).unless(&known))
}

/// Change the asking courier's name and capacity
///
/// The capacity says how many deliveries may be under way at once; those that are stay.
#[utoipa::path(
    put, path = "/api/v1/couriers/me", tag = "deliveries", request_body = CourierChange,
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn update_own_courier(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Version(version): Version,
    Json(change): Json<CourierChange>,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(change.of(String::new(), version));
    Ok(tagged(edge.delivery().update_courier(request).await?.into_inner().into()))
}

/// Change a courier's name and capacity
///
/// For the courier and administrators.
#[utoipa::path(
    put, path = "/api/v1/couriers/{id}", tag = "deliveries", request_body = CourierChange,
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn update_courier(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Courier>,
    Version(version): Version,
    Json(change): Json<CourierChange>,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(change.of(id.to_string(), version));
    Ok(tagged(edge.delivery().update_courier(request).await?.into_inner().into()))
}

/// Stop being a courier
///
/// For good. Refused while deliveries are under way.
#[utoipa::path(
    delete, path = "/api/v1/couriers/me", tag = "deliveries",
    responses((status = 204, description = "The courier has left"))
)]
async fn delete_own_courier(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
) -> Result<Response, Problem> {
    edge.delivery().delete_courier(ask.with(DeleteCourierRequest { id: String::new() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Let a courier go
///
/// For good; for the courier and administrators. Refused while deliveries are under way.
#[utoipa::path(
    delete, path = "/api/v1/couriers/{id}", tag = "deliveries",
    responses((status = 204, description = "The courier has left"))
)]
async fn delete_courier(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Courier>,
) -> Result<Response, Problem> {
    edge.delivery().delete_courier(ask.with(DeleteCourierRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Go on or off duty
///
/// A courier off duty keeps the deliveries under way, and gets no more. Each time on duty is a
/// shift.
#[utoipa::path(
    put, path = "/api/v1/couriers/me/duty", tag = "deliveries", request_body = DutyChange,
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn set_own_duty(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(change): Json<DutyChange>,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(SetDutyRequest { on_duty: change.on_duty });
    Ok(tagged(edge.delivery().set_duty(request).await?.into_inner().into()))
}

/// Say where the asking courier is
///
/// For couriers on duty, or with a delivery under way. It is kept for some minutes, and shown to
/// whoever waits for what the courier brings. Of more than two in a second the last one counts.
#[utoipa::path(
    put, path = "/api/v1/couriers/me/position", tag = "deliveries", request_body = Point,
    responses((status = 204, description = "It is known"))
)]
async fn report_own_position(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(point): Json<Point>,
) -> Result<Response, Problem> {
    let request = ask.with(ReportPositionRequest { position: Some(point.try_into()?) });
    edge.delivery().report_position(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// List when the asking courier was on duty, newest first
///
/// The first has no end while the courier is on duty.
#[utoipa::path(
    get, path = "/api/v1/couriers/me/shifts", tag = "deliveries", params(Cursor),
    responses((status = 200, description = "A page of shifts", body = Page<Shift>))
)]
async fn list_own_shifts(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Shift>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListShiftsRequest { courier_id: String::new(), page });
    let page = edge.delivery().list_shifts(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.shifts, page.next_cursor)))
}

/// List when a courier was on duty, newest first
///
/// For the courier, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/couriers/{id}/shifts", tag = "deliveries", params(Cursor),
    responses((status = 200, description = "A page of shifts", body = Page<Shift>))
)]
async fn list_shifts(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Courier>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Shift>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListShiftsRequest { courier_id: id.to_string(), page });
    let page = edge.delivery().list_shifts(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.shifts, page.next_cursor)))
}

fn tagged(courier: Courier) -> Answer<Courier> {
    let version = courier.version;
    Answer::ok(courier).tagged(version)
}
