//! A restaurant's payments and statements, tips, and what payment providers tell.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::kinds;
use bistro_proto::payments::v1::{GetStatementRequest, ReceiveWebhookRequest};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{NewTip, Page, Payment, PaymentFilter, Statement, StatementDay},
    edge::{Answer, At, Command, Edge, Json, Problem, Query, Raw, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(tip_order))
        .routes(routes!(list_payments))
        .routes(routes!(get_statement))
        .routes(routes!(receive_stripe_webhook))
}

/// Tip after the fact
///
/// For the order's customer, once the money was taken. The tip is a tender of its own, authorized
/// and taken at once. A tip that the card provider refuses is the problem `card_declined`; while it
/// does not answer, the tender is `pending`.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/tips", tag = "payments", request_body = NewTip,
    responses((status = 200, description = "The payment", body = Payment))
)]
async fn tip_order(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Order>,
    Json(tip): Json<NewTip>,
) -> Result<Answer<Payment>, Problem> {
    let request = ask.with(tip.of(id.to_string())?);
    let payment = Payment::from(edge.payments().add_tip(request).await?.into_inner());
    let version = payment.version;
    Ok(Answer::ok(payment).tagged(version))
}

/// List a restaurant's payments
///
/// For its managers and owners, and support.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/payments", tag = "payments", params(PaymentFilter),
    responses((status = 200, description = "Newest first", body = Page<Payment>))
)]
async fn list_payments(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(filter): Query<PaymentFilter>,
) -> Result<Answer<Page<Payment>>, Problem> {
    let request = ask.with(filter.of(id.to_string())?);
    let page = edge.payments().list_payments(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.payments, page.next_cursor)))
}

/// Show what a restaurant took on one day
///
/// For its managers and owners. From midnight to midnight by the clocks of the time zone. As CSV
/// with `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/statement", tag = "payments", params(StatementDay),
    responses((status = 200, description = "The statement", content(
        (Statement = "application/json"),
        (String = "text/csv", example = "restaurant_id,day,…"),
    )))
)]
async fn get_statement(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(day): Query<StatementDay>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (restaurant_id, StatementDay { day, time_zone }) = (id.to_string(), day);
    let request = ask.with(GetStatementRequest { restaurant_id, day, time_zone });
    let statement = Statement::from(edge.payments().get_statement(request).await?.into_inner());
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    if wants_csv(&headers) {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        return Ok((vary, [(header::CONTENT_TYPE, kind)], statement.csv()).into_response());
    }
    Ok((vary, Answer::ok(statement)).into_response())
}

/// Whether the asker names CSV as what to answer in.
fn wants_csv(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|list| list.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or(range).trim();
        kind.eq_ignore_ascii_case("text/csv")
    })
}

/// Take a message of Stripe's
///
/// For Stripe, which signs it in `Stripe-Signature`: what is not signed, or old, is refused with 403;
/// where no secret of Stripe's webhooks is configured, with 404. It only makes the platform ask
/// Stripe about a payment that waits for it, or about a refund that has failed after it was done;
/// where Stripe does not answer about that, with 503, so that it sends the message again. What comes
/// twice has one effect; kinds that are not known are taken and change nothing.
#[utoipa::path(
    post, path = "/api/v1/webhooks/stripe", tag = "payments",
    params(("Stripe-Signature" = String, Header, description =
        "`t=<Unix seconds>,v1=<hex of the HMAC-SHA256 of t.body>`; at most 5 minutes old",
        example = "t=1800000000,v1=482e6337ac5272392d375c6fdc4d52a7e615dc2facedab0ffe155ddfd6a56e66")),
    request_body(content = serde_json::Value, description = "An event of Stripe's", example = json!({
        "id": "evt_1", "type": "payment_intent.succeeded", "data": { "object": {
            "id": "pi_1", "metadata": { "bistro_key": "pay_01jd3x8k4v9q2w7r5t6y8z0abc/authorize" }
        } }
    })),
    responses((status = 204, description = "It is taken"))
)]
async fn receive_stripe_webhook(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let request = ask.with(ReceiveWebhookRequest {
        provider: "stripe".to_owned(),
        body: body.to_vec(),
        signature: signature.unwrap_or_default().to_owned(),
    });
    edge.payments().receive_webhook(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_wanted_when_it_is_named() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            wants_csv(&headers)
        };
        assert!(wants("text/csv") && wants("application/json;q=0.5, Text/CSV;header=present"));
        assert!(!wants("*/*") && !wants("application/json") && !wants("text/csvx"));
        assert!(!wants_csv(&HeaderMap::new()));
    }
}
