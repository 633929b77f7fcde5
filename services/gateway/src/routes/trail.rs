//! The audit trail, and the catalogue of errors.

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Activity, ActivityFilter, ErrorCatalogue, Page},
    edge::{Answer, Edge, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list_activity)).routes(routes!(list_errors))
}

/// Show who did what, newest first
///
/// For administrators and the operator: every request that changed something or tried to, except
/// what card providers tell, and what support and administrators read of others. An entry is there
/// a second after its request at the latest; entries are kept for as long as `audit.retention`
/// says.
#[utoipa::path(
    get, path = "/api/v1/audit-trail", tag = "operations", params(ActivityFilter),
    responses((status = 200, description = "A page of the trail", body = Page<Activity>))
)]
async fn list_activity(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<ActivityFilter>,
) -> Result<Answer<Page<Activity>>, Problem> {
    let page = edge.accounts().list_activity(ask.with(filter.try_into()?)).await?.into_inner();
    Ok(Answer::ok(Page::of(page.entries, page.next_cursor)).secret())
}

/// Show everything that can go wrong
///
/// The `code` of every problem, with what it means and how to mend it.
#[utoipa::path(
    get, path = "/api/v1/errors", tag = "operations",
    responses((status = 200, description = "The catalogue of errors", body = ErrorCatalogue))
)]
async fn list_errors() -> Answer<ErrorCatalogue> {
    Answer::ok(ErrorCatalogue::all())
}
