//! Menus with their sections, and all that customers choose from.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::catalog::v1::{
    CreateMenuRequest, DeleteMenuRequest, GetMenuRequest, ListMenusRequest, ReadMenuRequest,
    UpdateMenuRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Cursor, Menu, MenuContent, Page, RestaurantMenu},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(read_restaurant_menu))
        .routes(routes!(create_menu, list_menus))
        .routes(routes!(get_menu, update_menu, delete_menu))
}

/// Read all that customers choose from
///
/// Menus, sections, items and options, and what is not to be had now. What is shown is two seconds
/// old at most.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/menu", tag = "menus",
    responses((status = 200, description = "The whole menu", body = RestaurantMenu))
)]
async fn read_restaurant_menu(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let read = || async {
        let request = ask.with(ReadMenuRequest { restaurant_id: id.to_string() });
        Ok(edge.catalog().read_menu(request).await?.into_inner())
    };
    Ok(edge.menus().get(id, read).await?.unless(&known))
}

/// Add a menu
///
/// For managers and owners of the restaurant.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/menus", tag = "menus", request_body = MenuContent,
    responses((status = 201, description = "The new menu", body = Menu))
)]
async fn create_menu(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(content): Json<MenuContent>,
) -> Result<Answer<Menu>, Problem> {
    let content = Some(content.into());
    let request = ask.with(CreateMenuRequest { restaurant_id: id.to_string(), content });
    let menu: Menu = edge.catalog().create_menu(request).await?.into_inner().into();
    let (location, version) = (format!("/api/v1/menus/{}", menu.id), menu.version);
    Ok(Answer::created(menu, location).tagged(version))
}

/// List a restaurant's menus by name
///
/// For everybody.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/menus", tag = "menus", params(Cursor),
    responses((status = 200, description = "A page of its menus", body = Page<Menu>))
)]
async fn list_menus(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Menu>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListMenusRequest { restaurant_id: id.to_string(), page });
    let page = edge.catalog().list_menus(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.menus, page.next_cursor)))
}

/// Show a menu
///
/// For everybody. With its sections, without their items.
#[utoipa::path(
    get, path = "/api/v1/menus/{id}", tag = "menus",
    responses((status = 200, description = "The menu", body = Menu))
)]
async fn get_menu(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Menu>,
    known: IfNoneMatch,
) -> Result<Answer<Menu>, Problem> {
    let request = ask.with(GetMenuRequest { id: id.to_string() });
    let menu = edge.catalog().get_menu(request).await?.into_inner();
    Ok(tagged(menu.into()).unless(&known))
}

/// Change a menu
///
/// For managers and owners of its restaurant.
#[utoipa::path(
    put, path = "/api/v1/menus/{id}", tag = "menus", request_body = MenuContent,
    responses((status = 200, description = "The menu", body = Menu))
)]
async fn update_menu(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Menu>,
    Version(version): Version,
    Json(content): Json<MenuContent>,
) -> Result<Answer<Menu>, Problem> {
    let content = Some(content.into());
    let request = ask.with(UpdateMenuRequest { id: id.to_string(), version, content });
    let menu = edge.catalog().update_menu(request).await?.into_inner();
    Ok(tagged(menu.into()))
}

/// Delete a menu
///
/// For managers and owners of its restaurant. Items of its sections stay, in no section.
#[utoipa::path(
    delete, path = "/api/v1/menus/{id}", tag = "menus",
    responses((status = 204, description = "It is gone"))
)]
async fn delete_menu(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Menu>,
) -> Result<Response, Problem> {
    edge.catalog().delete_menu(ask.with(DeleteMenuRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn tagged(menu: Menu) -> Answer<Menu> {
    let version = menu.version;
    Answer::ok(menu).tagged(version)
}
