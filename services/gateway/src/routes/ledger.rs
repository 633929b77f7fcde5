//! The ledger.

use axum::extract::State;
use bistro_proto::payments::v1::GetBalancesRequest;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Balances, LedgerFilter},
    edge::{Answer, Edge, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(get_ledger_balances))
}

/// Show the balances of a ledger
///
/// Of a restaurant, for its managers and owners; of the whole platform, for administrators.
#[utoipa::path(
    get, path = "/api/v1/ledger/balances", tag = "payments", params(LedgerFilter),
    responses((status = 200, description = "The balances", body = Balances))
)]
async fn get_ledger_balances(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<LedgerFilter>,
) -> Result<Answer<Balances>, Problem> {
    let restaurant_id = filter.restaurant_id.map(|id| id.to_string()).unwrap_or_default();
    let request = ask.with(GetBalancesRequest { restaurant_id });
    let ledger = edge.payments().get_balances(request).await?.into_inner();
    Ok(Answer::ok(ledger.into()))
}
