//! Ratings, and what users must not eat.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::orders::v1::{
    CreateRatingRequest, DeleteRatingRequest, GetAllergyProfileRequest, GetRatingRequest,
    ListRatingsRequest, UpdateRatingRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{AllergyProfile, Cursor, NewAllergyProfile, Opinion, Rating, Ratings},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
        VersionOrNone,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(rate_order, get_order_rating, update_rating, delete_rating))
        .routes(routes!(list_ratings))
        .routes(routes!(get_own_allergy_profile, set_own_allergy_profile))
        .routes(routes!(get_allergy_profile))
}

fn tagged(rating: Rating) -> Answer<Rating> {
    let version = rating.version;
    Answer::ok(rating).tagged(version)
}

/// Rate a completed order
///
/// For its customer, once.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/rating", tag = "orders", request_body = Opinion,
    responses((status = 201, description = "The rating", body = Rating))
)]
async fn rate_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(opinion): Json<Opinion>,
) -> Result<Answer<Rating>, Problem> {
    let request = CreateRatingRequest {
        order_id: id.to_string(),
        stars: opinion.stars,
        delivery_stars: opinion.delivery_stars()?,
        comment: opinion.comment,
    };
    let rating = Rating::from(edge.orders().create_rating(ask.with(request)).await?.into_inner());
    let (location, version) = (format!("/api/v1/orders/{id}/rating"), rating.version);
    Ok(Answer::created(rating, location).tagged(version))
}

/// Show the rating of an order
///
/// For its customer, the restaurant's staff and support.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/rating", tag = "orders",
    responses((status = 200, description = "The rating", body = Rating))
)]
async fn get_order_rating(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
    known: IfNoneMatch,
) -> Result<Answer<Rating>, Problem> {
    let request = ask.with(GetRatingRequest { order_id: id.to_string() });
    let rating = edge.orders().get_rating(request).await?.into_inner();
    Ok(tagged(rating.into()).unless(&known))
}

/// Change a rating
///
/// For its customer.
#[utoipa::path(
    put, path = "/api/v1/orders/{id}/rating", tag = "orders", request_body = Opinion,
    responses((status = 200, description = "The rating", body = Rating))
)]
async fn update_rating(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Order>,
    Version(version): Version,
    Json(opinion): Json<Opinion>,
) -> Result<Answer<Rating>, Problem> {
    let request = UpdateRatingRequest {
        order_id: id.to_string(),
        version,
        stars: opinion.stars,
        delivery_stars: opinion.delivery_stars()?,
        comment: opinion.comment,
    };
    let rating = edge.orders().update_rating(ask.with(request)).await?.into_inner();
    Ok(tagged(rating.into()))
}

/// Take a rating back
///
/// For its customer, support and administrators.
#[utoipa::path(
    delete, path = "/api/v1/orders/{id}/rating", tag = "orders",
    responses((status = 204, description = "There is no rating"))
)]
async fn delete_rating(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Order>,
) -> Result<Response, Problem> {
    let request = DeleteRatingRequest { order_id: id.to_string() };
    edge.orders().delete_rating(ask.with(request)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// List the ratings of a restaurant, newest first
///
/// For everybody. Who wrote them is not shown.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/ratings", tag = "restaurants", params(Cursor),
    responses((status = 200, description = "A page of ratings, and what all come to", body = Ratings))
)]
async fn list_ratings(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Ratings>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListRatingsRequest { restaurant_id: id.to_string(), page });
    let ratings = edge.orders().list_ratings(request).await?.into_inner();
    Ok(Answer::ok(ratings.into()))
}

/// Show what the user of the access token must not eat
///
/// Version 0, with no allergens, when none was set.
#[utoipa::path(
    get, path = "/api/v1/me/allergy-profile", tag = "users",
    responses((status = 200, description = "The profile", body = AllergyProfile))
)]
async fn get_own_allergy_profile(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    known: IfNoneMatch,
) -> Result<Answer<AllergyProfile>, Problem> {
    let request = ask.with(GetAllergyProfileRequest::default());
    let profile = edge.orders().get_allergy_profile(request).await?.into_inner();
    Ok(profile_tagged(profile.into()).unless(&known))
}

/// Say what the user of the access token must not eat
///
/// Quotes warn of dishes that hold it, or refuse them, and the kitchen is told. `If-Match: "0"`
/// when there is no profile yet.
#[utoipa::path(
    put, path = "/api/v1/me/allergy-profile", tag = "users", request_body = NewAllergyProfile,
    responses((status = 200, description = "The profile", body = AllergyProfile))
)]
async fn set_own_allergy_profile(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    VersionOrNone(version): VersionOrNone,
    Json(profile): Json<NewAllergyProfile>,
) -> Result<Answer<AllergyProfile>, Problem> {
    let request = ask.with(profile.at(version));
    let profile = edge.orders().set_allergy_profile(request).await?.into_inner();
    Ok(profile_tagged(profile.into()))
}

/// Show what a user must not eat
///
/// For the user, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/allergy-profile", tag = "users",
    responses((status = 200, description = "The profile", body = AllergyProfile))
)]
async fn get_allergy_profile(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::User>,
    known: IfNoneMatch,
) -> Result<Answer<AllergyProfile>, Problem> {
    let request = ask.with(GetAllergyProfileRequest { user_id: id.to_string() });
    let profile = edge.orders().get_allergy_profile(request).await?.into_inner();
    Ok(profile_tagged(profile.into()).unless(&known))
}

fn profile_tagged(profile: AllergyProfile) -> Answer<AllergyProfile> {
    let version = profile.version;
    Answer::ok(profile).tagged(version)
}
