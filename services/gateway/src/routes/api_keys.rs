//! API keys.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::accounts::v1::{DeleteApiKeyRequest, GetApiKeyRequest, ListApiKeysRequest};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{ApiKey, ApiKeyChange, Cursor, NewApiKey, Page},
    edge::{
        Answer, At, Command, Edge, IfNoneMatch, Json, Problem, Query, Reading, Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create_api_key, list_own_api_keys))
        .routes(routes!(get_api_key, update_api_key, delete_api_key))
        .routes(routes!(list_api_keys))
}

/// Make an API key
///
/// A key speaks for its user until it is revoked, without logging in: send it as `Authorization:
/// Bearer …`. It may do what the user may, or a part of that, but nothing that decides who gets in:
/// where a key is refused, the operation says so. The answer alone has the key; the same request
/// with the same `Idempotency-Key` is answered the same. A user has at most 20.
#[utoipa::path(
    post, path = "/api/v1/me/api-keys", tag = "api-keys", request_body = NewApiKey,
    responses((status = 201, description = "The key, shown this once", body = ApiKey))
)]
async fn create_api_key(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(new): Json<NewApiKey>,
) -> Result<Answer<ApiKey>, Problem> {
    let made = edge.accounts().create_api_key(ask.with(new.try_into()?)).await?.into_inner();
    let made = ApiKey::from(made);
    let (location, version) = (format!("/api/v1/api-keys/{}", made.id), made.version);
    Ok(Answer::created(made, location).tagged(version).secret())
}

/// List one's own API keys
#[utoipa::path(
    get, path = "/api/v1/me/api-keys", tag = "api-keys", params(Cursor),
    responses((status = 200, description = "Those that are not revoked, newest first", body = Page<ApiKey>))
)]
async fn list_own_api_keys(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<ApiKey>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListApiKeysRequest { user_id: String::new(), page });
    let page = edge.accounts().list_api_keys(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.keys, page.next_cursor)))
}

/// List a user's API keys
///
/// For the user and administrators.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/api-keys", tag = "api-keys", params(Cursor),
    responses((status = 200, description = "Those that are not revoked, newest first", body = Page<ApiKey>))
)]
async fn list_api_keys(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::User>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<ApiKey>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListApiKeysRequest { user_id: id.to_string(), page });
    let page = edge.accounts().list_api_keys(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.keys, page.next_cursor)))
}

/// Show an API key
///
/// All but the key itself. For its user and administrators.
#[utoipa::path(
    get, path = "/api/v1/api-keys/{id}", tag = "api-keys",
    responses((status = 200, description = "The key", body = ApiKey))
)]
async fn get_api_key(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::ApiKey>,
    known: IfNoneMatch,
) -> Result<Answer<ApiKey>, Problem> {
    let request = ask.with(GetApiKeyRequest { id: id.to_string() });
    let key = edge.accounts().get_api_key(request).await?.into_inner();
    Ok(tagged(key.into()).unless(&known))
}

/// Rename an API key
///
/// For its user and administrators. What it may do stays: make another key for that.
#[utoipa::path(
    put, path = "/api/v1/api-keys/{id}", tag = "api-keys", request_body = ApiKeyChange,
    responses((status = 200, description = "The key", body = ApiKey))
)]
async fn update_api_key(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::ApiKey>,
    Version(version): Version,
    Json(change): Json<ApiKeyChange>,
) -> Result<Answer<ApiKey>, Problem> {
    let request = ask.with(change.of(id.to_string(), version));
    let key = edge.accounts().update_api_key(request).await?.into_inner();
    Ok(tagged(key.into()))
}

/// Revoke an API key
///
/// For its user and administrators. Within 15 seconds no request is served any more that brings
/// it; live streams that it follows end within five minutes.
#[utoipa::path(
    delete, path = "/api/v1/api-keys/{id}", tag = "api-keys",
    responses((status = 204, description = "There is no such key any more"))
)]
async fn delete_api_key(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::ApiKey>,
) -> Result<Response, Problem> {
    edge.accounts().delete_api_key(ask.with(DeleteApiKeyRequest { id: id.to_string() })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn tagged(key: ApiKey) -> Answer<ApiKey> {
    let version = key.version;
    Answer::ok(key).tagged(version)
}
