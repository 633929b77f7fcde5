//! Users, sessions and memberships.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_proto::accounts::v1::{AddMembershipRequest, GetMeRequest, LogOutRequest};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{LogIn, NewMember, NewUser, Refresh, Tokens, User},
    edge::{Answer, Command, Edge, Json, MemberAt, Problem, Reading, Repeatable},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(get_me))
        .routes(routes!(set_member))
}

/// Register a user
///
/// The user is a customer, and whatever else was asked for. Log in to get tokens.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", request_body = NewUser,
    responses((status = 201, description = "The new user", body = User))
)]
async fn register(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(user): Json<NewUser>,
) -> Result<Answer<User>, Problem> {
    let user = edge.accounts().register(ask.with(user.into())).await?.into_inner();
    Ok(Answer::created(user.into(), "/api/v1/me".to_owned()))
}

/// Log in
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "users", request_body = LogIn,
    responses((status = 200, description = "The tokens of a new session", body = Tokens))
)]
async fn log_in(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(login): Json<LogIn>,
) -> Result<Answer<Tokens>, Problem> {
    let tokens = edge.accounts().log_in(ask.with(login.into())).await?.into_inner();
    Ok(Answer::ok(tokens.into()).secret())
}

/// Trade a refresh token for new tokens
#[utoipa::path(
    post, path = "/api/v1/sessions/refresh", tag = "users", request_body = Refresh,
    responses((status = 200, description = "New tokens of the same session", body = Tokens))
)]
async fn refresh(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(refresh): Json<Refresh>,
) -> Result<Answer<Tokens>, Problem> {
    let tokens = edge.accounts().refresh(ask.with(refresh.into())).await?.into_inner();
    Ok(Answer::ok(tokens.into()).secret())
}

/// Log out
///
/// Ends the session of the access token.
#[utoipa::path(
    delete, path = "/api/v1/sessions/current", tag = "users",
    responses((status = 204, description = "The session has ended"))
)]
async fn log_out(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
) -> Result<Response, Problem> {
    edge.accounts().log_out(ask.with(LogOutRequest {})).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Show the user of the access token
#[utoipa::path(
    get, path = "/api/v1/me", tag = "users",
    responses((status = 200, description = "The user", body = User))
)]
async fn get_me(State(edge): State<Edge>, Reading(ask): Reading) -> Result<Answer<User>, Problem> {
    let user = edge.accounts().get_me(ask.with(GetMeRequest {})).await?.into_inner();
    Ok(Answer::ok(user.into()))
}

/// Make a user a member of a restaurant's staff
///
/// For owners of the restaurant, and administrators. The user's next access token says so.
#[utoipa::path(
    put, path = "/api/v1/restaurants/{id}/members/{user_id}", tag = "users",
    request_body = NewMember,
    responses((status = 200, description = "The user, as a member", body = User))
)]
async fn set_member(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    at: MemberAt,
    Json(member): Json<NewMember>,
) -> Result<Answer<User>, Problem> {
    let request = AddMembershipRequest {
        user_id: at.user.to_string(),
        restaurant_id: at.restaurant.to_string(),
        role: member.role.into_inner(),
    };
    let user = edge.accounts().add_membership(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(user.into()))
}
