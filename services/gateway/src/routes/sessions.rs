//! Sessions and passwords.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::accounts::v1::{
    self, CreatePasswordResetRequest, GetSessionRequest, ListSessionsRequest, LogOutRequest,
    RevokeSessionRequest, RevokeSessionsRequest,
};
use http::{StatusCode, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Cursor, ForgottenPassword, LogIn, NewPassword, Page, PasswordChange, PasswordReset,
        Refresh, Revoked, Session, Tokens,
    },
    edge::{Answer, At, Command, Edge, Json, Network, Problem, Query, Reading, Repeatable},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(log_in, list_own_sessions, revoke_own_sessions))
        .routes(routes!(refresh_session))
        .routes(routes!(log_out))
        .routes(routes!(get_session, revoke_session))
        .routes(routes!(list_sessions, revoke_sessions))
        .routes(routes!(update_own_password))
        .routes(routes!(request_password_reset))
        .routes(routes!(reset_password))
        .routes(routes!(create_password_reset))
}

/// Log in
///
/// Makes a session. Of an address and password that do not fit it does not say which is wrong. After
/// ten wrong passwords in a row from one address, the next try has to wait, longer each time, a minute
/// at most; so has, for some seconds, every login from an address from which hundreds have failed,
/// whomever they were for. 429 says how long. A user has a hundred sessions at most: one more ends
/// the oldest.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", request_body = LogIn,
    responses((status = 200, description = "The tokens of a new session", body = Tokens))
)]
async fn log_in(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Network(network): Network,
    headers: http::HeaderMap,
    Json(login): Json<LogIn>,
) -> Result<Answer<Tokens>, Problem> {
    let client = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let login = login.of_client(client.unwrap_or_default().to_owned(), network);
    let tokens = edge.accounts().log_in(ask.with(login)).await?.into_inner();
    Ok(of_user(tokens))
}

/// Trade a refresh token for new tokens
///
/// Each refresh token is good for one trade. Traded again later, it ends the session: somebody else
/// may have it.
#[utoipa::path(
    post, path = "/api/v1/sessions/refresh", tag = "sessions", request_body = Refresh,
    responses((status = 200, description = "New tokens of the same session", body = Tokens))
)]
async fn refresh_session(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(refresh): Json<Refresh>,
) -> Result<Answer<Tokens>, Problem> {
    let tokens = edge.accounts().refresh(ask.with(refresh.into())).await?.into_inner();
    Ok(of_user(tokens))
}

fn of_user(tokens: v1::Tokens) -> Answer<Tokens> {
    let user = tokens.user.as_ref().map(|user| user.id.clone()).unwrap_or_default();
    Answer::ok(tokens.into()).secret().about(user)
}

/// Log out
///
/// Ends the session of the access token.
#[utoipa::path(
    delete, path = "/api/v1/sessions/current", tag = "sessions",
    responses((status = 204, description = "The session has ended"))
)]
async fn log_out(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
) -> Result<Response, Problem> {
    edge.accounts().log_out(ask.with(LogOutRequest {})).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// List one's own sessions
///
/// `current` marks the one that asks.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", params(Cursor),
    responses((status = 200, description = "Those that have not ended, newest first", body = Page<Session>))
)]
async fn list_own_sessions(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Session>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListSessionsRequest { user_id: String::new(), page });
    let page = edge.accounts().list_sessions(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.sessions, page.next_cursor)))
}

/// End all of one's sessions but the one that asks
///
/// Their access tokens are good until they expire; their refresh tokens are not, from now on.
#[utoipa::path(
    delete, path = "/api/v1/sessions", tag = "sessions",
    responses((status = 200, description = "How many there were", body = Revoked))
)]
async fn revoke_own_sessions(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
) -> Result<Answer<Revoked>, Problem> {
    let request = ask.with(RevokeSessionsRequest { user_id: String::new() });
    let revoked = edge.accounts().revoke_sessions(request).await?.into_inner();
    Ok(Answer::ok(revoked.into()))
}

/// Show a session
///
/// One's own; for support and administrators, anybody's. One that has ended is not there.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions",
    responses((status = 200, description = "The session", body = Session))
)]
async fn get_session(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Session>,
) -> Result<Answer<Session>, Problem> {
    let request = ask.with(GetSessionRequest { id: id.to_string() });
    let session = edge.accounts().get_session(request).await?.into_inner();
    Ok(Answer::ok(session.into()))
}

/// End a session
///
/// One's own; for support and administrators, anybody's. Its access token is good until it expires.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions",
    responses((status = 204, description = "There is no such session any more"))
)]
async fn revoke_session(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Session>,
) -> Result<Response, Problem> {
    edge.accounts().revoke_session(ask.with(RevokeSessionRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// List a user's sessions
///
/// For the user, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/sessions", tag = "sessions", params(Cursor),
    responses((status = 200, description = "Those that have not ended, newest first", body = Page<Session>))
)]
async fn list_sessions(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::User>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Session>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListSessionsRequest { user_id: id.to_string(), page });
    let page = edge.accounts().list_sessions(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.sessions, page.next_cursor)))
}

/// End all of a user's sessions
///
/// For the user, who keeps the one that asks, support and administrators.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/sessions", tag = "sessions",
    responses((status = 200, description = "How many there were", body = Revoked))
)]
async fn revoke_sessions(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::User>,
) -> Result<Answer<Revoked>, Problem> {
    let request = ask.with(RevokeSessionsRequest { user_id: id.to_string() });
    let revoked = edge.accounts().revoke_sessions(request).await?.into_inner();
    Ok(Answer::ok(revoked.into()))
}

/// Change one's password
///
/// Every other session of the user ends, and so does every reset that was asked for.
#[utoipa::path(
    put, path = "/api/v1/me/password", tag = "sessions", request_body = PasswordChange,
    responses((status = 204, description = "The new password holds"))
)]
async fn update_own_password(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(change): Json<PasswordChange>,
) -> Result<Response, Problem> {
    edge.accounts().change_password(ask.with(change.into())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ask for a new password
///
/// If there is such a user, a token that sets one is made, for an hour, and the event
/// `PasswordResetRequested` tells whoever brings letters to fetch it (`GetPasswordReset` over gRPC).
/// Bistro brings none by itself: without such a service, an administrator makes a token with
/// `POST /api/v1/users/{id}/password-reset`. The answer does not tell whether there is such a user.
#[utoipa::path(
    post, path = "/api/v1/password-resets", tag = "sessions", request_body = ForgottenPassword,
    responses((status = 202, description = "If there is such a user, a token was made"))
)]
async fn request_password_reset(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(forgotten): Json<ForgottenPassword>,
) -> Result<Response, Problem> {
    edge.accounts().request_password_reset(ask.with(forgotten.into())).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Set a new password
///
/// With the token that the user was brought. Every session of the user ends, and so does every other
/// reset.
#[utoipa::path(
    put, path = "/api/v1/password-resets", tag = "sessions", request_body = NewPassword,
    responses((status = 204, description = "The new password holds"))
)]
async fn reset_password(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    Json(new): Json<NewPassword>,
) -> Result<Response, Problem> {
    edge.accounts().reset_password(ask.with(new.into())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Make a token that sets a user's password
///
/// For administrators, who bring it to the user.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/password-reset", tag = "sessions",
    responses((status = 200, description = "The token", body = PasswordReset))
)]
async fn create_password_reset(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::User>,
) -> Result<Answer<PasswordReset>, Problem> {
    let request = ask.with(CreatePasswordResetRequest { user_id: id.to_string() });
    let reset = edge.accounts().create_password_reset(request).await?.into_inner();
    Ok(Answer::ok(reset.into()).secret())
}
