//! Whether the ledger agrees with the file, once every order has ended.

use std::time::Duration;

use bistro_client::{Client, ClientError, Insistence, Request};
use bistro_core::{Error, ErrorCode};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{journal::Known, stage::Stage, tally::Settled};

/// Payments that are looked at at once, and how many of all.
const AT_ONCE: usize = 16;
const LOOKED_AT: usize = 20_000;
/// Between two looks at what is not settled yet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// What the ledger says about a restaurant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// What it is to be paid, in minor units.
    pub(super) earned_minor: i64,
    /// Sums over all accounts that are not 0, by currency.
    pub(super) imbalance: Vec<(String, i64)>,
}

/// Reads the ledger of `restaurant`, whose currency is `currency`.
pub(super) async fn ledger(
    operator: &Client,
    restaurant: &str,
    currency: &str,
    patience: Duration,
) -> Result<Ledger, Error> {
    let request = Request::get(format!("/api/v1/ledger/balances?restaurant_id={restaurant}"));
    let answer = operator.insist(&request, &mut Insistence::lasting(patience)).await?;
    Ok(earned(&answer.body, currency))
}

fn earned(balances: &Value, currency: &str) -> Ledger {
    let mut earned_minor = 0_i64;
    for balance in balances["balances"].as_array().into_iter().flatten() {
        // Credits are negative: what the restaurant is owed, less what it bears of refunds.
        let counts = matches!(balance["account"].as_str(), Some("restaurant_payable" | "refunds"))
            && balance["amount"]["currency"].as_str() == Some(currency);
        if counts {
            let minor = balance["amount"]["amount_minor"].as_i64().unwrap_or_default();
            earned_minor = earned_minor.saturating_sub(minor);
        }
    }
    let imbalance = balances["imbalance"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|sum| {
            let currency = sum["currency"].as_str().unwrap_or_default().to_owned();
            (currency, sum["amount_minor"].as_i64().unwrap_or_default())
        })
        .filter(|(_, sum)| *sum != 0)
        .collect();
    Ledger { earned_minor, imbalance }
}

/// Waits until the restaurant has earned `expected_minor` since `baseline_minor`, at most for
/// `patience`, and then looks at the payment of each completed order.
pub(super) async fn settle(
    stage: &Stage,
    completed: &[Known],
    (baseline_minor, expected_minor): (i64, i64),
    patience: Duration,
) -> Result<Settled, Error> {
    let until = Instant::now() + patience;
    let mut pause = PAUSES.0;
    let (revenue_minor, imbalance) = loop {
        let restaurant = &stage.restaurant;
        let now =
            ledger(&stage.operator, &restaurant.id, &restaurant.currency, stage.patience).await?;
        let revenue = now.earned_minor.saturating_sub(baseline_minor);
        if revenue == expected_minor || Instant::now() + pause > until {
            break (revenue, now.imbalance);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    };
    // Of too many, every so many is looked at.
    let every = completed.len().div_ceil(LOOKED_AT).max(1);
    let looked_at: Vec<(&Known, bool)> = stream::iter(completed.iter().step_by(every))
        .map(|order| async move { Ok::<_, Error>((order, captured(stage, order, until).await?)) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let payments_checked = looked_at.len() as u64;
    let uncaptured = looked_at.into_iter().filter(|(_, captured)| !captured);
    let uncaptured = uncaptured.map(|(order, _)| order.id.clone()).collect();
    Ok(Settled { revenue_minor, imbalance, payments_checked, uncaptured })
}

/// Whether the order's total was captured, by `until` at the latest.
async fn captured(stage: &Stage, order: &Known, until: Instant) -> Result<bool, Error> {
    let request = Request::get(format!("/api/v1/orders/{}/payment", order.id));
    let mut pause = PAUSES.0;
    loop {
        match stage.operator.insist(&request, &mut Insistence::lasting(stage.patience)).await {
            Ok(answer) if is_captured(&answer.body, order.amount_minor) => return Ok(true),
            Err(error) if !is_missing(&error) => return Err(error.into()),
            _ => {}
        }
        if Instant::now() + pause > until {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn is_captured(payment: &Value, amount_minor: i64) -> bool {
    let minor = |field: &str| payment[field]["amount_minor"].as_i64();
    payment["state"].as_str() == Some("captured")
        && minor("captured") == Some(amount_minor)
        && minor("refunded") == Some(0)
}

fn is_missing(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::NotFound.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_restaurant_earns_what_it_is_owed_less_refunds() {
        let balance = |account: &str, minor: i64, currency: &str| json!({ "account": account, "amount": { "amount_minor": minor, "currency": currency }, "entries": 1 });
        let balances = json!({
            "balances": [
                balance("cards_receivable", 900, "GBP"),
                balance("restaurant_payable", -1000, "GBP"),
                balance("refunds", 100, "GBP"),
                balance("restaurant_payable", -7, "EUR"),
            ],
            "imbalance": [{ "amount_minor": 0, "currency": "GBP" }, { "amount_minor": -7, "currency": "EUR" }],
        });
        let ledger = earned(&balances, "GBP");
        assert_eq!(ledger, Ledger { earned_minor: 900, imbalance: vec![("EUR".to_owned(), -7)] });
    }

    #[test]
    fn captured_is_captured_in_full_and_kept() {
        let payment = |state: &str, captured: i64, refunded: i64| json!({ "state": state, "captured": { "amount_minor": captured }, "refunded": { "amount_minor": refunded } });
        assert!(is_captured(&payment("captured", 7, 0), 7));
        assert!(!is_captured(&payment("captured", 6, 0), 7));
        assert!(!is_captured(&payment("authorized", 0, 0), 7));
        assert!(!is_captured(&payment("partially_refunded", 7, 1), 7));
    }
}
