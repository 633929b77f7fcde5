//! Users: registered, listed, changed, erased.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::accounts::v1::{DeleteUserRequest, GetMeRequest, GetUserRequest};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{NewUser, Page, User, UserChange, UserFilter},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(register, list_users))
        .routes(routes!(get_me))
        .routes(routes!(get_user, update_user, delete_user))
}

/// Register a user
///
/// The user is a customer, and whatever else was asked for. Log in to get tokens. Support and
/// administrators are made by an administrator, with a token.
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
    let (location, version) = (format!("/api/v1/users/{}", user.id), user.version);
    Ok(Answer::created(user.into(), location).tagged(version))
}

/// List users by address
///
/// For support and administrators.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", params(UserFilter),
    responses((status = 200, description = "A page of users", body = Page<User>))
)]
async fn list_users(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<UserFilter>,
) -> Result<Answer<Page<User>>, Problem> {
    let page = edge.accounts().list_users(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.users, page.next_cursor)))
}

/// Show the user of the access token
#[utoipa::path(
    get, path = "/api/v1/me", tag = "users",
    responses((status = 200, description = "The user", body = User))
)]
async fn get_me(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    known: IfNoneMatch,
) -> Result<Answer<User>, Problem> {
    let user = edge.accounts().get_me(ask.with(GetMeRequest {})).await?.into_inner();
    Ok(tagged(user.into()).unless(&known))
}

/// Show a user
///
/// For the user, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "users",
    responses((status = 200, description = "The user", body = User))
)]
async fn get_user(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::User>,
    known: IfNoneMatch,
) -> Result<Answer<User>, Problem> {
    let request = ask.with(GetUserRequest { id: id.to_string() });
    let user = edge.accounts().get_user(request).await?.into_inner();
    Ok(tagged(user.into()).unless(&known))
}

/// Change a user
///
/// Name and address: the user and administrators. A user who changes the address writes the password
/// too, and is logged out elsewhere. Roles: administrators; the user logs in anew.
#[utoipa::path(
    put, path = "/api/v1/users/{id}", tag = "users", request_body = UserChange,
    responses((status = 200, description = "The user", body = User))
)]
async fn update_user(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::User>,
    Version(version): Version,
    Json(change): Json<UserChange>,
) -> Result<Answer<User>, Problem> {
    let request = ask.with(change.of(&id.to_string(), version));
    let user = edge.accounts().update_user(request).await?.into_inner();
    Ok(tagged(user.into()))
}

/// Erase a person
///
/// Address, name, password, memberships, sessions and open invitations go, and so does what the person
/// wrote with orders; orders and the ledger keep the id, and nothing else. For the user and administrators. Who owns a restaurant hands it over first.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "users",
    responses((status = 204, description = "The person is erased"))
)]
async fn delete_user(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::User>,
) -> Result<Response, Problem> {
    edge.accounts().delete_user(ask.with(DeleteUserRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn tagged(user: User) -> Answer<User> {
    let version = user.version;
    Answer::ok(user).tagged(version)
}
