//! Quotes, and the times for which orders can be quoted.

use axum::extract::State;
use bistro_core::kinds;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{NewQuote, Quote, Reorder, SlotFilter, Slots},
    edge::{Answer, At, Edge, Json, Problem, Query, Reading, Repeatable},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_quote))
        .routes(routes!(quote_order_again))
        .routes(routes!(list_slots))
}

/// Price a basket
///
/// The quote is stored nowhere: its token is what places the order, at this price, for a while.
/// What cannot be ordered is refused with all the reasons at once.
#[utoipa::path(
    post, path = "/api/v1/quotes", tag = "orders", request_body = NewQuote,
    responses((status = 200, description = "The priced basket", body = Quote))
)]
async fn create_quote(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(basket): Json<NewQuote>,
) -> Result<Answer<Quote>, Problem> {
    let quote = edge.orders().create_quote(ask.with(basket.try_into()?)).await?.into_inner();
    Ok(Answer::ok(quote.into()))
}

/// Price an earlier order again
///
/// For its customer. What cannot be had now is left out, and named. The quote places the order.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/reorder", tag = "orders", request_body = Reorder,
    responses((status = 200, description = "The priced basket", body = Quote))
)]
async fn quote_order_again(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Order>,
    Json(again): Json<Reorder>,
) -> Result<Answer<Quote>, Problem> {
    let quote = edge.orders().create_quote(ask.with(again.of(id)?)).await?.into_inner();
    Ok(Answer::ok(quote.into()))
}

/// List the times for which orders can be placed
///
/// For everybody. None for restaurants that take no scheduled orders.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/slots", tag = "orders", params(SlotFilter),
    responses((status = 200, description = "The slots, soonest first", body = Slots))
)]
async fn list_slots(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(filter): Query<SlotFilter>,
) -> Result<Answer<Slots>, Problem> {
    let request = ask.with(filter.of(id.to_string()));
    let slots = edge.orders().list_slots(request).await?.into_inner();
    Ok(Answer::ok(slots.into()))
}
