//! Items of menus.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::catalog::v1::{
    DeleteItemRequest, GetItemRequest, ImportMenuRequest, ListItemsRequest, SetStockRequest,
    UpdateItemRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Affected, AvailabilityChange, Cursor, Item, ItemChange, MenuImport, MenuImportReport,
        NewItem, Page, StockChange,
    },
    edge::{Answer, At, Command, Edge, Json, Problem, Query, Reading, Repeatable, Version},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_item, list_items))
        .routes(routes!(import_menu))
        .routes(routes!(get_item, change_item, delete_item))
        .routes(routes!(set_stock))
        .routes(routes!(set_item_availability))
}

/// Add an item
///
/// For managers and owners of the restaurant, which has five thousand at most, and fewer where they
/// say a lot: all of its menu is sent in one answer.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/items", tag = "items", request_body = NewItem,
    responses((status = 201, description = "The new item", body = Item))
)]
async fn create_item(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(new): Json<NewItem>,
) -> Result<Answer<Item>, Problem> {
    let request = ask.with(new.at(id.to_string()));
    let item: Item = edge.catalog().create_item(request).await?.into_inner().into();
    let (location, version) = (format!("/api/v1/items/{}", item.id), item.version);
    Ok(Answer::created(item, location).tagged(version))
}

/// List a restaurant's items by name
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/items", tag = "items", params(Cursor),
    responses((status = 200, description = "A page of its items", body = Page<Item>))
)]
async fn list_items(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Item>>, Problem> {
    let request =
        ListItemsRequest { restaurant_id: id.to_string(), page: Some(cursor.into_request()?) };
    let page = edge.catalog().list_items(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.items, page.next_cursor)))
}

/// Take over a menu
///
/// Adds items, and changes those whose name is there already. Rows that are refused are reported;
/// the others are taken.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/menu-import", tag = "items",
    request_body = MenuImport,
    responses((status = 200, description = "What became of the rows", body = MenuImportReport))
)]
async fn import_menu(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(menu): Json<MenuImport>,
) -> Result<Answer<MenuImportReport>, Problem> {
    let rows = menu.rows.into_iter().map(Into::into).collect();
    let request = ImportMenuRequest { restaurant_id: id.to_string(), rows };
    let report = edge.catalog().import_menu(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(report.into()))
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
) -> Result<Answer<Item>, Problem> {
    let request = ask.with(GetItemRequest { id: id.to_string() });
    let item = edge.catalog().get_item(request).await?.into_inner();
    Ok(tagged(item.into()))
}

/// Change an item
///
/// For managers and owners of its restaurant. What is said about it beside name, price and
/// availability stays as it is where it is left out.
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
    let (name, price_minor, available) =
        (change.name.clone(), change.price_minor, change.available);
    let said = change.said();
    let details = if said.is_nothing() {
        None
    } else {
        // If it changes after this is read, the version is another one.
        let request = ask.with(GetItemRequest { id: id.to_string() });
        let before = edge.catalog().get_item(request).await?.into_inner();
        Some(said.over(before.details.unwrap_or_default()))
    };
    let request =
        UpdateItemRequest { id: id.to_string(), version, name, price_minor, available, details };
    let item = edge.catalog().update_item(ask.with(request)).await?.into_inner();
    Ok(tagged(item.into()))
}

/// Take an item off for good
///
/// For managers and owners of its restaurant. Orders keep what they say of it.
#[utoipa::path(
    delete, path = "/api/v1/items/{id}", tag = "items",
    responses((status = 204, description = "It is gone"))
)]
async fn delete_item(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Item>,
) -> Result<Response, Problem> {
    edge.catalog().delete_item(ask.with(DeleteItemRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
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

/// Mark an item as sold out, or set it back
///
/// For everybody who works at its restaurant ("86").
#[utoipa::path(
    put, path = "/api/v1/items/{id}/availability", tag = "items",
    request_body = AvailabilityChange,
    responses((status = 200, description = "What is not to be had for want of it", body = Affected))
)]
async fn set_item_availability(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Item>,
    Json(change): Json<AvailabilityChange>,
) -> Result<Answer<Affected>, Problem> {
    let request = ask.with(change.of(id.to_string())?);
    Ok(Answer::ok(edge.catalog().set_availability(request).await?.into_inner().into()))
}

fn tagged(item: Item) -> Answer<Item> {
    let version = item.version;
    Answer::ok(item).tagged(version)
}
