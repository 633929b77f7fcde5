//! A customer: asks for a quote, places the order, and follows it until it has ended.

use std::{sync::Arc, time::Duration};

use bistro_client::{Answer, ClientError, Request};
use bistro_core::{Error, ErrorCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    account::Account,
    journal::{Entry, Known},
    sheet::Order,
    stage::Stage,
};
use crate::commands::restaurant::percent_encode;

/// Seconds that placing may wait for its outcome.
const WAIT: u32 = 5;
/// Quotes that are asked for before an order is given up.
const QUOTES: u32 = 5;
/// A stream that says nothing for longer than this is looked at more closely. The platform sends a
/// heartbeat more often, but only orders are seen here.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at an order whose stream broke off.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What came of placing.
enum Placing {
    /// The platform has the order: its id and its total.
    Acknowledged(String, i64),
    /// The platform does not want it, for this reason.
    Refused(String),
}

/// Plays one order of the file to its end.
pub(super) async fn play(
    stage: &Stage,
    customer: &Arc<Account>,
    order: &Order,
) -> Result<(), Error> {
    let known = stage.past.as_ref().and_then(|past| past.orders.get(&order.name));
    let id = match known {
        Some(Known { ended: Some(end), .. }) => {
            stage.tally.known();
            stage.tally.finished(end);
            return Ok(());
        }
        Some(Known { id, .. }) => {
            stage.tally.known();
            id.clone()
        }
        None => match place(stage, customer, order).await? {
            Placing::Acknowledged(id, amount_minor) => {
                stage.journal.write(&Entry::Acknowledged {
                    acknowledged: order.name.clone(),
                    id: id.clone(),
                    amount_minor,
                })?;
                if amount_minor != stage.worth(order) {
                    stage.tally.mispriced();
                }
                id
            }
            Placing::Refused(code) => {
                stage.tally.finished(&format!("refused: {code}"));
                return Ok(());
            }
        },
    };
    stage.adopt(&id, customer)?;
    let end = follow(stage, customer, &id).await?;
    stage.dismiss(&id);
    match end {
        End::Ended(end) => {
            let ended = order.name.clone();
            stage.tally.finished(&end);
            stage.journal.write(&match end.as_str() {
                "completed" => Entry::Completed { completed: ended, id },
                _ => Entry::Ended { ended, id, state: end },
            })
        }
        End::Stuck(at) => {
            stage.tally.finished(&format!("stuck: {at}"));
            Ok(())
        }
    }
}

/// Places the order. The key is the same for ever: whatever happens, it is placed once at most.
async fn place(stage: &Stage, customer: &Account, order: &Order) -> Result<Placing, Error> {
    let key = format!("sim-{}-{}", stage.run, order.name);
    let address = address(stage, order);
    let lines: Vec<Value> = stage
        .sheet
        .lines_of(order)
        .iter()
        .map(|line| json!({ "item_id": stage.menu[line.item].id, "quantity": line.quantity }))
        .collect();
    let basket =
        json!({ "restaurant_id": stage.restaurant.id, "fulfilment": "delivery", "lines": lines });
    let ask = Request::post("/api/v1/quotes", format!("{key}-quote"), &basket);
    for _ in 0..QUOTES {
        let quote = match customer.call(&ask, &stage.tally).await {
            Ok(quote) => quote,
            Err(error) => return refused(error),
        };
        let body = json!({
            "quote": quote.text("/token"), "payment_method": "card_ok", "address": address,
        });
        let request = Request::post("/api/v1/orders", &key, &body).prefer_wait(WAIT);
        let began = Instant::now();
        match customer.call(&request, &stage.tally).await {
            Ok(answer) => {
                stage.tally.placed(began.elapsed());
                return Ok(acknowledged(&answer.body));
            }
            Err(error) if is(&error, ErrorCode::QuoteExpired) => {}
            // An earlier part of the run placed it, with another quote, and did not hear of it.
            Err(error) if is(&error, ErrorCode::IdempotencyKeyReused) => {
                stage.tally.known();
                return find(stage, customer, &address).await;
            }
            Err(error) => return refused(error),
        }
    }
    Ok(Placing::Refused(ErrorCode::QuoteExpired.as_str().to_owned()))
}

/// The address tells orders apart where the idempotency key is not shown.
fn address(stage: &Stage, order: &Order) -> String {
    format!("{} Simulation Street, {}", order.name, stage.run)
}

fn acknowledged(order: &Value) -> Placing {
    let id = order["id"].as_str().unwrap_or_default().to_owned();
    Placing::Acknowledged(id, order["total"]["amount_minor"].as_i64().unwrap_or_default())
}

fn is(error: &ClientError, code: ErrorCode) -> bool {
    error.code() == Some(code.as_str())
}

/// A refusal ends the order; anything else, such as a server that is gone, ends the run.
fn refused(error: ClientError) -> Result<Placing, Error> {
    match error.code() {
        Some(code) if !error.is_retryable() && !is(&error, ErrorCode::Unauthenticated) => {
            Ok(Placing::Refused(code.to_owned()))
        }
        _ => Err(error.into()),
    }
}

/// The customer's order with this address.
async fn find(stage: &Stage, customer: &Account, address: &str) -> Result<Placing, Error> {
    let mut cursor = String::new();
    loop {
        let request = Request::get(format!("/api/v1/orders?limit=200{cursor}"));
        let page = customer.call(&request, &stage.tally).await?;
        let mut orders = page.body["items"].as_array().into_iter().flatten();
        if let Some(order) = orders.find(|order| order["address"].as_str() == Some(address)) {
            return Ok(acknowledged(order));
        }
        let Some(next) = page.body["next_cursor"].as_str() else {
            let message = format!(
                "the platform says that the order to {address:?} was placed, but does not show it to its customer"
            );
            return Err(Error::new(ErrorCode::Internal, message));
        };
        cursor = format!("&cursor={}", percent_encode(next));
    }
}

/// What the customer of the order `id` tells the courier at the door: the code, as the customer is
/// shown it; none once the delivery has ended.
pub(super) async fn code(
    stage: &Stage,
    customer: &Account,
    id: &str,
) -> Result<Option<String>, ClientError> {
    let request = Request::get(format!("/api/v1/orders/{id}/delivery"));
    let delivery = customer.call(&request, &stage.tally).await?;
    Ok(delivery.body["code"].as_str().map(str::to_owned))
}

/// How following ended.
enum End {
    /// The order is in this state, and stays in it.
    Ended(String),
    /// The order stands still in this state.
    Stuck(String),
}

/// Follows the order `id` until it has ended, or has stood still for as long as patience lasts.
async fn follow(stage: &Stage, customer: &Account, id: &str) -> Result<End, Error> {
    let mut latest = Latest { sequence: -1, moved: Instant::now() };
    loop {
        if let Some(end) = listen(stage, customer, id, &mut latest).await {
            return Ok(End::Ended(end));
        }
        // The stream broke off or was silent: look.
        let request = Request::get(format!("/api/v1/orders/{id}"));
        let Answer { body, .. } = customer.call(&request, &stage.tally).await?;
        if let Some(end) = latest.take(&body) {
            return Ok(End::Ended(end));
        }
        if latest.moved.elapsed() > stage.patience {
            return Ok(End::Stuck(body["state"].as_str().unwrap_or_default().to_owned()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The latest that is known of an order.
struct Latest {
    sequence: i64,
    moved: Instant,
}

impl Latest {
    /// Takes in the order; its state if it has ended.
    fn take(&mut self, order: &Value) -> Option<String> {
        let sequence = order["sequence"].as_i64().unwrap_or_default();
        if sequence > self.sequence {
            *self = Self { sequence, moved: Instant::now() };
        }
        order["state"].as_str().filter(|state| has_ended(state)).map(str::to_owned)
    }
}

/// Listens to the order's events until one says that it has ended; none if they break off.
async fn listen(
    stage: &Stage,
    customer: &Account,
    id: &str,
    latest: &mut Latest,
) -> Option<String> {
    let mut events = customer.follow(id, &stage.tally).await.ok()?;
    while let Ok(Ok(Some(order))) = tokio::time::timeout(SILENCE, events.next()).await {
        if let Some(end) = latest.take(&order) {
            return Some(end);
        }
    }
    None
}

/// Whether nothing follows `state`.
fn has_ended(state: &str) -> bool {
    matches!(
        state,
        "completed" | "rejected" | "payment_failed" | "expired" | "cancelled" | "failed"
    )
}

#[cfg(test)]
mod tests {
    use bistro_client::Problem;

    use super::*;

    fn problem(status: u16, code: &str) -> ClientError {
        let problem = Problem { status, code: code.to_owned(), ..Problem::default() };
        ClientError::Problem { problem, retry_after: None }
    }

    #[test]
    fn a_refusal_ends_the_order_and_an_outage_the_run() {
        assert!(
            matches!(refused(problem(409, "sold_out")), Ok(Placing::Refused(code)) if code == "sold_out")
        );
        assert!(refused(problem(503, "unavailable")).is_err());
        assert!(refused(problem(401, "unauthenticated")).is_err());
    }

    #[test]
    fn only_news_is_a_move() {
        let mut latest = Latest { sequence: -1, moved: Instant::now() };
        assert_eq!(latest.take(&json!({ "sequence": 3, "state": "ready" })), None);
        let moved = latest.moved;
        assert_eq!(latest.take(&json!({ "sequence": 3, "state": "ready" })), None);
        assert_eq!((latest.sequence, latest.moved), (3, moved));
        let end = latest.take(&json!({ "sequence": 5, "state": "completed" }));
        assert_eq!(end.as_deref(), Some("completed"));
    }
}
