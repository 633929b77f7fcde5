//! Records of the roles, for the operator.

use axum::extract::State;
use bistro_core::Error;
use bistro_proto::common::v1::AuditRequest;
use bistro_runtime::current_scope;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{AUDITED_ROLES, AuditPage, Cursor},
    edge::{Answer, Edge, Problem, Query, Reading, RoleAt},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list_audit_records))
}

/// Read a role's records
///
/// For administrators and the operator: what `bistro verify` checks against other roles' records.
#[utoipa::path(
    get, path = "/api/v1/audit/{role}", tag = "operations", params(Cursor),
    responses((status = 200, description = "A page of records", body = AuditPage))
)]
async fn list_audit_records(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    RoleAt(role): RoleAt,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<AuditPage>, Problem> {
    current_scope().ok_or_else(Error::unauthenticated)?.principal.require_admin()?;
    let request = ask.with(AuditRequest { page: Some(cursor.into_request()?) });
    let page = match role.as_str() {
        "accounts" => edge.accounts().audit(request).await?,
        "catalog" => edge.catalog().audit(request).await?,
        "orders" => edge.orders().audit(request).await?,
        "payments" => edge.payments().audit(request).await?,
        "kitchen" => edge.kitchen().audit(request).await?,
        "delivery" => edge.delivery().audit(request).await?,
        _ => {
            let known = AUDITED_ROLES.join(", ");
            let what = format!("role {role:?} whose records can be read; there are {known}");
            return Err(Error::not_found(what).into());
        }
    };
    Ok(Answer::ok(page.into_inner().into()))
}
