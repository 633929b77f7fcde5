//! The routes: each a handler with its description, from which the OpenAPI document is made.

mod audit;
mod deliveries;
mod items;
mod ledger;
mod orders;
mod restaurants;
mod tickets;
mod users;

use axum::{
    Router,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bistro_core::{Error, ErrorCode};
use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    edge::{Edge, Problem, serve},
    openapi,
};

/// Where the OpenAPI document is.
pub(crate) const OPENAPI_PATH: &str = "/api/v1/openapi.json";

/// Every route with its description.
pub(crate) fn described() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .merge(users::routes())
        .merge(restaurants::routes())
        .merge(items::routes())
        .merge(orders::routes())
        .merge(tickets::routes())
        .merge(deliveries::routes())
        .merge(ledger::routes())
        .merge(audit::routes())
}

/// The public API over `edge`.
pub(crate) fn router(edge: Edge) -> Router {
    let (routes, described) = described().split_for_parts();
    let document = Bytes::from(openapi::document(described));
    routes
        .route(OPENAPI_PATH, get(move || async move { openapi_document(document) }))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(edge.clone(), serve))
        .with_state(edge)
}

fn openapi_document(document: Bytes) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], document).into_response()
}

async fn not_found(uri: Uri) -> Problem {
    let message = format!("there is nothing at {}; the routes are listed at {OPENAPI_PATH}", uri.path());
    Error::new(ErrorCode::NotFound, message).into()
}

async fn method_not_allowed() -> Problem {
    let message = "this method is not allowed here; the header Allow says which are";
    Error::new(ErrorCode::MethodNotAllowed, message).into()
}
