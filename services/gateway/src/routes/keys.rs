//! The keys that access tokens are signed with.

use axum::extract::State;
use bistro_proto::accounts::v1::{ListKeysRequest, RotateKeysRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::KeySet,
    edge::{Answer, Command, Edge, Problem, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list_signing_keys)).routes(routes!(rotate_signing_keys))
}

/// Show the public keys of access tokens
///
/// A JWK set (RFC 7517), so that others can check a user's token without asking.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "operations",
    responses((status = 200, description = "Every key whose tokens may be about", body = KeySet))
)]
async fn list_signing_keys(
    State(edge): State<Edge>,
    Reading(ask): Reading,
) -> Result<Answer<KeySet>, Problem> {
    let keys = edge.accounts().list_keys(ask.with(ListKeysRequest {})).await?.into_inner();
    Ok(Answer::ok(keys.into()))
}

/// Sign with a new key from now on
///
/// For administrators. Older keys are shown for as long as their tokens may be about.
#[utoipa::path(
    post, path = "/api/v1/keys/rotate", tag = "operations",
    responses((status = 200, description = "Every key whose tokens may be about", body = KeySet))
)]
async fn rotate_signing_keys(
    State(edge): State<Edge>,
    Command(ask): Command,
) -> Result<Answer<KeySet>, Problem> {
    let keys = edge.accounts().rotate_keys(ask.with(RotateKeysRequest {})).await?.into_inner();
    Ok(Answer::ok(keys.into()))
}
