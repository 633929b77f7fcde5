//! The routes: each a handler with its description, from which the OpenAPI document is made.

mod audit;
mod couriers;
mod dead_letters;
mod deliveries;
mod docs;
mod export;
mod items;
mod keys;
mod kitchen;
mod ledger;
mod members;
mod menus;
mod options;
mod orders;
mod payments;
mod quotes;
mod ratings;
mod restaurants;
mod sessions;
mod tickets;
mod trail;
mod users;

use std::sync::LazyLock;

use axum::{
    Router,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
};
use bistro_core::{Error, ErrorCode};
use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    edge::{Edge, Problem, serve},
    openapi::openapi,
};

/// Every route with its description.
pub(crate) fn described() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .merge(users::routes())
        .merge(export::routes())
        .merge(sessions::routes())
        .merge(members::routes())
        .merge(restaurants::routes())
        .merge(menus::routes())
        .merge(items::routes())
        .merge(options::routes())
        .merge(quotes::routes())
        .merge(orders::routes())
        .merge(ratings::routes())
        .merge(tickets::routes())
        .merge(kitchen::routes())
        .merge(couriers::routes())
        .merge(deliveries::routes())
        .merge(ledger::routes())
        .merge(payments::routes())
        .merge(audit::routes())
        .merge(dead_letters::routes())
        .merge(keys::routes())
        .merge(trail::routes())
        .routes(routes!(get_openapi))
}

/// The public API over `edge`.
pub(crate) fn router(edge: Edge) -> Router {
    let (routes, _) = described().split_for_parts();
    routes
        .merge(docs::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(edge.clone(), serve))
        .with_state(edge)
}

/// Show this document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value,
        example = json!({"openapi": "3.1.0", "info": {"title": "Bistro", "version": "1"}, "paths": {}})))
)]
async fn get_openapi() -> Response {
    /// The same for every request of a program, so it is made once.
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi()));
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], DOCUMENT.clone()).into_response()
}

async fn not_found(uri: Uri) -> Problem {
    let message =
        format!("there is nothing at {}; /api/v1/openapi.json lists what there is", uri.path());
    Error::new(ErrorCode::NotFound, message).into()
}

async fn method_not_allowed() -> Problem {
    let message = "this method is not allowed here; the header Allow says which are";
    Error::new(ErrorCode::MethodNotAllowed, message).into()
}
