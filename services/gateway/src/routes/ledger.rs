//! The ledger.

use axum::extract::State;
use bistro_core::kinds;
use bistro_proto::payments::v1::{GetBalancesRequest, ListEntriesRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{Balances, LedgerEntries, LedgerFilter},
    edge::{Answer, At, Edge, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(get_ledger_balances)).routes(routes!(list_order_entries))
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

/// List the ledger's entries of an order
///
/// For managers and owners of the restaurant, and support. One for each tender that was captured,
/// and one for each part of a refund.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/ledger", tag = "payments",
    responses((status = 200, description = "All there are, oldest first", body = LedgerEntries))
)]
async fn list_order_entries(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Order>,
) -> Result<Answer<LedgerEntries>, Problem> {
    let request = ask.with(ListEntriesRequest { order_id: id.to_string() });
    let listed = edge.payments().list_entries(request).await?.into_inner();
    Ok(Answer::ok(listed.into()))
}
