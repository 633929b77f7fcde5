//! Items of menus.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::catalog::v1::{GetItemRequest, SetStockRequest, UpdateItemRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Item, ItemChange, StockChange},
    edge::{Answer, At, Edge, IfNoneMatch, Json, Problem, Reading, Repeatable, Version},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(get_item, change_item)).routes(routes!(set_stock))
}

/// Show an item
#[utoipa::path(
    get, path = "/api/v1/items/{id}", tag = "items",
    responses((status = 200, description = "The item", body = Item))
)]
async fn get_item(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Item>,
    known: IfNoneMatch,
) -> Result<Answer<Item>, Problem> {
    let request = ask.with(GetItemRequest { id: id.to_string() });
    let item = edge.catalog().get_item(request).await?.into_inner();
    Ok(tagged(item.into()).unless(&known))
}

/// Change an item
///
/// For managers and owners of its restaurant.
#[utoipa::path(
    put, path = "/api/v1/items/{id}", tag = "items", request_body = ItemChange,
    responses((status = 200, description = "The item", body = Item))
)]
async fn change_item(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Item>,
    Version(version): Version,
    Json(change): Json<ItemChange>,
) -> Result<Answer<Item>, Problem> {
    let request = UpdateItemRequest {
        id: id.to_string(),
        version,
        name: change.name,
        price_minor: change.price_minor,
        available: change.available,
        ..UpdateItemRequest::default()
    };
    let item = edge.catalog().update_item(ask.with(request)).await?.into_inner();
    Ok(tagged(item.into()))
}

/// Set how many of an item there are
///
/// For managers and owners of its restaurant. What is reserved for orders is not among them.
#[utoipa::path(
    put, path = "/api/v1/items/{id}/stock", tag = "items", request_body = StockChange,
    responses((status = 200, description = "The item", body = Item))
)]
async fn set_stock(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Item>,
    Version(version): Version,
    Json(change): Json<StockChange>,
) -> Result<Answer<Item>, Problem> {
    let request = SetStockRequest { id: id.to_string(), version, free: change.free };
    let item = edge.catalog().set_stock(ask.with(request)).await?.into_inner();
    Ok(tagged(item.into()))
}

fn tagged(item: Item) -> Answer<Item> {
    let version = item.version;
    Answer::ok(item).tagged(version)
}
