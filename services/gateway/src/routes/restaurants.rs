//! Restaurants.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::catalog::v1::{
    DeleteRestaurantRequest, GetRestaurantRequest, SetOpenRequest, UpdateRestaurantRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{NewRestaurant, OpenChange, Page, Restaurant, RestaurantChange, RestaurantFilter},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_restaurant, list_restaurants))
        .routes(routes!(get_restaurant, change_restaurant, close_restaurant))
        .routes(routes!(set_open))
}

/// Found a restaurant
///
/// For restaurateurs; the asking user owns it, and fifty at most. It begins closed.
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
    let restaurant: Restaurant = edge.catalog().get_restaurant(request).await?.into_inner().into();
    // Where there are hours, whether it is open changes without the version.
    let changes_by_itself = restaurant.has_hours();
    let answer = tagged(restaurant);
    Ok(if changes_by_itself { answer } else { answer.unless(&known) })
}

/// Change a restaurant
///
/// For its managers and owners. Its currency stays.
#[utoipa::path(
    put, path = "/api/v1/restaurants/{id}", tag = "restaurants", request_body = RestaurantChange,
    responses((status = 200, description = "The restaurant", body = Restaurant))
)]
async fn change_restaurant(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Restaurant>,
    Version(version): Version,
    Json(change): Json<RestaurantChange>,
) -> Result<Answer<Restaurant>, Problem> {
    let profile = Some(change.into());
    let request = UpdateRestaurantRequest { id: id.to_string(), version, profile };
    let restaurant = edge.catalog().update_restaurant(ask.with(request)).await?.into_inner();
    Ok(tagged(restaurant.into()))
}

/// Close a restaurant for good
///
/// For its owners. Its orders stay.
#[utoipa::path(
    delete, path = "/api/v1/restaurants/{id}", tag = "restaurants",
    responses((status = 204, description = "It is closed for good"))
)]
async fn close_restaurant(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Restaurant>,
) -> Result<Response, Problem> {
    let request = ask.with(DeleteRestaurantRequest { id: id.to_string() });
    edge.catalog().delete_restaurant(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
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
