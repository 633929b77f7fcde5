//! Couriers and deliveries.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::delivery::v1::{
    DeliveryRequest, DropOffRequest, FailRequest, GetCourierRequest, GetDeliveryRequest,
    SetDutyRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Courier, Delivery, DeliveryFilter, DutyChange, FailReason, FailureCode, NewCourier, Page,
    },
    edge::{Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_courier))
        .routes(routes!(get_courier))
        .routes(routes!(set_duty))
        .routes(routes!(list_deliveries))
        .routes(routes!(get_delivery))
        .routes(routes!(decline_delivery))
        .routes(routes!(pick_up_delivery))
        .routes(routes!(drop_off_delivery))
        .routes(routes!(fail_delivery))
}

/// Become a courier
///
/// For users with the role. A courier begins off duty.
#[utoipa::path(
    post, path = "/api/v1/couriers", tag = "deliveries", request_body = NewCourier,
    responses((status = 201, description = "The new courier", body = Courier))
)]
async fn create_courier(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(new): Json<NewCourier>,
) -> Result<Answer<Courier>, Problem> {
    let courier = edge.delivery().create_courier(ask.with(new.into())).await?.into_inner();
    let version = courier.version;
    Ok(Answer::created(courier.into(), "/api/v1/couriers/me".to_owned()).tagged(version))
}

/// Show the asking user as a courier
#[utoipa::path(
    get, path = "/api/v1/couriers/me", tag = "deliveries",
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn get_courier(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    known: IfNoneMatch,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(GetCourierRequest { id: String::new() });
    let courier = Courier::from(edge.delivery().get_courier(request).await?.into_inner());
    let version = courier.version;
    Ok(Answer::ok(courier).tagged(version).unless(&known))
}

/// Go on or off duty
///
/// A courier off duty keeps the deliveries under way, and gets no more.
#[utoipa::path(
    put, path = "/api/v1/couriers/me/duty", tag = "deliveries", request_body = DutyChange,
    responses((status = 200, description = "The courier", body = Courier))
)]
async fn set_duty(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(change): Json<DutyChange>,
) -> Result<Answer<Courier>, Problem> {
    let request = ask.with(SetDutyRequest { on_duty: change.on_duty });
    let courier = Courier::from(edge.delivery().set_duty(request).await?.into_inner());
    let version = courier.version;
    Ok(Answer::ok(courier).tagged(version))
}

/// List what the asking courier has to deliver, oldest first
#[utoipa::path(
    get, path = "/api/v1/couriers/me/deliveries", tag = "deliveries", params(DeliveryFilter),
    responses((status = 200, description = "A page of deliveries", body = Page<Delivery>))
)]
async fn list_deliveries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Answer<Page<Delivery>>, Problem> {
    let page = edge.delivery().list_deliveries(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.deliveries, page.next_cursor)))
}

/// Show a delivery
///
/// For its courier, the restaurant's staff and administrators. The courier who has it sees the
/// address as well.
#[utoipa::path(
    get, path = "/api/v1/deliveries/{id}", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn get_delivery(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Delivery>,
    known: IfNoneMatch,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(GetDeliveryRequest { id: id.to_string() });
    let delivery = edge.delivery().get_delivery(request).await?.into_inner();
    Ok(tagged(delivery.into()).unless(&known))
}

/// Decline a delivery
///
/// It is given to somebody else, and not offered to this courier again. A courier who only lets
/// the offer pass, by not picking up in time, may be offered it again after all others.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/decline", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn decline_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(DeliveryRequest { id: id.to_string() });
    Ok(tagged(edge.delivery().decline(request).await?.into_inner().into()))
}

/// Say that the courier has the food
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/pick-up", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn pick_up_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(DeliveryRequest { id: id.to_string() });
    Ok(tagged(edge.delivery().pick_up(request).await?.into_inner().into()))
}

/// Say that the customer has the food
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/drop-off", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn drop_off_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(DropOffRequest { id: id.to_string(), ..DropOffRequest::default() });
    Ok(tagged(edge.delivery().drop_off(request).await?.into_inner().into()))
}

/// Say that the food cannot be delivered
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/fail", tag = "deliveries", request_body = FailReason,
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn fail_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
    Json(failure): Json<FailReason>,
) -> Result<Answer<Delivery>, Problem> {
    let code = failure.code.map(FailureCode::into_inner).unwrap_or_default();
    let request = ask.with(FailRequest { id: id.to_string(), reason: failure.reason, code });
    Ok(tagged(edge.delivery().fail(request).await?.into_inner().into()))
}

fn tagged(delivery: Delivery) -> Answer<Delivery> {
    let version = delivery.version;
    Answer::ok(delivery).tagged(version)
}
