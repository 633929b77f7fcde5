//! Deliveries, and where their couriers are.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::delivery::v1::{
    CourierPosition, DeliveryChange, DeliveryRequest, DropOffRequest, FailRequest,
    GetDeliveryRequest, GetOrderDeliveryRequest, ListUnderWayRequest, WatchCourierRequest,
    WatchDeliveriesRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Cursor, Delivery, DeliveryFilter, DropOffProof, FailReason, FailureCode, Page,
        delivery_has_ended,
    },
    edge::{Answer, At, Command, Edge, IfNoneMatch, Json, LastEventId, Problem, Query, Reading},
    sse,
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list_own_deliveries))
        .routes(routes!(watch_own_deliveries))
        .routes(routes!(list_deliveries))
        .routes(routes!(list_restaurant_deliveries))
        .routes(routes!(get_order_delivery))
        .routes(routes!(watch_courier))
        .routes(routes!(get_delivery))
        .routes(routes!(claim_delivery))
        .routes(routes!(decline_delivery))
        .routes(routes!(pick_up_delivery))
        .routes(routes!(drop_off_delivery))
        .routes(routes!(fail_delivery))
}

/// List what the asking courier has to deliver, oldest first
///
/// With `state=pending` it is what nobody has yet: a courier on duty may claim it.
#[utoipa::path(
    get, path = "/api/v1/couriers/me/deliveries", tag = "deliveries", params(DeliveryFilter),
    responses((status = 200, description = "A page of deliveries", body = Page<Delivery>))
)]
async fn list_own_deliveries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Answer<Page<Delivery>>, Problem> {
    let page = edge.delivery().list_deliveries(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.deliveries, page.next_cursor)))
}

/// Follow what the asking courier has to deliver live
///
/// Server-sent events: each delivery under way as it is now, and again whenever it has changed,
/// been given to the courier or taken away. `event` is `delivery`, `data` is the delivery, without
/// the address; one that is not the courier's any more has another `courier_id`, or none. A
/// comment comes every 15 seconds. The stream ends when the access token expires: reconnect with a
/// new one and with `Last-Event-ID`, to be told what has changed meanwhile; a change may be told
/// twice.
#[utoipa::path(
    get, path = "/api/v1/couriers/me/events", tag = "deliveries",
    params(("Last-Event-ID" = Option<i64>, Header, description =
        "The id of the last event that was seen", minimum = 0, example = 1_795_298_400_000_i64)),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream",
            body = String, example = "id: 1795298400000\nevent: delivery\ndata: {\"id\":\"dlv_…\",\"state\":\"assigned\"}\n\n"),
    )
)]
async fn watch_own_deliveries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    LastEventId(seen): LastEventId,
) -> Result<Response, Problem> {
    let place = edge.open_stream::<DeliveryChange>()?;
    let after = seen.map_or_else(String::new, |seen| seen.to_string());
    let request = ask.with(WatchDeliveriesRequest { after });
    let changes = edge.delivery().watch_deliveries(request).await?.into_inner();
    Ok(sse::response(changes, edge.stopping(), place))
}

/// List all deliveries that have not ended, oldest first
///
/// For support and administrators.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "deliveries", params(Cursor),
    responses((status = 200, description = "A page of deliveries: pending, assigned or picked up", body = Page<Delivery>))
)]
async fn list_deliveries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Delivery>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListUnderWayRequest { restaurant_id: String::new(), page });
    let page = edge.delivery().list_under_way(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.deliveries, page.next_cursor)))
}

/// List a restaurant's deliveries that have not ended, oldest first
///
/// For its staff, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/deliveries", tag = "deliveries", params(Cursor),
    responses((status = 200, description = "A page of deliveries: pending, assigned or picked up", body = Page<Delivery>))
)]
async fn list_restaurant_deliveries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Delivery>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListUnderWayRequest { restaurant_id: id.to_string(), page });
    let page = edge.delivery().list_under_way(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.deliveries, page.next_cursor)))
}

/// Show the delivery of an order
///
/// For its customer, who is shown the code that proves the drop-off, and its restaurant. There is
/// one as soon as the order is ready.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/delivery", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn get_order_delivery(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
    known: IfNoneMatch,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(GetOrderDeliveryRequest { order_id: id.to_string() });
    let delivery = edge.delivery().get_order_delivery(request).await?.into_inner();
    Ok(tagged(delivery.into()).secret().unless(&known))
}

/// Follow the courier of an order live
///
/// For its customer and its restaurant, from when the order is ready until the delivery has ended.
/// Server-sent events: where the courier is who has the order, as far as it is known. `id` is the
/// moment in Unix milliseconds, `event` is `position`. A comment comes every 15 seconds. The stream
/// ends when the access token expires: reconnect with a new one; 204 says that nothing will follow.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/delivery/events", tag = "deliveries",
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream",
            body = String, example = "id: 1795298400000\nevent: position\ndata: {\"position\":{\"latitude\":51.5007,\"longitude\":-0.1246},\"at\":\"2026-11-20T18:30:00.000Z\"}\n\n"),
        (status = 204, description = "The delivery has ended"),
    )
)]
async fn watch_courier(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
) -> Result<Response, Problem> {
    let order_id = id.to_string();
    let request = ask.with(GetOrderDeliveryRequest { order_id: order_id.clone() });
    let delivery = edge.delivery().get_order_delivery(request).await?.into_inner();
    if delivery_has_ended(&delivery.state) {
        // A browser reconnects for ever unless it is told 204.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = edge.open_stream::<CourierPosition>()?;
    let request = ask.with(WatchCourierRequest { order_id });
    let moves = edge.delivery().watch_courier(request).await?.into_inner();
    Ok(sse::response(moves, edge.stopping(), place))
}

/// Show a delivery
///
/// For its courier, the restaurant's staff, support and administrators. The courier who has it
/// sees the address as well.
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

/// Claim a delivery that nobody has
///
/// For couriers on duty who have room for it.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/claim", tag = "deliveries",
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn claim_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
) -> Result<Answer<Delivery>, Problem> {
    let request = ask.with(DeliveryRequest { id: id.to_string() });
    Ok(tagged(edge.delivery().claim(request).await?.into_inner().into()))
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
///
/// Refused while the kitchen is still cooking it, and with `unavailable` while nobody can say
/// whether it is.
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
///
/// Where `code_needed` says so it takes the customer's code; that is off unless the platform's
/// configuration says otherwise (`delivery.proof_by_code`). After five wrong ones only the
/// restaurant's managers, support and administrators can say it, without a code.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/drop-off", tag = "deliveries",
    request_body = DropOffProof,
    responses((status = 200, description = "The delivery", body = Delivery))
)]
async fn drop_off_delivery(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Delivery>,
    Json(proof): Json<DropOffProof>,
) -> Result<Answer<Delivery>, Problem> {
    let code = proof.code.unwrap_or_default();
    let request = ask.with(DropOffRequest { id: id.to_string(), code });
    Ok(tagged(edge.delivery().drop_off(request).await?.into_inner().into()))
}

/// Say that the food cannot be delivered
///
/// For its courier and administrators, from when it is assigned. That ends the order, with the code as
/// its reason; except with `courier_unable` before the pick-up: then the courier declines, and somebody
/// else is asked. What was picked up may also be failed by the restaurant's managers and owners and by
/// support, since its courier may have vanished.
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
