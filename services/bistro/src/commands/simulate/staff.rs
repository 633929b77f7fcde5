//! The restaurant and the couriers: each looks for work again and again, and does it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bistro_client::{ClientError, Request};
use bistro_core::{Error, ErrorCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{account::Account, stage::Stage};
use crate::commands::restaurant::percent_encode;

/// Commands under way at once, of one person.
const AT_ONCE: usize = 32;
/// The pause between two looks: the first when there was work, the second when there is none for
/// long. Looking for work is what these people do; nothing tells them yet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(250));

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
            (Self::Courier, "assigned") => ("order_id", &["pick-up", "drop-off"]),
            (Self::Courier, "picked_up") => ("order_id", &["drop-off"]),
            _ => return None,
        };
        let id = listed["id"].as_str()?.to_owned();
        Some((listed[order].as_str()?, Task { id, steps }))
    }

    fn command(self, run: &str, id: &str, step: &str) -> Request {
        let (things, body) = match self {
            Self::Manager => ("orders", json!({ "minutes": 20 })),
            Self::Chef => ("tickets", json!({})),
            Self::Courier => ("deliveries", json!({})),
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
        let request = job.command(&stage.run, &task.id, step);
        if let Err(error) = account.call(&request, &stage.tally).await {
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
}
