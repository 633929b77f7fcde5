//! Orders, their events and their payment.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::{
    orders::v1::{
        AcceptOrderRequest, CancelOrderRequest, DelayOrderRequest, GetOrderRequest,
        HandOverRequest, ModifyOrderRequest, Order as OrderMessage, RejectOrderRequest,
        ResolveProblemRequest, WatchOrderRequest,
    },
    payments::v1::{GetPaymentRequest, RefundRequest},
};
use http::{HeaderValue, StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Acceptance, Delay, EndReason, NewOrder, NewRefund, Order, OrderChange, OrderFilter, Page,
        Payment, ProblemSeenTo, has_ended,
    },
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, LastEventId, Problem, Query, Reading,
        Repeatable, Version, Wait,
    },
    sse,
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(place_order, list_orders))
        .routes(routes!(get_order, update_order))
        .routes(routes!(accept_order))
        .routes(routes!(reject_order))
        .routes(routes!(cancel_order))
        .routes(routes!(delay_order))
        .routes(routes!(hand_over_order))
        .routes(routes!(resolve_problem))
        .routes(routes!(watch_order))
        .routes(routes!(get_order_payment))
        .routes(routes!(refund_order))
}

/// Place an order
///
/// Answers as soon as the order is durable, usually in state `placed`. With `Prefer: wait=N` it
/// answers when the order is confirmed or has ended, after N seconds at the latest.
#[utoipa::path(
    post, path = "/api/v1/orders", tag = "orders", request_body = NewOrder,
    params(("Prefer" = Option<String>, Header, description =
        "`wait=N` waits up to N seconds, 30 at most, for the order to be confirmed or refused (RFC 7240)",
        example = "wait=5")),
    responses((status = 201, description = "The order", body = Order, headers(
        ("Preference-Applied" = String, description = "The preference that was heeded")
    )))
)]
async fn place_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    Wait(wait): Wait,
    Json(order): Json<NewOrder>,
) -> Result<Response, Problem> {
    let request = ask.with(order.into_request(wait.unwrap_or(0))?);
    let order = Order::from(edge.orders().place_order(request).await?.into_inner());
    let (location, version) = (format!("/api/v1/orders/{}", order.id), order.sequence);
    let mut response = Answer::created(order, location).tagged(version).into_response();
    let applied = wait.and_then(|seconds| HeaderValue::try_from(format!("wait={seconds}")).ok());
    if let Some(applied) = applied {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// List orders, newest first
///
/// Those of the asking user, of a restaurant that the user works for, of a customer at it, or, for
/// support and administrators, of any customer; and with `all=true`, for administrators, those of
/// everybody. A page may be shorter than was asked for before the last.
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders", params(OrderFilter),
    responses((status = 200, description = "A page of orders", body = Page<Order>))
)]
async fn list_orders(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<OrderFilter>,
) -> Result<Answer<Page<Order>>, Problem> {
    let page = edge.orders().list_orders(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.orders, page.next_cursor)))
}

/// Show an order
///
/// For its customer, the staff of its restaurant, support and administrators; for anybody else
/// there is no such order.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", tag = "orders",
    responses((status = 200, description = "The order", body = Order))
)]
async fn get_order(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
    known: IfNoneMatch,
) -> Result<Answer<Order>, Problem> {
    let request = ask.with(GetOrderRequest { id: id.to_string() });
    let order = edge.orders().get_order(request).await?.into_inner();
    Ok(tagged(order.into()).unless(&known))
}

/// Change what an order is made of
///
/// For its customer, once it is confirmed and until it is accepted: by a new quote of the same
/// restaurant and fulfilment, which says in `changes` which order it is for. Another drop-off needs
/// an `address`. Stock and money for the new lines are taken first. While that is
/// under way, `changing` is true; when either is refused the order is as it was, and
/// `change_refused` says why. With `Prefer: wait=N` it answers when that is decided.
#[utoipa::path(
    put, path = "/api/v1/orders/{id}", tag = "orders", request_body = OrderChange,
    params(("Prefer" = Option<String>, Header, description =
        "`wait=N` waits up to N seconds, 30 at most, for the change to be made or refused (RFC 7240)",
        example = "wait=5")),
    responses((status = 200, description = "The order", body = Order))
)]
async fn update_order(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Order>,
    Version(version): Version,
    Wait(wait): Wait,
    Json(change): Json<OrderChange>,
) -> Result<Answer<Order>, Problem> {
    let request = ModifyOrderRequest {
        id: id.to_string(),
        quote: change.quote,
        wait_ms: wait.unwrap_or(0).saturating_mul(1000),
        version,
        address: change.address.unwrap_or_default(),
    };
    let order = edge.orders().modify_order(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Accept an order
///
/// For managers and owners of the restaurant. The kitchen gets its ticket. Refused (`conflict`)
/// while a change of the order is under way.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/accept", tag = "orders", request_body = Acceptance,
    responses((status = 200, description = "The order", body = Order))
)]
async fn accept_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(acceptance): Json<Acceptance>,
) -> Result<Answer<Order>, Problem> {
    let minutes = acceptance.minutes.unwrap_or(0);
    let request = AcceptOrderRequest { id: id.to_string(), minutes };
    let order = edge.orders().accept_order(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Reject an order
///
/// For managers and owners of the restaurant. Stock and money go back.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/reject", tag = "orders", request_body = EndReason,
    responses((status = 200, description = "The order", body = Order))
)]
async fn reject_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(end): Json<EndReason>,
) -> Result<Answer<Order>, Problem> {
    let request = RejectOrderRequest { id: id.to_string(), reason: end.reason };
    let order = edge.orders().reject_order(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Cancel an order
///
/// For its customer until it is accepted, and for managers and owners of the restaurant. Stock and
/// money go back.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders", request_body = EndReason,
    responses((status = 200, description = "The order", body = Order))
)]
async fn cancel_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(end): Json<EndReason>,
) -> Result<Answer<Order>, Problem> {
    let request = CancelOrderRequest { id: id.to_string(), reason: end.reason };
    let order = edge.orders().cancel_order(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Put off when an order is ready
///
/// For the restaurant's staff, once it is accepted and until it is ready.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/delay", tag = "orders", request_body = Delay,
    responses((status = 200, description = "The order", body = Order))
)]
async fn delay_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(delay): Json<Delay>,
) -> Result<Answer<Order>, Problem> {
    let Delay { minutes, reason } = delay;
    let request = DelayOrderRequest { id: id.to_string(), minutes, reason };
    let order = edge.orders().delay_order(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Say that the customer has taken an order
///
/// For the restaurant's staff, on orders that are not delivered. A courier's drop-off says it of
/// the others.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/hand-over", tag = "orders",
    responses((status = 200, description = "The order", body = Order))
)]
async fn hand_over_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
) -> Result<Answer<Order>, Problem> {
    let request = ask.with(HandOverRequest { id: id.to_string() });
    let order = edge.orders().hand_over(request).await?.into_inner();
    Ok(tagged(order.into()))
}

/// Say that an order's problem is seen to
///
/// For administrators. The order is as it was, but for its `problem`; it must have the one that is
/// named, since another may have come meanwhile (`conflict`).
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/resolve", tag = "orders", request_body = ProblemSeenTo,
    responses((status = 200, description = "The order", body = Order))
)]
async fn resolve_problem(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(seen): Json<ProblemSeenTo>,
) -> Result<Answer<Order>, Problem> {
    let request = ResolveProblemRequest { id: id.to_string(), problem: seen.problem };
    let order = edge.orders().resolve_problem(ask.with(request)).await?.into_inner();
    Ok(tagged(order.into()))
}

fn tagged(order: Order) -> Answer<Order> {
    let sequence = order.sequence;
    Answer::ok(order).tagged(sequence)
}

/// Follow an order live
///
/// Server-sent events: the order as it is now, and again whenever it has changed, until it has
/// ended. `id` is the order's sequence, `event` is `order`, `data` is the order. A comment comes
/// every 15 seconds. The stream ends when the access token expires: reconnect with a new one and
/// with `Last-Event-ID`, as when it broke off; 204 says that nothing will follow.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/events", tag = "orders",
    params(("Last-Event-ID" = Option<i64>, Header, description =
        "The id of the last event that was seen", minimum = 0, example = 3)),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream",
            body = String, example = "id: 3\nevent: order\ndata: {\"id\":\"ord_…\",\"state\":\"accepted\"}\n\n"),
        (status = 204, description = "The order has ended, and the last event was seen"),
    )
)]
async fn watch_order(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
    LastEventId(seen): LastEventId,
) -> Result<Response, Problem> {
    let id = id.to_string();
    if let Some(seen) = seen {
        // A browser reconnects for ever unless it is told 204.
        let request = ask.with(GetOrderRequest { id: id.clone() });
        let order = edge.orders().get_order(request).await?.into_inner();
        if has_ended(&order.state) && order.sequence <= seen {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let place = edge.open_stream::<OrderMessage>()?;
    let request = ask.with(WatchOrderRequest { id, after_sequence: seen.unwrap_or(0) });
    let orders = edge.orders().watch_order(request).await?.into_inner();
    Ok(sse::response(orders, edge.stopping(), place))
}

/// Show the payment of an order
///
/// For whoever may see the order.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/payment", tag = "payments",
    responses((status = 200, description = "The payment", body = Payment))
)]
async fn get_order_payment(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
    known: IfNoneMatch,
) -> Result<Answer<Payment>, Problem> {
    let request = ask.with(GetPaymentRequest { order_id: id.to_string() });
    let payment = Payment::from(edge.payments().get_payment(request).await?.into_inner());
    let version = payment.version;
    Ok(Answer::ok(payment).tagged(version).unless(&known))
}

/// Refund an order
///
/// For managers and owners of the restaurant, support and administrators, once the money was taken.
/// Answers when it was given back; or when the card provider does not answer, while it is asked on:
/// then the last of `refunds` is `pending`. A refund that the provider refuses is the problem
/// `card_declined`; no money has moved then.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/refunds", tag = "payments", request_body = NewRefund,
    responses((status = 200, description = "The payment", body = Payment))
)]
async fn refund_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(refund): Json<NewRefund>,
) -> Result<Answer<Payment>, Problem> {
    let request = RefundRequest {
        order_id: id.to_string(),
        amount_minor: refund.amount()?,
        tender: refund.tender()?,
        reason: refund.reason,
    };
    let payment = Payment::from(edge.payments().refund(ask.with(request)).await?.into_inner());
    let version = payment.version;
    Ok(Answer::ok(payment).tagged(version))
}
