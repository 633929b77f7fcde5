//! Option groups with their choices, and ingredients.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::catalog::v1::{
    CreateIngredientRequest, CreateOptionGroupRequest, DeleteIngredientRequest,
    DeleteOptionGroupRequest, GetIngredientRequest, GetOptionGroupRequest, ListIngredientsRequest,
    ListOptionGroupsRequest, UpdateIngredientRequest, UpdateOptionGroupRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Affected, AvailabilityChange, Cursor, Ingredient, IngredientContent, OptionGroup,
        OptionGroupContent, Page,
    },
    edge::{Answer, At, Command, Edge, Json, Problem, Query, Reading, Repeatable, Version},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_option_group, list_option_groups))
        .routes(routes!(get_option_group, update_option_group, delete_option_group))
        .routes(routes!(set_choice_availability))
        .routes(routes!(create_ingredient, list_ingredients))
        .routes(routes!(get_ingredient, update_ingredient, delete_ingredient))
        .routes(routes!(set_ingredient_availability))
}

/// Add an option group
///
/// For managers and owners of the restaurant. Any number of its items may offer it.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/option-groups", tag = "menus",
    request_body = OptionGroupContent,
    responses((status = 201, description = "The new option group", body = OptionGroup))
)]
async fn create_option_group(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(content): Json<OptionGroupContent>,
) -> Result<Answer<OptionGroup>, Problem> {
    let content = Some(content.into());
    let request = ask.with(CreateOptionGroupRequest { restaurant_id: id.to_string(), content });
    let group: OptionGroup = edge.catalog().create_option_group(request).await?.into_inner().into();
    let (location, version) = (format!("/api/v1/option-groups/{}", group.id), group.version);
    Ok(Answer::created(group, location).tagged(version))
}

/// List a restaurant's option groups by name
///
/// For everybody.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/option-groups", tag = "menus", params(Cursor),
    responses((status = 200, description = "A page of its option groups", body = Page<OptionGroup>))
)]
async fn list_option_groups(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<OptionGroup>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListOptionGroupsRequest { restaurant_id: id.to_string(), page });
    let page = edge.catalog().list_option_groups(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.groups, page.next_cursor)))
}

/// Show an option group
///
/// For everybody. With its choices, and which are to be had.
#[utoipa::path(
    get, path = "/api/v1/option-groups/{id}", tag = "menus",
    responses((status = 200, description = "The option group", body = OptionGroup))
)]
async fn get_option_group(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::OptionGroup>,
) -> Result<Answer<OptionGroup>, Problem> {
    let request = ask.with(GetOptionGroupRequest { id: id.to_string() });
    let group = edge.catalog().get_option_group(request).await?.into_inner();
    Ok(tagged(group.into()))
}

/// Change an option group
///
/// For managers and owners of its restaurant. Which choices are to be had stays as it is.
#[utoipa::path(
    put, path = "/api/v1/option-groups/{id}", tag = "menus", request_body = OptionGroupContent,
    responses((status = 200, description = "The option group", body = OptionGroup))
)]
async fn update_option_group(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::OptionGroup>,
    Version(version): Version,
    Json(content): Json<OptionGroupContent>,
) -> Result<Answer<OptionGroup>, Problem> {
    let content = Some(content.into());
    let request = ask.with(UpdateOptionGroupRequest { id: id.to_string(), version, content });
    let group = edge.catalog().update_option_group(request).await?.into_inner();
    Ok(tagged(group.into()))
}

/// Delete an option group
///
/// For managers and owners of its restaurant. Refused while an item offers it.
#[utoipa::path(
    delete, path = "/api/v1/option-groups/{id}", tag = "menus",
    responses((status = 204, description = "It is gone"))
)]
async fn delete_option_group(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::OptionGroup>,
) -> Result<Response, Problem> {
    let request = ask.with(DeleteOptionGroupRequest { id: id.to_string() });
    edge.catalog().delete_option_group(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Mark a choice as sold out, or set it back
///
/// For everybody who works at its restaurant ("86").
#[utoipa::path(
    put, path = "/api/v1/choices/{id}/availability", tag = "menus",
    request_body = AvailabilityChange,
    responses((status = 200, description = "What is not to be had for want of it", body = Affected))
)]
async fn set_choice_availability(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Choice>,
    Json(change): Json<AvailabilityChange>,
) -> Result<Answer<Affected>, Problem> {
    let request = ask.with(change.of(id.to_string())?);
    Ok(Answer::ok(edge.catalog().set_availability(request).await?.into_inner().into()))
}

/// Add an ingredient
///
/// For managers and owners of the restaurant. Only what may run out need be one.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/ingredients", tag = "menus",
    request_body = IngredientContent,
    responses((status = 201, description = "The new ingredient", body = Ingredient))
)]
async fn create_ingredient(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(content): Json<IngredientContent>,
) -> Result<Answer<Ingredient>, Problem> {
    let (restaurant_id, name) = (id.to_string(), content.name);
    let request = ask.with(CreateIngredientRequest { restaurant_id, name });
    let one: Ingredient = edge.catalog().create_ingredient(request).await?.into_inner().into();
    let (location, version) = (format!("/api/v1/ingredients/{}", one.id), one.version);
    Ok(Answer::created(one, location).tagged(version))
}

/// List a restaurant's ingredients by name
///
/// For everybody.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/ingredients", tag = "menus", params(Cursor),
    responses((status = 200, description = "A page of its ingredients", body = Page<Ingredient>))
)]
async fn list_ingredients(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Ingredient>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListIngredientsRequest { restaurant_id: id.to_string(), page });
    let page = edge.catalog().list_ingredients(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.ingredients, page.next_cursor)))
}

/// Show an ingredient
///
/// For everybody.
#[utoipa::path(
    get, path = "/api/v1/ingredients/{id}", tag = "menus",
    responses((status = 200, description = "The ingredient", body = Ingredient))
)]
async fn get_ingredient(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Ingredient>,
) -> Result<Answer<Ingredient>, Problem> {
    let request = ask.with(GetIngredientRequest { id: id.to_string() });
    let one = edge.catalog().get_ingredient(request).await?.into_inner();
    Ok(known(one.into()))
}

/// Rename an ingredient
///
/// For managers and owners of its restaurant.
#[utoipa::path(
    put, path = "/api/v1/ingredients/{id}", tag = "menus", request_body = IngredientContent,
    responses((status = 200, description = "The ingredient", body = Ingredient))
)]
async fn update_ingredient(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Ingredient>,
    Version(version): Version,
    Json(content): Json<IngredientContent>,
) -> Result<Answer<Ingredient>, Problem> {
    let request = UpdateIngredientRequest { id: id.to_string(), version, name: content.name };
    let one = edge.catalog().update_ingredient(ask.with(request)).await?.into_inner();
    Ok(known(one.into()))
}

/// Delete an ingredient
///
/// For managers and owners of its restaurant. Refused while an item or a choice has it.
#[utoipa::path(
    delete, path = "/api/v1/ingredients/{id}", tag = "menus",
    responses((status = 204, description = "It is gone"))
)]
async fn delete_ingredient(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Ingredient>,
) -> Result<Response, Problem> {
    let request = ask.with(DeleteIngredientRequest { id: id.to_string() });
    edge.catalog().delete_ingredient(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Mark an ingredient as gone, or set it back
///
/// For everybody who works at its restaurant ("86"). Every item and choice that has it goes and
/// comes back with it.
#[utoipa::path(
    put, path = "/api/v1/ingredients/{id}/availability", tag = "menus",
    request_body = AvailabilityChange,
    responses((status = 200, description = "What is not to be had for want of it", body = Affected))
)]
async fn set_ingredient_availability(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Ingredient>,
    Json(change): Json<AvailabilityChange>,
) -> Result<Answer<Affected>, Problem> {
    let request = ask.with(change.of(id.to_string())?);
    Ok(Answer::ok(edge.catalog().set_availability(request).await?.into_inner().into()))
}

fn tagged(group: OptionGroup) -> Answer<OptionGroup> {
    let version = group.version;
    Answer::ok(group).tagged(version)
}

fn known(ingredient: Ingredient) -> Answer<Ingredient> {
    let version = ingredient.version;
    Answer::ok(ingredient).tagged(version)
}
