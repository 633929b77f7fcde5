//! Restaurants and their menus as a whole.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::catalog::v1::{
    GetRestaurantRequest, ImportMenuRequest, ListItemsRequest, SetOpenRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Cursor, Item, MenuImport, MenuImportReport, NewRestaurant, OpenChange, Page, Restaurant,
        RestaurantFilter,
    },
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_restaurant, list_restaurants))
        .routes(routes!(get_restaurant))
        .routes(routes!(set_open))
        .routes(routes!(list_items))
        .routes(routes!(import_menu))
}

/// Found a restaurant
///
/// For restaurateurs; the asking user owns it. It begins closed.
#[utoipa::path(
    post, path = "/api/v1/restaurants", tag = "restaurants", request_body = NewRestaurant,
    responses((status = 201, description = "The new restaurant", body = Restaurant))
)]
async fn create_restaurant(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(new): Json<NewRestaurant>,
) -> Result<Answer<Restaurant>, Problem> {
    let restaurant = edge.catalog().create_restaurant(ask.with(new.into())).await?.into_inner();
    let (location, version) =
        (format!("/api/v1/restaurants/{}", restaurant.id), restaurant.version);
    Ok(Answer::created(restaurant.into(), location).tagged(version))
}

/// List restaurants by name
#[utoipa::path(
    get, path = "/api/v1/restaurants", tag = "restaurants", params(RestaurantFilter),
    responses((status = 200, description = "A page of restaurants", body = Page<Restaurant>))
)]
async fn list_restaurants(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<RestaurantFilter>,
) -> Result<Answer<Page<Restaurant>>, Problem> {
    let request = ask.with(filter.try_into()?);
    let page = edge.catalog().list_restaurants(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.restaurants, page.next_cursor)))
}

/// Show a restaurant
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}", tag = "restaurants",
    responses((status = 200, description = "The restaurant", body = Restaurant))
)]
async fn get_restaurant(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    known: IfNoneMatch,
) -> Result<Answer<Restaurant>, Problem> {
    let request = ask.with(GetRestaurantRequest { id: id.to_string() });
    let restaurant = edge.catalog().get_restaurant(request).await?.into_inner();
    Ok(tagged(restaurant.into()).unless(&known))
}

/// Open or close a restaurant for orders
///
/// For its managers and owners.
#[utoipa::path(
    put, path = "/api/v1/restaurants/{id}/open", tag = "restaurants", request_body = OpenChange,
    responses((status = 200, description = "The restaurant", body = Restaurant))
)]
async fn set_open(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Restaurant>,
    Version(version): Version,
    Json(change): Json<OpenChange>,
) -> Result<Answer<Restaurant>, Problem> {
    let request = SetOpenRequest { id: id.to_string(), open: change.open, version };
    let restaurant = edge.catalog().set_open(ask.with(request)).await?.into_inner();
    Ok(tagged(restaurant.into()))
}

fn tagged(restaurant: Restaurant) -> Answer<Restaurant> {
    let version = restaurant.version;
    Answer::ok(restaurant).tagged(version)
}

/// List a restaurant's menu
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/items", tag = "restaurants", params(Cursor),
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
    post, path = "/api/v1/restaurants/{id}/menu-import", tag = "restaurants",
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
