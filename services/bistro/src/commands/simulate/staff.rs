//! The restaurant and the couriers: each looks for work again and again, and does it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bistro_client::{ClientError, Request};
use bistro_core::{Error, ErrorCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{account::Account, customer, stage::Stage};
use crate::commands::restaurant::percent_encode;

/// Commands under way at once, of one person.
const AT_ONCE: usize = 32;
/// The pause between two looks: the first when there was work, the second when there is none for
/// long. Looking for work is what these people do; nothing tells them yet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(250));

/// The step that may have to be proven.
const DROP_OFF: &str = "drop-off";

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Accepts orders.
    Manager,
    /// Cooks.
    Chef,
    /// Delivers.
    Courier,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    /// Of the order, the ticket or the delivery.
    id: String,
    /// The commands, one after the other: a word for the key, and the path's end.
    steps: &'static [&'static str],
    /// The order whose customer has to be asked for the code that proves the drop-off, if it has
    /// to be proven.
    proven_by: Option<String>,
}

impl Job {
    fn list(self, restaurant: &str) -> String {
        match self {
            Self::Manager => {
                format!("/api/v1/orders?restaurant_id={restaurant}&state=confirmed&limit=200")
            }
            Self::Chef => format!("/api/v1/restaurants/{restaurant}/tickets?limit=200"),
            Self::Courier => "/api/v1/couriers/me/deliveries?limit=200".to_owned(),
        }
    }

    /// What is to be done about `listed`, if anything: its order's id, and the task.
    fn task(self, listed: &Value) -> Option<(&str, Task)> {
        let (order, steps): (_, &'static [&'static str]) = match (self, listed["state"].as_str()?) {
            (Self::Manager, "confirmed") => ("id", &["accept"]),
            (Self::Chef, "queued" | "in_preparation") => ("order_id", &["bump"]),
            (Self::Courier, "assigned") => ("order_id", &["pick-up", DROP_OFF]),
            (Self::Courier, "picked_up") => ("order_id", &[DROP_OFF]),
            _ => return None,
        };
        let id = listed["id"].as_str()?.to_owned();
        let order = listed[order].as_str()?;
        let proven_by = (listed["code_needed"] == true).then(|| order.to_owned());
        Some((order, Task { id, steps, proven_by }))
    }

    /// The command `step` about the thing `id`; with the `code` that proves it, if it needs one.
    fn command(self, run: &str, id: &str, step: &str, code: Option<&str>) -> Request {
        let (things, body) = match (self, code) {
            (Self::Manager, _) => ("orders", json!({ "minutes": 20 })),
            (Self::Chef, _) => ("tickets", json!({})),
            (Self::Courier, None) => ("deliveries", json!({})),
            (Self::Courier, Some(code)) => ("deliveries", json!({ "code": code })),
        };
        Request::post(
            format!("/api/v1/{things}/{id}/{step}"),
            format!("sim-{run}-{step}-{id}"),
            &body,
        )
    }
}

/// Does `job` until `stop`; an error ends it.
pub(super) async fn tend(
    stage: Arc<Stage>,
    account: Arc<Account>,
    job: Job,
    stop: CancellationToken,
) -> Result<(), Error> {
    let (mut running, mut busy) = (JoinSet::new(), HashSet::new());
    let mut pause = PAUSES.0;
    loop {
        let tasks = look(&stage, &account, job).await?;
        pause = if tasks.is_empty() { (pause * 2).min(PAUSES.1) } else { PAUSES.0 };
        for task in tasks {
            // What is under way is listed until it is done.
            if busy.contains(&task.id) {
                continue;
            }
            while running.len() >= AT_ONCE {
                done(&mut busy, running.join_next().await)?;
            }
            busy.insert(task.id.clone());
            running.spawn(perform(stage.clone(), account.clone(), job, task));
        }
        while let Some(ended) = running.try_join_next() {
            done(&mut busy, Some(ended))?;
        }
        let stopped = tokio::time::timeout(pause, stop.cancelled()).await;
        if stopped.is_ok() {
            while let Some(ended) = running.join_next().await {
                done(&mut busy, Some(ended))?;
            }
            return Ok(());
        }
    }
}

type Performed = Result<Result<String, Error>, tokio::task::JoinError>;

fn done(busy: &mut HashSet<String>, ended: Option<Performed>) -> Result<(), Error> {
    if let Some(ended) = ended {
        busy.remove(&ended.map_err(Error::internal)??);
    }
    Ok(())
}

/// What is to be done for orders of this run. Those of others are left alone.
async fn look(stage: &Stage, account: &Account, job: Job) -> Result<Vec<Task>, Error> {
    let list = job.list(&stage.restaurant.id);
    let mut tasks = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = Request::get(format!("{list}{cursor}"));
        let page = account.call(&request, &stage.tally).await?;
        for listed in page.body["items"].as_array().into_iter().flatten() {
            if let Some((order, task)) = job.task(listed)
                && stage.is_ours(order)
            {
                tasks.push(task);
            }
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", percent_encode(next)),
            None => return Ok(tasks),
        }
    }
}

/// Does one task; its id comes back.
async fn perform(
    stage: Arc<Stage>,
    account: Arc<Account>,
    job: Job,
    task: Task,
) -> Result<String, Error> {
    for step in task.steps {
        if let Err(error) = take(&stage, &account, job, &task, step).await {
            if !is_over(&error) {
                return Err(error.into());
            }
            // Somebody else was quicker, or the order has ended: the next look shows what is so.
            debug!(id = task.id, step, %error, "there is nothing to do any more");
            break;
        }
    }
    Ok(task.id)
}

/// Takes one step of a task.
async fn take(
    stage: &Stage,
    account: &Account,
    job: Job,
    task: &Task,
    step: &str,
) -> Result<(), ClientError> {
    let code = match task.proven_by.as_deref().filter(|_| step == DROP_OFF) {
        Some(order) => {
            let code = code_at_the_door(stage, order).await?;
            // Of an order that has ended meanwhile there is none, and nothing is to be done.
            let Some(code) = code else { return Ok(()) };
            Some(code)
        }
        None => None,
    };
    let request = job.command(&stage.run, &task.id, step, code.as_deref());
    account.call(&request, &stage.tally).await.map(|_| ())
}

/// What the customer of `order` tells the courier; none once the order has ended.
async fn code_at_the_door(stage: &Stage, order: &str) -> Result<Option<String>, ClientError> {
    match stage.customer_of(order) {
        Some(customer) => customer::code(stage, &customer, order).await,
        None => Ok(None),
    }
}

fn is_over(error: &ClientError) -> bool {
    [ErrorCode::WrongState, ErrorCode::NotFound]
        .iter()
        .any(|code| error.code() == Some(code.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sees_what_is_to_be_done_and_no_more() {
        let listed = |state: &str| json!({ "id": "x_1", "order_id": "ord_1", "state": state });
        let steps = |job: Job, state: &str| job.task(&listed(state)).map(|(_, task)| task.steps);
        assert_eq!(steps(Job::Manager, "confirmed"), Some(&["accept"][..]));
        assert_eq!(steps(Job::Manager, "accepted"), None);
        assert_eq!(steps(Job::Chef, "queued"), Some(&["bump"][..]));
        assert_eq!(steps(Job::Chef, "ready"), None);
        assert_eq!(steps(Job::Courier, "assigned"), Some(&["pick-up", "drop-off"][..]));
        assert_eq!(steps(Job::Courier, "picked_up"), Some(&["drop-off"][..]));
        assert_eq!(Job::Chef.task(&listed("queued")).unwrap().0, "ord_1");
        assert_eq!(Job::Manager.task(&listed("confirmed")).unwrap().0, "x_1");
        assert_eq!(Job::Chef.task(&json!({ "state": "queued" })), None);
    }

    #[test]
    fn a_courier_asks_for_the_code_where_one_is_needed() {
        let listed = |needed: bool| json!({ "id": "x_1", "order_id": "ord_1", "state": "picked_up", "code_needed": needed });
        let asks = |needed: bool| Job::Courier.task(&listed(needed)).unwrap().1.proven_by;
        assert_eq!((asks(true).as_deref(), asks(false)), (Some("ord_1"), None));
        let sent = |code| format!("{:?}", Job::Courier.command("run", "x_1", DROP_OFF, code));
        // Bodies are shown as bytes.
        let bytes = format!("{:?}", b"0042");
        let digits = bytes.trim_matches(['[', ']']);
        assert!(sent(Some("0042")).contains(digits) && !sent(None).contains(digits));
    }
}
